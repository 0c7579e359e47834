"""The search for levels against its plain twin, ties, zeros and groups of any width included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.kernels.ant_levels import search_levels, search_pairs
from tests.twins import ant_levels as twin

INT = [0.0, 1, 2, 3, 4, 5, 6, 7]
FLINT = [0.0, 1, 2, 3, 4, 6, 8, 16]
COARSE = [1.0, 7, 14, 23, 36, 57, 94, 163]  # no zero
NEAR = [12.0, 16, 24, 32, 48, 64, 96]
FAR = [24.0, 32, 48, 64, 96, 128, 192]
# Multiples of an eighth make ties, the others do not.
VALUES = st.one_of(st.integers(-40, 40).map(lambda i: i / 8), st.floats(-30, 30, allow_subnormal=False))
GROUPS = st.lists(VALUES, min_size=1, max_size=11)


def searched(group: list[float], sets: list[list[float]]) -> tuple[int, float, NDArray[np.float64]]:
    values, levels = np.array([group]), np.array(sets)
    codes, scales, picks = np.empty(values.shape, np.int32), np.empty(1), np.empty(1, np.int32)
    search_levels(values, levels, codes, scales, picks)
    signed = np.concatenate((levels, -levels), axis=1)
    return int(picks[0]), float(scales[0]), signed[picks[0], codes[0]] * scales[0]


@settings(max_examples=150, deadline=None)
@given(GROUPS, st.sampled_from([[INT, FLINT], [INT, COARSE], [FLINT], [FLINT, INT, COARSE]]))
def test_sets_are_the_twins(group: list[float], sets: list[list[float]]) -> None:
    pick, scale, found = searched(group, sets)
    expected_pick, expected_scale, error = twin.best_set(group, sets)
    squared = float(((np.array(group) - found) ** 2).sum())
    assert squared == pytest.approx(error, rel=1e-9, abs=1e-12)
    if pick == expected_pick:  # else two sets fit alike but for the last bit
        assert scale == expected_scale


@pytest.mark.parametrize(("value", "level"), [(2.5, 2), (-2.5, -3), (0.5, 0), (-0.5, -1), (6.5, 6), (-6.5, -7)])
def test_a_tie_goes_to_the_lower_level(value: float, level: float) -> None:
    assert searched([7.0, value], [INT])[2][1] == level


def test_the_first_of_equal_sets_is_taken() -> None:
    assert searched([7.0, 1.0, -3.0], [INT, INT, FLINT])[0] == 0


@settings(max_examples=80, deadline=None)
@given(GROUPS, st.floats(0.1, 8), st.sampled_from([[1.0], [0.75, 1.0, 1.3], [1.5, 0.5]]))
def test_pairs_are_the_twins(group: list[float], reach: float, shares: list[float]) -> None:
    values, normal, outliers = np.array([group]), np.array([INT, FLINT]), np.array([NEAR, FAR])
    codes, scales, picks = np.empty(values.shape, np.int32), np.empty(1), np.empty(1, np.int32)
    search_pairs(values, normal, outliers, np.array([reach]), np.array(shares), codes, scales, picks)
    least = twin.best_pairs(group, [INT, FLINT], [NEAR, FAR], reach, shares)
    kept = twin.pair_values(group, normal[picks[0]].tolist(), outliers[picks[0]].tolist(), float(scales[0]))
    error = sum((value - other) ** 2 for value, other in zip(group, kept, strict=True))
    assert error == pytest.approx(least, rel=1e-9, abs=1e-12)
    victims = [at for at in range(len(group)) if codes[0, at] == len(INT)]
    assert all(kept[at] == 0 for at in victims)
    assert all(codes[0, at ^ 1] != len(INT) and kept[at ^ 1] != 0 for at in victims)
