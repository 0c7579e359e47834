"""What holds of PAPI and the designs it is compared to: the threshold, the two units, and steps of any batch."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import MappingError
from simulator.devices.fc_scheduler import estimated_intensity, parallelism
from simulator.devices.pim_attention import PimHead
from simulator.systems.papi import Papi
from simulator.workload.batch import Batch
from simulator.workload.catalog import load_model

from .pim_machines import SMALL, attacc, batch_of, decodes, papi

GQA = SMALL.replace(name="gqa", n_kv_heads=2)
DESIGNS = ("papi", "a100-attacc", "a100-hbm-pim", "attacc-only", "pim-only-papi")
OF_STACKS = ("attacc-only", "pim-only-papi")
MODELS = ("llama-65b", "gpt3-66b", "gpt3-175b", "llama3-70b")


def cost(machine: Papi, batch: Batch) -> tuple[int, float]:
    """Time and energy of a step."""
    step = machine.step(batch)
    return step.latency_ps, step.energy.total_pj


# --- the threshold


@pytest.mark.parametrize("model", MODELS)
def test_alpha_is_where_the_units_cross(model: str) -> None:
    scheduler = papi(model).scheduler
    alpha = int(scheduler.alpha)
    assert alpha == scheduler.alpha >= 1
    for n in {1, 2, alpha // 2, alpha - 1, alpha}:
        assert scheduler.fc_ps(n, "pim") <= scheduler.fc_ps(n, "gpu")
    for n in (alpha + 1, alpha + 2, 2 * alpha, 4 * alpha):
        assert scheduler.fc_ps(n, "pim") > scheduler.fc_ps(n, "gpu")


@pytest.mark.parametrize("alpha", [0, 1, 4, 16, 100, 1e9, 7.5])
def test_a_given_alpha_is_obeyed(alpha: float) -> None:
    machine = papi(SMALL, scheduler__alpha=alpha)
    for n in (1, 2, 4, 5, 7, 8, 16, 17, 100, 101):
        for tokens in (1, 2, 5):
            batch = Batch.decode(300, n, tokens)
            assert parallelism(batch) == n * tokens
            assert machine.placement(batch) == ("gpu" if n * tokens > alpha else "pim")


@pytest.mark.parametrize("model", ["llama-65b", "llama3-70b"])
def test_the_unit_flips_exactly_at_alpha(model: str) -> None:
    machine = papi(model)
    alpha = int(machine.alpha)
    below, above = Batch.decode(300, alpha), Batch.decode(300, alpha + 1)
    assert (machine.placement(below), machine.placement(above)) == ("pim", "gpu")
    assert cost(machine, below) == cost(papi(model, fc_unit="pim"), below)
    assert cost(machine, above) == cost(papi(model, fc_unit="gpu"), above)
    assert f"not above alpha = {alpha}" in machine.step(below).notes[0]
    assert f"RLP x TLP is {alpha + 1}, above alpha" in machine.step(above).notes[0]


def test_the_intensity_is_the_papers() -> None:
    """FLOP over bytes of h x h weights of 16 bits, which tends to RLP x TLP."""
    assert estimated_intensity(32, 7168) == pytest.approx(31.7, abs=0.05)  # batch 4, speculation 8 on OPT-30B
    assert estimated_intensity(4, 10**9) == pytest.approx(4, rel=1e-6)
    step = papi("llama-65b").step(Batch.decode(300, 4, 2))
    assert step.metrics["rlp_x_tlp"] == 8
    assert step.metrics["fc_intensity_flop_per_byte"] == pytest.approx(estimated_intensity(8, 8192))


def test_parallelism_counts_decodes_only() -> None:
    assert parallelism(batch_of([(1, 100), (1, 50), (200, 200)])) == 2
    assert parallelism(batch_of([(4, 100), (1, 50), (2, 60)])) == 3 * 4
    assert parallelism(Batch.prefill(100, 3)) == 0


def test_prompts_go_to_the_gpus() -> None:
    mixed = batch_of([(1, 600), (300, 300)])
    machine = papi(SMALL)
    assert machine.placement(Batch.prefill(64)) == machine.placement(mixed) == "gpu"
    assert machine.step(Batch.prefill(64)).notes == ()
    assert machine.step(mixed).notes == ("fully-connected layers on gpu: the step has prompts",)
    assert papi(SMALL, fc_unit="pim").placement(mixed) == "gpu"
    assert papi(SMALL, design="attacc-only").placement(mixed) == "pim"


@pytest.mark.parametrize("model", ["llama-65b", SMALL], ids=str)
def test_the_choice_is_the_faster_unit(model: Any) -> None:
    """Of the fully-connected work, always; of a whole step, which overlaps some of it, but for 12 % above alpha."""
    dynamic, gpu, pim = papi(model), papi(model, fc_unit="gpu"), papi(model, fc_unit="pim")
    fc_ps, alpha = dynamic.scheduler.fc_ps, int(dynamic.alpha)
    for n in sorted({1, 4, 16, 64, 128, 256, alpha - 1, alpha, alpha + 1, alpha + 8}):
        batch = Batch.decode(512, n)
        chosen = dynamic.placement(batch)
        assert fc_ps(n, chosen) == min(fc_ps(n, "gpu"), fc_ps(n, "pim"))
        fastest = min(one.step(batch).latency_ps for one in (gpu, pim))
        near = alpha < n <= 1.3 * alpha
        assert dynamic.step(batch).latency_ps <= (1.12 if near else 1.0) * fastest


# --- steps


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("model", [SMALL, GQA], ids=["small", "gqa"])
def test_more_costs_more(design: str, model: Any) -> None:
    """Time but for tiles of the GPUs, which fit some numbers better by up to 2.5 %; energy always."""
    machine = papi(model, design=design)
    by_number = [cost(machine, Batch.decode(512, n)) for n in (1, 2, 4, 7, 16, 17, 33, 64, 65, 128, 256)]
    by_context = [cost(machine, Batch.decode(context, 16)) for context in (1, 17, 100, 256, 511, 1000, 2048, 4000)]
    by_tokens = [cost(machine, Batch.decode(600, 8, n)) for n in (1, 2, 3, 4, 8)]
    # Above alpha the unit changes: monotone on each.
    for costs in (by_context, by_tokens, by_number):
        for (less_ps, less_pj), (more_ps, more_pj) in pairwise(costs):
            assert more_ps >= 0.975 * less_ps
            assert more_pj > less_pj or design == "papi"


@pytest.mark.parametrize("design", DESIGNS)
def test_a_head_pipeline_never_slows_a_step(design: str) -> None:
    cut, whole = papi("llama-65b", design=design), papi("llama-65b", design=design, head_pipeline=False)
    for batch in (Batch.decode(1), Batch.decode(512, 16), Batch.decode(2048, 64), decodes([5, 900, 2000])):
        assert cut.step(batch).latency_ps <= 1.0001 * whole.step(batch).latency_ps


pairs = st.lists(
    st.one_of(
        st.tuples(st.just(1), st.integers(1, 2000)),
        st.tuples(st.integers(2, 8), st.integers(20, 2000)),
        st.integers(20, 300).map(lambda n: (n, n)),
    ),
    min_size=1,
    max_size=5,
)


@given(pairs, st.randoms(use_true_random=False), st.sampled_from(DESIGNS))
@settings(max_examples=40, deadline=None)
def test_any_batch_in_any_order(found: list[tuple[int, int]], random: Any, design: str) -> None:
    machine = papi(GQA, design=design)
    turned = list(found)
    random.shuffle(turned)
    step, other = machine.step(batch_of(found)), machine.step(batch_of(turned))
    assert (step.latency_ps, step.energy.total_pj) == (other.latency_ps, other.energy.total_pj)
    assert step.latency_ps > 0
    assert step.energy.total_pj > 0
    assert all(0 <= bound.achieved <= bound.peak for bound in step.bounds.values())


@pytest.mark.parametrize("design", ["papi", "a100-attacc", "attacc-only"])
def test_ragged_batches_fast_and_full(design: str) -> None:
    """2.5 % of the step, which a refresh of the stacks falls well within."""
    fast, full = papi("llama-65b", design=design), papi("llama-65b", design=design, detail="full")
    for contexts in ([100, 350, 351, 900, 1500, 2000], [500 + n for n in range(24)], [40, 41, 3000, 90]):
        batch = decodes(contexts)
        assert fast.step(batch).latency_ps == pytest.approx(full.step(batch).latency_ps, rel=0.025)
        assert fast.step(batch).energy.total_pj == pytest.approx(full.step(batch).energy.total_pj, rel=1e-6)
    equal = Batch.decode(700, 16)
    assert cost(fast, equal) == cost(full, equal) == cost(fast, decodes([700] * 16))


def test_fc_stacks_spare_gpus_at_low_parallelism() -> None:
    """PAPI's case: at batch 4 the weights are read where they lie."""
    batch = Batch.decode(300, 4)
    ours, gpus = papi("llama-65b"), papi("llama-65b", design="a100-attacc")
    assert ours.step(batch).latency_ps < 0.5 * gpus.step(batch).latency_ps
    assert ours.step(batch).energy.total_pj < 0.5 * gpus.step(batch).energy.total_pj


def test_designs_are_as_they_are_said_to_be() -> None:
    for design in DESIGNS:
        machine = papi("llama-65b", design=design)
        assert machine.pool.n_stacks == 60
        assert ("gpu" in machine.fc_units) == (design not in OF_STACKS)
        assert ("pim" in machine.fc_units) == (design in ("papi", *OF_STACKS))
        if machine.weights is not None:
            assert machine.weights.n_stacks == 30
        assert machine.tables().keys() == ({"alpha_sweep"} if design == "papi" else set())


def test_attention_is_the_same_on_the_same_stacks() -> None:
    """AttAcc's stack in both systems, as corrected."""
    here = papi("llama-65b", design="a100-attacc").attention(2048, 16, 128, 2)
    there = attacc("llama-65b", accounting="corrected").attention(2048, 16, 128, 2)
    assert (here.latency_ps, here.energy.total_pj) == (there.latency_ps, there.energy.total_pj)


@pytest.mark.parametrize("tokens", [2, 4, 8])
def test_one_unit_for_two_banks_is_slower_for_several_tokens(tokens: int) -> None:
    """1P2B against 1P1B; PAPI prints 1.7 at four."""
    times = [
        papi("llama-65b", design=design).pool.attention([(PimHead(2048, tokens), 960)]).ticks
        for design in ("papi", "a100-attacc")
    ]
    assert 1.0 <= times[0] / times[1] <= 2.05


def test_published_energy_differs_and_time_does_not_much() -> None:
    batch = Batch.decode(900, 8)
    published, corrected = (papi("llama-65b", accounting=name).step(batch) for name in ("published", "corrected"))
    assert published.latency_ps == pytest.approx(corrected.latency_ps, rel=0.05)
    assert published.energy.total_pj != corrected.energy.total_pj


# --- memory


def test_limits_of_the_attention_stacks() -> None:
    machine = papi("llama-65b")
    limit = machine.batch_limit(4096)
    assert limit == (60 * 16 << 30) // (2 * 80 * 8192 * 2 * 4096)
    assert machine.check_capacity(limit, 4096) is None
    with pytest.raises(MappingError) as caught:
        machine.check_capacity(limit + 1, 4096)
    assert f"{limit:,} fit" in str(caught.value)
    reported = papi("llama-65b", capacity="report").check_capacity(limit + 1, 4096)
    assert reported is not None
    assert "goes on as if they fitted" in reported


def test_weights_lie_in_the_fc_stacks() -> None:
    """360 GB of FC-PIM hold GPT-3's 350; AttAcc's 480 GB do, too; a model twice as large fits neither."""
    for design in DESIGNS:
        assert papi("gpt3-175b", design=design).kv_room.free_bytes == 60 * 16 << 30
    large = load_model("gpt3-175b").replace(name="large", n_layers=192)
    with pytest.raises(MappingError) as caught:
        _ = papi(large).kv_room
    assert caught.value.missing_bytes > 0
