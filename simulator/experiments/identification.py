"""What migration policies hold for hot, window by window, when they only identify and nothing moves.

A policy that goes on picking ends up with every page, so a list of all its picks says nothing. Here the reads of a
trace are cut into windows; in each the first pages that the policy picks count, as many as 1 % of the footprint. They
are judged by the exact reads of the same window, or of the whole trace, against as many of the hottest pages.

Source: M5 (ASPLOS'25), access-count ratio; windows and the number of picks are ours, the paper's are not known.
Not modelled: what picks cost later (nothing moves).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.memory.tiers.machine import TieredMachine
from simulator.memory.tiers.pages import first_appearances
from simulator.memory.tiers.platform import Platform
from simulator.memory.tiers.policy import Policy
from simulator.memory.trackers.tracker import Tracker
from simulator.systems.tiered_memory import TieredMemory, page_reads
from simulator.workload.accesses import LINES_PER_PAGE, AccessStream

Pages = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Identified:
    """How many windows a policy picked pages in, how many picks count, and which share of hot reads these caught.

    `in_window` is the ratio by the reads of the windows themselves, `in_whole` by those of the whole trace.
    """

    n_windows: int
    n_picks: int
    in_window: float
    in_whole: float


class PickLog:
    """The machine as a policy sees it, with every pick noted beside the count of reads so far."""

    def __init__(self, machine: TieredMachine) -> None:
        self._machine = machine
        self.picks: list[tuple[int, Pages]] = []

    def pick(self, pages: Pages) -> None:
        """Note pages that the policy holds for hot."""
        if len(pages):
            counters = self._machine.counters()
            self.picks.append((counters.ddr_reads + counters.cxl_reads, pages.copy()))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine, name)


class _Logged:
    """A policy that sees the machine through a log."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.name = policy.name
        self.log: PickLog | None = None

    def start(self, machine: Any, seed: int) -> int:
        """Before the first access."""
        self.log = PickLog(machine)
        return self._policy.start(self.log, seed)

    def act(self, machine: Any) -> int:
        """Called at or after the time asked for."""
        assert self.log is not None
        return self._policy.act(self.log)


@dataclass(frozen=True, slots=True, eq=False)
class WindowReads:
    """Reads of each page in whole windows of `window_reads`, int64[windows, pages], and in all, int64[pages]."""

    window_reads: int
    in_window: Pages
    in_all: Pages

    @classmethod
    def of(cls, stream: AccessStream, window_reads: int) -> WindowReads:
        """The counts of a stream."""
        return cls(window_reads, window_counts(stream, window_reads), page_reads(stream))


def identify(
    system: TieredMemory, stream: AccessStream, policy: Policy, seed: int, counts: WindowReads, picks_frac: float
) -> Identified:
    """Run a policy that moves nothing, and judge its picks. Ratios are NaN where it picked nothing."""
    logged = _Logged(policy)
    config = system.config
    ddr, cxl = system.curves
    platform = Platform(
        ddr.table(), cxl.table(), config.processor.mlp, config.fault_ps, system.n_ddr_pages(stream),
        config.quantum_records, config.migration.costs(),
    )  # fmt: skip
    machine = TieredMachine(
        platform,
        stream.n_pages,
        logged,
        n_records=stream.n_records,
        lines_per_record=stream.lines_per_record,
        seed=seed,
        moves=False,
        tracker_pages=Tracker(config.page_tracker, "page") if getattr(policy, "uses_pages", False) else None,
        tracker_words=Tracker(config.word_tracker, "word") if getattr(policy, "uses_words", False) else None,
    )
    for first, line, is_write, compute_ps in system.quanta(stream):
        machine.feed(first, line, is_write, compute_ps)
    machine.finish()
    assert logged.log is not None
    n_picks = max(1, int(stream.n_pages * picks_frac))
    return judged(logged.log.picks, counts.in_window, counts.in_all, counts.window_reads, n_picks)


def window_counts(stream: AccessStream, window_reads: int) -> NDArray[np.int64]:
    """Reads of each page in each whole window, int64[windows, pages]."""
    pages = np.concatenate([chunk.line[~chunk.is_write] // LINES_PER_PAGE for chunk in stream.chunks()])
    n_windows = len(pages) // window_reads
    counts = [
        np.bincount(pages[at * window_reads : (at + 1) * window_reads], minlength=stream.n_pages)
        for at in range(n_windows)
    ]
    return np.array(counts, np.int64).reshape(n_windows, stream.n_pages)


def judged(
    picks: list[tuple[int, Pages]], counts: NDArray[np.int64], whole: NDArray[np.int64], window_reads: int, n_picks: int
) -> Identified:
    """Picks with the reads before each, beside exact counts by window, int64[windows, pages], and of the whole."""
    by_window: dict[int, list[Pages]] = {}
    for n_reads, pages in picks:
        by_window.setdefault(n_reads // window_reads, []).append(pages)
    found, best = np.zeros(2), np.zeros(2)
    n_judged = n_all = 0
    hottest_whole = np.cumsum(np.sort(whole)[::-1])
    for window, several in by_window.items():
        if window >= len(counts):
            continue
        chosen = first_appearances(np.concatenate(several))[:n_picks]
        own = counts[window]
        n_judged, n_all = n_judged + 1, n_all + len(chosen)
        found += own[chosen].sum(), whole[chosen].sum()
        best += np.sort(own)[::-1][: len(chosen)].sum(), hottest_whole[len(chosen) - 1]
    ratios = [float(part / all_) if all_ else float("nan") for part, all_ in zip(found, best, strict=True)]
    return Identified(n_judged, n_all, *ratios)
