"""Systolic arrays walked fold by fold and cycle by cycle: the accesses at every port of the array's edges.

What `systolic` gives in closed form is counted here; beside it, the most words that a cycle asks of the SRAM.
"""

from __future__ import annotations

from numba import njit

from simulator.kernels.systolic import OS

# Columns of what is counted by fold (sums) and over all folds (the most in one cycle): words that stream in at the
# left, that come in at the top, that leave, and products; and how long the fold took.
LEFT, TOP, OUT, PRODUCTS, TICKS, N_WALKED = 0, 1, 2, 3, 4, 5


@njit(cache=True)
def walk(dataflow, grid_rows, grid_cols, stream, rows, cols, by_fold, most):
    """Walk all folds; fills by_fold int64[n_folds, N_WALKED] and most int64[N_WALKED], returns the last cycle's number.

    Folds go along a row of the grid first. TOP is the other operand in OS, and what is loaded to stay in WS and IS.
    """
    now, fold = 0, 0
    for first_row in range(0, grid_rows, rows):
        for first_col in range(0, grid_cols, cols):
            used_rows, used_cols = min(rows, grid_rows - first_row), min(cols, grid_cols - first_col)
            if dataflow == OS:
                ticks = _outputs_stay(used_rows, used_cols, stream, rows, cols, by_fold[fold], most)
            else:
                ticks = _operand_stays(used_rows, used_cols, stream, rows, cols, by_fold[fold], most)
            by_fold[fold, TICKS] = ticks
            most[TICKS] = max(most[TICKS], ticks)
            now += ticks
            fold += 1
    return now - 1


@njit(cache=True)
def _outputs_stay(used_rows, used_cols, stream, rows, cols, sums, most):
    """A fold of OS: rows and columns enter one cycle after the other; a column hands its results out one a cycle."""
    tick = 0
    while True:
        left = _within(tick, used_rows, stream)
        top = _within(tick, used_cols, stream)
        products, out = 0, 0
        for row in range(used_rows):
            products += _within(tick - row, used_cols, stream)
            out += 1 if 0 <= tick - (stream - 1) - row < used_cols else 0
        _note(sums, most, left, top, out, products)
        tick += 1
        # The last element has met the last cell, used or not.
        if tick > stream - 1 + rows - 1 + cols - 1:
            return tick


@njit(cache=True)
def _operand_stays(used_rows, used_cols, stream, rows, cols, sums, most):
    """A fold of WS or IS: what stays is pushed down from the top, a row a cycle; sums leave below the last row."""
    for tick in range(rows):
        # The first row in has the longest way down; rows that stay empty are pushed in as well.
        _note(sums, most, 0, used_cols if rows - 1 - tick < used_rows else 0, 0, 0)
    tick = 0
    while True:
        left = _within(tick, used_rows, stream)
        products = 0
        for row in range(used_rows):
            products += _within(tick - row, used_cols, stream)
        out = _within(tick - (rows - 1), used_cols, stream)
        _note(sums, most, left, 0, out, products)
        tick += 1
        if tick > stream - 1 + rows - 1 + cols - 1:
            return rows + tick


@njit(cache=True)
def _within(tick, n_ports, stream):
    """Ports, of which each starts a cycle after the one before it, that are within their stream."""
    found = 0
    for port in range(n_ports):
        if 0 <= tick - port < stream:
            found += 1
    return found


@njit(cache=True)
def _note(sums, most, left, top, out, products):
    sums[LEFT] += left
    sums[TOP] += top
    sums[OUT] += out
    sums[PRODUCTS] += products
    most[LEFT] = max(most[LEFT], left)
    most[TOP] = max(most[TOP], top)
    most[OUT] = max(most[OUT], out)
    most[PRODUCTS] = max(most[PRODUCTS], products)
