"""Tiles of a matrix product on a processor with two levels of cache, and the bytes that each level then moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, inf
from typing import NamedTuple

_N_TILINGS_KEPT = 1 << 16
"""Products whose tiles are kept: it bounds memory, and decides nothing."""

Size = float
"""Columns or depth of a product: whole but where a published shape is a fraction of the hidden size."""


class CacheSizes(NamedTuple):
    """What the search asks of a processor: cores, bytes of the L1 of each and of the L2, and the tiles it may take."""

    n_cores: int
    l1_bytes: int
    l2_bytes: int
    tile_sides: tuple[int, ...]
    l1_k_slice: int
    l2_k_slices: int
    register_side: int


@dataclass(frozen=True, slots=True)
class Tiling:
    """L1 tile (`rows` x `columns`) of one product, `blocks` of it, and bytes between DRAM and L2, L2 and L1, L1 and
    registers."""

    rows: int
    columns: Size
    blocks: int
    offchip_bytes: float
    l2_bytes: float
    l1_bytes: float


@lru_cache(maxsize=_N_TILINGS_KEPT)
def tiling(m: int, n: Size, k: Size, n_bytes: float, split: bool, caches: CacheSizes) -> Tiling:
    """The tiles of `m` x `k` times `k` x `n` elements of `n_bytes` each.

    The L1 tile moves the fewest bytes from L2, over the square of the share of cores that its blocks keep busy where
    `split` (a thread block for each tile; otherwise one for the product, whatever the tile). The L2 tile, a multiple of
    it, moves the fewest bytes from DRAM. Of equals the first counts, small sides first.

    Source: the public AttAcc simulator, GPU model. Not modelled: tiles cut along the depth, bytes of the last, partial
    tiles, bandwidth of the L2.
    """
    rows, columns = _l1_tile(m, n, k, n_bytes, split, caches)
    side = caches.register_side
    return Tiling(
        rows=rows,
        columns=columns,
        blocks=ceil(m / rows) * ceil(n / columns),
        offchip_bytes=_offchip_bytes(m, n, k, n_bytes, rows, columns, caches),
        l2_bytes=traffic_bytes(m, n, k, n_bytes, rows, columns),
        l1_bytes=traffic_bytes(m, n, k, n_bytes, side, side),
    )


def traffic_bytes(m: int, n: Size, k: Size, n_bytes: float, rows: int, columns: Size) -> float:
    """Bytes that a product moves in tiles of `rows` x `columns`: each operand once for every tile along the other side,
    the result once."""
    return (ceil(n / columns) * m * k + ceil(m / rows) * n * k + m * n) * n_bytes


def busy_share(blocks: int, n_cores: int) -> float:
    """Share of the cores' turns that `blocks` fill, one block a core and wave."""
    return blocks / (ceil(blocks / n_cores) * n_cores)


def _l1_tile(m: int, n: Size, k: Size, n_bytes: float, split: bool, caches: CacheSizes) -> tuple[int, Size]:
    best, least = (min(caches.tile_sides[0], m), min(caches.tile_sides[0], n)), inf
    all_columns = _clipped(caches.tile_sides, n)
    for rows in _clipped(caches.tile_sides, m):
        for columns in all_columns:
            if ((rows + columns) * caches.l1_k_slice + rows * columns) * n_bytes > caches.l1_bytes:
                break
            cost = traffic_bytes(m, n, k, n_bytes, int(rows), columns)
            if split:
                share = busy_share(ceil(m / rows) * ceil(n / columns), caches.n_cores)
                cost *= (1 / share) ** 2
            if cost < least:
                best, least = (int(rows), columns), cost
    return best


def _clipped(sides: tuple[int, ...], limit: Size) -> list[Size]:
    """The sides up to a limit, which stands for all above it."""
    below: list[Size] = [side for side in sides if side < limit]
    return below if len(below) == len(sides) else [*below, limit]


def _offchip_bytes(m: int, n: Size, k: Size, n_bytes: float, rows: int, columns: Size, caches: CacheSizes) -> float:
    """Bytes from and to DRAM with the best L2 tile; the L1 tile itself is always allowed."""
    k_slice = k / caches.l2_k_slices
    room = caches.l2_bytes / n_bytes
    least = traffic_bytes(m, n, k, n_bytes, rows, columns)
    most = int(n / columns)
    for l2_rows in _heights(m, rows):
        if (l2_rows + n) * k_slice + l2_rows * n <= room:
            widest = n
        else:
            n_tiles = min(most, int((room - l2_rows * k_slice) / ((k_slice + l2_rows) * columns)))
            if n_tiles < 1:
                break
            widest = n_tiles * columns
        least = min(least, traffic_bytes(m, n, k, n_bytes, l2_rows, widest))
    return least


def _heights(m: int, rows: int) -> Iterator[int]:
    """Multiples of `rows` up to `m`, then `m`: of those that cut `m` into equally many parts the least, which leaves
    most room for columns."""
    multiple, most = 1, m // rows
    while multiple <= most:
        yield multiple * rows
        parts = ceil(m / (multiple * rows))
        if parts == 1:
            return
        multiple = max(multiple + 1, ceil(m / (rows * (parts - 1))))
    yield m
