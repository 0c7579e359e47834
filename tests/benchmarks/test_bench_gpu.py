"""Speed of GPU steps: cold and memoised ones, and a map of 10,000 batches and contexts, against the plain twin."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from simulator.systems.gpu import Gpu
from simulator.workload.batch import Batch, Sequence
from tests.systems.gpu_cases import gpu, twin_of

pytestmark = pytest.mark.benchmark


def cpu_s(work: Callable[[], Any]) -> float:
    """CPU seconds of this process that some work takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def all_steps(system: Gpu, batches: list[Batch]) -> None:
    """The step of each batch."""
    for batch in batches:
        system.step(batch)


def decodes(n: int) -> list[Batch]:
    """So many different decode batches."""
    return [Batch.decode(128 + 7 * index, 1 + index % 256) for index in range(n)]


MACHINES = {
    "one H200, llama2-13b": lambda: gpu("llama2-13b", capacity="report"),
    "four H200 TP, llama2-70b": lambda: gpu("llama2-70b", config="gpu_4xh200_tp4"),
    "one H200, mixtral-8x7b": lambda: gpu("mixtral-8x7b", capacity="report"),
    "four stages, 8 micro-batches, llama2-70b": lambda: gpu("llama2-70b", pipeline_parallel=4, n_microbatches=8),
}


@pytest.mark.parametrize("name", MACHINES)
def test_a_cold_step_and_a_memoised_one(name: str) -> None:
    system, batches = MACHINES[name](), decodes(500)
    system.step(Batch.decode(77, 3))
    cold_ms = cpu_s(lambda: all_steps(system, batches)) / len(batches) * 1e3
    again = [batches[-1]] * 20_000
    memoised_us = cpu_s(lambda: all_steps(system, again)) / len(again) * 1e6
    twin_ms = cpu_s(lambda: [twin_of(system, [(1, 1000)] * 32) for _ in range(20)]) / 20 * 1e3
    print(
        f"\n{name}: a cold step {cold_ms:.3f} ms of CPU (at most 1), a memoised one {memoised_us:.2f} us (at most 5); "
        f"the twin, which lays no tasks and names no bounds, {twin_ms:.3f} ms: ratio {cold_ms / twin_ms:.2f}"
    )


@pytest.mark.parametrize("n", [16, 256, 4096, 65_536])
def test_ragged_batches(n: int) -> None:
    rng = random.Random(1)
    system = gpu("llama2-13b", capacity="report")
    mixed = [
        Batch((*(Sequence(1, rng.randint(1, 4000)) for _ in range(n)), Sequence(512, 512), Sequence(256, 2000)))
        for _ in range(5)
    ]
    system.step(Batch.decode(1, 1))
    ms = cpu_s(lambda: all_steps(system, mixed)) / len(mixed) * 1e3
    prompts = [Batch(tuple(Sequence(rng.randint(20, 4000), 4000) for _ in range(min(n, 4096)))) for _ in range(3)]
    prompts_ms = cpu_s(lambda: all_steps(system, prompts)) / len(prompts) * 1e3
    print(
        f"\n{n:,} ragged decodes and two prompts: {ms:.2f} ms of CPU; {min(n, 4096):,} ragged chunks: "
        f"{prompts_ms:.2f} ms"
    )


def test_a_map_of_ten_thousand_points() -> None:
    system = gpu("llama2-13b", capacity="report")
    points = [Batch.decode(32 * context, batch) for batch in range(1, 101) for context in range(1, 101)]
    system.step(Batch.decode(7, 7))
    map_s = cpu_s(lambda: all_steps(system, points))
    sample = points[::500]
    twin_s = cpu_s(lambda: [twin_of(system, [(1, one.sequences[0].context)] * one.n_sequences) for one in sample])
    ratio = map_s / (twin_s * len(points) / len(sample))
    print(f"\n10,000 points of batch x context: {map_s:.2f} s of CPU (at most 10); {ratio:.2f} of what the twin takes")
    system_tp = gpu("llama2-70b", config="gpu_4xh200_tp4")
    system_tp.step(Batch.decode(7, 7))
    print(f"the same on four GPUs: {cpu_s(lambda: all_steps(system_tp, points)):.2f} s of CPU")


def test_long_prompts_in_a_window() -> None:
    model = gpu("llama2-7b").model.replace(sliding_window=4096)
    for length in (8192, 32_768, 1 << 20):
        system = gpu(model, capacity="report")
        system.step(Batch.decode(1, 1))
        ms = cpu_s(lambda system=system, length=length: system.step(Batch.prefill(length, 1))) * 1e3
        print(f"\na prompt of {length:,} positions in a window of 4,096: {ms:.2f} ms of CPU cold")
