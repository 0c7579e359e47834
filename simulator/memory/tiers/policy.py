"""What a migration policy sees of the machine, and what it may do: the interface of `memory/tiers/policies`.

A policy is called between quanta of the access stream, at the first one that ends at or after the time that it asked
for. It looks at what its mechanism could see on a real machine (hint faults, access bits, a tracker's reports,
bandwidth counters), moves pages, and is charged for what it makes the program wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

NEVER_PS = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class TierCounters:
    """Since the start: line reads and writes on either tier."""

    ddr_reads: int
    ddr_writes: int
    cxl_reads: int
    cxl_writes: int


@dataclass(frozen=True, slots=True, eq=False)
class HotReports:
    """What a tracker reported since it was last asked: `key` uint32[m], its `estimate` int64[m], and which `query` of
    the tracker, int64[m] counted from 0, in order."""

    key: NDArray[np.uint32]
    estimate: NDArray[np.int64]
    query: NDArray[np.int64]


class MachineView(Protocol):
    """The machine as a policy sees it."""

    n_pages: int
    n_ddr_pages: int
    now_ps: int
    last_touch_ps: NDArray[np.int64]
    """int64[n_pages], read only: when each page was last accessed on either tier, -1 before that. A page's access bit
    that was cleared at time t is set again where `last_touch_ps > t`."""

    @property
    def on_ddr(self) -> NDArray[np.bool_]:
        """bool[n_pages], read only: which pages lie in DDR."""
        ...

    @property
    def n_free_ddr_pages(self) -> int:
        """Frames of DDR that hold nothing."""
        ...

    def counters(self) -> TierCounters:
        """Reads and writes since the start."""
        ...

    def protect(self, pages: NDArray[np.int64]) -> None:
        """Clear the present bits of pages: the next access to each faults once, and costs the program a fault."""
        ...

    def take_faults(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Hint faults since the last call, in order: pages int64[m], times in ps int64[m], and the times at which they
        were protected int64[m]."""
        ...

    def take_hot_pages(self) -> HotReports:
        """Reports of the hot-page tracker since the last call; empty where the machine has none."""
        ...

    def take_hot_words(self) -> HotReports:
        """Reports of the hot-word tracker (keys are line ids) since the last call; empty where the machine has none."""
        ...

    def set_tracker_period_ps(self, period_ps: int) -> None:
        """Time between queries of the hot-page tracker; of the hot-word tracker it is 1/64 of it."""
        ...

    def set_tracker_period_reads(self, n_reads: int) -> None:
        """As `set_tracker_period_ps`, counted in line reads of CXL memory instead of time."""
        ...

    def pick(self, pages: NDArray[np.int64]) -> None:
        """Say which pages the policy holds for hot, whether or not it moves them: what identification is judged by."""
        ...

    def promote(self, pages: NDArray[np.int64]) -> int:
        """Move pages to DDR, in order; those there already are passed over. Where DDR is full others are demoted first.
        Returns how many moved. Nothing moves in a run that only identifies."""
        ...

    def demote(self, pages: NDArray[np.int64]) -> int:
        """Move pages to CXL; those there already are passed over. Returns how many moved."""
        ...

    def charge(self, time_ps: int) -> None:
        """Identification work that the program waits for."""
        ...


class Policy(Protocol):
    """A migration policy: a class in `memory/tiers/policies`, found by its module's name, with a pydantic `Config`.

    One that reads trackers says so with attributes `uses_pages` and `uses_words`, one that moves pages within page
    faults, for which the program waits, with `moves_in_fault`, and one that wants to be called at records of the
    stream, and not at times, with `boundaries`, int64[k] in rising order.
    """

    name: str

    def start(self, machine: MachineView, seed: int) -> int:
        """Before the first access. Returns the time, in ps, at which the policy wants to be called (NEVER_PS: not)."""
        ...

    def act(self, machine: MachineView) -> int:
        """Called at or after the time asked for. Returns the next time to be called."""
        ...
