"""Requests over time: when each arrives, how long its prompt is, how many tokens it asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ConfigError, Position, WorkloadError

Int64 = NDArray[np.int64]
PS_PER_S = 10**12
MAX_ARRIVAL_PS = 2**63 - 1
_TOO_LONG = "the trace spans more than 106.75 days, which is all that 64-bit picoseconds hold"


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `id` is its row in the trace (from 0), `prefix_blocks` name its prompt's blocks, in order."""

    id: int
    arrival_ps: int
    prompt_tokens: int
    output_tokens: int
    prefix_blocks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PrefixBlocks:
    """Names of the prompts' blocks: equal names at equal places mean equal prompts up to there.

    Request i owns `names[offsets[i]:offsets[i + 1]]` (int64[m], int64[n + 1]); a block is `block_tokens` tokens, and
    the last one of a prompt may be part-filled.
    """

    names: Int64
    offsets: Int64
    block_tokens: int

    @classmethod
    def of(cls, blocks: list[list[int]], block_tokens: int) -> PrefixBlocks:
        """The blocks of a list of prompts; raises OverflowError on a name beyond 64 bits."""
        offsets = np.zeros(len(blocks) + 1, dtype=np.int64)
        np.cumsum([len(names) for names in blocks], out=offsets[1:])
        names = np.fromiter((name for prompt in blocks for name in prompt), dtype=np.int64, count=int(offsets[-1]))
        return cls(names, offsets, block_tokens)

    def of_request(self, index: int) -> Int64:
        """The names of one prompt's blocks."""
        return self.names[self.offsets[index] : self.offsets[index + 1]]

    def take(self, order: Int64) -> PrefixBlocks:
        """The blocks of some requests, in the given order."""
        return PrefixBlocks.of([self.of_request(int(index)).tolist() for index in order], self.block_tokens)


@dataclass(frozen=True, slots=True, eq=False)
class RequestTrace:
    """Requests in the order of their arrival.

    arrival_ps, prompt_tokens, output_tokens, ids: int64[n], read-only; arrivals start at 0 and never fall, token
    counts are at least 1, ids are rows of the file. `path` and `format` say what was read, `first_line` the line of
    row 0 (0: rows are no lines), `checksum` is its sha256, `notes` what a reader of results must know (rows dropped,
    rows sorted, lengths borrowed). Raises WorkloadError on a trace without requests.
    """

    path: str
    format: str
    checksum: str
    arrival_ps: Int64
    prompt_tokens: Int64
    output_tokens: Int64
    ids: Int64
    prefix: PrefixBlocks | None = None
    first_line: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.arrival_ps) == 0:
            raise WorkloadError(
                "the trace has no requests", where=self.path, remedy="give a trace with at least one request"
            )
        columns = (self.arrival_ps, self.prompt_tokens, self.output_tokens, self.ids)
        if any(column.dtype != np.int64 or column.shape != self.arrival_ps.shape for column in columns):
            raise ValueError("the columns of a trace are int64 and equally long")
        if self.arrival_ps[0] != 0 or (np.diff(self.arrival_ps) < 0).any():
            raise ValueError("arrivals begin at 0 and never fall")
        if self.prompt_tokens.min() < 1 or self.output_tokens.min() < 1:
            raise ValueError("token counts are at least 1")
        for column in columns:
            column.setflags(write=False)

    def __len__(self) -> int:
        return len(self.arrival_ps)

    def __getitem__(self, index: int) -> Request:
        blocks = () if self.prefix is None else tuple(self.prefix.of_request(index % len(self)).tolist())
        return Request(
            int(self.ids[index]),
            int(self.arrival_ps[index]),
            int(self.prompt_tokens[index]),
            int(self.output_tokens[index]),
            blocks,
        )

    def __iter__(self) -> Iterator[Request]:
        return (self[index] for index in range(len(self)))

    @property
    def name(self) -> str:
        """The file's or folder's name."""
        return Path(self.path).name or self.path

    def place(self, index: int) -> Position | str:
        """Where the request was written: file and line; of a drawn request the folder and its number."""
        row = int(self.ids[index])
        return Position(self.path, self.first_line + row) if self.first_line else f"{self.path}, request {row}"

    @property
    def span_ps(self) -> int:
        """Time between the first and the last arrival."""
        return int(self.arrival_ps[-1])

    @property
    def offered_qps(self) -> float | None:
        """Mean arrival rate in requests per second, (n - 1) / span: the inverse of the mean time between arrivals.

        None where there is no such time: one request, or all at one instant.
        """
        return None if self.span_ps == 0 else (len(self) - 1) * PS_PER_S / self.span_ps

    def head(self, n_requests: int) -> RequestTrace:
        """The first `n_requests`; raises WorkloadError where that is none, or more than there are."""
        check_n_requests(n_requests, len(self), self.path)
        if n_requests == len(self):
            return self
        return self._take(np.arange(n_requests, dtype=np.int64), self.arrival_ps[:n_requests].copy())

    def jittered(self, seconds: float, rng: np.random.Generator) -> RequestTrace:
        """Each arrival later by its own uniform time in [0, seconds), then sorted again and shifted to begin at 0.

        Forward only: a quantised clock that cuts off (Mooncake's 3 s marks) showed each arrival too early, never too
        late.
        """
        if not 0 <= seconds <= 1e6:
            raise ConfigError(f"a jitter of {seconds} s", where="--jitter", remedy="give seconds, from 0 to a million")
        if seconds == 0:
            return self
        delays_ps = np.floor(rng.random(len(self)) * (seconds * PS_PER_S)).astype(np.int64)
        if self.span_ps > MAX_ARRIVAL_PS - int(delays_ps.max()):
            raise WorkloadError(_TOO_LONG, where=self.path, remedy="replay fewer requests with --requests")
        arrival_ps = self.arrival_ps + delays_ps
        order = np.argsort(arrival_ps, kind="stable").astype(np.int64)
        return self._take(order, arrival_ps[order] - arrival_ps.min())

    def scaled(self, *, qps: float | None = None, time_scale: float | None = None) -> RequestTrace:
        """The same shape of arrivals at another speed; exactly one of the two is given.

        `qps`: stretched or shrunk so that `offered_qps` becomes this. `time_scale`: every arrival time multiplied by
        it, so that 2 halves the load. Exact rational arithmetic, rounded to the nearest picosecond. Raises ConfigError
        on both, none, or a value that is no positive number, and on a rate for requests that all arrive at one
        instant.
        """
        if (qps is None) == (time_scale is None):
            raise ConfigError(
                "give exactly one of --qps and --time-scale",
                where="--qps",
                remedy="drop one: each sets the speed of arrivals",
            )
        if time_scale is not None:
            return self._stretched(_positive(time_scale, "--time-scale"))
        assert qps is not None
        rate = _positive(qps, "--qps")
        if len(self) == 1:
            return self
        if self.span_ps == 0:
            raise ConfigError(
                f"all {len(self):,} requests of {self.name} arrive at one instant, which no factor turns into a rate",
                where="--qps",
                remedy="spread them with --jitter SECONDS, or replay more requests",
            )
        return self._stretched((len(self) - 1) * PS_PER_S / rate / self.span_ps)

    def _stretched(self, factor: Fraction) -> RequestTrace:
        numerator, denominator = factor.as_integer_ratio()
        if self.span_ps * factor > MAX_ARRIVAL_PS:
            raise WorkloadError(
                _TOO_LONG, where=self.path, remedy="scale less, or replay fewer requests with --requests"
            )
        half = denominator // 2
        stretched = [(time * numerator + half) // denominator for time in self.arrival_ps.tolist()]
        return replace(self, arrival_ps=np.array(stretched, dtype=np.int64))

    def _take(self, order: Int64, arrival_ps: Int64) -> RequestTrace:
        return replace(
            self,
            arrival_ps=arrival_ps,
            prompt_tokens=self.prompt_tokens[order],
            output_tokens=self.output_tokens[order],
            ids=self.ids[order],
            prefix=None if self.prefix is None else self.prefix.take(order),
        )


def check_n_requests(n_requests: int, available: int | None, name: str) -> None:
    """Raise WorkloadError for a number of requests that is none, or more than `available` (None: any number is)."""
    if n_requests < 1:
        raise WorkloadError(
            f"{n_requests} requests leave nothing to run", where="--requests", remedy="give a number of at least 1"
        )
    if available is not None and n_requests > available:
        raise WorkloadError(
            f"{name} has {available:,} requests, fewer than the {n_requests:,} asked for",
            where="--requests",
            remedy=f"give at most {available}, or leave --requests out",
        )


def _positive(value: float, option: str) -> Fraction:
    # The decimal that the user wrote, not the binary number nearest to it.
    try:
        number = Fraction(str(value))
    except ValueError:
        number = Fraction(0)
    if not Fraction(1, 10**9) <= number <= 10**9:
        raise ConfigError(f"{option} is {value}", where=option, remedy="give a positive number, such as 0.6")
    return number
