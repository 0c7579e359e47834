"""Automatic NUMA Balancing in memory-tiering mode: pages are made to fault, and those that fault soon are promoted.

1. *Scan.* Every period the PTEs of the next `scan_size` of the address space lose their present bit, where the page
   lies in CXL memory, has been touched before and is not protected already. Page ids stand for virtual addresses. A
   window with nothing to protect is passed over, up to eight. The period runs from `scan_period_min` for the whole
   space to `scan_period_max`, divided by its number of windows, and never scans faster than `scan_limit`; a scan also
   puts off the next by 32 times what it cost, so that scanning takes 3 % of the time at most.
2. *Fault.* While more than max(`spare_size`, `spare_share` of DDR) is free, each page that faults is promoted. After
   that only a page whose hint-fault latency (fault - protection) is below the hot threshold is a candidate, and
   candidates beyond the rate limit are refused, window by window of `promote_window`.
3. *Threshold.* Once per `scan_period_max` the threshold moves by an eighth of its nominal value: down where there were
   more than 110 % of the candidates that the rate limit allows, up where fewer than 90 %; between 1/8 and 2 times.
   Free space sets it back.
4. *Period.* At the end of a pass of the address space in which a page was promoted the period doubles. This is what the
   kernel's rule amounts to in this mode: faults on the slow tier are not counted, so that the only faults of a pass are
   of pages just promoted, which count as private and remote, and without local or shared ones the period doubles.

Faults on DDR do not happen: in this mode its pages are never protected. `pick` gets every page that is promoted.

Not modelled: promotion within the fault (faults are served every `service` instead), huge pages, several threads with
periods of their own, promotions that fail for a full node and wake kswapd (the machine demotes at once), time stamps in
whole milliseconds.
Source: Linux 6.5, kernel/sched/fair.c (task_numa_work, task_scan_min, task_scan_max, update_task_scan_period,
should_numa_migrate_memory, numa_promotion_adjust_threshold, numa_promotion_rate_limit) and mm/mprotect.c.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from simulator.core.quantities import Bytes, Frac, PositiveBytes, PositiveFloat, PositivePs, Ps
from simulator.core.rounding import ceil_div
from simulator.memory.tiers.pages import PAGE_BYTES
from simulator.memory.tiers.policy import MachineView
from simulator.memory.tiers.policy_config import PolicyConfig

PS_PER_S = 10**12
MIB = 1 << 20
THRESHOLD_STEPS = 16
SCAN_SHARE = 32
EMPTY_WINDOWS = 8

Pages = NDArray[np.int64]


class Anb:
    """Hint faults, and promotion of what is touched soon after its protection."""

    name = "anb"
    moves_in_fault = True

    class Config(PolicyConfig):
        """The part `hw_configs/parts/policies/anb.yaml`."""

        kind: Literal["anb"] = "anb"
        scan_period_min_ps: PositivePs
        scan_period_max_ps: PositivePs
        scan_delay_ps: Ps
        scan_size_bytes: PositiveBytes
        scan_limit_mib_per_s: PositiveFloat
        hot_threshold_ps: PositivePs
        promote_limit_mib_per_s: PositiveFloat
        promote_window_ps: PositivePs
        spare_size_bytes: Bytes
        spare_share_frac: Frac
        service_ps: PositivePs
        scan_cost_ps: Ps

        @model_validator(mode="after")
        def _ordered(self) -> Anb.Config:
            if self.scan_period_max_ps < self.scan_period_min_ps:
                raise ValueError("`scan_period_max` is below `scan_period_min`")
            return self

    def __init__(self, config: Anb.Config) -> None:
        self.config = config
        self._window = max(1, config.scan_size_bytes // PAGE_BYTES)
        self._scan_floor_ps = ceil_div(
            config.scan_size_bytes * PS_PER_S, max(1, round(config.scan_limit_mib_per_s * MIB))
        )

    def start(self, machine: MachineView, seed: int) -> int:
        """The first scan comes after the scan delay; nothing here is random."""
        now = machine.now_ps
        self._protected = np.zeros(machine.n_pages, dtype=bool)
        self._offset = 0
        self._promoted_in_pass = 0
        self._period_ps = 0
        self.threshold_ps = self.config.hot_threshold_ps
        self._threshold_start_ps = self._rate_start_ps = now
        self._n_candidates = self._n_at_threshold = self._n_at_rate = 0
        self._next_scan_ps = now + self.config.scan_delay_ps
        return self._next_scan_ps

    def act(self, machine: MachineView) -> int:
        """Serve the faults since the last call, and scan where it is time."""
        self._serve_faults(machine)
        if machine.now_ps >= self._next_scan_ps:
            cost_ps = self._scan(machine)
            machine.charge(cost_ps)
            self._next_scan_ps = machine.now_ps + self._period_ps + SCAN_SHARE * cost_ps
        return min(self._next_scan_ps, machine.now_ps + self.config.service_ps)

    @property
    def period_ps(self) -> int:
        """The time from one scan to the next, 0 before the first."""
        return self._period_ps

    # --- scanning

    def _scan(self, machine: MachineView) -> int:
        """Protect the next window that has something to protect; the cost of the PTEs looked at."""
        present = machine.last_touch_ps >= 0
        n_space = machine.n_pages - int(np.argmax(present[::-1])) if present.any() else 1
        shortest, longest = self._period_limits(int(np.count_nonzero(present)))
        self._period_ps = min(max(self._period_ps, shortest), longest)
        n_visited = 0
        for _ in range(EMPTY_WINDOWS):
            first, end = self._offset, min(self._offset + self._window, n_space)
            window = slice(first, end)
            n_visited += int(np.count_nonzero(present[window]))
            pages = first + np.flatnonzero(present[window] & ~machine.on_ddr[window] & ~self._protected[window])
            machine.protect(pages)
            self._protected[pages] = True
            self._offset = end
            if end == n_space:
                self._end_pass(longest)
                break
            if len(pages):
                break
        return n_visited * self.config.scan_cost_ps

    def _period_limits(self, n_present: int) -> tuple[int, int]:
        """Shortest and longest time between scans of an address space with so many pages present."""
        n_windows = max(1, ceil_div(n_present, self._window))
        shortest = max(self._scan_floor_ps, self.config.scan_period_min_ps // n_windows)
        return shortest, max(shortest, self.config.scan_period_max_ps // n_windows)

    def _end_pass(self, longest_ps: int) -> None:
        self._offset = 0
        if self._promoted_in_pass:
            self._period_ps = min(2 * self._period_ps, longest_ps)
        self._promoted_in_pass = 0

    # --- faults

    def _serve_faults(self, machine: MachineView) -> None:
        pages, fault_ps, protect_ps = machine.take_faults()
        if not len(pages):
            return
        self._protected[pages] = False
        slow = ~machine.on_ddr[pages]
        pages, latency_ps = pages[slow], (fault_ps - protect_ps)[slow]
        n_free = min(len(pages), self._n_pages_to_spare(machine))
        if n_free:
            self.threshold_ps = self.config.hot_threshold_ps
        hot = np.concatenate([pages[:n_free], self._candidates(pages[n_free:], latency_ps[n_free:], machine.now_ps)])
        if len(hot):
            machine.pick(hot)
            self._promoted_in_pass += machine.promote(hot)

    def _n_pages_to_spare(self, machine: MachineView) -> int:
        """Pages that may be promoted until too little of DDR is free."""
        enough = max(
            self.config.spare_size_bytes // PAGE_BYTES, int(self.config.spare_share_frac * machine.n_ddr_pages)
        )
        return max(0, machine.n_free_ddr_pages - enough)

    def _candidates(self, pages: Pages, latency_ps: Pages, now_ps: int) -> Pages:
        """Of pages that faulted those below the threshold and within the rate limit, in order."""
        if not len(pages):
            return pages
        self._adjust_threshold(now_ps)
        pages = pages[latency_ps < self.threshold_ps]
        if now_ps - self._rate_start_ps > self.config.promote_window_ps:
            self._rate_start_ps, self._n_at_rate = now_ps, self._n_candidates
        n_left = self._limit_of(self.config.promote_window_ps) - (self._n_candidates - self._n_at_rate)
        self._n_candidates += len(pages)
        return pages[: max(0, n_left)]

    def _limit_of(self, time_ps: int) -> int:
        """Pages that the rate limit lets through in a time."""
        return int(self.config.promote_limit_mib_per_s * MIB * time_ps / PS_PER_S) // PAGE_BYTES

    def _adjust_threshold(self, now_ps: int) -> None:
        """Once per longest scan period: towards as many candidates as the rate limit lets through."""
        config = self.config
        if now_ps - self._threshold_start_ps <= config.scan_period_max_ps:
            return
        allowed = self._limit_of(config.scan_period_max_ps)
        n_new = self._n_candidates - self._n_at_threshold
        step = max(1, config.hot_threshold_ps * 2 // THRESHOLD_STEPS)
        if n_new > allowed * 11 / 10:
            self.threshold_ps = max(self.threshold_ps - step, step)
        elif n_new < allowed * 9 / 10:
            self.threshold_ps = min(self.threshold_ps + step, 2 * config.hot_threshold_ps)
        self._threshold_start_ps, self._n_at_threshold = now_ps, self._n_candidates
