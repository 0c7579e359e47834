"""Groups of values on the best of several sets of levels: the search behind ANT, M-ANT and OliVe.

Levels are magnitudes, ascending, of the same number in every set; a value takes the nearest one with its own sign, and
of two equally near ones the lower value. A code is the level's place, plus the number of levels where the value is
negative (no level of zero is negative).
"""

import numpy as np
from numba import njit


@njit(cache=True)
def search_levels(values, levels, codes, scales, picks):
    """The set of levels of least squared error for every group; of equal ones the first.

    values float64[n, width], levels float64[n_sets, n_levels]; fills codes int32[n, width], scales float64[n] (largest
    magnitude over the set's largest level; 0 where all is zero) and picks int32[n].
    """
    n, width = values.shape
    magnitude = np.empty(width)
    distance = np.empty(width)
    top = levels.shape[1] - 1
    for group in range(n):
        largest = 0.0
        for i in range(width):
            magnitude[i] = abs(values[group, i])
            largest = max(largest, magnitude[i])
        pick = 0
        least = np.inf
        for candidate in range(levels.shape[0]):
            nearest_squares(magnitude, levels[candidate], largest / levels[candidate, top], distance)
            error = total(distance)
            if error < least:
                least = error
                pick = candidate
        scale = largest / levels[pick, top]
        for i in range(width):
            codes[group, i] = nearest_code(values[group, i], levels[pick], scale)
        scales[group] = scale
        picks[group] = pick


@njit(cache=True)
def search_pairs(values, levels, outliers, reach, factors, codes, scales, picks):
    """Outlier-victim pairs: the set of levels and the scale of least squared error for every group; of equal the first.

    values float64[n, width], levels float64[n_sets, n_levels], outliers float64[n_sets, n_levels - 1] in the same unit;
    a scale is reach float64[n] times one of factors float64[m], over the set's largest level. Of columns 2p and 2p + 1
    one may be an outlier, nearer to an outlier's level than to a normal one: then the other is lost, and has the code
    n_levels, which no normal value has. Of two such values the larger is kept. Fills codes int32[n, width] (an
    outlier's is 1 + its place, and its sign), scales float64[n] and picks int32[n].
    """
    n, width = values.shape
    magnitude = np.empty(width)
    distance = np.empty(width)
    large = np.empty(width, np.int64)
    top = levels.shape[1] - 1
    # No outlier is below the largest normal level of the smallest scale.
    least_limit = factors.min()
    for group in range(n):
        for i in range(width):
            magnitude[i] = abs(values[group, i])
        n_large = large_pairs(magnitude, reach[group] * least_limit, large)
        pick = 0
        best_scale = 0.0
        least = np.inf
        for candidate in range(levels.shape[0]):
            for factor in factors:
                scale = reach[group] * factor / levels[candidate, top]
                nearest_squares(magnitude, levels[candidate], scale, distance)
                limit = 0.5 * (levels[candidate, top] + outliers[candidate, 0]) * scale
                for i in range(n_large):
                    first = large[i]
                    kept = first + outlier_of(magnitude[first], magnitude[first + 1], limit)
                    if kept >= first:
                        lost = 2 * first + 1 - kept
                        distance[kept] = nearest_square(magnitude[kept], outliers[candidate], scale)
                        distance[lost] = magnitude[lost] * magnitude[lost]
                error = total(distance)
                if error < least:
                    least = error
                    pick = candidate
                    best_scale = scale
        write_pairs(values[group], levels[pick], outliers[pick], best_scale, codes[group])
        scales[group] = best_scale
        picks[group] = pick


@njit(cache=True)
def large_pairs(magnitude, limit, first):
    """How many pairs have a value above a limit; fills `first` int64[..] with where they begin."""
    n = 0
    for place in range(0, len(magnitude) - 1, 2):
        if max(magnitude[place], magnitude[place + 1]) > limit:
            first[n] = place
            n += 1
    return n


@njit(cache=True)
def write_pairs(values, levels, outliers, scale, codes):
    """Codes int32[width] of one group's values float64[width]."""
    limit = 0.5 * (levels[-1] + outliers[0]) * scale
    n_levels = len(levels)
    for i in range(len(values)):
        codes[i] = nearest_code(values[i], levels, scale)
    for first in range(0, len(values) - 1, 2):
        kept = first + outlier_of(abs(values[first]), abs(values[first + 1]), limit)
        if kept >= first:
            code = nearest_code(abs(values[kept]), outliers, scale) + 1
            codes[kept] = code + n_levels if values[kept] < 0 else code
            codes[2 * first + 1 - kept] = n_levels


@njit(cache=True)
def outlier_of(left, right, limit):
    """Which of two neighbouring magnitudes is kept as an outlier: 0, 1, or -1 where both are normal."""
    if left > limit and left >= right:
        return 0
    return 1 if right > limit else -1


@njit(cache=True)
def nearest_squares(magnitude, levels, scale, distance):
    """Squared distances of magnitudes float64[width] to their nearest levels, level by level for the vector unit."""
    first = levels[0] * scale
    for i in range(len(magnitude)):
        distance[i] = (magnitude[i] - first) * (magnitude[i] - first)
    for place in range(1, len(levels)):
        level = levels[place] * scale
        for i in range(len(magnitude)):
            distance[i] = min(distance[i], (magnitude[i] - level) * (magnitude[i] - level))


@njit(cache=True)
def nearest_square(magnitude, levels, scale):
    """Squared distance of one magnitude to its nearest level."""
    least = np.inf
    for level in levels:
        least = min(least, (magnitude - level * scale) * (magnitude - level * scale))
    return least


@njit(cache=True)
def nearest_code(value, levels, scale):
    """Code of one value."""
    magnitude = abs(value)
    place = 0
    for other in range(1, len(levels)):
        middle = 0.5 * (levels[other - 1] + levels[other]) * scale
        if magnitude > middle or (value < 0.0 and magnitude == middle and middle > 0.0):
            place = other
    return place + len(levels) if value < 0.0 and levels[place] * scale > 0.0 else place


@njit(cache=True)
def total(terms):
    """Sum of float64[width], in four strands: one would wait for every addition."""
    a = b = c = d = 0.0
    whole = len(terms) - len(terms) % 4
    for i in range(0, whole, 4):
        a += terms[i]
        b += terms[i + 1]
        c += terms[i + 2]
        d += terms[i + 3]
    for i in range(whole, len(terms)):
        a += terms[i]
    return (a + b) + (c + d)
