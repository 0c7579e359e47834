"""BitMoD against its golden vectors, against a plain twin, and the corners of its definition."""

from __future__ import annotations

import csv
from collections.abc import Callable
from math import cos, exp, sin
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from simulator.core.errors import ConfigError
from simulator.numerics.format_names import format_named
from simulator.numerics.formats.bitmod import Bitmod
from simulator.numerics.number_format import GroupedFormat
from simulator.numerics.second_level_scales import second_level_scales
from tests.twins.level_search import best_table

# Formulas of datapaths, section 6.
VECTORS: dict[str, Callable[[int], float]] = {
    "G1": lambda i: sin(0.37 * (i + 1)) * exp(-i / 64),
    "G2": lambda i: ((37 * i + 11) % 128 - 63.5) / 63.5,
    "G3": lambda i: cos(0.11 * i * i) ** 3 + 2.5 * (i == 17),
    "G4": lambda i: (1.6 if i % 9 == 0 else 1) * sin(i + 0.5),
    "G5": lambda i: 0.3 * sin(1.7 * i) + 0.05 * cos(0.013 * i * i) - 1.4 * (i == 100),
}
SPECIAL = {3: [3.0, -3.0, 6.0, -6.0], 4: [5.0, -5.0, 8.0, -8.0]}
BASIC = {3: [-4.0, -2, -1, 0, 1, 2, 4], 4: [-6.0, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6]}


def vector(name: str) -> NDArray[np.float64]:
    return np.array([[VECTORS[name](i) for i in range(128)]])


def mean_squared_error(fmt: GroupedFormat, values: NDArray[np.float64]) -> float:
    return float(((fmt.dequantize_groups(fmt.quantize_groups(values)) - values) ** 2).mean())


def golden_rows(repo_root: Path) -> list[tuple[str, int, dict[str, str]]]:
    with (repo_root / "simulator/experiments/targets/datapath_golden.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["suite"] == "bitmod_quantizer"]
    found = [(row["workload"], int(row["w_bits"]), row["aux"]) for row in rows]
    return [(name, bits, dict(part.split("=") for part in aux.split(";"))) for name, bits, aux in found]


def test_golden_vectors(repo_root: Path) -> None:
    rows = golden_rows(repo_root)
    assert rows
    for name, bits, expected in rows:
        values = vector(name)
        fmt = Bitmod(Bitmod.Config(bits=bits))
        found = fmt.quantize_groups(values)
        assert SPECIAL[bits][found.extra["special"][0]] == float(expected["pick"])
        assert found.scales[0] == pytest.approx(float(expected["scale"]), rel=1e-9)
        formats = {f"mse_FP{bits}": format_named(f"fp{bits}")}
        formats |= {f"mse_sv{sv:+g}": Bitmod(Bitmod.Config(bits=bits, special_values=(sv,))) for sv in SPECIAL[bits]}
        formats |= {f"mse_INT{bits}{kind}": format_named(f"int{bits}_{kind}") for kind in ("asym", "sym")}
        errors = {what: mean_squared_error(own, values) for what, own in formats.items()}  # type: ignore[arg-type]
        assert errors == {what: pytest.approx(float(expected[what]), abs=1e-9) for what in formats}
        assert mean_squared_error(fmt, values) == min(errors[f"mse_sv{sv:+g}"] for sv in SPECIAL[bits])


@pytest.mark.parametrize("bits", [3, 4])
@pytest.mark.parametrize("name", VECTORS)
def test_vectors_equal_the_twin(name: str, bits: int) -> None:
    values = vector(name)
    expected = best_table(values[0], [[*BASIC[bits], sv] for sv in SPECIAL[bits]])
    fmt = Bitmod(Bitmod.Config(bits=bits))
    found = fmt.quantize_groups(values)
    assert (found.extra["special"][0], found.scales[0]) == (expected.pick, expected.scale)
    np.testing.assert_array_equal(fmt.dequantize_groups(found)[0], expected.values)


MATRICES = hnp.arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 40)), elements=st.floats(-1, 1, width=32))


@settings(max_examples=30)
@given(MATRICES, st.sampled_from([3, 4]), st.sampled_from([5, 16, 128]))
def test_the_choice_is_never_worse_than_any_of_its_candidates(
    values: NDArray[np.float32], bits: int, group: int
) -> None:
    def error(name: str) -> float:
        return float(((format_named(f"{name}_g{group}").rounded(values).astype(np.float64) - values) ** 2).sum())

    mix = error(f"bitmod_{bits}b")
    # In float32 the values are off by a rounding.
    assert mix <= min(error(f"bitmod_{bits}b_er"), error(f"bitmod_{bits}b_ea")) * (1 + 1e-5) + 1e-12


@settings(max_examples=30)
@given(MATRICES, st.sampled_from(["bitmod_3b", "bitmod_4b_ea"]), st.sampled_from([4, 8]))
def test_integer_scales_keep_codes_and_picks(values: NDArray[np.float32], name: str, scale_bits: int) -> None:
    plain = format_named(f"{name}_g8").quantize(values)
    fmt = format_named(f"{name}_int{scale_bits}scale_g8")
    found = fmt.quantize(values)
    np.testing.assert_array_equal(found.codes, plain.codes)
    np.testing.assert_array_equal(found.extra["special"], plain.extra["special"])
    codes, channel = found.extra["scale_code"], found.extra["channel_scale"]
    assert codes.min() >= 0
    assert (codes.max(axis=1) == 2 ** (scale_bits - 1) - 1).all()
    np.testing.assert_array_equal(found.scales, codes * channel[:, None])
    assert (np.abs(found.scales - plain.scales) <= channel[:, None] / 2 * (1 + 1e-9)).all()
    assert np.isfinite(fmt.dequantize(found)).all()


def test_halves_of_second_level_scales_go_to_even() -> None:
    found = second_level_scales(np.array([[127.0, 2.5, 3.5, 0.4]]), 8)
    assert found.codes.tolist() == [[127, 2, 4, 0]]
    assert found.scales.tolist() == [[127, 2, 4, 0]]


def test_extra_asymmetry_divides_by_the_special_value_and_clips_the_other_sign() -> None:
    # With +8 alone the scale is 8/8 = 1, although the extreme is -8: that becomes -6.
    fmt = Bitmod(Bitmod.Config(bits=4, special_values=(8.0,)))
    assert fmt.rounded(np.array([[-8.0, 7.5, 7.0, 0.25, 5.0]])).tolist() == [[-6, 8, 6, 0, 4]]


def test_of_equal_candidates_the_first_is_kept() -> None:
    # Levels of FP4 itself: no special value is of use, and all but the asymmetric ones are exact.
    found = format_named("bitmod_4b").quantize(np.array([BASIC[4]]))
    assert found.extra["special"].tolist() == [[0]]
    assert format_named("bitmod_4b").rounded(np.array([BASIC[4]])).tolist() == [BASIC[4]]


def test_scales_are_bounded() -> None:
    found = format_named("bitmod_3b_g2").quantize(np.array([[0.0, 0.0, 1e-9, -1e-9, 1e9, -1e9]]))
    assert found.scales.tolist() == [[1e-5, 1e-5, 1e4]]
    assert format_named("bitmod_3b_g2").dequantize(found).tolist() == [[0, 0, 0, 0, 6e4, -4e4]]


def test_other_special_values_can_be_tried() -> None:
    fmt = Bitmod(Bitmod.Config(bits=3, special_values=(7.0, -5.0, 0.5), group=4))
    assert fmt.rounded(np.array([[7.0, 4, 1, -2]])).tolist() == [[7, 4, 1, -2]]
    assert fmt.bits_per_value(4) == 3 + (16 + 2) / 4
    assert Bitmod(Bitmod.Config(bits=3, special_values=(7.0,), group=4)).bits_per_value(4) == 3 + 16 / 4


def test_a_level_is_no_special_value() -> None:
    with pytest.raises(ValueError, match="4 is a level of FP3 already"):
        Bitmod.Config(bits=3, special_values=(4.0,))
    with pytest.raises(ConfigError, match="there is no number format 'bitmod_4b_xr'"):
        format_named("bitmod_4b_xr")
