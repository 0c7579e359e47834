"""Attention on a stack with units: programs beside their slow twin, closed forms of commands, what time does."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.rounding import ceil_div
from simulator.devices.pim_attention import HeadShape, PimHead, PublishedShare, attention_program
from simulator.devices.pim_stack import PimStack
from tests.devices.pim_attention_parts import attention, shared_stack
from tests.twins.pim_attention import AttentionTwin

PLACEMENTS = ("bank", "bg", "buffer")
CONTEXTS = st.one_of(st.integers(1, 40), st.integers(1, 700))
MOVES = ("WRGB", "MVSB", "MVGB", "SFM")


def shape(stack: PimStack, head_dim: int = 128, n_bytes: int = 2) -> HeadShape:
    return HeadShape(head_dim, n_bytes, stack.busy_ticks)


@pytest.mark.parametrize("placement", PLACEMENTS)
@given(
    heads=st.lists(st.builds(PimHead, CONTEXTS, st.integers(1, 8)), min_size=1, max_size=7),
    head_dim=st.sampled_from((16, 64, 80, 100, 128, 256)),
    n_bytes=st.sampled_from((1, 2)),
)
@settings(max_examples=40, deadline=None)
def test_a_program_is_its_twins(placement: str, heads: list[PimHead], head_dim: int, n_bytes: int) -> None:
    stack = shared_stack(placement, accounting="corrected")
    common = shape(stack, head_dim, n_bytes)
    ours = attention_program(stack.channel, heads, common)
    twin = AttentionTwin(stack.channel, tuple(heads), common, None).program()
    assert np.array_equal(ours.runs, twin.runs)
    assert np.array_equal(ours.patterns, twin.patterns)


@pytest.mark.parametrize("placement", PLACEMENTS)
@given(context=CONTEXTS, n_heads=st.integers(1, 90), head_dim=st.sampled_from((64, 80, 128)), queries=st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_a_published_program_is_its_twins(
    placement: str, context: int, n_heads: int, head_dim: int, queries: int
) -> None:
    stack = shared_stack(placement)
    common, head = shape(stack, head_dim), PimHead(context, queries)
    in_round = tuple(min(16, n_heads - first) for first in range(0, n_heads, 16))
    moves = dict.fromkeys(MOVES, 0)
    for index in range(min(16, n_heads)):
        heads = (head,) * sum(n > index for n in in_round)
        share = PublishedShare(index, in_round, 4096)
        ours = attention_program(stack.channel, heads, common, share)
        twin = AttentionTwin(stack.channel, heads, common, share).program()
        assert np.array_equal(ours.runs, twin.runs)
        counts = twin.counts()
        moves = {name: moves[name] + counts[name] for name in MOVES}
    ours = stack.attention([head] * n_heads, head_dim).commands
    assert {name: ours[name] for name in MOVES} == moves


@given(
    heads=st.lists(st.builds(PimHead, CONTEXTS, st.integers(1, 4)), min_size=1, max_size=40),
    head_dim=st.sampled_from((64, 80, 128)),
    n_bytes=st.sampled_from((1, 2)),
)
@settings(max_examples=30, deadline=None)
def test_corrected_commands_are_the_closed_forms(heads: list[PimHead], head_dim: int, n_bytes: int) -> None:
    lanes = 32 // n_bytes
    columns = ceil_div(head_dim, 4 * lanes)
    ours = shared_stack(accounting="corrected").attention(heads, head_dim, n_bytes)
    rows = [(head, ceil_div(head.context, 16)) for head in heads]
    assert ours.commands["WRGB"] == sum(4 * columns * head.n_queries for head, _ in rows)
    assert ours.commands["MAC"] == sum(2 * columns * n for _, n in rows)
    assert ours.commands["SFM"] == sum(head.n_queries for head in heads)
    assert ours.commands["MVGB"] == sum(8 * head.n_queries * ceil_div(head.context, 16 * lanes) for head in heads)
    assert ours.commands["MVSB"] == sum(8 * head.n_queries * (ceil_div(n, 16) + columns) for head, n in rows)


@pytest.mark.parametrize("placement", PLACEMENTS)
@given(heads=st.lists(st.builds(PimHead, CONTEXTS, st.integers(1, 8)), min_size=1, max_size=20))
@settings(max_examples=15, deadline=None)
def test_never_faster_than_its_products(placement: str, heads: list[PimHead]) -> None:
    stack = shared_stack(placement, accounting="corrected")
    ours = stack.attention(heads, 128)
    assert ours.ticks >= ours.commands["MAC"] * stack.channel.mac_ticks / stack.config.n_channels
    assert ours.product_ticks + sum(ours.waits.values()) == ours.ticks
    assert min(ours.waits.values()) >= 0


@given(heads=st.lists(st.builds(PimHead, CONTEXTS, st.integers(1, 4)), min_size=1, max_size=40), data=st.data())
@settings(max_examples=20, deadline=None)
def test_the_order_of_heads_does_not_matter(heads: list[PimHead], data: st.DataObject) -> None:
    stack = shared_stack(accounting="corrected")
    assert stack.attention(data.draw(st.permutations(heads)), 128) == stack.attention(heads, 128)


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("accounting", ["published", "corrected"])
@pytest.mark.parametrize("context", [1, 15, 17, 100])
def test_short_contexts_of_one_head(placement: str, accounting: str, context: int) -> None:
    ours = attention(shared_stack(placement, accounting=accounting), 1, context)
    assert 0 < ours.ticks < 5070
    assert ours.commands["SFM"] == 1


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_longer_contexts_take_longer_but_for_refresh(placement: str) -> None:
    stack = shared_stack(placement, accounting="corrected")
    ticks = [attention(stack, 1, context).ticks for context in range(16, 1200, 48)]
    # A refresh that falls into a change of rows costs less than one beside it.
    assert all(later > earlier - 100 for earlier, later in itertools.pairwise(ticks))
    assert ticks[-1] > 2 * ticks[0]


@pytest.mark.parametrize("accounting", ["published", "corrected"])
def test_more_heads_take_longer(accounting: str) -> None:
    stack = shared_stack(accounting=accounting)
    ticks = [attention(stack, n, 256).ticks for n in range(16, 200, 16)]
    assert ticks == sorted(ticks)


def test_queries_of_a_head_scale_its_moves() -> None:
    stack = shared_stack(accounting="corrected")
    one, eight = (stack.attention([PimHead(1024, n)] * 16, 128) for n in (1, 8))
    assert {name: eight.commands[name] for name in MOVES} == {name: 8 * one.commands[name] for name in MOVES}
    assert eight.commands["MAC"] == one.commands["MAC"]
    assert eight.ticks > one.ticks


def test_bytes_of_an_element_halve_the_products() -> None:
    stack = shared_stack(accounting="corrected")
    assert attention(stack, 16, 1024).commands["MAC"] == 2 * attention(stack, 16, 1024, n_bytes=1).commands["MAC"]


@pytest.mark.parametrize(("head_dim", "columns"), [(64, 1), (80, 2), (100, 2), (128, 2), (129, 3)])
def test_elements_of_a_head_are_rounded_up_to_columns(head_dim: int, columns: int) -> None:
    ours = attention(shared_stack(accounting="corrected"), 1, 160, head_dim)
    assert ours.commands["MAC"] == 2 * columns * 10
