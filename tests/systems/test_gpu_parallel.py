"""GPUs that share a model: what tensor parallelism conserves, what a pipeline takes, what fits into each memory."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import ConfigError, MappingError
from simulator.devices.gpu_kernels import Kernel
from simulator.systems.gpu import Gpu
from simulator.workload.batch import Batch
from simulator.workload.model import ModelSpec

from .gpu_cases import SMALL, batch_of, gpu, pairs, shared_models

# Every size divides by four ranks, so that nothing is padded.
DIVISIBLE = SMALL.replace(n_heads=16, n_kv_heads=8, ffn=4096, vocab=4000)
REPLICATED = ("router", "expert_choice")


def kernels_of(system: Gpu, batch: Batch) -> dict[str, Kernel]:
    """One GPU's kernels by name."""
    found = system.shard.launches(batch)
    return {name: one for name, one in (*found.before, *found.layer, *found.after) if isinstance(one, Kernel)}


@given(pairs(), st.sampled_from([2, 4, 8]))
@settings(max_examples=40, deadline=None)
def test_ranks_together_do_what_one_gpu_does(sequences: list[tuple[int, int]], n_ranks: int) -> None:
    batch = batch_of(sequences)
    alone, shared = kernels_of(gpu(DIVISIBLE), batch), kernels_of(gpu(DIVISIBLE, tensor_parallel=n_ranks), batch)
    assert alone.keys() == shared.keys()
    for name, one in alone.items():
        if one.flops:
            assert n_ranks * shared[name].flops == pytest.approx(one.flops), name
        if one.kind.startswith("attention"):
            assert n_ranks * shared[name].dram_bytes == pytest.approx(one.dram_bytes), name
        if one.kind in ("norm", "elementwise") and not name.startswith("activation"):
            assert shared[name] == one, name


@given(shared_models(4), st.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_padded_shares_are_never_less_than_the_whole(model: ModelSpec, n: int) -> None:
    batch = Batch.decode(50, n)
    alone, shared = kernels_of(gpu(model), batch), kernels_of(gpu(model, tensor_parallel=4), batch)
    for name, one in alone.items():
        assert 4 * shared[name].flops >= one.flops * (1 - 1e-12), name


def test_the_share_of_a_vocabulary_is_rounded_up() -> None:
    system = gpu("opt-6.7b", tensor_parallel=4)  # 50,272 words divide by 4; by 32 ranks they would be 1,571
    assert kernels_of(system, Batch.decode(1, 1))["lm_head"].flops == 2 * 12_568 * 4096
    odd = gpu(SMALL.replace(vocab=2001), tensor_parallel=4)
    assert kernels_of(odd, Batch.decode(1, 1))["lm_head"].flops == 2 * 501 * 1024


@pytest.mark.parametrize(("n_ranks", "n_kv"), [(2, 2), (4, 1), (8, 1), (16, 1)])
def test_key_value_heads_are_shared_or_copied(n_ranks: int, n_kv: int) -> None:
    model = SMALL.replace(n_heads=16, n_kv_heads=4)
    system = gpu(model, tensor_parallel=n_ranks, device__fabric__n_devices=16)
    assert (system.shard.heads.n, system.shard.heads.n_kv) == (16 // n_ranks, n_kv)
    assert system.kv_room.bytes_per_position == 2 * 2 * n_kv * model.head_dim * model.n_layers
    qkv = kernels_of(system, Batch.decode(1, 1))["qkv_proj"]
    assert qkv.flops == 2 * (16 // n_ranks + 2 * n_kv) * 128 * 1024


def test_more_ranks_than_the_fabric_joins_are_refused() -> None:
    with pytest.raises(MappingError, match="fabric of NVIDIA H200 SXM joins 8"):
        gpu(SMALL.replace(n_heads=16, n_kv_heads=4), tensor_parallel=16)


@pytest.mark.parametrize(("n_heads", "n_kv", "n_ranks"), [(8, 8, 3), (10, 2, 4), (12, 6, 4), (24, 8, 12)])
def test_heads_that_do_not_divide_are_refused(n_heads: int, n_kv: int, n_ranks: int) -> None:
    with pytest.raises(MappingError, match="heads, which"):
        gpu(SMALL.replace(n_heads=n_heads, n_kv_heads=n_kv), tensor_parallel=n_ranks)


def test_more_ranks_are_faster_where_the_work_is_large_and_not_where_it_is_small() -> None:
    times = [gpu("llama2-70b", tensor_parallel=n, capacity="report").step(Batch.prefill(4096, 8)).latency_ps
             for n in (1, 2, 4, 8)]  # fmt: skip
    assert times == sorted(times, reverse=True)
    assert times[0] / times[3] < 8.001
    tiny = [gpu(SMALL, tensor_parallel=n).step(Batch.decode(1, 1)).latency_ps for n in (1, 4)]
    assert tiny[1] > tiny[0]


# --- pipelines


def busy_of(system: Gpu, batch: Batch) -> list[float]:
    """How long each stage works in a step."""
    return [entry.duration_ps for entry in system.step(batch).energy.background if entry.state == "active"]


@given(shared_models(2), st.integers(1, 4), st.integers(1, 5), st.sampled_from([1, 2]), pairs())
@settings(max_examples=60, deadline=None)
def test_a_pipeline_takes_between_its_slowest_stage_and_the_sum(
    model: ModelSpec, n_stages: int, n_micro: int, n_ranks: int, sequences: list[tuple[int, int]]
) -> None:
    n_stages = min(n_stages, model.n_layers)
    system = gpu(model, pipeline_parallel=n_stages, n_microbatches=n_micro, tensor_parallel=n_ranks)
    step = system.step(batch_of(sequences))
    busy = busy_of(system, batch_of(sequences))
    assert len(busy) == n_stages
    sending = sum(one.end_ps - one.start_ps for one in step.schedule.spans if one.operator == "send_activations")
    assert max(busy) <= step.latency_ps <= sum(busy) + sending
    assert sum(system.layers_of_stage) == model.n_layers
    assert max(system.layers_of_stage) - min(system.layers_of_stage) <= 1


def test_one_micro_batch_goes_through_the_stages_one_after_the_other() -> None:
    one, four = gpu("llama2-13b"), gpu("llama2-13b", pipeline_parallel=4)
    batch = Batch.decode(512, 64)
    alone, staged = one.step(batch), four.step(batch)
    sends = [span for span in staged.schedule.spans if span.operator == "send_activations"]
    assert len(sends) == 3
    assert staged.latency_ps == sum(busy_of(four, batch)) + sum(one.end_ps - one.start_ps for one in sends)
    assert staged.latency_ps - alone.latency_ps == pytest.approx(sum(s.end_ps - s.start_ps for s in sends), rel=0.05)
    assert staged.latency_ps > alone.latency_ps
    assert staged.energy.total_pj > alone.energy.total_pj  # three boards wait


@pytest.mark.parametrize("n_micro", [2, 4, 8])
def test_micro_batches_follow_each_other_through_the_stages(n_micro: int) -> None:
    """Stages that take alike: n micro-batches through s of them take (n + s - 1) / n times what one stage works."""
    system = gpu("llama2-70b", pipeline_parallel=4, n_microbatches=n_micro)
    batch = Batch.prefill(512, 8)
    slowest = max(busy_of(system, batch))
    assert system.step(batch).latency_ps == pytest.approx(slowest * (n_micro + 3) / n_micro, rel=0.02)


@pytest.mark.parametrize("n_stages", [1, 2])
def test_no_board_works_longer_than_the_step_or_beyond_its_limit(n_stages: int) -> None:
    system = gpu("llama2-70b", config="gpu_4xh200_tp4", n_microbatches=4, pipeline_parallel=n_stages)
    for batch in (Batch.prefill(2048, 8), Batch.decode(1024, 128)):
        step = system.step(batch)
        assert max(busy_of(system, batch)) <= step.latency_ps
        assert step.power_w <= 700.0 * system.n_gpus * (1 + 1e-6)


def test_stages_have_links_of_their_own() -> None:
    system = gpu("llama2-70b", config="gpu_4xh200_tp4", n_microbatches=4, pipeline_parallel=2)
    spans = [one for one in system.step(Batch.prefill(2048, 8)).schedule.spans if one.operator.startswith("all_reduce")]
    assert len({one.resource for one in spans}) == 2


def test_a_stage_that_sends_beside_its_work_works_once() -> None:
    thin = SMALL.replace(n_layers=2, ffn=16, hidden=8192, n_heads=1, n_kv_heads=1, head_dim=16)
    system = gpu(thin, pipeline_parallel=2, n_microbatches=8)
    batch = Batch.prefill(2048, 32)
    assert max(busy_of(system, batch)) <= system.step(batch).latency_ps


@given(shared_models(), st.integers(1, 9), pairs(most=9))
@settings(max_examples=30, deadline=None)
def test_micro_batches_are_the_batch(model: ModelSpec, n_micro: int, sequences: list[tuple[int, int]]) -> None:
    system = gpu(model, pipeline_parallel=min(2, model.n_layers), n_microbatches=n_micro)
    micro = system._microbatches(batch_of(sequences).levelled())
    assert len(micro) == min(n_micro, len(sequences))
    assert sum(one.new_tokens for one in micro) == sum(new for new, _ in sequences)
    assert max(one.n_sequences for one in micro) - min(one.n_sequences for one in micro) <= 1


# --- collectives


@given(
    st.integers(1, 1 << 28), st.integers(1, 1 << 20), st.sampled_from(["all_reduce", "all_gather", "reduce_scatter"])
)
@settings(max_examples=100, deadline=None)
def test_a_larger_vector_never_takes_less(n_bytes: int, more: int, kind: str) -> None:
    collectives = gpu("llama2-70b", config="gpu_4xh200_tp4").collectives
    assert collectives is not None
    small, large = collectives.time_ps(kind, n_bytes), collectives.time_ps(kind, n_bytes + more)
    # Where the long messages' protocol takes over, its handshake costs more than its rate wins back: a step upwards.
    assert large >= small
    assert small >= collectives.sent_bytes(kind, n_bytes) / 450e9 * 1e12
    assert collectives.send_ps(n_bytes + more) >= collectives.send_ps(n_bytes)


def test_protocols_take_over_by_what_a_rank_sends() -> None:
    collectives = gpu("llama2-70b", config="gpu_4xh200_tp4").collectives
    assert collectives is not None
    most = collectives.software.protocols["ll"].max_sent_bytes
    assert most is not None
    for kind, n_steps in (("all_reduce", 6), ("all_gather", 3)):
        largest = 4 * (most // n_steps)
        assert collectives.protocol(kind, largest) == "ll"
        assert collectives.protocol(kind, largest + 4) == "simple"
        assert collectives.time_ps(kind, largest + 4) > collectives.time_ps(kind, largest)


@pytest.mark.parametrize("n_ranks", [2, 3, 8])
def test_rings_of_any_number_of_ranks(n_ranks: int) -> None:
    """2 (n - 1) steps of a shard each; the rate tends to n / (2 (n - 1)) of the link's."""
    collectives = gpu(SMALL.replace(n_heads=24, n_kv_heads=24), tensor_parallel=n_ranks).collectives
    assert collectives is not None
    n_bytes = 1 << 32
    sent = 2 * (n_ranks - 1) * math.ceil(n_bytes / n_ranks)
    assert collectives.sent_bytes("all_reduce", n_bytes) == sent
    simple = collectives.software.protocols["simple"]
    wire_ps = sent / float(simple.payload_share) * 272 / 256 / 450e9 * 1e12
    # A handshake; two links and the switch, step by step.
    fixed_ps = simple.launch_ps + 2 * (n_ranks - 1) * (610_000 + simple.step_ps)
    assert collectives.time_ps("all_reduce", n_bytes) == pytest.approx(fixed_ps + wire_ps, rel=1e-6)


# --- memory


@given(shared_models(2), st.sampled_from([1, 2]), st.sampled_from([1, 2]))
@settings(max_examples=40, deadline=None)
def test_weights_and_room_fill_each_memory_and_no_more(model: ModelSpec, n_ranks: int, n_stages: int) -> None:
    n_stages = min(n_stages, model.n_layers)
    system = gpu(model, tensor_parallel=n_ranks, pipeline_parallel=n_stages)
    room, capacity = system.kv_room, system.config.device.capacity_bytes - system.config.reserved_bytes
    weights = capacity - room.free_bytes
    assert weights * n_ranks * n_stages >= model.weight_bytes * (1 - 1e-9) - n_ranks * n_stages
    if n_ranks == n_stages == 1:
        assert abs(weights - model.weight_bytes) <= 1
        assert room.bytes_per_position == model.kv_bytes_per_token
    assert system.check_capacity(1, room.tokens) is None or model.sliding_window
    if model.sliding_window is None:
        with pytest.raises(MappingError) as refused:
            system.check_capacity(1, room.tokens + 1)
        assert refused.value.missing_bytes == room.bytes_per_position - room.spare_bytes


def test_a_model_that_does_not_fit_is_refused_with_its_missing_bytes() -> None:
    system = gpu("opt-175b")
    with pytest.raises(MappingError, match="overfill a GPU by") as refused:
        _ = system.kv_room
    missing = refused.value.missing_bytes
    assert missing == system.model.weight_bytes + (1 << 30) - 143_156 * (1 << 20)
    assert f"{missing:,} bytes" in str(refused.value)
    assert gpu("opt-175b", tensor_parallel=4).kv_room.tokens > 0


def test_capacity_that_is_only_reported_notes_the_missing_bytes() -> None:
    note = gpu("llama2-13b", capacity="report").check_capacity(1000, 4096)
    assert note is not None
    assert "1,000 sequences of 4,096 positions overfill" in note
    assert "the run goes on" in note


def test_several_gpus_need_a_fabric() -> None:
    for how in ({"tensor_parallel": 2}, {"pipeline_parallel": 2}):
        with pytest.raises(ConfigError, match="has no fabric"):
            gpu(SMALL, device__fabric=None, **how)


def test_what_a_step_reads_is_held_in_memory() -> None:
    model = gpu("llama3-8b").model.replace(weight_bits=4)
    system = gpu(model)
    held = system.config.device.capacity_bytes - system.config.reserved_bytes - system.kv_room.free_bytes
    kernels = kernels_of(system, Batch.decode(1, 1))
    read = {
        name: one.dram_bytes * (1 if name == "lm_head" else 32) for name, one in kernels.items() if one.kind == "gemm"
    }
    embedding = model.vocab * model.hidden * 2
    assert held >= sum(read.values()) + embedding - 32 * (1 << 20)


def test_a_number_format_says_what_is_held() -> None:
    by_format, by_bits = gpu("llama3-8b", number_format="w4a16"), gpu(gpu("llama3-8b").model.replace(weight_bits=4))
    batch = Batch.decode(100, 1)
    assert by_format.step(batch).latency_ps == by_bits.step(batch).latency_ps
    assert by_format.kv_room == by_bits.kv_room
