"""Weight matrices over several stacks, and the two ratios that PAPI prints of its stacks to AttAcc's."""

from __future__ import annotations

import pytest

from simulator.core.errors import ConfigError, MappingError
from simulator.core.rounding import ceil_div
from simulator.devices.pim_attention import PimHead
from simulator.devices.pim_blocks import block_grid
from simulator.devices.pim_linear import LinearShape, grids
from tests.devices.pim_stack_parts import pim_stack

LLAMA_65B = ((8192, 3 * 8192), (8192, 8192), (8192, 2 * 22016), (22016, 8192))
"""Fully-connected layers: query, key and value; projection; gate and up; down."""

FREE_ROWS = tuple(
    f"dram.overrides.{name}" for name in ("n_rcdrd=1", "n_rcdwr=1", "n_rp=1", "n_rtp=2", "n_ras=20", "n_rc=21")
)


def layer_ticks(name: str, tokens: int, *sets: str) -> int:
    stack = pim_stack(name, *sets)
    return sum(block_grid(stack, 30, LinearShape(tokens, *sizes)).run.ticks for sizes in LLAMA_65B)


def fc_ratio(tokens: int, *sets: str) -> float:
    return layer_ticks("attacc", tokens, *sets) / layer_ticks("fc_pim", tokens, *sets)


def test_fc_pim_over_attacc() -> None:
    """PAPI prints 2.9 for batch 4 and speculation 4; we get 2.59, 11 % less. Peak rates are 3 to 1, for 4 x 3/4 units.

    Row switches are the difference. AttAcc's units are busy with a column for 32 clocks, so that 14 of the 46 that a
    switch takes are waited for; FC-PIM's for 8, so that 38 are, at every 32nd column.
    """
    assert fc_ratio(16) == pytest.approx(2.59, abs=0.005)
    assert fc_ratio(16) == pytest.approx(2.9, rel=0.11)
    assert fc_ratio(16, *FREE_ROWS) == pytest.approx(2.9, rel=0.01)


@pytest.mark.parametrize(("tokens", "ratio"), [(1, 1.01), (4, 1.28), (8, 2.37), (32, 2.67), (64, 2.72)])
def test_fc_pim_over_attacc_by_tokens(tokens: int, ratio: float) -> None:
    """No gain where columns bind: a quarter fewer banks, at four clocks instead of six. More with more tokens."""
    assert fc_ratio(tokens) == pytest.approx(ratio, abs=0.01)


@pytest.mark.parametrize(
    ("context", "ratio"), [(128, 1.42), (256, 1.60), (512, 1.67), (1024, 1.71), (2048, 1.68), (4096, 1.78)]
)
def test_attn_pim_over_attacc(context: int, ratio: float) -> None:
    """PAPI prints 1.7 at four tokens a pass. Units are half as many; rows, and moves at short contexts, are not."""
    head = PimHead(context, n_queries=4)
    theirs, ours = (pim_stack(name).attention([head] * 5, 128).ticks for name in ("attacc", "attn_pim"))
    assert ours / theirs == pytest.approx(ratio, abs=0.01)
    if context >= 256:
        assert ours / theirs == pytest.approx(1.7, rel=0.1)


@pytest.mark.parametrize("name", ["attacc", "fc_pim"])
@pytest.mark.parametrize(
    "shape", [LinearShape(1, 8192, 8192), LinearShape(16, 22016, 8192), LinearShape(5, 777, 12345)]
)
def test_the_grid_of_blocks_is_as_fast_as_any(name: str, shape: LinearShape) -> None:
    stack = pim_stack(name)
    every = [block_grid(stack, 12, shape, grid=grid) for grid in grids(12)]
    chosen = block_grid(stack, 12, shape)
    least = min(one.run.ticks for one in every)
    assert least <= chosen.run.ticks <= 1.01 * least
    same = [one.traffic_bytes for one in every if one.run.ticks == chosen.run.ticks]
    assert chosen.traffic_bytes == min(same)
    again = stack.linear(*_of(chosen.block), grid=chosen.channels)
    assert again == chosen.run
    assert again.time_ps == stack.linear_time_ps(chosen.block, chosen.channels)


def _of(shape: LinearShape) -> tuple[int, int, int, int]:
    return shape.tokens, shape.n_in, shape.n_out, shape.bytes_per_element


def test_what_stacks_receive_and_send() -> None:
    """Inputs of a block's rows, results or partial sums of its columns: two bytes each, whatever the weights have."""
    one = block_grid(pim_stack("fc_pim"), 30, LinearShape(16, 8192, 22016, 1), grid=(5, 6))
    assert (one.block.n_in, one.block.n_out) == (ceil_div(8192, 5), ceil_div(22016, 6))
    assert (one.input_bytes, one.output_bytes) == (16 * 1639, 16 * 3670 * 2)
    assert one.traffic_bytes == 30 * (one.input_bytes + one.output_bytes)


def test_a_slow_link_asks_for_square_blocks() -> None:
    """With time for bytes counted, the grid has the least bytes a stack."""
    stack, shape = pim_stack("fc_pim"), LinearShape(16, 8192, 8192)
    slow = block_grid(stack, 16, shape, link_ps_per_byte=1e6)
    assert (slow.rows, slow.columns) == (4, 4)


def test_blocks_hold_what_one_stack_cannot() -> None:
    stack, shape = pim_stack("fc_pim"), LinearShape(1, 1 << 17, 1 << 16)
    with pytest.raises(MappingError, match="cut the matrix in blocks for more stacks"):
        block_grid(stack, 1, shape)
    assert block_grid(stack, 4, shape).run.commands["MAC"] >= (1 << 33) // 4 // (64 * 12)


def test_refused_grids() -> None:
    stack, shape = pim_stack("fc_pim"), LinearShape(1, 64, 64)
    with pytest.raises(ConfigError, match="a grid of 4 x 7 blocks is not one for each of 30 stacks"):
        block_grid(stack, 30, shape, grid=(4, 7))
    with pytest.raises(ConfigError, match="0 stacks hold no weights"):
        block_grid(stack, 0, shape)
