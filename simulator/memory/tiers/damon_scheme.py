"""A DAMON operation scheme: which regions it takes, hottest or coldest first, and how many pages at most.

Source: Linux mm/damon/core.c (damos_valid_target, damos_adjust_quota, damos_set_effective_quota) and
mm/damon/ops-common.c (damon_hot_score, damon_cold_score).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.core.quantities import Bytes, Frac, NonNegativeFloat, PositivePs, Ps
from simulator.memory.tiers.damon_regions import DamonRegions
from simulator.memory.tiers.pages import PAGE_BYTES
from simulator.memory.tiers.policy_config import PolicyConfig

PS_PER_MS = 10**9
FIRST_PAGES_PER_MS = 1024
LARGEST_AGE_LOG = 32


class SchemeConfig(PolicyConfig):
    """Regions whose samples found an access in `min_access` to `max_access` of them, at `min_age` or older.

    Of each `quota_reset` the scheme may take `quota_time`, and move `quota_size`; a quota of 0 is none. Where that is
    not enough for all regions, the order is by frequency and age with these weights.
    """

    min_access_frac: Frac
    max_access_frac: Frac
    min_age_ps: Ps
    quota_time_ps: Ps
    quota_size_bytes: Bytes
    quota_reset_ps: PositivePs
    access_weight: NonNegativeFloat
    age_weight: NonNegativeFloat


class Quota:
    """Pages that a scheme may still try in this window.

    Time is turned into pages by the speed of the windows before: pages tried for each time that moving took, at first
    1,024 pages a millisecond.
    """

    def __init__(self, config: SchemeConfig, now_ps: int) -> None:
        self._config = config
        self._since_ps = now_ps
        self._tried = self._all_tried = 0
        self._all_spent_ps = 0
        self._limit = self._effective_limit()

    def left(self, now_ps: int) -> int:
        """Pages left at a time; a new window begins where the last one is over."""
        if now_ps - self._since_ps >= self._config.quota_reset_ps:
            self._since_ps = now_ps
            self._all_tried += self._tried
            self._tried = 0
            self._limit = self._effective_limit()
        return max(0, self._limit - self._tried)

    def charge(self, n_tried: int, spent_ps: int) -> None:
        """Note so many pages tried in so much time."""
        self._tried += n_tried
        self._all_spent_ps += spent_ps

    def _effective_limit(self) -> int:
        config = self._config
        limit = (1 << 62) if not config.quota_size_bytes else max(1, config.quota_size_bytes // PAGE_BYTES)
        if not config.quota_time_ps:
            return limit
        if self._all_spent_ps:
            by_time = self._all_tried * config.quota_time_ps // self._all_spent_ps
        else:
            by_time = FIRST_PAGES_PER_MS * config.quota_time_ps // PS_PER_MS
        return min(limit, max(1, by_time))


def matching(regions: DamonRegions, config: SchemeConfig, n_samples: int, aggregation_ps: int) -> NDArray[np.bool_]:
    """Which regions a scheme takes, bool[k], where an aggregation has so many samples and lasts so long."""
    low, high = int(config.min_access_frac * n_samples), int(config.max_access_frac * n_samples)
    old: NDArray[np.bool_] = regions.age * aggregation_ps >= config.min_age_ps
    return old & (regions.n_accesses >= low) & (regions.n_accesses <= high)


def hotness(
    regions: DamonRegions, config: SchemeConfig, n_samples: int, aggregation_ps: int, age_unit_ps: int
) -> NDArray[np.float64]:
    """A score of each region from 0 (long without access) to 100 (often accessed, for long), float64[k].

    Age counts by its binary logarithm in units of `age_unit_ps` (a second), for a region without accesses against it.
    """
    weight = config.access_weight + config.age_weight
    if not weight:
        return np.zeros(len(regions))
    frequency = np.minimum(regions.n_accesses, n_samples) * 100 // n_samples
    age_log = np.minimum(np.frexp(regions.age * aggregation_ps // age_unit_ps)[1], LARGEST_AGE_LOG)
    age_log = np.where(frequency == 0, -age_log, age_log) + LARGEST_AGE_LOG
    age = age_log * 100 // LARGEST_AGE_LOG // 2
    score: NDArray[np.float64] = (config.access_weight * frequency + config.age_weight * age) / weight
    return score
