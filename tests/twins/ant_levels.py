"""The search for levels in plain Python: every set, every scale and every level, one value after another."""

from __future__ import annotations

from collections.abc import Sequence

Levels = Sequence[float]


def nearest(value: float, levels: Levels, scale: float) -> float:
    """The nearest of the signed levels to a value; of two equally near ones the lower."""
    signed = sorted({level * scale for level in levels} | {-level * scale for level in levels})
    return min(signed, key=lambda level: (abs(level - value), level))


def best_set(values: Sequence[float], sets: Sequence[Levels]) -> tuple[int, float, float]:
    """Number, scale and squared error of the best set of levels of a group."""
    largest = max(abs(value) for value in values)
    found = []
    for number, levels in enumerate(sets):
        scale = largest / max(levels)
        error = sum((value - nearest(value, levels, scale)) ** 2 for value in values)
        found.append((error, number, scale))
    error, number, scale = min(found)
    return number, scale, error


def pair_values(values: Sequence[float], normal: Levels, outliers: Levels, scale: float) -> list[float]:
    """What outlier-victim pairs make of a group."""
    kept = [nearest(value, normal, scale) for value in values]
    for left in range(0, len(values) - 1, 2):
        pair = (left, left + 1)
        is_outlier = [
            abs(values[at]) * 2 > (max(normal) + min(outliers)) * scale  # nearer to the first outlier's level
            for at in pair
        ]
        if any(is_outlier):
            winner = max(pair, key=lambda at: (is_outlier[at - left], abs(values[at]), -at))
            kept[2 * left + 1 - winner] = 0.0
            kept[winner] = nearest(values[winner], outliers, scale)
    return kept


def best_pairs(
    values: Sequence[float],
    normals: Sequence[Levels],
    outliers: Sequence[Levels],
    reach: float,
    shares: Sequence[float],
) -> float:
    """Least squared error over all types and scales."""
    errors = []
    for normal, far in zip(normals, outliers, strict=True):
        for share in shares:
            kept = pair_values(values, normal, far, reach * share / max(normal))
            errors.append(sum((value - other) ** 2 for value, other in zip(values, kept, strict=True)))
    return min(errors)
