"""Weights on a machine's stacks: every product against the stacks' own bandwidth and arithmetic."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import pytest

from simulator.core.errors import MappingError
from simulator.devices.pim_weights import PimWeights
from tests.devices.pim_stack_parts import pim_stack

LLAMA_65B = ((8192, 3 * 8192), (8192, 8192), (8192, 2 * 22016), (22016, 8192))


@lru_cache
def weights(name: str = "fc_pim", n_stacks: int = 30, n_bytes: int = 2, hub: float = 1 / 0.3) -> PimWeights:
    return PimWeights(pim_stack(name), n_stacks, n_bytes, hub)


@pytest.mark.parametrize("name", ["fc_pim", "attacc"])
@pytest.mark.parametrize("shape", LLAMA_65B)
def test_no_faster_than_columns_and_units(name: str, shape: tuple[int, int]) -> None:
    """All banks read a column of 32 bytes each 3.08 ns at best, and 16 lanes of a unit multiply at 666 MHz."""
    one = weights(name)
    stack = one.stack
    n_in, n_out = shape
    period_ps = stack.channel.mac_ticks * float(stack.tick_ps)
    columns = n_in * n_out * 2 / 32 / (one.n_stacks * stack.n_banks)
    n_units = one.n_stacks * stack.n_banks * stack.config.units_per_place
    for tokens in (1, 4, 16, 64):
        run = one.linear(tokens, n_in, n_out)
        arithmetic_ps = tokens * n_in * n_out / 16 / n_units * 1e12 / stack.config.unit_clock_hz
        assert run.time_ps >= 0.999 * columns * period_ps
        assert run.time_ps >= 0.96 * arithmetic_ps  # a cycle is rounded to the memory's clock
        assert 0 < run.peak_frac <= 1


def test_bytes_of_inputs_and_partial_sums() -> None:
    run = weights().linear(4, 8192, 24576)
    assert run.input_bytes == 4 * 8192 * 2
    n_rows = run.output_bytes / (4 * 24576)
    assert n_rows >= 2
    assert n_rows % 2 == 0  # sums are of two bytes, from each row of blocks


def test_more_tokens_take_no_less() -> None:
    runs = [weights().linear(n, 8192, 8192) for n in (1, 2, 3, 4, 8, 16, 64, 256)]
    for fewer, more in pairwise(runs):
        assert more.time_ps >= 0.98 * fewer.time_ps  # another grid, for the links' sake
        assert more.energy.total_pj > fewer.energy.total_pj


def test_weights_are_read_once_for_all_tokens() -> None:
    """Energy of reading is that of one token; arithmetic goes with tokens."""
    one, many = (weights(hub=0.0).linear(n, 8192, 8192).energy for n in (1, 16))
    assert many.dynamic_pj["mac"] == pytest.approx(16 * one.dynamic_pj["mac"])
    assert many.total_pj < 16 * one.total_pj


def test_one_byte_and_more_stacks() -> None:
    two, one = (weights(n_bytes=n).linear(1, 8192, 24576).time_ps for n in (2, 1))
    assert 0.45 * two < one < 0.75 * two
    few, many = (weights(n_stacks=n).linear(4, 8192, 24576).time_ps for n in (15, 60))
    assert many < few


def test_capacity() -> None:
    assert weights().capacity_bytes == 30 * 12 << 30
    assert weights("attacc").capacity_bytes == 30 * 16 << 30


def test_what_has_no_room() -> None:
    with pytest.raises(MappingError) as caught:
        weights(n_stacks=1).linear(1, 1 << 18, 1 << 18)
    assert caught.value.remedy
