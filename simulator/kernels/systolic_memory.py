"""Systolic arrays behind double-buffered SRAM: what folds fetch from a DRAM, and how long the array waits for it.

Folds are laid on a grid (see `systolic`). Three operands: X belongs to a row of the grid, Y to a column, Z to one fold.
In OS both X and Y are read and Z, the outputs, is written; in WS and IS X and Z are read, and Y are the sums, which
every row of the grid adds to. Half of each buffer keeps what will be used again, up to its size; the other half takes
in what the next fold lacks while this one computes, and a fold that has finished writes out while the next computes.
With one buffer all of it keeps, and words move between folds.
"""

from __future__ import annotations

import math

from numba import njit

from simulator.kernels.systolic import OS, fold_cycles, grid

ROWS_OUTER, COLS_OUTER, EITHER = 0, 1, 2
# Where sizes stand in `sizes`: words of X and Y that stay on the chip, bytes of words and of sums, and whether words
# move while a fold computes.
KEEP_X, KEEP_Y, WORD_BYTES, SUM_BYTES, OVERLAPS, N_SIZES = 0, 1, 2, 3, 4, 5
# Where the memory's speed stands in `speed`: cycles that a byte takes, and cycles before the first one.
READ_CYC, WRITE_CYC, LATENCY_CYC, N_SPEED = 0, 1, 2, 3
# Results: words of X, Y and Z moved, bytes read and written, cycles with stalls, those of the first fill and the last
# drain, and the order of the folds. TOTAL is -1 where it is beyond what is counted.
X_WORDS, Y_WORDS, Z_WORDS, READ_BYTES, WRITE_BYTES, TOTAL, EXPOSED, ORDER, N_RESULTS = 0, 1, 2, 3, 4, 5, 6, 7, 8
MOST_CYCLES = float(1 << 60)


@njit(cache=True)
def time_products(dataflow, m, n, k, rows, cols, order, sizes, speed, results):
    """Fill results int64[n_products, N_RESULTS] for products m, n, k int64[n_products].

    sizes int64[N_SIZES], speed float64[N_SPEED]. With EITHER the order of less time is taken, of equal ones that of
    less traffic, then ROWS_OUTER. TOTAL counts as `systolic.CYCLES` does: the number of the last cycle, rounded up.
    """
    for at in range(len(m)):
        grid_rows, grid_cols, stream = grid(dataflow, m[at], n[at], k[at])
        compute_cyc = fold_cycles(dataflow, stream, rows, cols)
        best_cyc, best_bytes = math.inf, 0
        for tried in (ROWS_OUTER, COLS_OUTER):
            if order != EITHER and tried != order:
                continue
            x, y, z = _words(dataflow, grid_rows, grid_cols, stream, rows, cols, tried, sizes)
            read, written = _bytes(dataflow, grid_cols * stream, x, y, z, sizes)
            spent, exposed = _elapsed(
                dataflow, grid_rows, grid_cols, stream, rows, cols, tried, sizes, speed, compute_cyc
            )
            if spent < best_cyc or (spent == best_cyc and read + written < best_bytes):
                best_cyc, best_bytes = spent, read + written
                results[at, X_WORDS], results[at, Y_WORDS], results[at, Z_WORDS] = x, y, z
                results[at, READ_BYTES], results[at, WRITE_BYTES] = read, written
                if spent > MOST_CYCLES:
                    results[at, TOTAL], results[at, EXPOSED] = -1, 0
                else:
                    results[at, TOTAL], results[at, EXPOSED] = math.ceil(spent) - 1, math.ceil(exposed)
                results[at, ORDER] = tried


@njit(cache=True)
def _words(dataflow, grid_rows, grid_cols, stream, rows, cols, order, sizes):
    """Words of each operand that cross the DRAM's bus; of sums, those that leave early and come back count twice."""
    row_folds, col_folds = -(-grid_rows // rows), -(-grid_cols // cols)
    if order == ROWS_OUTER:
        # A row's tile is used in all its folds, one after the other; all columns come by once a row.
        x_lacks = _tiles_lack(grid_rows, rows, stream, sizes[KEEP_X])
        y_lacks = max(0, grid_cols * stream - sizes[KEEP_Y])
    else:
        x_lacks = max(0, grid_rows * stream - sizes[KEEP_X])
        y_lacks = _tiles_lack(grid_cols, cols, stream, sizes[KEEP_Y])
    x = grid_rows * stream + (col_folds - 1) * x_lacks
    again = 1 if dataflow == OS else 2
    y = grid_cols * stream + again * (row_folds - 1) * y_lacks
    return x, y, grid_rows * grid_cols


@njit(cache=True)
def _tiles_lack(extent, tile, stream, keep):
    """Words by which tiles of `tile` lines (the last one: what is left) exceed what is kept, summed over tiles."""
    n_tiles = -(-extent // tile)
    last = extent - (n_tiles - 1) * tile
    return (n_tiles - 1) * max(0, tile * stream - keep) + max(0, last * stream - keep)


@njit(cache=True)
def _bytes(dataflow, y_once, x, y, z, sizes):
    """Bytes read and written, of the words of each operand; finished sums leave as words."""
    if dataflow == OS:
        return (x + y) * sizes[WORD_BYTES], z * sizes[WORD_BYTES]
    spilt = (y - y_once) // 2
    return (
        (x + z) * sizes[WORD_BYTES] + spilt * sizes[SUM_BYTES],
        y_once * sizes[WORD_BYTES] + spilt * sizes[SUM_BYTES],
    )


@njit(cache=True)
def _elapsed(dataflow, grid_rows, grid_cols, stream, rows, cols, order, sizes, speed, compute_cyc):
    """Cycles from the first request to the last write, and those of them before the first fold and after the last.

    While a fold computes, the next one's words come in and the last one's results leave; the longer of both counts.
    Folds differ only at the first, second, last but one and last row and column of the grid: the others are counted.
    """
    shape = (dataflow, grid_rows, grid_cols, stream, rows, cols, order)
    row_folds, col_folds = -(-grid_rows // rows), -(-grid_cols // cols)
    outer, inner = (row_folds, col_folds) if order == ROWS_OUTER else (col_folds, row_folds)
    fill = speed[LATENCY_CYC] + _fetched(shape, 0, 0, sizes) * speed[READ_CYC]
    drain = _stored(shape, outer - 1, inner - 1, sizes) * speed[WRITE_CYC]
    spent = fill + drain
    for o_kind in range(min(outer, 5)):
        o, o_times = _one_of(o_kind, outer)
        for i_kind in range(min(inner, 5)):
            i, i_times = _one_of(i_kind, inner)
            moving = 0.0
            if i + 1 < inner:
                moving += _fetched(shape, o, i + 1, sizes) * speed[READ_CYC]
            elif o + 1 < outer:
                moving += _fetched(shape, o + 1, 0, sizes) * speed[READ_CYC]
            if i > 0:
                moving += _stored(shape, o, i - 1, sizes) * speed[WRITE_CYC]
            elif o > 0:
                moving += _stored(shape, o - 1, inner - 1, sizes) * speed[WRITE_CYC]
            slot = max(float(compute_cyc), moving) if sizes[OVERLAPS] else compute_cyc + moving
            spent += slot * (float(o_times) * float(i_times))
    return spent, fill + drain


@njit(cache=True)
def _one_of(kind, n):
    """The place that stands for a kind (of five, or of fewer) among n, and for how many places it does."""
    if n <= 5 or kind < 2:
        return kind, 1
    if kind == 2:
        return 2, n - 4
    return n - 5 + kind, 1


@njit(cache=True)
def _tile(shape, o, i):
    """Row and column of a fold in the grid, and its lines along both."""
    _, grid_rows, grid_cols, _, rows, cols, order = shape
    p, q = (o, i) if order == ROWS_OUTER else (i, o)
    return p, q, min(rows, grid_rows - p * rows), min(cols, grid_cols - q * cols)


@njit(cache=True)
def _lacking(words, n_all, keep, in_a_row):
    """Words of a tile to be moved again: the tile's own excess where it stays for folds `in_a_row`, else its share of
    what the operand as a whole exceeds the kept half by."""
    if in_a_row:
        return float(max(0, words - keep))
    return words * max(0.0, 1.0 - keep / n_all)


@njit(cache=True)
def _fetched(shape, o, i, sizes):
    """Bytes that a fold lacks when it comes up."""
    dataflow, grid_rows, grid_cols, stream, _, _, order = shape
    p, q, n_rows, n_cols = _tile(shape, o, i)
    x = float(n_rows * stream)
    if q > 0:
        x = _lacking(n_rows * stream, grid_rows * stream, sizes[KEEP_X], order == ROWS_OUTER)
    y = float(n_cols * stream) if dataflow == OS else 0.0
    if p > 0:
        y = _lacking(n_cols * stream, grid_cols * stream, sizes[KEEP_Y], order == COLS_OUTER)
    if dataflow == OS:
        return (x + y) * sizes[WORD_BYTES]
    return (x + n_rows * n_cols) * sizes[WORD_BYTES] + y * sizes[SUM_BYTES]


@njit(cache=True)
def _stored(shape, o, i, sizes):
    """Bytes that leave after a fold: outputs, or the sums that do not fit and are not finished."""
    dataflow, grid_rows, grid_cols, stream, rows, _, order = shape
    p, _, n_rows, n_cols = _tile(shape, o, i)
    if dataflow == OS:
        return float(n_rows * n_cols * sizes[WORD_BYTES])
    if p == -(-grid_rows // rows) - 1:
        return float(n_cols * stream * sizes[WORD_BYTES])
    return _lacking(n_cols * stream, grid_cols * stream, sizes[KEEP_Y], order == COLS_OUTER) * sizes[SUM_BYTES]
