"""A machine for tests of policies: touches are scripted, time is given, and everything that a policy asks is noted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simulator.memory.tiers.policy import HotReports, Policy, TierCounters

Pages = NDArray[np.int64]
NO_PAGES: Pages = np.zeros(0, dtype=np.int64)


class FakeMachine:
    """A `MachineView` of `n_pages` pages, all in CXL at first; nothing moves where it is `frozen`."""

    def __init__(self, n_pages: int, n_ddr_pages: int, *, frozen: bool = False) -> None:
        self.n_pages = n_pages
        self.n_ddr_pages = n_ddr_pages
        self.now_ps = 0
        self.on_ddr = np.zeros(n_pages, dtype=bool)
        self.last_touch_ps = np.full(n_pages, -1, dtype=np.int64)
        self.charged_ps = 0
        self.picked: list[Pages] = []
        self.promoted: list[Pages] = []
        self.demoted: list[Pages] = []
        self.n_protected = 0
        self._frozen = frozen
        self._protected_ps = np.full(n_pages, -1, dtype=np.int64)
        self._faults: list[tuple[int, int, int]] = []

    @property
    def n_free_ddr_pages(self) -> int:
        return self.n_ddr_pages - int(self.on_ddr.sum())

    def touch(self, pages: Pages, time_ps: int) -> None:
        """Accesses at a time, each page's at most once; those to protected pages fault."""
        for page in pages[self._protected_ps[pages] >= 0].tolist():
            self._faults.append((page, time_ps, int(self._protected_ps[page])))
        self._protected_ps[pages] = -1
        self.last_touch_ps[pages] = time_ps

    def run(
        self, policy: Policy, touched: Callable[[int], Pages], *, until_ps: int, step_ps: int, seed: int = 0
    ) -> None:
        """Every step touch `touched(time)`, and call the policy where it asked for it."""
        due = policy.start(self, seed)
        while self.now_ps < until_ps:
            self.now_ps += step_ps
            self.touch(touched(self.now_ps), self.now_ps)
            if self.now_ps >= due:
                due = policy.act(self)
                assert due > self.now_ps

    def all_picked(self) -> Pages:
        return np.unique(np.concatenate([NO_PAGES, *self.picked]))

    # --- the view

    def counters(self) -> TierCounters:
        return TierCounters(0, 0, 0, 0)

    def protect(self, pages: Pages) -> None:
        assert not self.on_ddr[pages].any()
        self._protected_ps[pages] = self.now_ps
        self.n_protected += len(pages)

    def take_faults(self) -> tuple[Pages, Pages, Pages]:
        rows = np.array(self._faults, dtype=np.int64).reshape(-1, 3)
        self._faults = []
        return rows[:, 0], rows[:, 1], rows[:, 2]

    def take_hot_pages(self) -> HotReports:
        return HotReports(NO_PAGES.astype(np.uint32), NO_PAGES, NO_PAGES)

    take_hot_words = take_hot_pages

    def set_tracker_period_ps(self, period_ps: int) -> None:
        raise AssertionError("no tracker here")

    def pick(self, pages: Pages) -> None:
        self.picked.append(pages)

    def promote(self, pages: Pages) -> int:
        if self._frozen:
            return 0
        moved = pages[~self.on_ddr[pages]][: self.n_free_ddr_pages]
        self.on_ddr[moved] = True
        self.promoted.append(moved)
        return len(moved)

    def demote(self, pages: Pages) -> int:
        if self._frozen:
            return 0
        moved = pages[self.on_ddr[pages]]
        self.on_ddr[moved] = False
        self.demoted.append(moved)
        return len(moved)

    def charge(self, time_ps: int) -> None:
        assert time_ps >= 0
        self.charged_ps += time_ps
