"""Blocks of FP16 values under one exponent: golden conversions, bit planes, and the compressor that makes them."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError
from simulator.numerics.block_floating_point import (
    blocks_of,
    compressed_serially,
    decode,
    encode,
    halves_of,
    planes_of,
    steps_of,
)

J = np.arange(64)
VECTORS = {"A1": np.sin(0.5 * (J + 1)) * 2.0 ** -(J % 7), "A2": ((29 * J + 5) % 64 - 31.5) * 0.17}
HALVES = arrays(np.uint16, st.tuples(st.integers(1, 20), st.integers(1, 64)), elements=st.integers(0, 0xFFFF)).map(
    lambda halves: np.where(halves >> 10 & 0x1F == 0x1F, halves & 0x83FF, halves).astype(np.uint16)
)
MANTISSA_BITS = st.integers(1, 16)


def conversions(repo_root: Path) -> list[dict[str, str]]:
    path = repo_root / "simulator/experiments/targets/datapath_golden.csv"
    with path.open(encoding="utf-8") as text:
        return [row for row in csv.DictReader(text) if row["suite"] == "anda_convert"]


def assert_converts(row: dict[str, str]) -> None:
    """One golden row: shared exponent, zeros, sum of mantissas, error."""
    expected = dict(item.split("=") for item in row["aux"].split(";"))
    halves = halves_of(VECTORS[row["workload"]][None, :])
    blocks = encode(halves, int(expected["M"]))
    assert blocks.exponents[0] == int(expected["shared_exp_biased"])
    assert (blocks.mantissas == 0).sum() == int(expected["zero_mantissas"])
    assert blocks.mantissas.sum() == int(expected["sum_mantissas"])
    error = np.mean((decode(blocks, int(expected["M"])) - halves.view(np.float16).astype(np.float64)) ** 2)
    assert error == pytest.approx(float(expected["mse_vs_fp16"]), rel=1e-9, abs=1e-30)


def test_given_conversions(repo_root: Path) -> None:
    rows = conversions(repo_root)
    assert len(rows) == 8
    for row in rows:
        assert_converts(row)


@pytest.mark.parametrize("mantissa_bits", range(1, 17))
def test_conversion_by_its_definition(mantissa_bits: int) -> None:
    for vector in VECTORS.values():
        halves = halves_of(vector[None, :])
        exact = [float(half) for half in halves.view(np.float16)[0]]
        step = 2.0 ** (max(math.frexp(value)[1] - 1 for value in exact) - mantissa_bits + 1)
        found = decode(encode(halves, mantissa_bits), mantissa_bits)[0]
        assert found.tolist() == [math.trunc(value / step) * step for value in exact]


@settings(max_examples=100, deadline=None)
@given(HALVES, MANTISSA_BITS)
def test_planes_and_back(halves: NDArray[np.uint16], mantissa_bits: int) -> None:
    blocks = encode(halves, mantissa_bits)
    planes = planes_of(blocks, mantissa_bits)
    assert planes.shape == (len(halves), 1 + mantissa_bits)
    again = blocks_of(planes, blocks.exponents, halves.shape[1])
    assert (again.negative == blocks.negative).all()
    assert (again.mantissas == blocks.mantissas).all()


@settings(max_examples=100, deadline=None)
@given(HALVES, MANTISSA_BITS)
def test_the_compressor_emits_the_planes_of_the_conversion(halves: NDArray[np.uint16], mantissa_bits: int) -> None:
    planes, exponents, cycles = compressed_serially(halves, mantissa_bits)
    blocks = encode(halves, mantissa_bits)
    assert (planes == planes_of(blocks, mantissa_bits)).all()
    assert (exponents == blocks.exponents).all()
    assert cycles == mantissa_bits * (1 if len(halves) <= 16 else 2)


@settings(max_examples=100, deadline=None)
@given(HALVES, MANTISSA_BITS, st.booleans())
def test_what_is_lost(halves: NDArray[np.uint16], mantissa_bits: int, nearest: bool) -> None:
    blocks = encode(halves, mantissa_bits, nearest=nearest)
    values, exact = decode(blocks, mantissa_bits), halves.view(np.float16).astype(np.float64)
    step = steps_of(blocks.exponents, mantissa_bits)[:, None]
    assert (blocks.mantissas < 2**mantissa_bits).all()
    assert (np.abs(values - exact) < step).all()
    assert (np.signbit(values) == np.signbit(exact)).all()
    largest = (2**mantissa_bits - 1) * step
    if nearest:  # but for the largest mantissa, which rounding up does not pass
        assert (np.abs(values - exact) <= np.where(np.abs(exact) > largest, step, step / 2)).all()
    else:
        assert (np.abs(values) <= np.abs(exact)).all()
    if mantissa_bits == 16:
        is_near = np.abs(exact) >= step * 2**10  # no bit of these is shifted out
        assert (values == exact)[is_near].all()


def test_layout_of_a_block() -> None:
    values = np.zeros((1, 64))
    values[0, 0], values[0, 1], values[0, 63] = 1.0, -0.75, 0.5
    planes = planes_of(encode(halves_of(values), 3), 3)
    assert planes.tolist() == [[1 << 1, 1 << 0, 1 << 1 | 1 << 63, 1 << 1]]


@pytest.mark.parametrize("value", [65520.0, -1e9, np.inf, np.nan])
def test_beyond_fp16_is_refused(value: float) -> None:
    with pytest.raises(WorkloadError, match="has no FP16"):
        halves_of(np.array([[1.0, value]]))
    assert halves_of(np.array([[65519.0]]))[0, 0] == 0x7BFF
