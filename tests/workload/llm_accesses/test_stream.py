"""A run's stream: what it conserves, and that it is the same however it is read."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from simulator.workload.llm_accesses.config import model_of
from simulator.workload.llm_accesses.selection import Attended, Step
from simulator.workload.llm_accesses.stream import llm_stream
from simulator.workload.operators import AttentionScore, Batch, operators
from tests.workload.llm_accesses.small_runs import DENSE, EXPERTS, config, moe, records, regions_of, step_bytes

RUNS = [
    config(),
    config(kv_layout="hnd", prefill=True, output_tokens=(3, 4), prompt_tokens=(60, 90)),
    config(attention="window", window=20, parts=("kv",)),
    config(attention="topk", top_k=20, window=16, parts=("kv",), drift=0.1),
    config(attention="topk", top_k=2, top_k_unit="block", per_kv_head=True, window=16, prompt_tokens=(90, 120, 77)),
    config(model="opt-1.3b", parts=("embedding", "kv"), overrides={"n_layers": 2, "vocab": 999}, prompt_tokens=20),
    moe(prefill=True, output_tokens=(3, 5), stickiness=0.5, compute_per_step_ps=1000),
]


@pytest.mark.parametrize("run", RUNS, ids=range(len(RUNS)))
def test_chunks_seeds_and_passes(run: Any) -> None:
    stream = llm_stream(run)
    line, is_write = records(stream)
    assert len(line) == stream.n_records
    for chunk in (977, 1 << 14):
        other_line, other_write = records(stream, chunk)
        np.testing.assert_array_equal(line, other_line)
        np.testing.assert_array_equal(is_write, other_write)
    firsts = [chunk.first for chunk in stream.chunks(5000)]
    assert firsts == list(range(0, stream.n_records, 5000))
    again = llm_stream(run)
    np.testing.assert_array_equal(line, records(again)[0])
    assert (again.checksum, again.n_records) == (stream.checksum, stream.n_records)


@pytest.mark.parametrize("run", RUNS, ids=range(len(RUNS)))
def test_records_stay_in_their_page_and_region(run: Any) -> None:
    stream = llm_stream(run)
    line, is_write = records(stream)
    size = stream.lines_per_record
    assert (line % size == 0).all()
    assert line.min() >= 0
    assert line.max() + size <= stream.n_pages * 64
    assert {name.split(".")[0] for name in set(regions_of(stream, line[is_write]))} <= {"kv"}


def test_seeds_differ() -> None:
    run = moe(parts=("experts",))
    assert llm_stream(run, 1).checksum != llm_stream(run, 2).checksum
    assert records(llm_stream(run, 1))[0].tolist() != records(llm_stream(run, 2))[0].tolist()


def test_a_step_reads_every_weight_once() -> None:
    stream = llm_stream(config(parts=("weights", "embedding")))
    spec = model_of(config())
    read = step_bytes(stream)
    table = 5000 * 256 * 2
    rows = 3 * 256 * 2
    # Rows and regions end within a record, a page here.
    least = spec.weight_bytes - table + rows
    assert all(least <= each <= least + (2 * 3 * 7 + 2) * 4096 for each in read)
    finest = llm_stream(config(parts=("weights", "embedding"), lines_per_record=1))
    assert step_bytes(finest) == [least] * 6
    line, _ = records(finest)
    layers = line[np.array([name.startswith("weights") for name in regions_of(finest, line)])]
    assert (np.bincount(layers)[layers] == 6).all()


def test_a_tied_head_reads_the_table() -> None:
    stream = llm_stream(config(overrides={**DENSE, "tied_embeddings": True}, parts=("embedding",)))
    assert all(read >= 5000 * 512 for read in step_bytes(stream))
    assert [region.name for region in stream.regions] == ["embedding.tokens", "embedding.final_norm"]


@pytest.mark.parametrize("layout", ["nhd", "hnd"])
def test_dense_attention_reads_the_context_and_writes_the_new_tokens(layout: str) -> None:
    run = config(parts=("kv",), kv_layout=layout, prompt_tokens=(90, 33, 64))
    per_token = model_of(run).kv_bytes_per_token
    contexts = [90 + 33 + 64 + 3 * step for step in range(1, 7)]
    assert step_bytes(llm_stream(run)) == [per_token * context for context in contexts]
    assert step_bytes(llm_stream(run), writes=True) == [3 * per_token] * 6


def test_a_sliding_window_is_the_operators() -> None:
    run = config(parts=("kv",), overrides={**DENSE, "sliding_window": 40}, n_steps=1)
    uses = operators(model_of(run), Batch.decode(91, 3))
    keys = next(use.operator for use in uses if isinstance(use.operator, AttentionScore))
    assert step_bytes(llm_stream(run)) == [2 * 3 * keys.kv_bytes]


def test_grouped_queries_shrink_the_cache() -> None:
    full = config(parts=("kv",), overrides={**DENSE, "n_kv_heads": 8})
    assert step_bytes(llm_stream(full))[0] == 4 * step_bytes(llm_stream(config(parts=("kv",))))[0]
    assert llm_stream(full).n_pages == 4 * llm_stream(config(parts=("kv",))).n_pages


def test_the_order_of_a_pass() -> None:
    stream = llm_stream(config(n_steps=1))
    names = [name for name, _ in itertools.groupby(regions_of(stream, records(stream)[0]))]
    layers = [
        [*(f"weights.layer{n}.{part}" for part in ("norms", "q_proj", "k_proj", "v_proj")), f"kv.layer{n}",
         *(f"weights.layer{n}.{part}" for part in ("o_proj", "ffn"))]
        for n in range(3)
    ]  # fmt: skip
    assert names == ["embedding.tokens", *itertools.chain(*layers), "embedding.final_norm", "embedding.lm_head"]


def test_prompts_are_written_before_the_first_step() -> None:
    run = config(parts=("weights", "kv"), prefill=True)
    stream = llm_stream(run)
    line, is_write = records(stream)
    assert stream.request_starts is not None
    first = stream.request_starts[0]
    assert is_write[:first].sum() * stream.lines_per_record * 64 == 3 * 90 * model_of(run).kv_bytes_per_token
    reads = np.array(regions_of(stream, line[:first][~is_write[:first]]))
    assert all(name.startswith("weights") for name in reads)
    assert len(stream.request_starts) == 6
    bare = llm_stream(config(parts=("weights", "kv")))
    assert bare.request_starts is not None
    np.testing.assert_array_equal(stream.request_starts - first, bare.request_starts)
    np.testing.assert_array_equal(line[first:], records(bare)[0])


def test_the_clock_gives_every_step_its_compute_time() -> None:
    run = moe(n_steps=40, compute_per_step_ps=10**7)
    stream = llm_stream(run)
    assert stream.clock is not None
    assert stream.request_starts is not None
    assert stream.clock.unit == "ps"
    assert (np.diff(stream.clock.samples) >= 0).all()
    at = stream.clock.at(np.append(stream.request_starts, stream.n_records))
    # Sixteen samples a step, and steps begin between them.
    assert np.abs(at - np.arange(41) * 1e7).max() < 0.5e7 / 16
    assert at[-1] == pytest.approx(40e7, abs=1)
    assert llm_stream(moe()).clock is None


def test_records_are_as_long_as_the_runs_allow() -> None:
    # A token's keys are 2 heads x 128 B: 4 lines; one head's are 2. Without a cache records are whole pages.
    assert llm_stream(config()).lines_per_record == 4
    assert llm_stream(config(kv_layout="hnd")).lines_per_record == 2
    by_head = config(attention="topk", top_k=20, per_kv_head=True)
    assert llm_stream(by_head).lines_per_record == 2
    assert llm_stream(config(parts=("weights",))).lines_per_record == 64
    assert llm_stream(moe(parts=("experts",), overrides={**EXPERTS, "weight_bits": 4})).lines_per_record == 64


class EveryOther:
    """Positions 0, 2, 4 and so on."""

    def n_attended(self, step: Step, layer: int) -> int:
        return int((-(-step.context // 2)).sum()) * 2

    def attended(self, step: Step, layer: int) -> Attended:
        places = [np.arange(0, context, 2) for context in step.context.tolist()]
        sequence = np.repeat(np.arange(len(places)), [len(each) for each in places])
        return Attended(sequence, None, np.concatenate(places), np.ones(len(sequence), dtype=np.int64))


def test_a_selection_of_ones_own() -> None:
    stream = llm_stream(config(parts=("kv",), n_steps=1), selection=EveryOther())
    assert step_bytes(stream) == [3 * 46 * model_of(config()).kv_bytes_per_token]
    line, is_write = records(stream)
    # Keys of a block's 16 tokens of 4 lines, then values: every other token of either is read.
    assert set((line[~is_write] // 4 % 2).tolist()) == {0}
