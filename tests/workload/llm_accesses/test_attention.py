"""Which positions are read, where they lie, and which blocks hold them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from simulator.workload.llm_accesses.kv_cache import BlockTables, KvShape
from simulator.workload.llm_accesses.selection import Attended, HeavyHitters, Recent, Step, TopK
from simulator.workload.llm_accesses.stream import llm_stream
from tests.workload.llm_accesses.small_runs import config, records, step_bytes


def step(number: int, *context: int) -> Step:
    return Step(number, np.arange(len(context)), np.array(context))


def pairs(attended: Attended, n_heads: int) -> Counter[tuple[int, int, int]]:
    """How often each (sequence, head, position) is read."""
    heads = [range(n_heads)] * len(attended.first) if attended.head is None else [[h] for h in attended.head.tolist()]
    return Counter(
        (sequence, head, position)
        for sequence, of, first, count in zip(
            attended.sequence.tolist(), heads, attended.first.tolist(), attended.n_positions.tolist(), strict=True
        )
        for head in of
        for position in range(first, first + count)
    )


def lines_by_definition(shape: KvShape, table: np.ndarray, read: Counter[tuple[int, int, int]]) -> Counter[int]:
    """Lines of the keys and values, by the words of the layouts: one element row after another, in bytes."""
    found: Counter[int] = Counter()
    tokens, heads, row = shape.block_tokens, shape.n_heads, shape.row_bytes
    for sequence, head, position in read:
        block, token = int(table[sequence, position // tokens]), position % tokens
        for plane in (0, 1):
            within = token * heads + head if shape.layout == "nhd" else head * tokens + token
            start = (block * 2 + plane) * tokens * heads * row + within * row
            found.update(range(start // 64, (start + row) // 64))
    return found


@pytest.mark.parametrize("layout", ["nhd", "hnd"])
@pytest.mark.parametrize("by_head", [False, True])
def test_runs_are_the_lines_of_the_layout(layout: str, by_head: bool) -> None:
    shape = KvShape(8, 4, 128, layout == "nhd" and not by_head, layout)
    table = np.random.default_rng(3).permutation(64).reshape(4, 16)
    rng = np.random.default_rng(4)
    first = rng.integers(0, 60, 30) * 2
    attended = Attended(
        rng.integers(0, 4, 30), rng.integers(0, 4, 30) if by_head else None, first, rng.integers(1, 9, 30)
    )
    start, n_lines = shape.runs(640, table, attended)
    lines = Counter(
        int(line) - 640 for begin, count in zip(start, n_lines, strict=True) for line in range(begin, begin + count)
    )
    read = pairs(attended, 4)
    expected: Counter[int] = Counter()
    for key, times in read.items():
        for line in lines_by_definition(shape, table, Counter([key])):
            expected[line] += times
    assert lines == expected
    assert (n_lines % shape.unit_lines == 0).all()
    assert lines.total() == shape.lines(read.total())


def test_window_and_sinks() -> None:
    recent = Recent(2, window=5, sinks=2)
    read = pairs(recent.attended(step(0, 20, 7, 4, 1), 0), 2)
    positions = [sorted({p for s, _, p in read if s == sequence}) for sequence in range(4)]
    assert positions == [[0, 1, 15, 16, 17, 18, 19], list(range(7)), list(range(4)), [0]]
    assert read.total() == recent.n_attended(step(0, 20, 7, 4, 1), 0)
    assert max(read.values()) == 1


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("unit", [1, 16])
def test_heavy_hitters_are_as_many_as_asked(groups: int, unit: int) -> None:
    draws = TopK(5, unit, groups, 2, window=20, sinks=3, skew=1.5, drift=0.2)
    hitters = HeavyHitters(draws, 2, 3, 200, np.random.default_rng(1))
    for number in range(4):
        now = step(number, 150 + number, 190 + number, 176 + number)
        for layer in range(2):
            attended = hitters.attended(now, layer)
            read = pairs(attended, 2)
            assert read.total() == hitters.n_attended(now, layer)
            assert max(read.values()) == 1
            for sequence, context in enumerate(now.context.tolist()):
                for head in range(2):
                    seen = {p for s, h, p in read if (s, h) == (sequence, head)}
                    assert {0, 1, 2, *range(context - 20, context)} <= seen <= set(range(context))
                    if unit == 1:
                        assert len(seen) == 5 + 20 + 3


def test_all_candidates_are_read_where_k_is_all_of_them() -> None:
    draws = TopK(77, 1, 1, 1, window=20, sinks=3, skew=1.0, drift=0.0)
    read = pairs(HeavyHitters(draws, 1, 1, 100, np.random.default_rng(1)).attended(step(0, 100), 0), 1)
    assert sorted(p for _, _, p in read) == list(range(100))


def picks(skew: float, drift: float, n_steps: int) -> np.ndarray:
    """How often each position of one sequence is picked: bool[n_steps, position]."""
    hitters = HeavyHitters(TopK(32, 1, 1, 1, 16, 0, skew, drift), 1, 1, 512, np.random.default_rng(5))
    picked = np.zeros((n_steps, 512), dtype=bool)
    for number in range(n_steps):
        attended = hitters.attended(step(number, 512), 0)
        picked[number, attended.first[:-1]] = True
    return picked


def test_heavy_hitters_stay_and_drift() -> None:
    even, skewed = picks(0.0, 0.0, 60), picks(2.0, 0.0, 60)
    # Even draws repeat by chance, 32 of 496; Zipf's hot positions come again.
    assert (even[1:] & even[:-1]).sum() / (59 * 32) == pytest.approx(32 / 496, abs=0.02)
    assert (skewed[1:] & skewed[:-1]).sum() / (59 * 32) > 0.4
    still, drifting = picks(2.0, 0.0, 200), picks(2.0, 0.1, 200)
    assert (still[:20].sum(0) * still[180:].sum(0)).sum() > 2 * (drifting[:20].sum(0) * drifting[180:].sum(0)).sum()


def test_zipf_is_the_frequency_by_rank() -> None:
    # One winner of a race is drawn in proportion to its weight: 1 / rank, ranks spread over 1 to n + 1.
    hitters = HeavyHitters(TopK(1, 1, 1, 1, 1, 0, 1.0, 0.0), 1, 1, 65, np.random.default_rng(7))
    counts = np.zeros(65)
    now = step(0, 65)
    for _ in range(8000):
        counts[hitters.attended(now, 0).first[0]] += 1
    weight = 1 / np.sort(hitters._handicap[0].ravel()[:64])
    found = np.sort(counts[:64])[::-1]
    expected = 8000 * weight / weight.sum()
    assert np.abs(found - expected).max() < 5 * np.sqrt(expected.max())


def test_top_k_bytes_of_a_stream() -> None:
    run = config(parts=("kv",), attention="topk", top_k=20, window=16, sinks=4)
    assert step_bytes(llm_stream(run)) == [3 * 3 * (20 + 16 + 4) * 512] * 6
    blocks = config(parts=("kv",), attention="topk", top_k=2, top_k_unit="block", window=16, sinks=4, n_steps=1)
    # 91 positions: one block of sinks, two picked, and from position 64 on 27 recent ones.
    assert step_bytes(llm_stream(blocks)) == [3 * 3 * (16 + 32 + 27) * 512]


def test_a_new_sequence_has_hitters_of_its_own() -> None:
    hitters = HeavyHitters(TopK(8, 1, 1, 1, 16, 0, 6.0, 0.0), 1, 2, 512, np.random.default_rng(5))
    before = hitters.attended(Step(0, np.array([0, 1]), np.array([500, 500])), 0).first.reshape(2, -1)[:, :-1]
    after = hitters.attended(Step(1, np.array([0, 2]), np.array([500, 500])), 0).first.reshape(2, -1)[:, :-1]
    assert len(np.intersect1d(before[0], after[0])) >= 4
    assert len(np.intersect1d(before[1], after[1])) <= 2


def test_blocks_are_taken_in_order_and_used_again() -> None:
    tables = BlockTables(2, 7, 16, 64)
    tables.grow(0, 40)
    tables.grow(1, 16)
    tables.grow(0, 48)
    tables.grow(0, 49)
    assert tables.table.tolist() == [[0, 1, 2, 4], [3, -1, -1, -1]]
    tables.release(0)
    tables.grow(0, 64)
    # Two that were never used, then those that came back, the last block first.
    assert tables.table.tolist() == [[5, 6, 4, 2], [3, -1, -1, -1]]


def test_a_run_uses_freed_blocks_again() -> None:
    run = config(parts=("kv",), output_tokens=(3, 5), n_steps=12, batch=2, prompt_tokens=30)
    stream = llm_stream(run)
    # Of two sequences one reaches 34 positions in three blocks, the other 32 in two; eight come and go.
    assert [region.end - region.first for region in stream.regions] == [5 * 2] * 3
    roomy = llm_stream(run.model_copy(update={"pool_blocks": 20}))
    line, _ = records(roomy)
    assert roomy.n_pages == 3 * 20 * 2
    assert len(np.unique(line // 64)) == roomy.n_pages
    assert step_bytes(roomy) == step_bytes(stream)
