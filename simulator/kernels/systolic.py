"""Systolic arrays in closed form: cycles and SRAM accesses of matrix products that no memory holds up.

An array of R x C cells lays a product of M x K and K x N elements down in folds: `grid_rows` of the product's elements
stand along its rows and `grid_cols` along its columns, and `stream` elements run through every fold.

| dataflow | rows | columns | stream | what stays in the cells |
|---|---|---|---|---|
| OS | M | N | K | outputs |
| WS | K | N | M | weights (N x K) |
| IS | K | M | N | inputs (M x K) |

Source: SCALE-Sim (Samajdar et al., ISPASS 2020), whose count of cycles is the number of the last one, from 0.
"""

from __future__ import annotations

from numba import njit

OS, WS, IS = 0, 1, 2
# What is counted of every product.
N_FOLDS, CYCLES, IFMAP_READS, FILTER_READS, OFMAP_READS, OFMAP_WRITES, CELLS_USED, N_COUNTS = 0, 1, 2, 3, 4, 5, 6, 7


@njit(cache=True)
def grid(dataflow, m, n, k):
    """What lies along the rows, along the columns, and what streams through a fold."""
    if dataflow == OS:
        return m, n, k
    if dataflow == WS:
        return k, n, m
    return k, m, n


@njit(cache=True)
def fold_cycles(dataflow, stream, rows, cols):
    """Cycles of a fold, full or not: `rows` to load what stays (nothing in OS), and the stream until the last of it has
    left the last cell."""
    loading = 0 if dataflow == OS else rows
    return loading + stream + rows + cols - 2


@njit(cache=True)
def count_products(dataflow, m, n, k, rows, cols, counts):
    """Fill counts int64[n_products, N_COUNTS] for products m, n, k int64[n_products].

    OFMAP_WRITES are of partial sums where the reduction runs over folds, OFMAP_READS of those to be added to;
    CELLS_USED is the sum over folds of cells that have something to do.
    """
    for at in range(len(m)):
        grid_rows, grid_cols, stream = grid(dataflow, m[at], n[at], k[at])
        row_folds, col_folds = -(-grid_rows // rows), -(-grid_cols // cols)
        # The stream enters at the left edge in every column fold; what crosses it, in every row fold.
        by_rows = grid_rows * stream * col_folds
        by_cols = grid_cols * stream * row_folds
        once = grid_rows * grid_cols
        counts[at, N_FOLDS] = row_folds * col_folds
        counts[at, CYCLES] = row_folds * col_folds * fold_cycles(dataflow, stream, rows, cols) - 1
        counts[at, CELLS_USED] = once
        if dataflow == OS:
            counts[at, IFMAP_READS], counts[at, FILTER_READS] = by_rows, by_cols
            counts[at, OFMAP_READS], counts[at, OFMAP_WRITES] = 0, once
        else:
            counts[at, OFMAP_READS], counts[at, OFMAP_WRITES] = by_cols - grid_cols * stream, by_cols
            counts[at, IFMAP_READS] = by_rows if dataflow == WS else once
            counts[at, FILTER_READS] = once if dataflow == WS else by_rows
