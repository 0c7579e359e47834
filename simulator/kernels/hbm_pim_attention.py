"""Runs of attention's program on one channel: windows of products, the moves beside them, barriers.

What the windows are, and why, is told where they are laid out (`devices.pim_attention`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simulator.kernels.hbm_pim_queue import BARRIER, MAC, MVGB, MVSB, N_RUN_COLUMNS, SFM, WRGB

# Words of a head: columns of its keys for each unit, products for each column, moves of its queries, of a window's
# scores, of a result's column, of its probabilities and of these to each group; queries, ticks of a product, base row.
(N_COLUMNS, PER_COLUMN, N_QUERY_MOVES, N_SCORE_MOVES, N_CONTEXT_MOVES, N_PROBABILITY_MOVES, N_TO_EACH, N_QUERIES,
 BUSY, BASE_ROW) = range(10)  # fmt: skip
N_HEAD_WORDS = 10

# Words of a plan: this channel's place among those that have a head (-1: nothing is published), columns of a window,
# rows from keys to values, and the patterns of moves.
INDEX, WINDOW, VALUE_ROWS, ONE, SCORES, CONTEXTS, PROBABILITIES = range(7)
N_PLAN_WORDS = 7

# What goes beside a head's products.
_NOTHING, _QUERIES, _SOFTMAX = range(3)


@njit(cache=True)
def _add(out, end, kind, n, base, column, pattern, repeat, first):
    """Write a run, if there is anything in it; the number of runs then."""
    if n <= 0:
        return end
    out[end, 0], out[end, 1], out[end, 2], out[end, 3] = kind, n, base, column
    out[end, 4], out[end, 5], out[end, 6] = pattern, repeat, first
    return end + 1


@njit(cache=True)
def _share(in_round, plan, head, n, window, n_windows):
    """First and number of the moves of a window, out of `n` over all windows."""
    if plan[INDEX] < 0 or n_windows == 1:
        first = n * window // n_windows
        return first, n * (window + 1) // n_windows - first
    # The generator cuts one list of all channels' moves, in which the channels take turns, and drops the rest.
    n_channels = in_round[head]
    step = n * n_channels // n_windows
    first = max(0, -((plan[INDEX] - window * step) // n_channels))
    return first, max(0, -((plan[INDEX] - (window + 1) * step) // n_channels)) - first


@njit(cache=True)
def _beside(out, end, heads, in_round, plan, what, head, window, n_windows):
    """The moves of another head beside a window's products."""
    if what == _NOTHING or head >= len(heads):
        return end
    own = heads[head]
    if what == _QUERIES:
        first, n = _share(in_round, plan, head, own[N_QUERY_MOVES], window, n_windows)
        return _add(out, end, WRGB, n, 0, 0, plan[ONE], 1, first)
    if window == 0:
        end = _add(out, end, SFM, own[N_QUERIES], 0, 0, plan[ONE], 1, 0)
    late = n_windows // 2
    if window >= late:
        first, n = _share(in_round, plan, head, own[N_PROBABILITY_MOVES], window - late, n_windows - late)
        end = _add(out, end, MVGB, n, 0, 0, plan[PROBABILITIES], own[N_TO_EACH], first)
    return end


@njit(cache=True)
def _scores(out, end, heads, in_round, plan, head, what, other):
    """Keys of a head, window by window: the scores of one leave during the next."""
    has = head < len(heads)
    own = heads[min(head, len(heads) - 1)]
    n_windows = -(-own[N_COLUMNS] // plan[WINDOW])
    n_products, step = own[N_COLUMNS] * own[PER_COLUMN], plan[WINDOW] * own[PER_COLUMN]
    for window in range(n_windows + 1):
        if window < n_windows and has:
            n = min(step, n_products - window * step)
            end = _add(out, end, MAC, n, own[BASE_ROW], window * step, 0, own[BUSY], 0)
        if window > 0 and has:
            end = _add(out, end, MVSB, own[N_SCORE_MOVES], 0, 0, plan[SCORES], 1, 0)
        if window < n_windows:
            end = _beside(out, end, heads, in_round, plan, what, other, window, n_windows)
            end = _add(out, end, BARRIER, 1, 0, 0, 0, 1, 0)
    return end


@njit(cache=True)
def _contexts(out, end, heads, in_round, plan, head, what, other):
    """Values of a head, a column of the result after the other."""
    has = head < len(heads)
    own = heads[min(head, len(heads) - 1)]
    n, n_windows = own[N_COLUMNS], own[PER_COLUMN]
    base = own[BASE_ROW] + plan[VALUE_ROWS]
    for window in range(n_windows + 1):
        if window < n_windows and has:
            end = _add(out, end, MAC, n, base, window * n, 0, own[BUSY], 0)
        if window > 0 and has:
            end = _add(out, end, MVSB, own[N_CONTEXT_MOVES], 0, 0, plan[CONTEXTS], 1, 0)
        if window < n_windows:
            end = _beside(out, end, heads, in_round, plan, what, other, window, n_windows)
            end = _add(out, end, BARRIER, 1, 0, 0, 0, 1, 0)
    return end


@njit(cache=True)
def _pair(out, end, heads, in_round, plan, a, b):
    """Two heads, the moves of each beside the products of the other."""
    is_published = plan[INDEX] >= 0
    end = _beside(out, end, heads, in_round, plan, _QUERIES, a, 0, 1)
    if is_published and a == 0:
        end = _add(out, end, MAC, 1, heads[a, BASE_ROW], 0, 0, heads[a, BUSY], 0)
    end = _add(out, end, BARRIER, 1, 0, 0, 0, 1, 0)
    end = _scores(out, end, heads, in_round, plan, a, _QUERIES, b)
    end = _scores(out, end, heads, in_round, plan, b, _SOFTMAX, a)
    end = _contexts(out, end, heads, in_round, plan, a, _SOFTMAX, b)
    # The public generator repeats the first head's values here.
    return _contexts(out, end, heads, in_round, plan, a if is_published else b, _NOTHING, 0)


@njit(cache=True)
def _alone(out, end, heads, in_round, plan, a):
    """One head with nothing beside it."""
    end = _beside(out, end, heads, in_round, plan, _QUERIES, a, 0, 1)
    end = _add(out, end, BARRIER, 1, 0, 0, 0, 1, 0)
    end = _scores(out, end, heads, in_round, plan, a, _NOTHING, 0)
    end = _beside(out, end, heads, in_round, plan, _SOFTMAX, a, 0, 1)
    end = _add(out, end, BARRIER, 1, 0, 0, 0, 1, 0)
    return _contexts(out, end, heads, in_round, plan, a, _NOTHING, 0)


@njit(cache=True)
def attention_runs(heads, in_round, plan):
    """Runs int64[n, 7] of a channel's heads, int64[h, 10] (at least one), in `in_round` int64[r] rounds, of which the
    last may be without a head here; `plan` int64[7]."""
    n_rounds, most = len(in_round), 0
    for round_ in range(n_rounds):
        own = heads[min(round_, len(heads) - 1)]
        most = most + 5 * (-(-own[N_COLUMNS] // plan[WINDOW]) + own[PER_COLUMN] + 2) + 8
    out = np.empty((most, N_RUN_COLUMNS), np.int64)
    end = 0
    for first in range(0, n_rounds - 1, 2):
        end = _pair(out, end, heads, in_round, plan, first, first + 1)
    if n_rounds % 2:
        end = _alone(out, end, heads, in_round, plan, n_rounds - 1)
    return out[:end].copy()
