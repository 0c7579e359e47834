"""Fully-connected layers on one stack: what is commanded, what no stack can be faster than, and what is refused."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import ConfigError, MappingError, WorkloadError
from simulator.devices.pim_linear import LinearCommands, LinearShape, grids, linear_program, shares
from simulator.devices.pim_stack import StackRun
from tests.devices.pim_stack_parts import NAMES, pim_stack

STACKS = st.sampled_from(NAMES)
TOKENS = st.integers(1, 24)
SIZES = st.integers(1, 1500)
BYTES = st.sampled_from([1, 2, 4])


@settings(max_examples=40, deadline=None)
@given(STACKS, TOKENS, SIZES, SIZES, BYTES, st.sampled_from(grids(16)))
def test_commands_have_a_closed_form(
    name: str, tokens: int, n_in: int, n_out: int, n_bytes: int, grid: tuple[int, int]
) -> None:
    """A column of weights for 64 inputs of two bytes and a unit's output, each burst of inputs once for each token and
    channel, a transfer of results for each token, unit of a pseudo channel, and sixteen outputs of the unit."""
    stack = pim_stack(name)
    n_units, lanes = stack.channel.n_units, 32 // n_bytes
    n_chunks, n_columns = ceil(n_in / (4 * lanes)), ceil(n_out / n_units)
    rows = [n_chunks // grid[0] + (row < n_chunks % grid[0]) for row in range(grid[0])]
    columns = [n_columns // grid[1] + (column < n_columns % grid[1]) for column in range(grid[1])]
    run = stack.linear(tokens, n_in, n_out, n_bytes, grid=grid)
    assert run.commands["MAC"] == n_chunks * n_columns
    n_used_rows, n_used_columns = sum(map(bool, rows)), sum(map(bool, columns))
    assert run.commands["WRGB"] == ceil(n_in / lanes) * tokens * n_used_columns
    windows = sum(ceil(column / 16) for column in columns)
    assert run.commands["MVSB"] == windows * n_units // 2 * tokens * n_used_rows
    assert run.commands["MVGB"] == run.commands["SFM"] == 0
    assert run.commands["ACT"] >= sum(ceil(row * column / 32) for row in rows for column in columns)


@settings(max_examples=40, deadline=None)
@given(STACKS, TOKENS, SIZES, SIZES, BYTES)
def test_nothing_is_faster_than_banks_and_units(name: str, tokens: int, n_in: int, n_out: int, n_bytes: int) -> None:
    stack = pim_stack(name)
    run = stack.linear(tokens, n_in, n_out, n_bytes)
    time_ns = run.time_ps / 1e3 + stack.channel.mac_ticks * 0.769  # the last product's data are not waited for
    bank_bytes_per_ns = 32 / (stack.channel.mac_ticks * 0.769)
    assert n_in * n_out * n_bytes / (stack.n_banks * bank_bytes_per_ns) <= time_ns
    n_units = stack.n_banks * stack.config.units_per_place
    macs_per_ns = n_units * 32 / n_bytes * 0.666
    last_ns = tokens / stack.config.units_per_place / 0.666 + 0.769
    assert tokens * n_in * n_out / macs_per_ns <= time_ns + last_ns
    assert run.time_ps >= stack.linear_grids(LinearShape(tokens, n_in, n_out, n_bytes))[0][0]


@settings(max_examples=30, deadline=None)
@given(STACKS, TOKENS, SIZES, SIZES, BYTES)
def test_the_grid_taken_is_as_fast_as_any(name: str, tokens: int, n_in: int, n_out: int, n_bytes: int) -> None:
    """Grids that cannot be the fastest are not timed, nor the one of five that is the slowest by its bound."""
    stack = pim_stack(name)
    every = [stack.linear(tokens, n_in, n_out, n_bytes, grid=grid).ticks for grid in grids(16)]
    assert min(every) <= stack.linear(tokens, n_in, n_out, n_bytes).ticks <= 1.02 * min(every) + 2


@pytest.mark.parametrize("name", NAMES)
def test_a_channels_share_is_never_faster_than_its_bound(name: str) -> None:
    stack = pim_stack(name)
    for tokens in (1, 3, 16, 70):
        for n_in, n_out in ((1, 1), (64, 16), (65, 17), (512, 700), (1024, 33), (40, 4000)):
            share = LinearShape(tokens, n_in, n_out)
            busy = stack.busy_ticks(tokens)
            run = stack.channel.run(linear_program(stack.channel, share, busy))
            assert run.ticks >= LinearCommands.of(stack.channel, share).least_ticks(stack.channel, busy), share


def test_work_grows_with_tokens_inputs_and_outputs() -> None:
    for name in ("attacc", "fc_pim"):
        stack = pim_stack(name)
        assert _increases([stack.linear(tokens, 2048, 2048) for tokens in (1, 4, 8, 16, 32, 64)])
        assert _increases([stack.linear(4, n, 2048) for n in (512, 1024, 2048, 4096)])
        assert _increases([stack.linear(4, 2048, n) for n in (512, 1024, 2048, 4096)])


def _increases(runs: list[StackRun]) -> bool:
    ticks = [run.ticks for run in runs]
    return ticks == sorted(ticks)


@pytest.mark.parametrize(("name", "n_free", "n_bound"), [("attacc", 3, 6), ("fc_pim", 8, 16), ("attn_pim", 1, 2)])
def test_tokens_are_free_until_units_bind(name: str, n_free: int, n_bound: int) -> None:
    """Three tokens of 1.5 ns are six clocks of AttAcc's limit; eight on four units are four clocks."""
    stack = pim_stack(name)
    one, free, bound = (stack.linear(tokens, 1024, 16384).ticks for tokens in (1, n_free, n_bound))
    assert free <= 1.06 * one
    assert bound >= 1.3 * free


def test_many_tokens_read_the_weights_again() -> None:
    stack = pim_stack("fc_pim", "tokens_per_pass=16")
    one, rest = stack.linear(16, 1024, 3072, grid=(4, 4)), stack.linear(5, 1024, 3072, grid=(4, 4))
    many = stack.linear(37, 1024, 3072, grid=(4, 4))
    assert many.ticks == 2 * one.ticks + rest.ticks
    assert many.product_ticks + sum(many.waits.values()) == many.ticks
    assert many.commands == {name: 2 * n + rest.commands[name] for name, n in one.commands.items()}
    assert many.time_ps >= stack.linear_grids(LinearShape(37, 1024, 3072))[0][0]
    at_once = pim_stack("fc_pim").linear(37, 1024, 3072, grid=(4, 4))
    assert at_once.commands["MAC"] == many.commands["MAC"] / 3
    assert at_once.ticks < many.ticks


def test_a_vector_is_one_units() -> None:
    assert [pim_stack("fc_pim").busy_ticks(tokens) for tokens in (1, 4, 5, 8, 9, 16)] == [2, 2, 4, 4, 6, 8]
    assert [pim_stack("attacc").busy_ticks(tokens) for tokens in (1, 2, 4, 16)] == [2, 4, 8, 32]
    assert [pim_stack("attn_pim").busy_ticks(tokens) for tokens in (1, 2, 4, 16)] == [4, 8, 16, 63]


def test_bytes_of_an_element() -> None:
    """Half the bytes are half the columns; and the same commands as half the inputs."""
    stack = pim_stack("fc_pim")
    assert stack.linear(4, 4096, 3072, 1).commands == stack.linear(4, 2048, 3072, 2).commands
    assert stack.linear(4, 4096, 3072, 1).ticks < 0.6 * stack.linear(4, 4096, 3072, 2).ticks


def test_one_weight_takes_one_product() -> None:
    run = pim_stack("fc_pim").linear(1, 1, 1)
    assert {name: run.commands[name] for name in ("MAC", "WRGB", "MVSB", "ACT")} == {
        "MAC": 1, "WRGB": 1, "MVSB": 6, "ACT": 1,
    }  # fmt: skip
    assert run.ticks < 100


@given(st.integers(1, 5000), st.integers(1, 40), st.integers(1, 100))
def test_shares_are_whole_and_as_equal_as_can_be(n: int, parts: int, unit: int) -> None:
    sizes = shares(n, parts, unit)
    assert sum(size * count for size, count in sizes.items()) == n
    assert sum(sizes.values()) == min(parts, ceil(n / unit))
    assert max(sizes) == min(n, ceil(n / unit / parts) * unit)
    assert sum(count for size, count in sizes.items() if size % unit) <= 1
    in_units = {ceil(size / unit) for size in sizes}
    assert max(in_units) - min(in_units) <= 1


def test_units_elsewhere_than_at_banks() -> None:
    """One unit a bank group, or a pseudo channel: fewer columns at once, each product's time as before or less."""
    at_bank = pim_stack("attacc").linear(2, 1024, 2048)
    in_group = pim_stack("attacc", "placement=bg").linear(2, 1024, 2048)
    on_die = pim_stack("attacc", "placement=buffer").linear(2, 1024, 2048)
    assert (in_group.commands["MAC"], on_die.commands["MAC"]) == (
        4 * at_bank.commands["MAC"], 32 * at_bank.commands["MAC"],
    )  # fmt: skip
    assert at_bank.ticks < in_group.ticks < on_die.ticks


def test_unofficial_code_is_the_same_order_of_magnitude() -> None:
    """The one public re-implementation calls itself a free interpretation: each of its products reads four columns of a
    bank, which banks cannot. Ours reads as many columns as there are weights, so it takes longer; by how much:"""
    stack = pim_stack("fc_pim", "power_limit=true")
    for n_out, theirs in ((36864, 138_563), (12288, 46_951)):
        run = stack.linear(3, 12288, n_out)
        assert run.commands["MAC"] == 12288 * n_out // (64 * 12)
        assert 2.0 < run.ticks / theirs < 2.4


def test_refusals_say_what_would_do() -> None:
    stack = pim_stack("fc_pim")
    with pytest.raises(WorkloadError, match="0 tokens of 64 features and 64 outputs are no matrix product"):
        stack.linear(0, 64, 64)
    with pytest.raises(ConfigError, match="elements of 3 bytes do not divide a burst of 32 bytes"):
        stack.linear(1, 64, 64, 3)
    with pytest.raises(ConfigError, match="a grid of 3 x 5 channels is not one of 16"):
        stack.linear(1, 64, 64, grid=(3, 5))
    with pytest.raises(MappingError, match="rows too few in every bank") as refused:
        stack.linear(1, 1 << 17, 1 << 17)
    assert 20 << 30 <= refused.value.missing_bytes <= 20.1 * (1 << 30)  # of 32 GiB in 12, and some for whole columns
