"""Formats of a few levels: what their tables hold, and what is true of any values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from simulator.core.errors import ConfigError, WorkloadError
from simulator.numerics.format_names import format_named, format_names
from simulator.numerics.formats.bitmod import Bitmod
from simulator.numerics.formats.floating import Floating
from simulator.numerics.formats.mx import Mx
from simulator.numerics.levels import MINIFLOATS

FLOATING = sorted(Floating.EXAMPLES)
MICROSCALING = sorted(Mx.EXAMPLES)
ALL = [*FLOATING, *MICROSCALING, *Bitmod.EXAMPLES, "qoq_w4"]
WEIGHT_LIKE = st.floats(-4, 4, width=32) | st.sampled_from([0.0, 1.0, -6.0, 0.75, 1e-45, -3e-39, 2.0**-126])


def matrices(elements: st.SearchStrategy[float] = WEIGHT_LIKE) -> st.SearchStrategy[NDArray[np.float32]]:
    shapes = st.tuples(st.integers(1, 3), st.integers(1, 70))
    return hnp.arrays(np.float32, shapes, elements=elements)


@pytest.mark.parametrize(
    ("name", "positive"),
    [
        ("fp3", [1, 2, 4]),
        ("fp4", [0.5, 1, 1.5, 2, 3, 4, 6]),
        ("fp5_e2m2", [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 5, 6, 7]),
        ("fp5_e3m1", [0.125, 0.25, 0.375, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24]),
    ],
)
def test_tables_are_the_published_ones(name: str, positive: list[float]) -> None:
    assert list(MINIFLOATS[name]) == [*(-level for level in reversed(positive)), 0.0, *positive]


@pytest.mark.parametrize(
    ("name", "largest", "smallest", "n_levels"),
    [
        ("fp6_e2m3", 7.5, 0.125, 63),
        ("fp6_e3m2", 28.0, 0.0625, 63),
        ("fp8_e4m3", 448.0, 2.0**-9, 253),
        ("fp8_e5m2", 57344.0, 2.0**-16, 247),
    ],
)
def test_tables_have_the_standards_ends(name: str, largest: float, smallest: float, n_levels: int) -> None:
    levels = MINIFLOATS[name]
    assert (max(levels), -min(levels), len(levels)) == (largest, largest, n_levels)
    assert min(level for level in levels if level > 0) == smallest


@pytest.mark.parametrize(
    ("name", "code", "group", "n_groups", "channel"),
    [
        ("fp3", 3, 16, 6, 0),
        ("fp4", 4, 16, 6, 0),
        ("fp4_g32", 4, 16, 22, 0),
        ("fp4_channel", 4, 16, 1, 0),
        ("fp5_e3m1", 5, 16, 6, 0),
        ("fp6_e2m3", 6, 16, 6, 0),
        ("fp8_e4m3", 8, 16, 6, 0),
        ("mx_fp3", 3, 8, 22, 0),
        ("mx_fp4_g16", 4, 8, 44, 0),
        ("mx_int8", 8, 8, 22, 0),
        ("bitmod_4b", 4, 16 + 2, 6, 0),
        ("bitmod_3b_er", 3, 16 + 1, 6, 0),
        ("bitmod_3b_int8scale", 3, 8 + 2, 6, 16),
        ("bitmod_4b_ea_int4scale_g64", 4, 4 + 1, 11, 16),
        ("qoq_w4", 4, 8 + 4, 6, 16),
    ],
)
def test_bits_count_all_that_is_stored(name: str, code: int, group: int, n_groups: int, channel: int) -> None:
    # Of 704 columns the last group of 128 is half a one, and stores as much as a whole.
    stored = code * 704 + group * n_groups + channel
    assert format_named(name).bits_per_value(704) * 704 == pytest.approx(stored, rel=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_zeros_and_ragged_groups(name: str) -> None:
    fmt = format_named(name)
    assert not fmt.rounded(np.zeros((2, 130), np.float32)).any()
    values = np.random.default_rng(1).normal(size=(3, 200)).astype(np.float32)
    rounded = fmt.rounded(values)
    assert np.isfinite(rounded).all()
    if "scale" in name or name == "qoq_w4":
        return  # what a row shares, its groups do not have alone
    width = 32 if name.startswith("mx") else 128
    alone = [fmt.rounded(values[:, first : first + width]) for first in range(0, 200, width)]
    np.testing.assert_array_equal(rounded, np.concatenate(alone, axis=1))


@pytest.mark.parametrize("name", [*FLOATING, "bitmod_4b", "bitmod_3b"])
@pytest.mark.parametrize("value", [0.3, -7e-3, 1e-3])
def test_groups_of_one_value_are_exact(name: str, value: float) -> None:
    values = np.full((1, 128), value, np.float32)
    np.testing.assert_allclose(format_named(name).rounded(values), values, rtol=1e-6)


@settings(max_examples=30)
@given(st.sampled_from(FLOATING), matrices(), st.sampled_from([1, 7, 64]))
def test_floating_is_nearest_and_the_largest_is_kept(name: str, values: NDArray[np.float32], group: int) -> None:
    fmt = format_named(f"{name}_g{group}")
    found = fmt.quantize(values)
    rounded = fmt.dequantize(found).astype(np.float64)
    levels = np.array(MINIFLOATS[name])
    scales = np.repeat(found.scales, group, axis=1)[:, : values.shape[1]]
    largest = np.abs(levels).max() * scales
    nearest = np.abs(values[..., None] - levels * scales[..., None]).min(axis=-1)
    assert (np.abs(rounded - values) <= nearest + 1e-7 * largest + 1e-45).all()
    assert (np.abs(rounded - values) <= np.diff(levels).max() / 2 * scales + 1e-7 * largest + 1e-45).all()


@settings(max_examples=30)
@given(st.sampled_from([*FLOATING, "bitmod_4b_er", "bitmod_3b_er"]), matrices(st.floats(-4, 4, width=16)))
def test_a_second_rounding_changes_nothing(name: str, values: NDArray[np.float32]) -> None:
    # Scales are not rounded, so a float32 may come back an ulp off. BitMoD's least scale clips what is below it.
    values[:, 0] = 1
    once = format_named(f"{name}_channel").rounded(values)
    np.testing.assert_allclose(format_named(f"{name}_channel").rounded(once), once, rtol=1e-6)


@settings(max_examples=30)
@given(st.sampled_from(MICROSCALING), matrices())
def test_microscaling_has_powers_of_two_and_is_idempotent(name: str, values: NDArray[np.float32]) -> None:
    fmt = format_named(name)
    found = fmt.quantize(values)
    assert (np.frexp(found.scales)[0] == 0.5).all()
    assert (found.scales >= 2.0**-127).all()
    levels = fmt.levels  # type: ignore[attr-defined]
    scales = np.repeat(found.scales, 32, axis=1)[:, : values.shape[1]]
    once = fmt.dequantize(found)
    inside = np.clip(values, levels.min() * scales, levels.max() * scales)
    gap = np.diff(levels).max() / 2 * scales
    assert (np.abs(once - inside) <= gap + 1e-44).all()
    # The largest of a group lies within a factor of two of the largest level, so it loses less than its upper quarter.
    assert (np.abs(values) < 2 * np.abs(levels).max() * scales).all()
    np.testing.assert_array_equal(fmt.rounded(once), once)


def test_microscaling_by_hand() -> None:
    # floor(log2 7.5) = 2, less the 2 of level 6: scale 1. 7.5 saturates, midpoints 2.5 and -2.5 go down.
    values = np.array([[7.5, 2.5, -2.5, 0.25, -0.25, 0.26, 0, 5]], np.float32)
    found = format_named("mx_fp4").quantize(values)
    assert found.scales.tolist() == [[1.0]]
    assert format_named("mx_fp4").dequantize(found).tolist() == [[6, 2, -3, 0, -0.5, 0.5, 0, 4]]
    # A power of two itself has its own exponent: 8 with scale 2 is level 4.
    assert format_named("mx_fp4").quantize(np.array([[8.0]])).scales.tolist() == [[2.0]]
    assert format_named("mx_fp4").quantize(np.array([[np.nextafter(8.0, 0)]])).scales.tolist() == [[1.0]]


def test_shared_exponents_have_eight_bits() -> None:
    tiny, huge = np.array([[1e-45]], np.float64), np.array([[1e300]], np.float64)
    assert format_named("mx_fp4").quantize(tiny).scales.tolist() == [[2.0**-127]]
    assert format_named("mx_fp4").quantize(huge).scales.tolist() == [[2.0**127]]


@pytest.mark.parametrize("name", ["fp6", "mx_fp6", "fp7_e3m3", "bitmod_5b", "bitmod_4b_int1scale", "qoq_w8"])
def test_names_that_there_are_not_get_the_nearest(name: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no number format '{name}'") as refused:
        format_named(name)
    assert refused.value.remedy


@pytest.mark.parametrize("levels", [(1.0, 0.0), (0.0, 0.0), (0.0,), (0.0, float("nan"))])
def test_a_table_ascends(levels: tuple[float, ...]) -> None:
    for family in (Floating, Mx):
        with pytest.raises(ValueError, match="levels"):
            family.Config(levels=levels)


def test_all_are_listed() -> None:
    assert set(ALL) <= set(format_names())


def test_any_table_will_do() -> None:
    fmt = Floating(Floating.Config(levels=(-16, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 16), group=4))
    assert fmt.rounded(np.array([[16.0, 11.9, -5.0, 12.1]])).tolist() == [[16, 8, -6, 16]]
    assert fmt.bits_per_value(8) == 4 + 16 / 4


@pytest.mark.parametrize("name", ["int4_asym", "bitmod_3b", "mx_fp4", "qoq_w4"])
@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_values_that_are_not_finite_are_refused(name: str, bad: float) -> None:
    matrix = np.ones((2, 256), np.float32)
    matrix[1, 130] = bad
    with pytest.raises(WorkloadError, match=r"row 1, column 130 is -?(nan|inf)"):
        format_named(name).quantize(matrix)


@pytest.mark.parametrize(
    ("name", "words", "remedy"),
    [
        ("kv8", "several tensors", "model_formats"),
        ("int4", "no number format 'int4'", "`int4_asym`, `int4_sym`"),
        ("int4_asym+kv8", "several tensors", "model_formats"),
    ],
)
def test_names_that_are_no_single_format_say_what_to_write(name: str, words: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        format_named(name)
    assert remedy in str(refused.value)
