"""Nearest of a few levels for each value, and of several tables of levels the one that fits a group best.

A table is its levels in ascending order and the midpoints between them: a value on a midpoint belongs to the lower
level, so its place is the number of midpoints below it. Comparing with all midpoints, a whole group at a time, is
faster than a search: the compiler makes vector instructions of it.
"""

import numpy as np
from numba import njit

_MANY = 128  # midpoints from which on a search is faster
_LANES = 8


@njit(cache=True)
def nearest_levels(values, scales, midpoints, codes):
    """Place int32[n, width] in the table of every value float64[n, width] divided by its group's scale float64[n].

    midpoints float64[k - 1], ascending. Fills codes.
    """
    scaled = np.empty(values.shape[1])
    for group in range(values.shape[0]):
        for i in range(values.shape[1]):
            scaled[i] = values[group, i] / scales[group]
        _places(scaled, midpoints, codes[group])


@njit(cache=True)
def best_tables(values, levels, midpoints, bounds, codes, scales, picks, errors):
    """For every group of values float64[n, width] the table with the least squared error, the first of equal ones.

    levels float64[n_tables, k] and midpoints float64[n_tables, k - 1], each ascending; a group's scale is its largest
    magnitude over the table's, within bounds float64[2]. Fills codes int32[n, width], scales float64[n], picks int32[n]
    and errors float64[n, n_tables], the sums of squared errors.
    """
    n_tables, last = levels.shape[0], levels.shape[1] - 1
    width = values.shape[1]
    scaled, places, sums = np.empty(width), np.empty(width, np.int32), np.empty(_LANES)
    for group in range(values.shape[0]):
        largest = 0.0
        for i in range(width):
            largest = max(largest, abs(values[group, i]))
        picks[group] = 0
        for table in range(n_tables):
            scale = largest / max(abs(levels[table, 0]), abs(levels[table, last]))
            scale = min(max(scale, bounds[0]), bounds[1])
            for i in range(width):
                scaled[i] = values[group, i] / scale
            _places(scaled, midpoints[table], places)
            error = _squared_error(values[group], levels[table], scale, places, sums)
            errors[group, table] = error
            if table == 0 or error < errors[group, picks[group]]:
                picks[group] = table
                scales[group] = scale
                codes[group] = places


@njit(cache=True)
def _squared_error(values, levels, scale, places, sums):
    """Sum of squared errors of a group, in eight sums that are then added in pairs, and what is left one by one.

    NumPy adds up to 128 numbers in this order, too: tables are often equally good but for the last bit, and so are the
    picks those of a plain program. sums float64[8] is for its own use.
    """
    whole = len(values) // _LANES * _LANES
    sums[:] = 0.0
    for first in range(0, whole, _LANES):
        for lane in range(_LANES):
            off = levels[places[first + lane]] * scale - values[first + lane]
            sums[lane] += off * off
    error = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
    for i in range(whole, len(values)):
        off = levels[places[i]] * scale - values[i]
        error += off * off
    return error


@njit(cache=True)
def _places(scaled, midpoints, places):
    """Fills places int32[width] with the number of midpoints below each scaled value float64[width]."""
    if len(midpoints) >= _MANY:
        _places_by_search(scaled, midpoints, places)
        return
    places[:] = 0
    for j in range(len(midpoints)):
        midpoint = midpoints[j]
        for i in range(len(scaled)):
            places[i] += scaled[i] > midpoint


@njit(cache=True)
def _places_by_search(scaled, midpoints, places):
    """As `_places`, halving the table; without branches, which no machine could foretell."""
    for i in range(len(scaled)):
        below, left = 0, len(midpoints)
        while left > 0:
            half = (left + 1) // 2
            below += half if scaled[i] > midpoints[below + half - 1] else 0
            left -= half
        places[i] = below
