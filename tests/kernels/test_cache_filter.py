"""The cache filter: equal to its twin whatever the caches and however the stream is cut, and the cases that close."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import ConfigError
from simulator.memory.cache_filter import DEFAULT_L1, DEFAULT_LLC, CacheFilter, CacheLevel
from tests.twins.cache_filter import TwoLevels

LINE = 64
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 5))
L1_SETS, LLC_LINES = 64, 1 << 14


def level(n_sets: int, ways: int) -> CacheLevel:
    return CacheLevel(n_sets * ways * LINE, ways)


def filtered(caches: CacheFilter, lines: object, stores: object) -> list[tuple[int, bool]]:
    line = np.asarray(lines, np.uint64)
    traffic = caches.filter(line, np.broadcast_to(np.asarray(stores, np.bool_), line.shape).copy())
    return list(zip(traffic.line.tolist(), traffic.is_write.tolist(), strict=True))


@given(
    l1=SHAPES,
    llc=SHAPES,
    accesses=st.lists(st.tuples(st.integers(0, 120), st.booleans()), max_size=300),
    cuts=st.lists(st.integers(0, 300), max_size=4),
)
@settings(max_examples=120, deadline=None)
def test_equal_to_the_twin_however_it_is_cut(
    l1: tuple[int, int], llc: tuple[int, int], accesses: list[tuple[int, bool]], cuts: list[int]
) -> None:
    caches, found = CacheFilter(level(*l1), level(*llc)), []
    bounds = [0, *sorted(cuts), len(accesses)]
    for first, end in itertools.pairwise(bounds):
        piece = accesses[first:end]
        traffic = caches.filter(
            np.array([line for line, _ in piece], np.uint64), np.array([is_store for _, is_store in piece], np.bool_)
        )
        causes = (traffic.cause + min(first, len(accesses))).tolist()
        found += list(zip(traffic.line.tolist(), traffic.is_write.tolist(), causes, strict=True))
    assert found == TwoLevels(l1, llc).records(accesses)
    assert caches.n_reads + caches.n_writes == len(found)
    assert caches.n_accesses == len(accesses)


def test_equal_to_the_twin_at_the_default_sizes() -> None:
    rng = np.random.default_rng(5)
    lines = np.concatenate([rng.integers(0, 40_000, 30_000), rng.zipf(1.3, 30_000) % 100_000]).astype(np.uint64)
    stores = rng.random(len(lines)) < 0.3
    twin = TwoLevels((DEFAULT_L1.n_sets, DEFAULT_L1.ways), (DEFAULT_LLC.n_sets, DEFAULT_LLC.ways))
    expected = twin.records(list(zip(lines.tolist(), stores.tolist(), strict=True)))
    assert filtered(CacheFilter(), lines, stores) == [(line, is_write) for line, is_write, _ in expected]


def test_a_stream_of_loads_is_read_once_and_never_written() -> None:
    words = np.repeat(np.arange(5 * LLC_LINES), 8)
    assert filtered(CacheFilter(), words, False) == [(line, False) for line in range(5 * LLC_LINES)]


def test_a_stream_of_stores_is_written_back_but_for_what_the_caches_still_hold() -> None:
    n = 5 * LLC_LINES
    caches = CacheFilter()
    records = filtered(caches, np.arange(n), True)
    written = [line for line, is_write in records if is_write]
    assert (caches.n_reads, len(set(written))) == (n, len(written))
    l1_lines = DEFAULT_L1.size_bytes // LINE
    assert n - LLC_LINES - l1_lines <= len(written) <= n - LLC_LINES + l1_lines


def test_lines_of_one_set_stay_while_they_fit_and_never_hit_when_one_is_too_many() -> None:
    stride = DEFAULT_LLC.n_sets
    fits, too_many = np.arange(16) * stride, np.arange(17) * stride
    assert len(filtered(CacheFilter(), np.tile(fits, 50), False)) == 16
    assert len(filtered(CacheFilter(), np.tile(too_many, 50), False)) == 17 * 50


def test_a_working_set_that_fits_is_read_once() -> None:
    lines = np.tile(np.arange(LLC_LINES), 4)
    assert len(filtered(CacheFilter(), lines, True)) == LLC_LINES


def test_a_dirty_line_is_written_when_it_leaves_the_last_level() -> None:
    caches = CacheFilter(level(1, 1), level(1, 2))
    assert filtered(caches, [1], True) == [(1, False)]
    assert filtered(caches, [2], False) == [(2, False)]  # 1 goes to the last level, dirty and the latest there
    assert filtered(caches, [3], False) == [(3, False)]  # which lets go of 2, clean
    assert filtered(caches, [4], False) == [(4, False), (1, True)]


@pytest.mark.parametrize(
    ("text", "expected"), [("32KiB/8", (32768, 8)), ("1 MiB/16", (1 << 20, 16)), ("192/3", None), ("192B/3", (192, 3))]
)
def test_levels_as_text(text: str, expected: tuple[int, int] | None) -> None:
    if expected is None:
        with pytest.raises(ConfigError, match="unit"):
            CacheLevel.parse(text, where="--l1")
    else:
        found = CacheLevel.parse(text, where="--l1")
        assert (found.size_bytes, found.ways) == expected


@pytest.mark.parametrize("text", ["", "32KiB", "32KiB/0", "32KiB/-1", "32KiB/x", "0B/1", "100B/1", "64B/2", "8GiB/8"])
def test_what_is_no_cache_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--llc|cache|whole sets|quantity"):
        CacheLevel.parse(text, where="--llc")
