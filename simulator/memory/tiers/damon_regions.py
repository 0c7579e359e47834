"""DAMON's regions: adjacent ranges of pages that are taken to be accessed alike, watched by one page each.

Regions tile the pages 0 to n_pages. Merging and splitting adapt them: where neighbours differ boundaries stay, where
they do not boundaries go, and random splits look for boundaries that are not there yet.

Source: Linux mm/damon/core.c (damon_merge_regions_of, kdamond_merge_regions, damon_split_regions_of,
kdamond_split_regions, kdamond_reset_aggregated, damon_region_sz_limit).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


class DamonRegions:
    """Regions in order of their pages, each an entry of every array.

    `start` int64[k] is a region's first page; `n_accesses` counts the samples that found its page accessed since the
    last `reset`, `last_accesses` what that count was before it; `age` is for how many aggregations the count has stayed
    much the same.

    There are `n_min` to `n_max` of them, or as many as there are pages; at first `n_min` of even size.
    """

    def __init__(self, n_pages: int, n_min: int, n_max: int) -> None:
        self.n_pages = n_pages
        self.n_max = n_max
        self.largest = max(1, n_pages // n_min)
        n_first = min(n_min, n_pages)
        self.start: Counts = np.arange(n_first, dtype=np.int64) * n_pages // max(1, n_first)
        self.n_accesses: Counts = np.zeros(n_first, dtype=np.int64)
        self.last_accesses: Counts = np.zeros(n_first, dtype=np.int64)
        self.age: Counts = np.zeros(n_first, dtype=np.int64)
        self._n_at_last_split = 0

    def __len__(self) -> int:
        return len(self.start)

    @property
    def size(self) -> Counts:
        """Pages of each region, int64[k]."""
        return np.diff(self.start, append=self.n_pages)

    def draw(self, rng: np.random.Generator) -> Counts:
        """A random page of each region, int64[k]."""
        return self.start + (rng.random(len(self.start)) * self.size).astype(np.int64)

    def pages(self, chosen: Counts) -> tuple[Counts, Counts]:
        """Pages of the chosen regions, region by region in the order given, and the region of each page."""
        size = self.size[chosen]
        before = np.cumsum(size) - size
        return np.repeat(self.start[chosen] - before, size) + np.arange(size.sum()), np.repeat(chosen, size)

    def aggregate(self, n_samples: int) -> None:
        """Age the regions and merge neighbours whose counts are within a tenth of the largest.

        A merged region has the mean of both, weighted by size and rounded down, and is no larger than `largest`. Where
        there are still too many, neighbours that differ more and more are merged too, up to `n_samples`.
        """
        threshold = int(self.n_accesses.max(initial=0)) // 10
        self.age = np.where(np.abs(self.n_accesses - self.last_accesses) > threshold, 0, self.age + 1)
        while True:
            self._merge(threshold)
            threshold = max(1, 2 * threshold)
            if len(self) <= self.n_max or threshold // 2 >= n_samples:
                return

    def _merge(self, threshold: int) -> None:
        sizes, counts, ages = self.size.tolist(), self.n_accesses.tolist(), self.age.tolist()
        kept = [0]
        into = 0
        for region in range(1, len(sizes)):
            whole = sizes[into] + sizes[region]
            if abs(counts[into] - counts[region]) > threshold or whole > self.largest:
                into = region
                kept.append(region)
                continue
            counts[into] = (counts[into] * sizes[into] + counts[region] * sizes[region]) // whole
            ages[into] = (ages[into] * sizes[into] + ages[region] * sizes[region]) // whole
            sizes[into] = whole
        self.start = self.start[kept]
        self.n_accesses = np.array(counts, dtype=np.int64)[kept]
        self.last_accesses = self.last_accesses[kept]
        self.age = np.array(ages, dtype=np.int64)[kept]

    def reset(self) -> None:
        """Begin to count anew."""
        self.last_accesses = self.n_accesses
        self.n_accesses = np.zeros_like(self.n_accesses)

    def split(self, rng: np.random.Generator) -> None:
        """Cut every region in two at a random tenth of it, unless there are more than half of the most there may be.

        In three where there are fewer than a third of the most, and as many as at the last split: then the differing
        pages may lie in the middle. Regions of two pages or fewer stay whole.
        """
        n_before = len(self)
        if n_before > self.n_max // 2:
            return
        n_parts = 3 if n_before == self._n_at_last_split and n_before < self.n_max // 3 else 2
        self._n_at_last_split = n_before
        left = self.size
        starts, origins = [self.start], [np.arange(n_before)]
        for _ in range(n_parts - 1):
            cut = rng.integers(1, 10, n_before) * left // 10
            is_cut = (left > 2) & (cut > 0)
            starts.append(self.start[is_cut] + cut[is_cut])
            origins.append(np.flatnonzero(is_cut))
            left = np.where(is_cut, cut, left)
        start, origin = np.concatenate(starts), np.concatenate(origins)
        order = np.argsort(start)
        origin = origin[order]
        self.start = start[order]
        self.n_accesses, self.last_accesses, self.age = (
            values[origin] for values in (self.n_accesses, self.last_accesses, self.age)
        )
