"""Two memory tiers in plain Python, written from the text of the execution model: slow, obvious, one record at a time.

The twin that kernel and machine must equal. It keeps pages in sets, looks for a quantum's time by halving an interval,
and is a `MachineView`, so that one scripted policy drives both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simulator.memory.tiers.platform import Platform
from simulator.memory.tiers.policy import Policy, TierCounters

Curve = Sequence[tuple[float, float]]
Record = tuple[int, bool]
"""Line, and whether it is written."""


def latency_ps(curve: Curve, bytes_per_ps: float) -> float:
    """Straight lines between points, flat below the first and beyond the last."""
    if bytes_per_ps <= curve[0][0]:
        return curve[0][1]
    for (x0, y0), (x1, y1) in pairwise(curve):
        if bytes_per_ps <= x1:
            return y0 + (y1 - y0) * (bytes_per_ps - x0) / (x1 - x0)
    return curve[-1][1]


def quantum_ps(
    compute_ps: float, reads: tuple[float, float], moved: tuple[float, float], curves: tuple[Curve, Curve], mlp: float
) -> float:
    """T = compute + (sum of reads x latency at bytes / T) / mlp, but no tier beyond its peak. Pairs are (DDR, CXL)."""

    def asked(time: float) -> float:
        loads = zip(reads, moved, curves, strict=True)
        return compute_ps + sum(n * latency_ps(curve, b / time) for n, b, curve in loads) / mlp

    floor = max(b / curve[-1][0] for b, curve in zip(moved, curves, strict=True))
    most = compute_ps + sum(n * curve[-1][1] for n, curve in zip(reads, curves, strict=True)) / mlp
    if max(floor, most) == 0.0:
        return 0.0
    if floor > 0.0 and asked(floor) <= floor:
        return floor
    low, high = floor, max(most, floor)
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return high
        low, high = (middle, high) if asked(middle) > middle else (low, middle)


@dataclass
class Twin:
    """A run of one stream on a platform under a policy."""

    platform: Platform
    n_pages: int
    policy: Policy
    lines_per_record: int = 1
    moves: bool = True
    request_starts: Sequence[int] = ()
    on_ddr_set: set[int] = field(default_factory=set)
    true_ps: float = 0.0
    n_promoted: int = 0
    n_demoted: int = 0
    n_refused: int = 0

    def __post_init__(self) -> None:
        self.last_touch_ps = np.full(self.n_pages, -1, np.int64)
        self.n_ddr_pages = min(self.platform.n_ddr_pages, self.n_pages)
        self.moves_in_fault = getattr(self.policy, "moves_in_fault", False)
        self.request_begin_ps: list[int] = []
        self.seen: list[tuple[int, int]] = []
        self.all_faults: list[tuple[int, int, int]] = []
        self.spent = dict.fromkeys(("compute", "ddr", "cxl", "bandwidth", "fault", "migration", "identification"), 0.0)
        self.lines = {"ddr_reads": 0, "ddr_writes": 0, "cxl_reads": 0, "cxl_writes": 0}
        self.protected: dict[int, int] = {}
        self.faults: list[tuple[int, int, int]] = []
        self.passed: dict[int, int] = {}
        self.hand = self.charged = 0
        self.engine_free = 0.0
        self.moved_bytes = 0.0
        self.due = self.policy.start(self, 0)
        self._wait()

    def run(self, records: Sequence[Record], compute_ps: Sequence[float]) -> None:
        """The whole stream; `compute_ps` of each quantum."""
        size = self.platform.quantum_records
        for number, begin in enumerate(range(0, len(records), size)):
            self._quantum(begin, records[begin : begin + size], compute_ps[number])
            if self.now_ps >= self.due:
                self.due = self.policy.act(self)
                self._wait()

    def _quantum(self, first: int, records: Sequence[Record], compute: float) -> None:
        curves = (self.platform.ddr.tolist(), self.platform.cxl.tolist())
        n = {"ddr_reads": 0, "ddr_writes": 0, "cxl_reads": 0, "cxl_writes": 0}
        for line, is_write in records:
            n[("ddr" if line // 64 in self.on_ddr_set else "cxl") + ("_writes" if is_write else "_reads")] += 1
        lines = {kind: count * self.lines_per_record for kind, count in n.items()}
        reads = (lines["ddr_reads"], lines["cxl_reads"])
        moved = (
            64.0 * (lines["ddr_reads"] + lines["ddr_writes"]) + self.moved_bytes,
            64.0 * (lines["cxl_reads"] + lines["cxl_writes"]) + self.moved_bytes,
        )
        self.moved_bytes = 0.0
        taken = quantum_ps(compute, reads, moved, curves, self.platform.mlp)
        waits = [
            latency_ps(curve, b / taken) / self.platform.mlp if taken else 0.0
            for b, curve in zip(moved, curves, strict=True)
        ]
        queued = max(0.0, taken - compute - reads[0] * waits[0] - reads[1] * waits[1])
        at, n_faults = self.true_ps, 0
        for index, (line, is_write) in enumerate(records):
            page = line // 64
            while len(self.request_begin_ps) < len(self.request_starts) and (
                first + index >= self.request_starts[len(self.request_begin_ps)]
            ):
                self.request_begin_ps.append(math.floor(at))
            at += (compute + queued) / len(records)
            if page in self.protected:
                fault = (page, math.floor(at), self.protected.pop(page))
                self.faults.append(fault)
                self.all_faults.append(fault)
                at += self.platform.fault_ps
                n_faults += 1
            if not is_write:
                at += waits[0 if page in self.on_ddr_set else 1] * self.lines_per_record
                if page not in self.on_ddr_set:
                    self.seen.append((line, math.floor(at)))
            self.last_touch_ps[page] = max(math.floor(at), math.floor(self.true_ps) + 1)
        self.true_ps += taken + n_faults * self.platform.fault_ps
        for kind, count in lines.items():
            self.lines[kind] += count
        self.spent["compute"] += compute
        self.spent["ddr"] += reads[0] * waits[0]
        self.spent["cxl"] += reads[1] * waits[1]
        self.spent["bandwidth"] += queued
        self.spent["fault"] += n_faults * self.platform.fault_ps

    def _wait(self) -> None:
        self.true_ps += self.charged
        self.charged = 0

    # --- the view

    @property
    def now_ps(self) -> int:
        return math.floor(self.true_ps)

    @property
    def on_ddr(self) -> NDArray[np.bool_]:
        return np.isin(np.arange(self.n_pages), list(self.on_ddr_set))

    @property
    def n_free_ddr_pages(self) -> int:
        return self.n_ddr_pages - len(self.on_ddr_set)

    def counters(self) -> TierCounters:
        return TierCounters(**self.lines)

    def protect(self, pages: NDArray[np.int64]) -> None:
        self.protected.update(dict.fromkeys(pages.tolist(), self.now_ps))

    def take_faults(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        rows = np.array(self.faults, np.int64).reshape(-1, 3)
        self.faults = []
        return rows[:, 0], rows[:, 1], rows[:, 2]

    def pick(self, pages: NDArray[np.int64]) -> None:
        """Nothing here depends on it."""

    def charge(self, time_ps: int) -> None:
        self.charged += time_ps
        self.spent["identification"] += time_ps

    def promote(self, pages: NDArray[np.int64]) -> int:
        if not self.moves:
            return 0
        costs = self.platform.migration
        wanted = [page for page in dict.fromkeys(pages.tolist()) if page not in self.on_ddr_set]
        room = self.n_ddr_pages
        if not self.moves_in_fault and costs.promote_ps:
            waiting = math.ceil(max(0.0, self.engine_free - self.now_ps) / costs.promote_ps)
            room = min(room, max(0, costs.queue_pages - waiting))
        self.n_refused += max(0, len(wanted) - room)
        wanted = wanted[:room]
        n_demoted = 0
        while len(self.on_ddr_set) + len(wanted) > self.n_ddr_pages:
            self.on_ddr_set.remove(self._coldest())
            n_demoted += 1
        self.on_ddr_set.update(wanted)
        for page in wanted:
            self.passed.pop(page, None)
        self._pay(len(wanted), n_demoted)
        return len(wanted)

    def demote(self, pages: NDArray[np.int64]) -> int:
        wanted = self.on_ddr_set & set(pages.tolist()) if self.moves else set()
        self.on_ddr_set -= wanted
        self._pay(0, len(wanted))
        return len(wanted)

    def _coldest(self) -> int:
        """The next page of DDR, from the hand on, that nobody touched since the hand last came by."""
        while True:
            page, self.hand = self.hand, (self.hand + 1) % self.n_pages
            if page not in self.on_ddr_set:
                continue
            if self.last_touch_ps[page] <= self.passed.get(page, -1):
                return page
            self.passed[page] = self.now_ps

    def _pay(self, n_promoted: int, n_demoted: int) -> None:
        costs, n_moved = self.platform.migration, n_promoted + n_demoted
        if n_moved:
            in_fault = n_promoted if self.moves_in_fault else 0
            batch = self._batch(n_promoted - in_fault, n_demoted)
            waited = self._batch(in_fault, 0) + round(batch * costs.blocking_frac)
            self.engine_free = max(self.engine_free, self.now_ps) + batch
            self.charged += waited
            self.spent["migration"] += waited
            self.moved_bytes += 4096 * (n_moved - in_fault) * (1 - costs.blocking_frac)
            self.n_promoted += n_promoted
            self.n_demoted += n_demoted

    def _batch(self, n_promoted: int, n_demoted: int) -> int:
        costs = self.platform.migration
        if not n_promoted + n_demoted:
            return 0
        worked = n_promoted * costs.promote_ps + n_demoted * costs.demote_ps
        copied = round((n_promoted + n_demoted) * 4096 / costs.copy_bytes_per_ps)
        return max(worked, copied) + costs.shootdown_ps
