"""ANT, M-ANT-like levels and OliVe: levels, choices, bits, and the errors that were measured on the trained models."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file

from simulator.core.errors import ConfigError
from simulator.numerics.format_names import format_named
from simulator.numerics.formats.ant import LEVELS
from simulator.numerics.formats.mant import COEFFICIENTS
from simulator.numerics.number_format import NumberFormat

NAMES = ("ant4", "ant4_tensor", "ant3", "flint4", "pot4", "flint3", "olive4", "olive3", "mant_4b", "mant_4b_g64")
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def heavy_tailed(shape: tuple[int, int], seed: int = 5) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_t(4, shape).astype(np.float32)


def squared_error(number_format: NumberFormat, values: NDArray[np.float32]) -> float:
    return float(np.square(number_format.rounded(values) - values, dtype=np.float64).sum())


def relative_error(number_format: NumberFormat, files: list[Path]) -> float:
    """Squared error over all matrices of the layers, over their squares."""
    lost = total = 0.0
    for path in files:
        for name, tensor in load_file(path).items():
            if any(projection in name for projection in PROJECTIONS):
                values = tensor.astype(np.float32)
                lost += squared_error(number_format, values)
                total += float(np.square(values, dtype=np.float64).sum())
    return lost / total


def measured(repo_root: Path, case: str) -> float:
    with (repo_root / "simulator/experiments/targets/numerics_golden.csv").open(encoding="utf-8") as text:
        rows = [
            row
            for row in csv.DictReader(text)
            if (row["suite"], row["model"], row["case"], row["metric"])
            == ("weight_quant", "tiny-llama", case, "rel_sq_err")
        ]
    return float(rows[0]["value"])


@pytest.mark.parametrize(("name", "case"), [("mant_4b", "MANT-like-4b-g128"), ("mant_4b_g64", "MANT-like-4b-g64")])
def test_measured_error_of_the_tiny_model(name: str, case: str, repo_root: Path) -> None:
    files = [repo_root / "workloads/checkpoints/tiny-llama/model.safetensors"]
    assert relative_error(format_named(name), files) == pytest.approx(measured(repo_root, case), rel=1e-6)


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "error"), [("mant_4b", 0.009143), ("mant_4b_g64", 0.007752)])
def test_measured_error_of_the_small_model(name: str, error: float, shared_dir: Path) -> None:
    files = sorted((shared_dir / "models/small-llama").glob("*.safetensors"))
    assert relative_error(format_named(name), files) == pytest.approx(error, abs=5e-7)  # given to six places


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(NAMES), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_any_width_and_zeros(name: str, width: int, seed: int) -> None:
    number_format = format_named(name)
    values = heavy_tailed((3, width), seed)
    values[1] = 0
    found = number_format.rounded(values)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert (found[1] == 0).all()
    assert squared_error(number_format, values) <= float(np.square(values, dtype=np.float64).sum())
    again = number_format.dequantize(number_format.quantize(values))
    assert (again == found).all()


@pytest.mark.parametrize("name", NAMES)
def test_codes_take_the_bits_that_are_counted(name: str) -> None:
    codes = format_named(name).quantize(heavy_tailed((20, 256))).codes
    assert codes.min() >= 0
    assert codes.max() < (8 if "3" in name else 16)
    assert len(np.unique(codes)) >= (8 if name == "olive3" else 7)


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("flint4", 4 + 16 / 128),
        ("ant4", 4 + 18 / 128),
        ("ant4_tensor", 4 + 16 / 128),
        ("ant3", 3 + 17 / 128),
        ("olive4", 4 + 17 / 128),
        ("mant_4b", 4 + 20 / 128),
        ("mant_4b_g64", 4 + 20 / 64),
    ],
)
def test_bits(name: str, bits: float) -> None:
    assert format_named(name).bits_per_value(4096) == bits
    assert format_named(name + "_g32" if "_g" not in name else name).bits_per_value(4096) > bits - 1e-9


def test_levels_are_their_own_values() -> None:
    for bits, types in LEVELS.items():
        for name in ("pot", "flint"):
            levels = np.array(types[name], np.float32)  # type: ignore[index]
            values = np.concatenate((levels, -levels))[None, :]
            assert (format_named(f"{name}{bits}").rounded(values) == values).all()
    for a in COEFFICIENTS:
        levels = np.array([[a * i + 2**i for i in range(8)]], np.float32)
        values = np.concatenate((levels, -levels), axis=1)
        assert format_named("mant_4b").rounded(values) == pytest.approx(values, rel=1e-6)
    doubled = np.array([[0, 0.5, 1, 1.5, 2, 3, 4, -6]], np.float32)
    assert (format_named("ant4").rounded(doubled) == doubled).all()


def test_a_choice_is_no_worse_than_its_members() -> None:
    values = heavy_tailed((40, 256))
    members = [squared_error(format_named(name), values) for name in ("pot4", "flint4")]
    by_group, by_tensor = (squared_error(format_named(name), values) for name in ("ant4", "ant4_tensor"))
    assert by_group < by_tensor <= min(members)
    types = format_named("ant4_tensor").quantize(values).extra["type"]
    assert len(np.unique(types)) == 1
    assert len(np.unique(format_named("ant4").quantize(values).extra["type"])) > 1


@pytest.mark.parametrize("name", ["int4_sym", "flint4"])
def test_mant_and_ant_are_no_worse_than_a_member(name: str) -> None:
    values = heavy_tailed((40, 256))
    assert squared_error(format_named("ant4"), values) <= squared_error(format_named(name), values) * (1 + 1e-9)
    int4 = squared_error(format_named("int4_sym"), values)
    assert squared_error(format_named("mant_4b"), values) <= int4 * (1 + 1e-9)


def test_an_outlier_lives_and_its_victim_dies() -> None:
    values = np.tile(np.linspace(-1, 1, 128, dtype=np.float32), (1, 1))
    values[0, 41] = 30.0
    olive, plain = format_named("olive4"), format_named("int4_sym")
    quantized = olive.quantize(values)
    found = olive.dequantize(quantized)
    assert quantized.codes[0, 40] == 8
    assert found[0, 40] == 0
    assert found[0, 41] == pytest.approx(30, rel=0.2)
    others = np.delete(np.arange(128), [40, 41])
    assert np.abs(found - values)[0, others].max() < np.abs(plain.rounded(values) - values)[0, others].max() / 4


def test_of_two_outliers_the_larger_lives() -> None:
    values = np.tile(np.linspace(-1, 1, 128, dtype=np.float32), (2, 1))
    values[0, 6:8] = -25.0, 31.0
    values[1, 6:8] = -31.0, 25.0
    found = format_named("olive4").rounded(values)
    assert found[:, 6:8].tolist() == [[0.0, pytest.approx(31, rel=0.2)], [pytest.approx(-31, rel=0.2), 0.0]]


@pytest.mark.parametrize("name", ["ant5", "olive5", "mant_3b", "flint8", "ant4_g0"])
def test_what_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        format_named(name)
