"""Room for keys and values: how many positions the requests in flight may hold together, and what if they need more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.contracts.system import CapacityMode
from simulator.core.errors import ConfigError, MappingError
from simulator.serving.requests import Requests

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class KvUse:
    """The most KV positions that requests in flight had reserved at one time, and by how much that exceeds the room."""

    peak_tokens: int
    capacity_tokens: int
    overshoot_tokens: int
    overshoot_bytes: int


@dataclass(frozen=True, slots=True)
class KvCapacity:
    """Room for `tokens` KV positions of `bytes_per_token` each, over all slots.

    A request reserves its final context (prompt and output tokens) for as long as it holds a slot. With `enforce` it
    waits, and those behind it too, until that fits; with `report` it goes on, and the result tells by how much the peak
    overshot.

    Not modelled: paging, that is, room taken only as the context grows.
    """

    tokens: int
    bytes_per_token: int
    mode: CapacityMode = "enforce"

    def __post_init__(self) -> None:
        if self.mode not in ("enforce", "report"):
            raise ConfigError(f"capacity is {self.mode!r}", remedy='write "enforce" or "report"')

    @property
    def limit_tokens(self) -> int | None:
        """What admission must respect: None if it only reports."""
        return self.tokens if self.mode == "enforce" else None

    def check(self, requests: Requests) -> None:
        """Refuse what would wait for ever: MappingError names the first such request and the bytes that it lacks."""
        too_long = np.flatnonzero(requests.total_tokens > self.tokens)
        if self.mode == "report" or too_long.size == 0:
            return
        row = int(too_long[0])
        needed = int(requests.total_tokens[row])
        missing_bytes = (needed - self.tokens) * self.bytes_per_token
        others = f", and so are {too_long.size - 1} others" if too_long.size > 1 else ""
        raise MappingError(
            f"request {requests.ids[row]} is too long even for an empty machine: {needed} KV positions where "
            f"{self.tokens} fit, {missing_bytes} bytes missing{others}",
            where=requests.where(row) if requests.where is not None else None,
            remedy="leave such requests out, give the system more memory, or let capacity only report",
            missing_bytes=missing_bytes,
        )

    def use(self, requests: Requests, start_ps: NDArray[np.int64], finish_ps: NDArray[np.int64]) -> KvUse:
        """The peak over a run in which requests held slots from `start_ps` to `finish_ps`."""
        change = np.concatenate((requests.total_tokens, -requests.total_tokens))
        # What is given back at a time can be taken at that time.
        order = np.lexsort((change > 0, np.concatenate((start_ps, finish_ps))))
        peak = int(np.cumsum(change[order]).max())
        overshoot = max(0, peak - self.tokens)
        return KvUse(peak, self.tokens, overshoot, overshoot * self.bytes_per_token)
