"""Formats of a few levels as tables: which values the codes of small floating-point formats stand for, and the nearest.

A code is a level's place in the ascending table. An exact midpoint goes to the lower level.

Source: BitMoD (HPCA 2025) for FP3, FP4 and the rule of midpoints; OCP Microscaling Formats 1.0 for FP4, FP6, FP8, INT8.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np
from annotated_types import Len
from numpy.typing import NDArray
from pydantic import AfterValidator, FiniteFloat

from simulator.kernels.nearest_levels import best_tables, nearest_levels

SCALE_BITS = 16
"""Bits in which a group's scale is stored, unless a format says otherwise."""


def signed(magnitudes: Iterable[float]) -> tuple[float, ...]:
    """Levels of both signs, ascending; zero is one level."""
    positive = {float(magnitude) for magnitude in magnitudes}
    return tuple(sorted(positive | {-magnitude for magnitude in positive if magnitude}))


def minifloat(exponent_bits: int, mantissa_bits: int, *, n_not_numbers: int = 0) -> tuple[float, ...]:
    """Levels of sign, exponent and mantissa, with subnormal ones, without infinity.

    `n_not_numbers` of the largest codes of either sign stand for no number.
    """
    bias = max(2 ** (exponent_bits - 1) - 1, 0)
    steps = 2**mantissa_bits
    magnitudes = [
        (mantissa + (steps if exponent else 0)) * 2.0 ** (max(exponent, 1) - bias - mantissa_bits)
        for exponent in range(2**exponent_bits)
        for mantissa in range(steps)
    ]
    return signed(magnitudes[: len(magnitudes) - n_not_numbers])


MINIFLOATS: dict[str, tuple[float, ...]] = {
    "fp3": minifloat(2, 0),  # 0, 1, 2, 4
    "fp4": minifloat(2, 1),  # 0, 0.5, 1, 1.5, 2, 3, 4, 6
    "fp5_e2m2": minifloat(2, 2),
    "fp5_e3m1": minifloat(3, 1),
    "fp6_e2m3": minifloat(2, 3),
    "fp6_e3m2": minifloat(3, 2),
    "fp8_e4m3": minifloat(4, 3, n_not_numbers=1),
    "fp8_e5m2": minifloat(5, 2, n_not_numbers=4),
}
"""Levels of the small floating-point formats, by name."""


def names_pattern(names: Iterable[str]) -> str:
    """A regular expression of these names."""
    return "|".join(sorted(names, key=len, reverse=True))


def _ascending(levels: tuple[float, ...]) -> tuple[float, ...]:
    if any(left >= right for left, right in pairwise(levels)):
        raise ValueError("levels must ascend, each once")
    return levels


Levels = Annotated[tuple[FiniteFloat, ...], Len(2, 1 << 16), AfterValidator(_ascending)]
"""A table in a configuration: numbers in ascending order, each once."""


def code_bits(n_levels: int) -> int:
    """Bits of a code of so many levels."""
    return (n_levels - 1).bit_length()


def midpoints(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Between neighbours of tables float64[..., k]: float64[..., k - 1]."""
    return np.ascontiguousarray((levels[..., 1:] + levels[..., :-1]) / 2)


def nearest(values: NDArray[np.float64], scales: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.int32]:
    """Codes int32[n, width] of the levels [k] nearest to values [n, width] over their groups' scales [n]."""
    codes = np.empty(values.shape, np.int32)
    nearest_levels(np.ascontiguousarray(values), np.ascontiguousarray(scales), midpoints(levels), codes)
    return codes


def absmax_scales(values: NDArray[np.float64], largest_level: float) -> NDArray[np.float64]:
    """Scales [n] that put a group's largest magnitude on the largest level; 1 for a group of zeros."""
    scales = np.abs(values).max(axis=1) / largest_level
    return np.where(scales > 0, scales, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class BestFit:
    """Groups in the table that fits each best: `codes` int32[n, width], `scales` float64[n], `picks` int32[n], and the
    sums of squared errors of every table, float64[n, n_tables]."""

    codes: NDArray[np.int32]
    scales: NDArray[np.float64]
    picks: NDArray[np.int32]
    errors: NDArray[np.float64]


def best_fit(values: NDArray[np.float64], tables: NDArray[np.float64], bounds: Sequence[float]) -> BestFit:
    """For every group [width] of values [n, width] the table of tables [n_tables, k] with the least squared error.

    The first of equal ones; a scale puts the largest magnitude on the table's largest one, within `bounds`.
    """
    n = len(values)
    found = BestFit(
        np.empty(values.shape, np.int32), np.empty(n), np.empty(n, np.int32), np.empty((n, len(tables)), np.float64)
    )
    best_tables(
        np.ascontiguousarray(values),
        tables,
        midpoints(tables),
        np.array(bounds),
        found.codes,
        found.scales,
        found.picks,
        found.errors,
    )
    return found
