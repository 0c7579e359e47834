"""The machine that runs a stream of accesses on two tiers of memory, under one migration policy.

Time runs in quanta of the stream (`kernels.tiers`). Between quanta the policy is called, pages move, and the program
waits for what that costs. All pages start in CXL memory, as on M5's testbed.

Not modelled: caches (the stream is what leaves them), huge pages, page tables on either tier, the reads of migration
itself in the tracker, several programs.
Source: M5 (ASPLOS 2025) for the set-up; the execution model is ours, docs/tiers.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ModelFault, WorkloadError
from simulator.core.rounding import ceil_div
from simulator.kernels import tiers as kernel
from simulator.memory.tiers.kernel_output import KernelOutput
from simulator.memory.tiers.pages import LINES_PER_PAGE, PAGE_BYTES, first_appearances
from simulator.memory.tiers.platform import Platform
from simulator.memory.tiers.policy import NEVER_PS, HotReports, Policy, TierCounters
from simulator.memory.tiers.region_reads import RegionReads

WORD_QUERIES_PER_PAGE_QUERY = 64
N_SAMPLES = 240
_NO_LINES = np.zeros(0, np.uint32)
_NO_TIMES = np.zeros(0, np.int64)


class HotTracker(Protocol):
    """A tracker in the CXL controller: it is shown line reads with their times and reports what it finds hot."""

    def observe(self, line: NDArray[np.uint32], time_ps: NDArray[np.int64], *, lines_per_record: int = 1) -> HotReports:
        """Show reads, uint32[n] lines at int64[n] ps in order; gives the reports of queries among them."""
        ...

    def set_period(self, reads: int | None = None, period_ps: int | None = None) -> None:
        """Reads or time between queries from the next one on."""
        ...


@dataclass(slots=True)
class Spent:
    """Where a run's time went, in ps: the program's own work, waiting for either tier, waiting for bandwidth, hint
    faults, migration, and identification by the policy."""

    compute_ps: float = 0.0
    ddr_ps: float = 0.0
    cxl_ps: float = 0.0
    bandwidth_ps: float = 0.0
    fault_ps: float = 0.0
    migration_ps: float = 0.0
    identification_ps: float = 0.0


class TieredMachine:
    """One run: `feed` it the stream in order, a chunk at a time, then read what came of it.

    `tracker_pages` and `tracker_words` sit in the CXL controller, where the machine has them. With `moves` false pages
    stay where they are: the policy only identifies. `region_reads` counts reads by region. It implements `MachineView`.
    """

    def __init__(
        self,
        platform: Platform,
        n_pages: int,
        policy: Policy,
        *,
        n_records: int,
        lines_per_record: int = 1,
        seed: int = 0,
        moves: bool = True,
        tracker_pages: HotTracker | None = None,
        tracker_words: HotTracker | None = None,
        request_starts: NDArray[np.int64] = _NO_TIMES,
        region_reads: RegionReads | None = None,
    ) -> None:
        self.platform = platform
        self.n_pages, self.n_ddr_pages = n_pages, min(platform.n_ddr_pages, n_pages)
        self.now_ps = 0
        self.last_touch_ps = np.full(n_pages, -1, np.int64)
        self.pick_order = np.full(n_pages, -1, np.int64)
        self.n_picked = self.n_promoted = self.n_demoted = self.n_faults = self.n_refused = 0
        self.spent = Spent()
        self.request_begin_ps = np.zeros(len(request_starts), np.int64)
        self.sample_records, self.sample_ps, self.sample_ddr_frac = [0], [0], [0.0]
        self._policy, self._moves = policy, moves
        self._moves_in_fault = bool(getattr(policy, "moves_in_fault", False))
        self._lines_per_record = lines_per_record
        self._trackers = tuple(tracker for tracker in (tracker_pages, tracker_words) if tracker is not None)
        self._tracker_pages, self._tracker_words = tracker_pages, tracker_words
        self._hot: dict[int, list[HotReports]] = {id(tracker): [] for tracker in self._trackers}
        self._tier = np.zeros(n_pages, np.uint8)
        self._protected_ps = np.full(n_pages, kernel.NOT_PROTECTED, np.int64)
        self._passed_ps = np.full(n_pages, -1, np.int64)
        self._hand = self._n_on_ddr = self._charged_ps = self._engine_free_ps = 0
        self._moved_bytes = np.zeros(2)
        self._request_starts, self.region_reads = request_starts, region_reads
        self._counts = np.zeros(3, np.int64)
        self._totals = np.zeros(kernel.N_TOTALS, np.int64)
        self._spent = np.zeros(kernel.N_KEPT)
        self._faults: list[tuple[NDArray[np.int64], ...]] = []
        self._buffers = KernelOutput(0, wants_lines=bool(self._trackers))
        self._sample_every = max(1, n_records // N_SAMPLES)
        self._sampled_reads = (0, 0)
        self._next_sample = self._sample_every
        self._boundaries = np.asarray(getattr(policy, "boundaries", _NO_TIMES), np.int64)
        self._n_boundaries_passed = 0
        self._next_event_ps = policy.start(self, seed)
        self._settle()

    @property
    def on_ddr(self) -> NDArray[np.bool_]:
        """bool[n_pages]: which pages lie in DDR."""
        seen = self._tier.view(np.bool_)
        seen.flags.writeable = False
        return seen

    @property
    def n_free_ddr_pages(self) -> int:
        """Frames of DDR that hold nothing."""
        return self.n_ddr_pages - self._n_on_ddr

    def counters(self) -> TierCounters:
        """Line reads and writes since the start."""
        return TierCounters(*(int(count) for count in self._totals))

    def feed(
        self, first: int, line: NDArray[np.uint32], is_write: NDArray[np.bool_], compute_ps: NDArray[np.float64]
    ) -> None:
        """Run a chunk whose first record is number `first` of the stream: line uint32[n], is_write bool[n], and the
        program's own work in each of its quanta, float64[ceil(n / quantum)]. Raises ModelFault for a line of no page,
        and where the work is not that of so many quanta: the kernel looks up both without asking."""
        begin = 0
        quantum = self.platform.quantum_records
        self._check(first, line, compute_ps)
        self._buffers = self._buffers.grown(len(line))
        while begin < len(line):
            end = self._next_stop(first, begin, len(line))
            end = min(len(line), -(-end // quantum) * quantum)
            reached = self._advance(first, line[:end], is_write[:end], begin, compute_ps)
            if self.region_reads is not None:
                self.region_reads.count(line[begin:reached], is_write[begin:reached], self._tier)
            begin = reached
            self._show_trackers()
            self._keep_faults()
            self._call_policy(first + begin)
            self._sample(first + begin)

    def finish(self) -> None:
        """After the last chunk. Requests that begin after the last record begin at the end."""
        self.request_begin_ps[self._counts[2] :] = self.now_ps
        parts = (float(part) for part in self._spent[: kernel.N_SPENT])
        spent = self.spent
        spent.compute_ps, spent.ddr_ps, spent.cxl_ps, spent.bandwidth_ps, spent.fault_ps = parts

    def protect(self, pages: NDArray[np.int64]) -> None:
        """Clear present bits: the next access to each page faults."""
        self._protected_ps[pages] = self.now_ps

    def take_faults(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Hint faults since the last call: pages, their times, and when they were protected."""
        taken, self._faults = self._faults, []
        if not taken:
            return _NO_TIMES, _NO_TIMES, _NO_TIMES
        pages, times, protected = (np.concatenate(parts) for parts in zip(*taken, strict=True))
        return pages, times, protected

    def take_hot_pages(self) -> HotReports:
        """The hot-page tracker's reports since the last call."""
        return self._taken(self._tracker_pages)

    def take_hot_words(self) -> HotReports:
        """The hot-word tracker's reports since the last call."""
        return self._taken(self._tracker_words)

    def set_tracker_period_ps(self, period_ps: int) -> None:
        """Time between queries of the hot-page tracker, and a 64th of that between those of the word tracker."""
        if self._tracker_pages is not None:
            self._tracker_pages.set_period(period_ps=period_ps)
        if self._tracker_words is not None:
            self._tracker_words.set_period(period_ps=max(1, period_ps // WORD_QUERIES_PER_PAGE_QUERY))

    def set_tracker_period_reads(self, n_reads: int) -> None:
        """The same in line reads of CXL memory instead of time."""
        if self._tracker_pages is not None:
            self._tracker_pages.set_period(reads=n_reads)
        if self._tracker_words is not None:
            self._tracker_words.set_period(reads=max(1, n_reads // WORD_QUERIES_PER_PAGE_QUERY))

    def pick(self, pages: NDArray[np.int64]) -> None:
        """Note pages that the policy holds for hot, in the order in which it first did."""
        fresh = first_appearances(pages[self.pick_order[pages] < 0])
        self.pick_order[fresh] = np.arange(self.n_picked, self.n_picked + len(fresh))
        self.n_picked += len(fresh)

    def promote(self, pages: NDArray[np.int64]) -> int:
        """Move pages to DDR, demoting the coldest where it is full."""
        wanted = first_appearances(pages[self._tier[pages] == kernel.CXL])
        if not self._moves or not len(wanted):
            return 0
        room = min(self.n_ddr_pages, self._engine_room())
        self.n_refused += max(0, len(wanted) - room)
        wanted = wanted[:room]
        n_over = self._n_on_ddr + len(wanted) - self.n_ddr_pages
        n_demoted = self._demote_coldest(n_over) if n_over > 0 else 0
        self._tier[wanted] = kernel.DDR
        self._passed_ps[wanted] = -1
        self._n_on_ddr += len(wanted)
        self._pay(len(wanted), n_demoted)
        return len(wanted)

    def demote(self, pages: NDArray[np.int64]) -> int:
        """Move pages to CXL."""
        wanted = first_appearances(pages[self._tier[pages] == kernel.DDR])
        if not self._moves or not len(wanted):
            return 0
        self._tier[wanted] = kernel.CXL
        self._n_on_ddr -= len(wanted)
        self._pay(0, len(wanted))
        return len(wanted)

    def charge(self, time_ps: int) -> None:
        """Identification that the program waits for."""
        self._charged_ps += time_ps
        self.spent.identification_ps += time_ps

    def _advance(
        self,
        first: int,
        line: NDArray[np.uint32],
        is_write: NDArray[np.bool_],
        begin: int,
        compute_ps: NDArray[np.float64],
    ) -> int:
        platform, buffers = self.platform, self._buffers
        self._counts[:2] = 0
        at, now_ps = kernel.advance(
            line, is_write, begin, first, platform.quantum_records, self._lines_per_record, compute_ps,
            self._next_event_ps, self.now_ps, platform.ddr, platform.cxl, platform.mlp, float(platform.fault_ps),
            self._moved_bytes, self._tier, self.last_touch_ps, self._protected_ps, buffers.line, buffers.line_ps,
            buffers.fault_page, buffers.fault_ps, buffers.fault_protected_ps, self._request_starts,
            self.request_begin_ps, self._counts, self._totals, self._spent,
        )  # fmt: skip
        self._set_time(int(now_ps))
        return int(at)

    def _set_time(self, now_ps: int) -> None:
        # Past the last int64 the kernel's time wraps around and is negative.
        if not self.now_ps <= now_ps < NEVER_PS:
            raise WorkloadError(
                f"the run takes longer than {NEVER_PS // 10**12} s, which is all the time in ps that there is",
                where="time",
                remedy="repeat the trace fewer times, or look for a part of the configuration with too long a time",
            )
        self.now_ps = now_ps

    def _check(self, first: int, line: NDArray[np.uint32], compute_ps: NDArray[np.float64]) -> None:
        n_quanta = ceil_div(len(line), self.platform.quantum_records)
        if len(compute_ps) != n_quanta:
            raise ModelFault(f"{n_quanta} quanta from record {first:,}, with the work of {len(compute_ps)}")
        if len(line) and int(line.max()) >= self.n_pages * LINES_PER_PAGE:
            at = int(np.argmax(line))
            raise ModelFault(f"record {first + at:,} is of line {line[at]:,}, and there are {self.n_pages:,} pages")

    def _next_stop(self, first: int, begin: int, end: int) -> int:
        """The record of the chunk at which the machine must look up: a boundary of the plan, a sample, or its end."""
        stop = min(end, self._next_sample - first)
        if self._n_boundaries_passed < len(self._boundaries):
            stop = min(stop, int(self._boundaries[self._n_boundaries_passed]) - first)
        return max(stop, begin + 1)

    def _call_policy(self, record: int) -> None:
        passed = int(np.searchsorted(self._boundaries, record, side="right"))
        if passed > self._n_boundaries_passed:
            self._n_boundaries_passed = passed
            self._next_event_ps = self._policy.act(self)
            self._settle()
        # Once between two quanta: what it makes the program wait must not call it again before anything happened.
        elif self.now_ps >= self._next_event_ps:
            self._next_event_ps = self._policy.act(self)
            self._settle()

    def _settle(self) -> None:
        """Let the program wait for what the policy did."""
        self._set_time(self.now_ps + self._charged_ps)
        self._charged_ps = 0

    def _show_trackers(self) -> None:
        n_seen = int(self._counts[0])
        if not n_seen:
            return
        line, line_ps = self._buffers.line[:n_seen], self._buffers.line_ps[:n_seen]
        for tracker in self._trackers:
            reports = tracker.observe(line, line_ps, lines_per_record=self._lines_per_record)
            if len(reports.key):
                self._hot[id(tracker)].append(reports)

    def _taken(self, tracker: HotTracker | None) -> HotReports:
        reports = self._hot[id(tracker)] if tracker is not None else []
        if not reports:
            return HotReports(_NO_LINES, _NO_TIMES, _NO_TIMES)
        self._hot[id(tracker)] = []
        return HotReports(
            np.concatenate([report.key for report in reports]),
            np.concatenate([report.estimate for report in reports]),
            np.concatenate([report.query for report in reports]),
        )

    def _keep_faults(self) -> None:
        n_faults = int(self._counts[1])
        if n_faults:
            buffers = self._buffers
            columns = (buffers.fault_page, buffers.fault_ps, buffers.fault_protected_ps)
            self._faults.append(tuple(column[:n_faults].copy() for column in columns))
            self.n_faults += n_faults

    def _engine_room(self) -> int:
        """Pages that the migration thread's queue still takes."""
        costs = self.platform.migration
        if self._moves_in_fault or not costs.promote_ps:
            return self.n_ddr_pages
        waiting = max(0, self._engine_free_ps - self.now_ps) / costs.promote_ps
        return max(0, costs.queue_pages - int(np.ceil(waiting)))

    def _demote_coldest(self, n_wanted: int) -> int:
        victims = np.zeros(n_wanted, np.int64)
        found, self._hand = kernel.choose_coldest(
            self._tier, self.last_touch_ps, self._passed_ps, self._hand, n_wanted, self.now_ps, victims
        )
        self._n_on_ddr -= int(found)
        return int(found)

    def _pay(self, n_promoted: int, n_demoted: int) -> None:
        costs = self.platform.migration
        # Where promotions are faults' work, the kernel demotes in the background all the same.
        n_in_fault = n_promoted if self._moves_in_fault else 0
        in_fault_ps = costs.batch_ps(n_in_fault, 0)
        thread_ps = costs.batch_ps(n_promoted - n_in_fault, n_demoted)
        waited_ps = in_fault_ps + round(thread_ps * costs.blocking_frac)
        self._engine_free_ps = max(self._engine_free_ps, self.now_ps) + thread_ps
        self._charged_ps += waited_ps
        self.spent.migration_ps += waited_ps
        # What is copied while the program waits for it is in nobody's way.
        n_beside = n_promoted - n_in_fault + n_demoted
        self._moved_bytes += PAGE_BYTES * n_beside * (1 - costs.blocking_frac)
        self.n_promoted += n_promoted
        self.n_demoted += n_demoted

    def _sample(self, record: int) -> None:
        """Every so often: the share of line reads that DDR served since the last time."""
        if record < self._next_sample:
            return
        self._next_sample = record + self._sample_every
        reads = int(self._totals[kernel.DDR_READS]), int(self._totals[kernel.CXL_READS])
        served = reads[0] - self._sampled_reads[0], reads[1] - self._sampled_reads[1]
        self._sampled_reads = reads
        if sum(served):
            self.sample_records.append(record)
            self.sample_ps.append(self.now_ps)
            self.sample_ddr_frac.append(served[0] / sum(served))
