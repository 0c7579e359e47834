"""Blocks under one exponent: the kernel against the fields of FP16, over its whole range, in place and with a rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.kernels.bfp import round_blocks
from simulator.numerics.block_floating_point import decode, encode, halves_of

SEEDS = st.integers(0, 2**32 - 1)


def rounded(values: NDArray[np.float32], group: int, mantissa_bits: int, nearest: bool) -> NDArray[np.float32]:
    found = np.empty_like(values)
    assert round_blocks(values, values.view(np.int32), group, mantissa_bits, nearest, found) == -1
    return found


def by_fields(values: NDArray[np.float32], group: int, mantissa_bits: int, nearest: bool) -> NDArray[np.float64]:
    parts = [
        decode(encode(halves_of(values[:, at : at + group]), mantissa_bits, nearest=nearest), mantissa_bits)
        for at in range(0, values.shape[1], group)
    ]
    return np.concatenate(parts, axis=1)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 16), st.sampled_from([1, 8, 64, 200]), st.booleans(), st.integers(-26, 13))
def test_rounding_is_that_of_the_fields(
    seed: int, mantissa_bits: int, group: int, nearest: bool, exponent: int
) -> None:
    rng = np.random.default_rng(seed)
    spread = rng.integers(-12, 3, (3, 150))
    values = np.ldexp(rng.standard_normal((3, 150)), exponent + spread).clip(-65504, 65504).astype(np.float32)
    assert (rounded(values, group, mantissa_bits, nearest) == by_fields(values, group, mantissa_bits, nearest)).all()


@pytest.mark.parametrize("mantissa_bits", [1, 6, 11, 16])
@pytest.mark.parametrize("nearest", [False, True])
def test_every_half_and_what_lies_between(mantissa_bits: int, nearest: bool) -> None:
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    middles = halves.copy()
    middles[:-1] = (halves[:-1] + halves[1:]) / 2  # ties of the cast to FP16
    for values in (halves, -middles, np.nextafter(middles, np.float32(0)), np.nextafter(middles, np.float32(65504))):
        for group in (1, 64):
            matrix = values.reshape(-1, group)
            expected = by_fields(matrix, group, mantissa_bits, nearest)
            assert (rounded(matrix, group, mantissa_bits, nearest) == expected).all()


def test_where_it_lies() -> None:
    values = np.random.default_rng(0).standard_normal((5, 100)).astype(np.float32)
    expected = rounded(values, 64, 5, False)
    assert round_blocks(values, values.view(np.int32), 64, 5, False, values) == -1
    assert (values == expected).all()


@pytest.mark.parametrize("value", [65520.0, -65520.0, 1e30, np.inf, -np.inf, np.nan, -np.nan])
def test_a_block_with_what_fp16_has_not_is_named(value: float) -> None:
    values = np.zeros((3, 130), np.float32)
    values[1, 129] = value
    assert round_blocks(values, values.view(np.int32), 64, 5, False, np.empty_like(values)) == 130 + 128
    values[1, 129] = np.nextafter(np.float32(65520), np.float32(0))
    assert rounded(values, 64, 16, False)[1, 129] == 65504
