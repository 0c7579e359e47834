"""What a sweep asks of the machinery that runs its points: an interface of two methods.

Processes of this machine stand behind it by default; a cluster engine may as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from simulator.contracts.results import Scalar


@dataclass(frozen=True, slots=True)
class Point:
    """One design point.

    `ordinal` is its place in the sweep, `key` the content address of its result, `config` the number of the
    configuration that it starts from, `values` what it sets, in the order of the sweep's columns.
    """

    ordinal: int
    key: str
    config: int
    values: tuple[Scalar | None, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a point: `payload`, a JSON object of its metrics or of its error, and the CPU time it took."""

    key: str
    failed: bool
    payload: str
    cpu_s: float


class Runner(Protocol):
    """Runs points somewhere."""

    def submit(self, points: Iterable[Point]) -> Iterator[Sequence[Outcome]]:
        """Run all points and give their outcomes, in any order, as they come in, several at a time.

        Points are drawn only as fast as they can be run, so that a stream of any length takes bounded memory. Every
        point has one outcome, whatever happens to the processes that run it. Raises ModelFault where nothing can run.
        """
        ...

    def close(self) -> None:
        """End all processes; what was not given back by then is lost. It may be called at any time, and again."""
        ...
