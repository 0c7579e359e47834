"""Anda's activations as a number format."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from simulator.core.errors import ConfigError, WorkloadError
from simulator.numerics.block_floating_point import decode
from simulator.numerics.format_names import SITES, format_named, model_formats
from simulator.numerics.formats.anda import Anda
from simulator.numerics.number_format import NumberFormat


def activations(n_columns: int = 200) -> NDArray[np.float32]:
    return np.random.default_rng(3).standard_normal((7, n_columns)).astype(np.float32)


def anda(name: str) -> Anda:
    found = format_named(name)
    assert isinstance(found, Anda)
    return found


@pytest.mark.parametrize(
    "name", ["anda_m1", "anda_m6", "anda_m16", "anda_m5_nearest", "anda_m7_g16", "anda_m4_channel"]
)
def test_the_fast_way_is_the_way_by_codes(name: str) -> None:
    values, found = activations(), anda(name)
    by_codes = NumberFormat.rounded(found, values)
    assert (found.rounded(values) == by_codes).all()
    assert (found.rounded(values.astype(np.float64)) == by_codes).all()
    assert (found.rounded(np.asfortranarray(values)) == by_codes).all()
    found.round_in_place(values)
    assert (values == by_codes).all()


def test_codes_say_what_blocks_say() -> None:
    values, found = activations(128), anda("anda_m6")
    quantized = found.quantize(values)
    groups = values.reshape(-1, 64)
    blocks = found.blocks(groups)
    assert (quantized.extra["exponent"].reshape(-1) == blocks.exponents).all()
    assert (found.dequantize(quantized).reshape(-1, 64) == decode(blocks, 6)).all()


def test_bits() -> None:
    assert anda("anda_m6").bits_per_value(4096) == 1 + 6 + 5 / 64
    assert anda("anda_m6").bits_per_value(704 + 32) == 1 + 6 + 5 * 12 / 736
    assert anda("anda_m6_g16").bits_per_value(64) == 1 + 6 + 5 / 16


def test_zeros_stay_zeros() -> None:
    assert (anda("anda_m6").rounded(np.zeros((2, 100), np.float32)) == 0).all()


@pytest.mark.parametrize("n_bits", [0, 17, 64])
def test_a_mantissa_outside_its_range_is_refused(n_bits: int) -> None:
    with pytest.raises(ConfigError, match=f"anda_m{n_bits}.*`mantissa` = {n_bits}") as caught:
        format_named(f"anda_m{n_bits}")
    assert "16" in str(caught.value) or "1" in str(caught.value.remedy)


@pytest.mark.parametrize("value", [7e4, -7e4, np.inf, np.nan])
def test_what_fp16_has_not_is_refused_and_named(value: float) -> None:
    values = activations()
    values[4, 150] = value
    for matrix in (values, values.astype(np.float64)):
        with pytest.raises(WorkloadError, match=rf"(activation of|is) {value:g}"):
            anda("anda_m6").rounded(matrix)


def test_names_are_of_activations() -> None:
    formats = model_formats("int4_asym+anda_m7-5-6-4")
    found = [formats.activations[site] for site in SITES]
    assert [one.config.mantissa for one in found if isinstance(one, Anda)] == [7, 5, 6, 4]
    assert formats.weights is not None
