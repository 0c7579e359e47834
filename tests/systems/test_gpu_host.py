"""The host beside the GPUs: floors on a step's time, eager launches, and the power of boards that wait."""

from __future__ import annotations

import pytest

from simulator.workload.batch import Batch

from .gpu_cases import ATTENTION_KERNELS, SMALL, batch_of, gpu


def test_a_floor_binds_where_it_is_longer_than_the_gpus_work() -> None:
    plain, floored = gpu("llama2-7b"), gpu("llama2-7b", host__floor="20 ms", host__per_sequence="100 us")
    small, large = Batch.decode(100, 4), Batch.decode(4000, 60)
    assert floored.step(small).latency_ps == 20_400_000_000
    assert floored.step(large).latency_ps == plain.step(large).latency_ps
    assert any("the host binds" in note for note in floored.step(small).notes)
    assert not any("the host binds" in note for note in floored.step(large).notes)


def test_a_board_that_waits_for_its_host_idles() -> None:
    plain, floored = gpu("llama2-7b").step(Batch.decode(100, 4)), gpu("llama2-7b", host__floor="20 ms")
    step = floored.step(Batch.decode(100, 4))
    waits_ps = step.latency_ps - plain.latency_ps
    assert step.energy.total_pj == pytest.approx(plain.energy.total_pj + floored.idle_power_w * waits_ps)
    assert step.metrics["clock_frac"] == plain.metrics["clock_frac"]


def test_prompts_have_a_floor_of_their_own() -> None:
    system = gpu(SMALL, host__floor="1 ms", host__prefill_floor="9 ms")
    times_ms = [system.step(batch_of(each)).latency_ps / 1e9 for each in ([(1, 50)], [(40, 50), (1, 9)], [(1, 51)])]
    assert times_ms == [1.0, 9.0, 1.0]


def test_eager_launches_are_a_floor_too() -> None:
    graph, eager = gpu(SMALL), gpu(SMALL, launch="eager")
    batch = Batch.decode(10, 1)
    n_kernels = eager.step(batch).metrics["n_kernels"]
    assert n_kernels >= 4 * 10 + 3
    launches = eager.config.device.launches
    floor_ps = n_kernels * launches.eager_ps + launches.synchronise_ps
    assert eager.step(batch).latency_ps == max(floor_ps, graph.step(batch).latency_ps) == floor_ps


def test_steps_of_one_shape_keep_their_own_times() -> None:
    """What waits for what is laid once for steps of the same launches: the times must not be."""
    system = gpu(SMALL, tensor_parallel=2)
    contexts = (1, 4000, 17, 2000)
    together = [system.step(Batch.decode(context, 3)) for context in contexts]
    for context, step in zip(contexts, together, strict=True):
        alone = gpu(SMALL, tensor_parallel=2).step(Batch.decode(context, 3))
        assert list(alone.schedule.spans) == list(step.schedule.spans)
        assert alone.energy.by_component() == step.energy.by_component()


@pytest.mark.xfail(strict=True, reason="a kernel of several launches counts as one")
def test_every_launch_of_a_chain_is_launched() -> None:
    """Products, softmax and product; a split kernel and what combines its parts; one kernel where keys stay whole."""
    batch = Batch.decode(10, 64)
    counts = {
        kernel: gpu(SMALL, attention_kernel=kernel).step(batch).metrics["n_kernels"] for kernel in ATTENTION_KERNELS
    }
    assert counts["matmul"] > counts["split_kv"] > counts["fa2"]
