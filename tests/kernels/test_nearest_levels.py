"""The search for levels against its plain twin, bit by bit, and against the definition in exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from simulator.numerics.levels import MINIFLOATS, best_fit, nearest
from tests.twins.level_search import best_table, nearest_level

# Eighths meet midpoints of all small formats; the others are anywhere.
VALUES = st.integers(-80, 80).map(lambda n: n / 8) | st.floats(-1e3, 1e3) | st.floats(-1e-300, 1e-300)
SCALES = st.sampled_from([1.0, 0.25, 2.0**-30, 8.0]) | st.floats(1e-6, 1e6)


def groups() -> st.SearchStrategy[NDArray[np.float64]]:
    return hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 20)), elements=VALUES)


@st.composite
def tables(draw: st.DrawFn) -> NDArray[np.float64]:
    """A few tables of equally many levels, some with more midpoints than are compared one by one."""
    n_levels = draw(st.sampled_from([2, 3, 8, 16, 129, 200]))
    n_tables = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return np.array([np.sort(rng.choice(np.arange(-400, 400), n_levels, replace=False)) / 4 for _ in range(n_tables)])


@settings(max_examples=40)
@given(groups(), st.data(), tables())
def test_nearest_equals_the_twin(values: NDArray[np.float64], data: st.DataObject, levels: NDArray[np.float64]) -> None:
    scales = data.draw(hnp.arrays(np.float64, len(values), elements=SCALES))
    np.testing.assert_array_equal(
        nearest(values, scales, levels[0]), nearest_level(values / scales[:, None], levels[0])
    )


@settings(max_examples=40)
@given(groups(), tables())
def test_best_table_equals_the_twin(values: NDArray[np.float64], levels: NDArray[np.float64]) -> None:
    found = best_fit(values, levels, (1e-5, 1e4))
    for group, own in enumerate(values):
        expected = best_table(own, levels.tolist())
        pick = found.picks[group]
        assert (pick, found.scales[group]) == (expected.pick, expected.scale)
        assert found.errors[group].tolist() == expected.errors
        np.testing.assert_array_equal(levels[pick, found.codes[group]] * found.scales[group], expected.values)


def test_whole_groups_are_added_as_numpy_does() -> None:
    values = np.random.default_rng(3).normal(size=(300, 128))
    found = best_fit(values, np.array([MINIFLOATS["fp3"]]), (1e-5, 1e4))
    rounded = np.array(MINIFLOATS["fp3"])[found.codes] * found.scales[:, None]
    np.testing.assert_array_equal(found.errors[:, 0], ((rounded - values) ** 2).sum(axis=1))


@settings(max_examples=40)
@given(st.sampled_from(sorted(MINIFLOATS)), st.lists(VALUES, min_size=1, max_size=8), st.integers(-20, 20))
def test_no_level_is_nearer_and_midpoints_go_down(name: str, values: list[float], exponent: int) -> None:
    levels = [Fraction(level) for level in MINIFLOATS[name]]
    scale = 2.0**exponent
    codes = nearest(np.array([values]) * scale, np.array([scale]), np.array(MINIFLOATS[name]))
    for value, code in zip(values, codes[0], strict=True):
        exact = Fraction(value * scale) / Fraction(scale)
        assert code == min(range(len(levels)), key=lambda place: (abs(levels[place] - exact), place))
