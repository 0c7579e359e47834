"""All attention stacks of a machine: equal heads exactly, unequal ones fast against in full detail, and no order."""

from __future__ import annotations

import random
from functools import lru_cache

import pytest

from simulator.core.rounding import ceil_div
from simulator.devices.pim_attention import PimHead
from simulator.devices.pim_pool import Detail, Heads, PimPool
from simulator.devices.pim_stack import PimStack
from tests.devices.pim_stack_parts import pim_stack

HEAD_DIM = 128
KINDS = ("short", "narrow", "wide", "skewed", "few")


@lru_cache
def stack(placement: str = "bank", accounting: str = "corrected", name: str = "attacc") -> PimStack:
    return pim_stack(name, f"placement={placement}", f"accounting={accounting}")


@lru_cache
def pool(detail: Detail, placement: str = "bank", name: str = "attacc", n_stacks: int = 4, n_bytes: int = 2) -> PimPool:
    return PimPool(stack(placement, name=name), n_stacks, HEAD_DIM, n_bytes, detail)


def heads_of(kind: str, seed: int, n_sequences: int, n_each: int = 8) -> Heads:
    """Heads of so many sequences: short, nearly equal, of any length, as answers are, or few."""
    rng = random.Random(f"{kind} {seed}")
    draw = {
        "short": lambda: rng.randint(1, 64),
        "narrow": lambda: rng.randint(500, 520),
        "wide": lambda: rng.randint(1, 4000),
        "skewed": lambda: 1 + int(rng.lognormvariate(5, 1)),
        "few": lambda: rng.randint(100, 3000),
    }[kind]
    n_queries = rng.choice([1, 1, 4])
    n = 3 if kind == "few" else n_sequences
    return [(PimHead(draw(), n_queries), n_each) for _ in range(n)]


def refresh_ticks(one: PimPool) -> int:
    """What a refresh takes, rows closed and the turn lost with it."""
    timing = one.stack.spec.timing
    return timing["n_rfc"] + timing["n_rp"] + 40


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("placement", "name"), [("bank", "attacc"), ("bank", "attn_pim"), ("bg", "attacc")])
def test_fast_against_full(kind: str, placement: str, name: str) -> None:
    """2.5 % and, where a refresh falls due about the end of the one and not of the other, that refresh."""
    fast, full = pool("fast", placement, name), pool("full", placement, name)
    off = []
    for seed in range(4):
        heads = heads_of(kind, seed, 12 if placement == "bg" else 24)
        ours, theirs = fast.attention(heads), full.attention(heads)
        assert ours.ticks == pytest.approx(theirs.ticks, abs=0.025 * theirs.ticks + refresh_ticks(fast))
        off.append(ours.ticks / theirs.ticks - 1)
        assert ours.energy.total_pj == pytest.approx(theirs.energy.total_pj, rel=1e-6)
        assert {name: ours.commands[name] for name in ("MAC", "SFM")} == {
            name: theirs.commands[name] for name in ("MAC", "SFM")
        }
    assert sorted(map(abs, off))[1] < 0.02  # at least half of them, refresh or not


def test_fast_against_full_at_the_buffer() -> None:
    fast, full = pool("fast", "buffer"), pool("full", "buffer")
    heads = heads_of("skewed", 1, 6)
    assert fast.attention(heads).ticks == pytest.approx(
        full.attention(heads).ticks, rel=0.025, abs=refresh_ticks(fast) + 0.0
    )


@pytest.mark.parametrize("detail", ["fast", "full"])
@pytest.mark.parametrize("kind", ["narrow", "skewed"])
def test_no_order(detail: Detail, kind: str) -> None:
    one, heads = pool(detail), list(heads_of(kind, 5, 16))
    expected = one.attention(heads)
    random.Random(1).shuffle(heads)
    for other in (heads, [(head, 1) for head, n in heads for _ in range(n)]):
        run = one.attention(other)
        assert (run.ticks, run.commands, run.bound) == (expected.ticks, expected.commands, expected.bound)
        assert run.energy.total_pj == pytest.approx(expected.energy.total_pj, rel=1e-12)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 64, 65, 200])
@pytest.mark.parametrize("context", [1, 17, 512])
def test_equal_heads_are_exact_in_both(n: int, context: int) -> None:
    heads = [(PimHead(context), n)]
    fast, full = pool("fast").attention(heads), pool("full").attention(heads)
    assert fast == full
    # The fullest channel has so many of them in a line.
    line = (PimHead(context),) * ceil_div(n, pool("fast").n_channels)
    assert fast.ticks == stack().channel_run(line, HEAD_DIM).ticks
    assert fast.commands["SFM"] == n


def test_published_heads_fill_stacks_alike() -> None:
    """So many heads on each stack, rounded up: the tool computes one stack and multiplies."""
    published = stack(accounting="published")
    many = PimPool(published, 4, HEAD_DIM, 2, "fast")
    run = many.attention([(PimHead(512), 70)])
    one = published.attention([PimHead(512)] * 18, HEAD_DIM)
    assert run.ticks == one.ticks
    assert run.commands == {name: 4 * count for name, count in one.commands.items()}


@pytest.mark.parametrize("detail", ["fast", "full"])
def test_more_work_takes_no_less(detail: Detail) -> None:
    one = pool(detail)
    contexts = [1, 100, 256, 257, 800, 2000, 4000]
    runs = [one.attention([(PimHead(context), 64), (PimHead(50), 64)]) for context in contexts]
    assert [run.ticks for run in runs] == sorted(run.ticks for run in runs)
    assert [run.energy.total_pj for run in runs] == sorted(run.energy.total_pj for run in runs)
    counts = [1, 16, 64, 65, 128, 500]
    runs = [one.attention([(PimHead(300), n), (PimHead(400), n)]) for n in counts]
    assert [run.ticks for run in runs] == sorted(run.ticks for run in runs)
    assert [run.energy.total_pj for run in runs] == sorted(run.energy.total_pj for run in runs)


@pytest.mark.parametrize("detail", ["fast", "full"])
def test_more_stacks_take_no_longer(detail: Detail) -> None:
    heads = heads_of("skewed", 9, 24)
    ticks = [pool(detail, n_stacks=n).attention(heads).ticks for n in (1, 2, 4, 8, 40)]
    assert ticks == sorted(ticks, reverse=True)
    # A head is one channel's: no number of stacks is faster than the longest of them.
    longest = max((head for head, _ in heads), key=lambda head: head.context)
    assert ticks[-1] >= stack().channel_run((longest,), HEAD_DIM).ticks * 0.99


def test_shares_of_the_peak_and_sizes() -> None:
    one = pool("fast")
    assert one.n_channels == 64
    assert one.capacity_bytes == 4 * 16 << 30
    for kind in KINDS:
        run = one.attention(heads_of(kind, 2, 24))
        assert 0 < run.peak_frac <= 1
        assert run.time_ps == pytest.approx(run.ticks * 769, rel=1e-3)


def test_more_queries_keep_units_busy() -> None:
    """A unit beside each bank takes two tokens in the time of a column; from there on, time goes with tokens."""
    one = pool("fast")
    ticks = [one.attention([(PimHead(2048, n), 64)]).ticks for n in (1, 2, 8, 16)]
    assert ticks[0] <= ticks[1] < ticks[2] < ticks[3]
    assert ticks[3] == pytest.approx(2 * ticks[2], rel=0.1)


def test_one_byte_is_half_the_columns() -> None:
    two, one = (pool("fast", n_bytes=n).attention([(PimHead(2048), 64)]) for n in (2, 1))
    assert one.commands["MAC"] * 2 == two.commands["MAC"]
    assert one.ticks == pytest.approx(two.ticks / 2, rel=0.1)
