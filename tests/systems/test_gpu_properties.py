"""Laws that every step of a GPU system obeys, whatever the model and the batch: time, energy, power, bytes."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.devices.gpu_kernels import Rows
from simulator.workload.batch import Batch, Sequence
from simulator.workload.operators import attended_positions, operators

from .gpu_cases import ATTENTION_KERNELS, SMALL, batch_of, gpu, pairs, shared_models

# A step is a sum of kernels in whole picoseconds.
ROUNDING_PS = 400
PEAK_FLOPS_PER_PS, PEAK_BYTES_PER_PS = 989.4, 4.8


def time_ps(system, batch: Batch) -> int:
    """How long a step takes."""
    return system.step(batch).latency_ps


@given(shared_models(), st.integers(1, 3000), st.integers(1, 300), st.sampled_from(["split_kv", "matmul"]))
@settings(max_examples=60, deadline=None)
def test_decodes_take_longer_with_batch_context_and_layers(model, context: int, n: int, kernel: str) -> None:
    system = gpu(model, attention_kernel=kernel)
    least = time_ps(system, Batch.decode(context, n))
    assert time_ps(system, Batch.decode(context, n + 1)) >= least - ROUNDING_PS
    assert time_ps(system, Batch.decode(context, 2 * n)) >= least - ROUNDING_PS
    assert time_ps(system, Batch.decode(context + 1, n)) >= least - ROUNDING_PS
    deeper = gpu(model.replace(n_layers=model.n_layers + 1), attention_kernel=kernel)
    assert time_ps(deeper, Batch.decode(context, n)) > least


@given(shared_models(), st.integers(1, 1500), st.integers(1, 20), st.sampled_from(ATTENTION_KERNELS))
@settings(max_examples=60, deadline=None)
def test_prompts_take_longer_with_batch_length_and_layers(model, length: int, n: int, kernel: str) -> None:
    system = gpu(model, attention_kernel=kernel)
    least = time_ps(system, Batch.prefill(length, n))
    assert time_ps(system, Batch.prefill(length, n + 1)) >= least - ROUNDING_PS
    if length > 1:  # a lone token is a decode, of another kernel
        assert time_ps(system, Batch.prefill(length + 1, n)) >= least - ROUNDING_PS
    assert (
        time_ps(gpu(model.replace(n_layers=model.n_layers + 1), attention_kernel=kernel), Batch.prefill(length, n))
        > least
    )


@given(shared_models(), st.integers(1, 3000), st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_fa2_is_monotone_on_each_side_of_where_it_stops_splitting_keys(model, context: int, n: int) -> None:
    """There its fixed time falls, as there is nothing left to combine: one sequence more may take less."""
    system = gpu(model, attention_kernel="fa2")
    least, more = (time_ps(system, Batch.decode(context, one)) for one in (n, n + 1))
    unsplit = [one * model.n_heads >= 1.6 * 132 for one in (n, n + 1)]
    launches = system.config.device.launches
    saved_ps = (launches.attention_decode_ps - launches.attention_unsplit_ps) * model.n_layers
    saved_ps = saved_ps if unsplit == [False, True] else 0
    assert more >= least - saved_ps - ROUNDING_PS


@given(shared_models(window=False), pairs(longest=600))
@settings(max_examples=40, deadline=None)
def test_half_the_bits_take_no_longer(model, sequences: list[tuple[int, int]]) -> None:
    wide, narrow = gpu(model), gpu(model.replace(weight_bits=8, act_bits=8))
    assert time_ps(narrow, batch_of(sequences)) <= time_ps(wide, batch_of(sequences)) + ROUNDING_PS
    less_kept = gpu(model.replace(kv_bits=4))
    assert time_ps(less_kept, batch_of(sequences)) <= time_ps(wide, batch_of(sequences)) + ROUNDING_PS
    bytes_by_bits = [
        gpu(model.replace(weight_bits=bits)).step(batch_of(sequences)).traffic_bytes["memory"] for bits in (4, 16)
    ]
    assert bytes_by_bits[0] < bytes_by_bits[1]


@given(st.data(), st.sampled_from([1, 2, 4]), st.sampled_from(ATTENTION_KERNELS))
@settings(max_examples=80, deadline=None)
def test_no_step_beats_the_data_sheet(data: st.DataObject, n_ranks: int, kernel: str) -> None:
    """Operations that the result needs over the peak of all GPUs; weights and cache, once each, over their memory."""
    model = data.draw(shared_models(n_ranks))
    sequences = data.draw(pairs())
    batch = batch_of(sequences)
    latency_ps = time_ps(gpu(model, tensor_parallel=n_ranks, attention_kernel=kernel), batch)
    flops, n_bytes = 0.0, 0.0
    for use in operators(model, batch):
        one = use.operator
        if type(one).__name__ in ("Linear", "LmHead", "ExpertLinear", "AttentionScore", "AttentionOutput"):
            flops += use.flops
        if type(one).__name__ == "Linear":
            n_bytes += use.repeat * one.in_features * one.out_features * 2
        if type(one).__name__ == "ExpertLinear":
            n_bytes += use.repeat * one.expected_active_experts * one.in_features * one.out_features * 2
    # Any mixture of decodes costs what their mean does, which in a window reads no less.
    positions = sum(attended_positions(one, model.sliding_window) for one in batch.sequences)
    n_bytes += positions * model.kv_bytes_per_token
    assert latency_ps >= flops / PEAK_FLOPS_PER_PS / n_ranks
    assert latency_ps >= n_bytes / PEAK_BYTES_PER_PS / n_ranks * (1 - 1e-9)


@given(st.data(), st.sampled_from([1, 2, 4]), st.integers(250, 700), st.sampled_from(ATTENTION_KERNELS))
@settings(max_examples=80, deadline=None)
def test_energy_is_power_times_time_and_power_keeps_to_the_limit(
    data: st.DataObject, n_ranks: int, limit_w: int, kernel: str
) -> None:
    model = data.draw(shared_models(n_ranks))
    system = gpu(model, tensor_parallel=n_ranks, attention_kernel=kernel, device__board_limit=f"{limit_w} W")
    step = system.step(batch_of(data.draw(pairs())))
    assert step.energy.total_pj == pytest.approx(step.power_w * step.latency_ps, rel=1e-12)
    assert step.energy.total_pj == pytest.approx(sum(step.energy.by_component().values()), rel=1e-12)
    assert all(value >= 0 for value in step.energy.by_component().values())
    assert step.power_w >= system.config.device.energies.active_mw / 1e3 * n_ranks * (1 - 1e-9)
    assert 0.05 <= step.metrics["clock_frac"] <= 1.0
    if step.metrics["clock_frac"] > 0.05:
        assert step.power_w <= limit_w * n_ranks * (1 + 1e-6)
    if 0.05 < step.metrics["clock_frac"] < 1.0:
        assert step.power_w == pytest.approx(limit_w * n_ranks, rel=1e-6)


@given(shared_models(), pairs())
@settings(max_examples=40, deadline=None)
def test_a_lower_limit_never_raises_clock_or_speed(model, sequences: list[tuple[int, int]]) -> None:
    steps = [gpu(model, device__board_limit=f"{watts} W").step(batch_of(sequences)) for watts in (700, 450, 250, 160)]
    clocks = [step.metrics["clock_frac"] for step in steps]
    times = [step.latency_ps for step in steps]
    assert clocks == sorted(clocks, reverse=True)
    assert times == sorted(times)


@given(st.data(), st.sampled_from([1, 4]))
@settings(max_examples=40, deadline=None)
def test_one_stage_does_one_thing_after_the_other(data: st.DataObject, n_ranks: int) -> None:
    step = gpu(data.draw(shared_models(n_ranks)), tensor_parallel=n_ranks).step(batch_of(data.draw(pairs())))
    spans = list(step.schedule.spans)
    assert step.latency_ps == sum(span.end_ps - span.start_ps for span in spans) == step.schedule.makespan_ps
    assert all(before.end_ps == after.start_ps for before, after in itertools.pairwise(spans))
    assert step.interval_ps == step.latency_ps
    roofs = step.breakdown["time_by_roof_ms"]
    assert sum(roofs.values()) * 1e9 == pytest.approx(step.latency_ps)


@given(shared_models(window=False), pairs(), pairs())
@settings(max_examples=40, deadline=None)
def test_a_mixed_batch_takes_no_less_than_its_parts(
    model, one: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    system = gpu(model)
    both = time_ps(system, batch_of(one + other))
    assert both >= max(time_ps(system, batch_of(part)) for part in (one, other)) - ROUNDING_PS


@given(shared_models(), pairs(most=12), st.randoms(), st.sampled_from([1, 64]))
@settings(max_examples=60, deadline=None)
def test_order_does_not_matter_and_equal_keys_are_equal_steps(
    model, sequences: list[tuple[int, int]], rng: random.Random, context_step: int
) -> None:
    shuffled = list(sequences)
    rng.shuffle(shuffled)
    one, other = gpu(model, context_step=context_step), gpu(model, context_step=context_step)
    first, second = one.step(batch_of(sequences)), other.step(batch_of(shuffled))
    if one.step_key(batch_of(sequences)) == other.step_key(batch_of(shuffled)):
        assert (first.latency_ps, first.energy.by_component()) == (second.latency_ps, second.energy.by_component())
    assert first.latency_ps == pytest.approx(second.latency_ps, rel=1e-12)
    assert first.energy.total_pj == pytest.approx(second.energy.total_pj, rel=1e-12)


@given(
    shared_models(window=False),
    st.lists(st.integers(1, 3000), min_size=1, max_size=9),
    st.sampled_from(["split_kv", "matmul"]),
)
@settings(max_examples=60, deadline=None)
def test_decodes_with_an_equal_sum_are_one_step(model, contexts: list[int], kernel: str) -> None:
    mean, left = divmod(sum(contexts), len(contexts))
    level = [mean + 1] * left + [mean] * (len(contexts) - left)
    one, other = gpu(model, attention_kernel=kernel), gpu(model, attention_kernel=kernel)
    ragged, flat = batch_of([(1, n) for n in contexts]), batch_of([(1, n) for n in level])
    assert one.step_key(ragged) == other.step_key(flat)
    assert one.step(ragged).latency_ps == other.step(flat).latency_ps


@given(shared_models(window=False), pairs(), st.sampled_from([2, 64, 128, 1000]), st.sampled_from(ATTENTION_KERNELS))
@settings(max_examples=60, deadline=None)
def test_rounding_contexts_up_never_charges_less(
    model, sequences: list[tuple[int, int]], context_step: int, kernel: str
) -> None:
    model = dataclasses.replace(model, position="rope", n_positions=0)
    exact, rounded = gpu(model, attention_kernel=kernel), gpu(model, attention_kernel=kernel, context_step=context_step)
    least, charged = exact.step(batch_of(sequences)), rounded.step(batch_of(sequences))
    assert charged.latency_ps >= least.latency_ps - ROUNDING_PS
    assert charged.traffic_bytes["memory"] >= least.traffic_bytes["memory"]


@pytest.mark.parametrize("kernel", ATTENTION_KERNELS)
@pytest.mark.parametrize("guessed", [2, 4, 16])
def test_a_verification_reads_its_cache_and_weights_once(guessed: int, kernel: str) -> None:
    """More than the decode that it grew from, and far less than a decode for each token, or a prompt of them all."""
    system = gpu("llama2-7b", attention_kernel=kernel)
    one, several = (system.step(Batch.decode(2048, 8, new_tokens)) for new_tokens in (1, guessed))
    assert one.latency_ps < several.latency_ps < 2 * one.latency_ps
    assert several.traffic_bytes["memory"] < 1.1 * one.traffic_bytes["memory"]
    assert several.latency_ps < system.step(Batch.prefill(2048, 8)).latency_ps


def test_extreme_batches_are_finite() -> None:
    system = gpu("llama2-7b", capacity="report")
    for batch in (
        Batch.decode(1, 1),
        Batch.decode(1 << 20, 1),
        Batch.prefill(1, 1),
        Batch.prefill(1 << 20, 1),
        Batch.decode(1, 65_536),
        Batch(tuple(Sequence(1, 1 + n % 5000) for n in range(65_536))),
    ):
        step = system.step(batch)
        assert 0 < step.latency_ps < 10**18
        assert 100.0 <= step.power_w <= 700.0 * (1 + 1e-6)
    assert time_ps(system, Batch.prefill(1, 1)) == time_ps(system, Batch.decode(1, 1))


def test_a_step_reads_its_weights_once_and_its_cache() -> None:
    """Llama-2-7B at batch 1, by hand: 6.607 G weights of layers and head, and 0.5 MiB of cache a position."""
    step = gpu("llama2-7b").step(Batch.decode(1000, 1))
    weights = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008) + 32_000 * 4096
    acts = 32 * (4096 + 3 * 4096 + 4096 + 4096 + 4096 + 22016 + 11008 + 4096) + 4096 + 32_000
    assert step.traffic_bytes["memory"] == 2 * (weights + acts) + 1000 * 524_288
    assert step.latency_ps > 2 * weights / 4.8


def test_experts_that_nobody_chose_are_not_read() -> None:
    """Mixtral: of 8 experts a lone token reads 2, and eight tokens 8 (1 - (3/4)^8) of them on average."""
    expert = 3 * 4096 * 14336 * 32 * 2
    traffic = [gpu("mixtral-8x7b").step(Batch.decode(1, n)).traffic_bytes["memory"] for n in (1, 8, 2000)]
    shared = traffic[0] - 2 * expert
    for n, bytes_read in zip((1, 8), traffic, strict=False):
        assert bytes_read == pytest.approx(shared + 8 * (1 - 0.75**n) * expert, rel=0.01)
    assert traffic[2] > 8 * expert


def test_tied_embeddings_learned_positions_and_parallel_blocks_run() -> None:
    opt, phi = gpu("opt-6.7b"), gpu("phi-2")
    names = {span.operator for span in phi.step(Batch.decode(100, 2)).schedule.spans}
    assert "ffn_norm" not in names
    assert "attention_residual" not in names
    tied, apart = gpu(SMALL.replace(tied_embeddings=True)), gpu(SMALL)
    assert time_ps(tied, Batch.decode(100, 2)) == time_ps(apart, Batch.decode(100, 2))
    assert tied.kv_room.tokens > apart.kv_room.tokens
    assert time_ps(opt, Batch.decode(2048, 1)) > time_ps(opt, Batch.decode(1, 1))


def test_a_window_reads_of_each_sequence_what_it_sees() -> None:
    model = gpu("llama2-7b").model.replace(sliding_window=512)
    ragged = [(1, 10)] * 32 + [(1, 100_000)] * 32
    read = gpu(model).step(batch_of(ragged)).traffic_bytes["memory"]
    same = gpu(model).step(batch_of([(1, 10)] * 32 + [(1, 512)] * 32)).traffic_bytes["memory"]
    assert read == same


def test_four_norms_a_layer_take_longer_than_two() -> None:
    two, four = gpu(SMALL), gpu(SMALL.replace(norms_per_layer=4))
    assert time_ps(four, Batch.decode(1, 1)) > time_ps(two, Batch.decode(1, 1))


def test_rounding_stays_within_learned_positions() -> None:
    assert time_ps(gpu("opt-6.7b", context_step=1000), Batch.decode(2040, 1)) > 0


def test_a_long_sequence_among_short_ones_is_not_charged_their_mean() -> None:
    """FlashAttention-2 leaves keys whole: 2048 blocks of 100 keys and 32 of 100,000 wait for the long ones."""
    system = gpu("llama2-7b", attention_kernel="fa2")
    sequences = [(1, 100)] * 64 + [(1, 100_000)]
    spans = system.step(batch_of(sequences)).schedule.spans
    charged_ps = next(span.end_ps - span.start_ps for span in spans if span.operator == "attention")
    rows = [Rows(64, 1, 100), Rows(1, 1, 100_000)]
    kernel = system.shard.kernels.attention_decode(system.shard.heads, rows, "fa2")
    assert charged_ps >= kernel.latency_ps + kernel.compute_ps - 1
