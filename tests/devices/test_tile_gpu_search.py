"""The search for tiles against one that tries every tile."""

from __future__ import annotations

from math import ceil, inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.devices.tile_gpu_search import CacheSizes, Tiling, busy_share, tiling

SIDES = (8, 16, 32, 64, 128, 192, 256, 320, 384, 448, 512)
A100A = CacheSizes(108, 192 * 1024, 40 * 2**20, SIDES, 32, 64, 16)


def moved(m: int, n: float, k: float, n_bytes: int, rows: float, columns: float) -> float:
    return (ceil(n / columns) * m * k + ceil(m / rows) * n * k + m * n) * n_bytes


def exhaustive(m: int, n: float, k: float, n_bytes: int, split: bool, caches: CacheSizes) -> tuple[float, float]:
    """Bytes from DRAM and from L2 when every tile is tried, in the order of the public tool."""
    least, l1 = inf, (0.0, 0.0)
    for rows in (min(side, m) for side in caches.tile_sides):
        for columns in (min(side, n) for side in caches.tile_sides):
            if (rows + columns) * caches.l1_k_slice * n_bytes + rows * columns * n_bytes > caches.l1_bytes:
                continue
            blocks = ceil(m / rows) * ceil(n / columns)
            share = blocks / (ceil(blocks / caches.n_cores) * caches.n_cores) if split else 1.0
            cost = moved(m, n, k, n_bytes, rows, columns) * (1 / share) ** 2
            if cost < least:
                least, l1 = cost, (rows, columns)
    offchip = inf
    for rows in [*(l1[0] * count for count in range(1, int(m / l1[0]) + 1)), m]:
        for columns in [*(l1[1] * count for count in range(1, int(n / l1[1]) + 1)), n]:
            needed = (rows + columns) * (k / caches.l2_k_slices) * n_bytes + rows * columns * n_bytes
            if needed <= caches.l2_bytes or (rows, columns) == l1:
                offchip = min(offchip, moved(m, n, k, n_bytes, rows, columns))
    return offchip, moved(m, n, k, n_bytes, *l1)


def found(tiles: Tiling) -> tuple[float, float]:
    return tiles.offchip_bytes, tiles.l2_bytes


@settings(max_examples=150, deadline=None)
@given(
    m=st.integers(1, 6000),
    n=st.integers(1, 6000),
    k=st.integers(1, 40000),
    n_bytes=st.sampled_from([1, 2]),
    split=st.booleans(),
    l2_kib=st.sampled_from([40, 640, 40960]),
)
def test_nothing_beats_the_tiles_found(m: int, n: int, k: int, n_bytes: int, split: bool, l2_kib: int) -> None:
    caches = A100A._replace(l2_bytes=l2_kib * 1024)
    assert found(tiling(m, n, k, n_bytes, split, caches)) == exhaustive(m, n, k, n_bytes, split, caches)


@pytest.mark.parametrize(("m", "n", "k"), [(64, 8192 / 3, 8192), (4096, 8192 / 3, 8192), (4096, 8192, 8192 / 3)])
def test_a_fraction_of_a_column_is_tiled_like_a_whole_one(m: int, n: float, k: float) -> None:
    assert found(tiling(m, n, k, 2, True, A100A)) == pytest.approx(exhaustive(m, n, k, 2, True, A100A), rel=1e-14)


@given(m=st.integers(1, 4000), n=st.integers(1, 4000), k=st.integers(1, 4000))
def test_each_level_moves_at_least_operands_and_result_once(m: int, n: int, k: int) -> None:
    tiles = tiling(m, n, k, 2, True, A100A)
    once = 2 * (m * k + n * k + m * n)
    assert once <= tiles.offchip_bytes <= tiles.l2_bytes
    assert tiles.blocks == ceil(m / tiles.rows) * ceil(n / tiles.columns)


@given(blocks=st.integers(1, 10**6), n_cores=st.integers(1, 200))
def test_the_busy_share_is_one_where_waves_are_full(blocks: int, n_cores: int) -> None:
    share = busy_share(blocks, n_cores)
    assert 0 < share <= 1
    assert (share == 1) == (blocks % n_cores == 0)


def test_a_cache_that_holds_all_reads_all_once() -> None:
    caches = A100A._replace(l2_bytes=2**40)
    assert tiling(3000, 3000, 3000, 2, True, caches).offchip_bytes == 2 * 3 * 3000 * 3000
