"""The GPU system against its twin in plain Python: time, clock, power and every kernel of random models and batches."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.systems.gpu import Gpu

from .gpu_cases import ATTENTION_KERNELS, batch_of, gpu, pairs, shared_models, twin_of

TOLERANCE = 1e-6  # whole picoseconds of kernels that take a microsecond and more


def assert_alike(system: Gpu, sequences: list[tuple[int, int]]) -> None:
    """Time, clock, power and energy of a step, and the time of each kernel."""
    ours, twin = system.step(batch_of(sequences)), twin_of(system, sequences)
    assert ours.metrics["clock_frac"] == pytest.approx(twin.ratio, rel=1e-8)
    assert ours.latency_ps == pytest.approx(twin.seconds * 1e12, rel=TOLERANCE)
    assert ours.power_w == pytest.approx(twin.watts, rel=TOLERANCE)
    assert ours.energy.total_pj == pytest.approx(twin.joules * 1e12, rel=TOLERANCE)
    spent: dict[str, float] = {}
    for span in ours.schedule.spans:
        name = span.operator.replace("attention_prefill", "attention")
        spent[name] = spent.get(name, 0.0) + (span.end_ps - span.start_ps) / 1e12
    assert spent == pytest.approx(twin.seconds_of, rel=TOLERANCE)


@given(
    st.data(), st.sampled_from([1, 2, 4]), st.sampled_from(ATTENTION_KERNELS), st.sampled_from(["separate", "fused"])
)
@settings(max_examples=120, deadline=None)
def test_a_step_is_what_its_formulas_say(data: st.DataObject, n_ranks: int, kernel: str, elementwise: str) -> None:
    model = data.draw(shared_models(n_ranks, window=False))
    system = gpu(model, tensor_parallel=n_ranks, attention_kernel=kernel, elementwise=elementwise)
    assert_alike(system, data.draw(pairs()))


@given(shared_models(), st.lists(st.integers(1, 4000), min_size=1, max_size=9), st.sampled_from(ATTENTION_KERNELS))
@settings(max_examples=80, deadline=None)
def test_ragged_decodes_in_a_window(model, contexts: list[int], kernel: str) -> None:
    assert_alike(gpu(model, attention_kernel=kernel), [(1, context) for context in contexts])


@pytest.mark.parametrize("kernel", ATTENTION_KERNELS)
@pytest.mark.parametrize("batch", [[(1, 1024)] * 32, [(1, 700 * n) for n in range(1, 60)], [(1024, 1024)] * 4,
                                   [(1, 900)] * 30 + [(700, 700), (512, 2560), (5, 800)]])  # fmt: skip
def test_shipped_models_of_every_kind(batch: list[tuple[int, int]], kernel: str) -> None:
    for name in ("llama2-7b", "llama3-8b", "phi-2", "qwen3-30b-a3b", "mixtral-8x7b"):
        assert_alike(gpu(name, attention_kernel=kernel, capacity="report"), batch)


@pytest.mark.parametrize("bits", [(8, 8), (4, 16)])
@pytest.mark.parametrize("n_ranks", [1, 4])
def test_quantised_weights(bits: tuple[int, int], n_ranks: int) -> None:
    for name in ("llama2-7b", "mixtral-8x7b"):
        model = gpu(name, capacity="report").model.replace(weight_bits=bits[0], act_bits=bits[1])
        for batch in ([(1, 512)] * 3, [(1, 512)] * 100, [(777, 777), (1, 3000)]):
            assert_alike(gpu(model, tensor_parallel=n_ranks, capacity="report"), batch)


def test_a_format_with_a_launch_and_a_bandwidth_of_its_own() -> None:
    own = {"device__formats__bf16__launch": "9 us", "device__formats__bf16__bandwidth_frac": 0.4}
    for batch in ([(1, 512)] * 3, [(777, 777), (1, 3000)]):
        assert_alike(gpu("llama2-7b", **own), batch)


def test_the_limit_binds_and_the_clock_falls_with_it() -> None:
    ratios = []
    for limit_w in (700, 600, 500, 400, 300, 200):
        system = gpu("llama2-7b", device__board_limit=f"{limit_w} W")
        sequences = [(2048, 2048)] * 2
        assert_alike(system, sequences)
        step = system.step(batch_of(sequences))
        assert step.power_w == pytest.approx(limit_w, rel=1e-9)
        ratios.append(step.metrics["clock_frac"])
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] < 1.0
