"""Attention kernels against loops over rows: what causal tiles compute, what a window leaves, what is never less."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.devices.gpu_kernels import Heads, Kernel, Rows
from simulator.workload.batch import Sequence
from simulator.workload.operator_kinds import attended_pairs, attended_positions
from tests.twins.gpu_step import keys_of_rows, tiles_of

from .gpu_parts import device, heads, rows

H200 = device()
ATTENTION = H200.config.attention
LLAMA_7B = Heads(32, 32, 128)
KERNELS = ("split_kv", "fa2", "matmul")


def prefill_pairs(one: Rows, kernel: str = "cudnn") -> float:
    """(query, key) pairs that one head of one sequence computes."""
    lone = Heads(1, 1, 1)
    return H200.kernels.attention_prefill(lone, [dataclasses.replace(one, count=1)], kernel).flops / 4


@given(st.integers(1, 2500), st.integers(0, 2500), st.sampled_from(["cudnn", "fa2"]))
@settings(max_examples=150, deadline=None)
def test_causal_tiles_are_what_a_loop_over_rows_computes(new: int, before: int, kernel: str) -> None:
    tile = 256 if kernel == "cudnn" else 128
    looped = tiles_of(new, before + new, tile, 128, None)
    assert prefill_pairs(Rows(1, new, before + new), kernel) == sum(looped)


@given(st.integers(1, 12), st.integers(0, 12), st.sampled_from([1, 3, 8]), st.sampled_from([128, 512, 1024]))
def test_windows_of_whole_tiles_are_what_a_loop_computes(new: int, before: int, extra: int, window: int) -> None:
    new, before = 128 * new + extra, 128 * before
    looped = tiles_of(new, before + new, 256, 128, window)
    assert prefill_pairs(Rows(1, new, before + new, window)) == sum(looped)


@given(rows())
@settings(max_examples=150, deadline=None)
def test_windows_anywhere_are_within_a_key_tile_of_the_loop(one: Rows) -> None:
    looped = sum(tiles_of(one.new, one.context, 256, 128, one.window))
    computed = prefill_pairs(one)
    assert abs(computed - looped) <= 128 * one.new
    assert computed >= attended_pairs((Sequence(one.new, one.context),), one.window)


@given(rows())
def test_positions_read_are_those_that_some_row_sees(one: Rows) -> None:
    assert one.positions == len(keys_of_rows(one.new, one.context, one.window))
    assert one.positions == attended_positions(Sequence(one.new, one.context), one.window)


def test_tiles_at_their_edges_by_hand() -> None:
    assert prefill_pairs(Rows(1, 256, 256)) == 256 * 256
    assert prefill_pairs(Rows(1, 257, 257)) == 256 * 256 + 1 * 384
    assert prefill_pairs(Rows(1, 255, 255)) == 255 * 256
    assert prefill_pairs(Rows(1, 128, 1128)) == 128 * 1152
    assert prefill_pairs(Rows(1, 512, 512)) == 256 * 256 + 256 * 512
    assert prefill_pairs(Rows(1, 512, 512), "fa2") == 128 * (128 + 256 + 384 + 512)
    assert prefill_pairs(Rows(1, 512, 4608)) == 256 * (4096 + 256) + 256 * 4608


def test_a_prompt_in_chunks_computes_no_less_than_at_once() -> None:
    for length in (1000, 2048, 5000):
        whole = prefill_pairs(Rows(1, length, length))
        for chunk in (100, 256, 512, 777):
            ends = [*range(chunk, length, chunk), length]
            pieces = sum(prefill_pairs(Rows(1, end - begin, end)) for begin, end in zip([0, *ends], ends, strict=False))
            assert pieces >= whole * (1 - 256 / length)
            assert pieces >= length * (length + 1) / 2


@pytest.mark.parametrize("kernel", ["cudnn", "fa2"])
def test_long_prompts_come_to_half_the_square(kernel: str) -> None:
    """4 B Hq D L^2 / 2 operations over the rate, where tiles and tail no longer matter."""
    length = 1 << 17
    one = H200.kernels.attention_prefill(LLAMA_7B, [Rows(1, length, length)], kernel)
    assert one.flops == pytest.approx(2 * 32 * 128 * length**2, rel=256 / length)
    frac = ATTENTION.fa2_frac if kernel == "fa2" else ATTENTION.prefill_frac
    assert one.compute_ps == pytest.approx(one.flops / (frac * 989.4), rel=0.01)


@given(heads(), rows(), rows(), st.sampled_from(["cudnn", "fa2"]))
@settings(deadline=None)
def test_ragged_prompts_add_up_but_for_the_tail(sizes: Heads, one: Rows, other: Rows, kernel: str) -> None:
    alone = [H200.kernels.attention_prefill(sizes, [each], kernel) for each in (one, other)]
    both = H200.kernels.attention_prefill(sizes, [one, other], kernel)
    assert both.flops == pytest.approx(sum(each.flops for each in alone))
    assert both.dram_bytes == pytest.approx(sum(each.dram_bytes for each in alone))
    assert max(each.compute_ps for each in alone) <= both.compute_ps * (1 + 1e-12)
    assert both.compute_ps <= sum(each.compute_ps for each in alone) * (1 + 1e-12)
    assert H200.kernels.attention_prefill(sizes, [other, one], kernel) == both


@given(heads(), rows(most_new=16), st.sampled_from(KERNELS))
def test_a_decode_reads_every_position_once_and_multiplies_no_less_than_it_needs(
    sizes: Heads, one: Rows, kernel: str
) -> None:
    found = H200.kernels.attention_decode(sizes, [one], kernel)
    cache = one.count * one.positions * 2 * sizes.n_kv * sizes.dim * sizes.kv_bits / 8
    needed = attended_pairs((Sequence(one.new, one.context),) * one.count, one.window) * 4 * sizes.n * sizes.dim
    assert found.dram_bytes >= cache * (1 - 1e-12)
    if kernel != "matmul":
        assert found.dram_bytes == pytest.approx(cache)
    assert found.flops >= needed * (1 - 1e-12)


@given(heads(), rows(most_new=1), st.sampled_from(KERNELS))
def test_a_decode_takes_longer_with_more_sequences_positions_and_bits(sizes: Heads, one: Rows, kernel: str) -> None:
    def time_ps(of: Heads, row: Rows) -> float:
        found = H200.kernels.attention_decode(of, [row], kernel)
        return max(found.memory_ps, found.compute_ps)

    least = time_ps(sizes, one)
    assert time_ps(sizes, dataclasses.replace(one, count=one.count + 1)) >= least
    assert time_ps(sizes, dataclasses.replace(one, context=one.context + 1)) >= least
    assert time_ps(dataclasses.replace(sizes, kv_bits=2 * sizes.kv_bits), one) >= least


def test_fa2_leaves_the_keys_whole_once_heads_fill_the_chip_and_runs_in_waves() -> None:
    """Whole tiles of 128 rows that hold one; from 1.6 blocks a multiprocessor on each head is a block of its own."""
    tile_flops, rate = 4 * 128 * 128 * 1024, 989.4

    def of(batch: int) -> Kernel:
        return H200.kernels.attention_decode(LLAMA_7B, [Rows(batch, 1, 1024)], "fa2")

    for batch in (1, 6, 7, 8, 9, 100):
        assert of(batch).flops == batch * 32 * tile_flops
    assert of(6).latency_ps > of(7).latency_ps  # 192 blocks are cut and combined, 224 are not
    assert of(6).compute_ps == pytest.approx(6 * 32 * tile_flops / (ATTENTION.fa2_split_frac * rate))
    for batch, waves in ((7, 2), (8, 2), (9, 3), (100, 25)):
        assert of(batch).compute_ps == pytest.approx(waves * 132 * tile_flops / (ATTENTION.fa2_frac * rate))


def test_the_longest_block_keeps_its_multiprocessor() -> None:
    rows = [Rows(64, 1, 100), Rows(1, 1, 100_000)]
    found = H200.kernels.attention_decode(LLAMA_7B, rows, "fa2")
    assert found.compute_ps == pytest.approx(4 * 128 * 128 * 100_000 * 132 / (ATTENTION.fa2_frac * 989.4))


def test_a_matmul_chain_adds_the_time_of_its_softmax() -> None:
    sizes = Heads(64, 8, 128)
    found = H200.kernels.attention_decode(sizes, [Rows(16, 1, 4096)], "matmul")
    softmax_ps = 64 * 16 * 4096 / (H200.config.elements.softmax_gelem_per_s * 132) * 1e3
    assert found.memory_ps == pytest.approx(found.dram_bytes / (H200.config.bandwidths.bmm_frac * 4.8) + softmax_ps)


def test_grouped_queries_read_a_shared_cache_once() -> None:
    alone = H200.kernels.attention_decode(Heads(64, 64, 128), [Rows(4, 1, 4096)])
    grouped = H200.kernels.attention_decode(Heads(64, 8, 128), [Rows(4, 1, 4096)])
    assert alone.dram_bytes == 8 * grouped.dram_bytes
    assert alone.flops == grouped.flops


def test_a_million_positions_are_finite_and_in_proportion() -> None:
    short, long = (H200.kernels.attention_decode(LLAMA_7B, [Rows(1, 1, n)]) for n in (1 << 19, 1 << 20))
    assert long.memory_ps == 2 * short.memory_ps
    prompt = H200.kernels.attention_prefill(LLAMA_7B, [Rows(1, 1 << 20, 1 << 20)])
    assert prompt.compute_ps == pytest.approx(2 * 32 * 128 * 2.0**40 / (ATTENTION.prefill_frac * 989.4), rel=1e-3)
