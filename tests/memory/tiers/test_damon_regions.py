from __future__ import annotations

import numpy as np
import pytest

from simulator.memory.tiers.damon_regions import DamonRegions


def tiles(regions: DamonRegions) -> bool:
    size = regions.size
    lengths = {len(regions), len(regions.n_accesses), len(regions.last_accesses), len(regions.age)}
    return regions.start[0] == 0 and bool((size > 0).all()) and size.sum() == regions.n_pages and len(lengths) == 1


@pytest.mark.parametrize(("n_pages", "n_min", "n_max"), [(1, 10, 1000), (7, 10, 1000), (97, 10, 30), (9000, 10, 1000)])
def test_regions_tile_their_pages_whatever_happens(n_pages: int, n_min: int, n_max: int) -> None:
    rng = np.random.default_rng(n_pages)
    regions = DamonRegions(n_pages, n_min, n_max)
    for _ in range(40):
        regions.n_accesses = rng.integers(0, 21, len(regions))
        regions.aggregate(20)
        assert tiles(regions)
        assert min(n_min, n_pages) <= len(regions) <= n_max
        assert regions.size.max() <= regions.largest or len(regions) == min(n_min, n_pages)
        regions.reset()
        regions.split(rng)
        assert tiles(regions)
        assert len(regions) <= n_max


def test_a_drawn_page_lies_in_its_region() -> None:
    regions = DamonRegions(1000, 10, 100)
    rng = np.random.default_rng(1)
    for _ in range(50):
        drawn = regions.draw(rng)
        assert ((regions.start <= drawn) & (drawn < regions.start + regions.size)).all()


def test_neighbours_with_like_counts_merge_to_their_weighted_mean() -> None:
    regions = DamonRegions(400, 4, 100)
    regions.start = np.array([0, 20, 50, 60])
    regions.n_accesses = np.array([20, 18, 3, 0])
    regions.last_accesses = np.array([20, 0, 3, 0])
    regions.age = np.array([4, 9, 0, 6])
    regions.aggregate(20)
    assert regions.start.tolist() == [0, 50, 60]
    assert regions.n_accesses.tolist() == [18, 3, 0]
    # 20 pages of age 5 and 30 whose count changed
    assert regions.age.tolist() == [2, 1, 7]


def test_a_merged_region_is_no_larger_than_allowed() -> None:
    regions = DamonRegions(1000, 10, 100)
    regions.start = np.arange(0, 1000, 20)
    regions.n_accesses = regions.last_accesses = regions.age = np.zeros(50, dtype=np.int64)
    regions.aggregate(20)
    assert regions.size.tolist() == [100] * 10


def test_too_many_regions_merge_though_they_differ() -> None:
    regions = DamonRegions(1000, 2, 20)
    regions.start = np.arange(0, 1000, 10)
    regions.n_accesses = np.arange(100) % 2 * 20
    regions.last_accesses = regions.age = np.zeros(100, dtype=np.int64)
    regions.aggregate(20)
    assert len(regions) <= 20


def test_a_split_keeps_what_was_known_of_a_region() -> None:
    regions = DamonRegions(1000, 10, 100)
    regions.age = np.arange(10)
    first = regions.start.copy()
    regions.split(np.random.default_rng(3))
    assert 10 < len(regions) <= 20
    assert np.isin(first, regions.start).all()
    assert regions.age.tolist() == (np.searchsorted(first, regions.start, "right") - 1).tolist()


def test_a_standstill_splits_in_three() -> None:
    regions = DamonRegions(10_000, 10, 100)
    rng = np.random.default_rng(3)
    regions.split(rng)
    assert len(regions) <= 20
    regions.n_accesses = regions.last_accesses = np.zeros(len(regions), dtype=np.int64)
    regions.aggregate(20)
    assert len(regions) < 20
    regions._n_at_last_split = len(regions)
    n_before = len(regions)
    regions.split(rng)
    assert len(regions) > 2 * n_before


def test_many_regions_are_not_split() -> None:
    regions = DamonRegions(1000, 60, 100)
    regions.split(np.random.default_rng(3))
    assert len(regions) == 60


def test_pages_come_in_the_order_of_the_chosen_regions() -> None:
    regions = DamonRegions(10, 3, 10)
    pages, region = regions.pages(np.array([2, 0]))
    assert pages.tolist() == [6, 7, 8, 9, 0, 1, 2]
    assert region.tolist() == [2, 2, 2, 2, 0, 0, 0]
