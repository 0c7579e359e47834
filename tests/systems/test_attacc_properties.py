"""What holds on any AttAcc machine: more work costs more, what overlaps never slows a step, order does not matter."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import MappingError
from simulator.devices.attention_offload import pim_heads
from simulator.systems.attacc import Attacc
from simulator.workload.batch import Batch

from .pim_machines import SMALL, attacc, batch_of, decodes

GQA = SMALL.replace(name="gqa", n_kv_heads=2)
WINDOWED = SMALL.replace(name="windowed", sliding_window=256)
PLAIN = SMALL.replace(name="plain", gated=False, ffn=4096)
MODELS = (SMALL, GQA, WINDOWED, PLAIN)
VARIANTS = ("dgx-attacc", "dgx", "dgx-large", "dgx-cpu")
ACCOUNTINGS = ("published", "corrected")
NOISE = 0.985
"""Tiles of the GPUs fit some numbers of tokens better than the next smaller one: up to 1.5 % of a step."""


def cost(machine: Attacc, batch: Batch) -> tuple[int, float]:
    """Time and energy of a step."""
    step = machine.step(batch)
    return step.latency_ps, step.energy.total_pj


def rises(costs: list[tuple[int, float]], *, hosts: bool = False) -> None:
    """Time rises, but for the GPUs' tiles; energy always does, but for attention of hosts, which has none."""
    for (less_ps, less_pj), (more_ps, more_pj) in pairwise(costs):
        assert more_ps >= NOISE * less_ps
        assert more_pj > less_pj or (hosts and more_pj == less_pj)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("accounting", ACCOUNTINGS)
def test_more_sequences_cost_more(model: Any, variant: str, accounting: str) -> None:
    machine = attacc(model, variant=variant, accounting=accounting)
    rises([cost(machine, Batch.decode(400, n)) for n in (1, 2, 3, 8, 12, 16, 17, 32, 33, 64, 65, 128, 256)])
    rises([cost(machine, Batch.prefill(128, n)) for n in (1, 2, 4, 9, 16)])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("accounting", ACCOUNTINGS)
def test_more_context_costs_more(variant: str, accounting: str) -> None:
    machine = attacc(SMALL, variant=variant, accounting=accounting)
    contexts = (1, 16, 17, 100, 256, 257, 512, 513, 1000, 1024, 1025, 2048, 4000)
    rises([cost(machine, Batch.decode(context, 16)) for context in contexts], hosts=variant == "dgx-cpu")
    rises([cost(machine, Batch.prefill(context)) for context in (1, 16, 100, 512, 1000, 2048)])


def test_a_window_bounds_what_is_attended_to() -> None:
    """As corrected; the published sums of GPUs know no window."""
    wide, windowed = attacc(SMALL, accounting="corrected"), attacc(WINDOWED, accounting="corrected")
    assert cost(windowed, Batch.decode(200, 16)) == cost(wide, Batch.decode(200, 16))
    at_window, beyond = (cost(windowed, Batch.decode(context, 16)) for context in (256, 3000))
    assert at_window == beyond
    assert beyond[0] < cost(wide, Batch.decode(3000, 16))[0]


@pytest.mark.parametrize("placement", ["bank", "bg", "buffer"])
@pytest.mark.parametrize("model", ["llama-65b", "gpt3-175b", GQA], ids=str)
def test_what_overlaps_never_slows_a_step(model: Any, placement: str) -> None:
    def latency(pipeline: bool, coprocessing: bool, batch: Batch) -> int:
        machine = attacc(model, placement=placement, head_pipeline=pipeline, ff_coprocessing=coprocessing)
        return machine.step(batch).latency_ps

    batches = [Batch.decode(context, n) for context in (1, 300, 2048) for n in (1, 16, 64)]
    mixed = batch_of([(1, 700)] * 8 + [(200, 200)])
    for batch in [*batches, decodes([5, 900, 900, 2000, 31]), mixed]:
        slowest = latency(False, False, batch)
        for pipeline, coprocessing in ((True, False), (False, True)):
            some = latency(pipeline, coprocessing, batch)
            assert some <= slowest * 1.0001
            assert latency(True, True, batch) <= some * 1.0001


@pytest.mark.parametrize("model", ["llama-65b", "gpt3-175b"])
@pytest.mark.parametrize("accounting", ACCOUNTINGS)
def test_stacks_are_not_slower_than_gpus_alone(model: str, accounting: str) -> None:
    """Of AttAcc's models, at any batch and length; without the overlaps, links may cost up to 1 %."""
    gpus = attacc(model, variant="dgx", accounting=accounting)
    both = attacc(model, accounting=accounting)
    bare = attacc(model, accounting=accounting, head_pipeline=False, ff_coprocessing=False)
    for context in (1, 64, 512, 2048, 4096):
        for n in (1, 16, 128):
            batch = Batch.decode(context, n)
            assert both.step(batch).latency_ps <= gpus.step(batch).latency_ps
            assert both.step(batch).energy.total_pj <= 1.01 * gpus.step(batch).energy.total_pj
            assert bare.step(batch).latency_ps <= 1.02 * gpus.step(batch).latency_ps
    prompt = Batch.prefill(512, 4)
    assert cost(both, prompt) == cost(gpus, prompt)


def tool_step_ms(machine: Attacc, batch: Batch) -> float:
    """A decode step by the closed form of the authors' simulator."""
    operators = machine.layer.operators(batch, "pim")
    times = {one.name: one.time_ps for one in operators}
    attention = machine.pool.attention(pim_heads(batch, machine.model)).time_ps
    stack, gpu, n_bytes = machine.stack.config, machine.layer.config, machine.layer.n_bytes
    share = 1 / machine.layer.shard.n_kv_heads
    if machine.config.ff_coprocessing:
        ratios = {"bank": (9, 16), "bg": (3, 8), "buffer": (1, 1)}[stack.placement]
        ratio = ratios[0 if stack.power_limit else 1]
        flops, stacks = gpu.peak_tflops * 1e12 * 2 / n_bytes, ratio * gpu.bandwidth_gb_per_s * 1e9
        for one in operators:
            if one.kind == "fc" and one.name.startswith("ffn_"):
                is_bound = one.bound == "compute"
                kept = flops / (flops + 2 * stacks / n_bytes) if is_bound else 1 / (1 + ratio / batch.new_tokens)
                times[one.name] *= kept
    link = times.pop("link_in") + times.pop("link_out")
    link = link * share if attention > link else link - attention * (1 - share)
    qkv, projection = times.pop("qkv"), times.pop("projection")
    if machine.config.head_pipeline:
        if attention > qkv + projection:
            qkv, projection = qkv * share, projection * share
        else:
            qkv, projection = qkv - 0.75 * attention * (1 - share), projection - 0.25 * attention * (1 - share)
    return (sum(times.values()) + link + attention + qkv + projection) * machine.model.n_layers / 1e9


@pytest.mark.parametrize("pipeline", [True, False])
@pytest.mark.parametrize("coprocessing", [True, False])
@pytest.mark.parametrize("placement", ["bank", "bg", "buffer"])
def test_tasks_against_the_closed_form(placement: str, coprocessing: bool, pipeline: bool) -> None:
    """Without a pipeline the same to 1e-4; with one, tasks that overlap head by head gain up to 2.5 %."""
    for model in ("gpt3-175b", "llama-65b", "gpt3-66b"):
        for limit in (True, False):
            machine = attacc(
                model, placement=placement, head_pipeline=pipeline, ff_coprocessing=coprocessing, power_limit=limit
            )
            for context, n in ((129, 4), (2048, 1), (1024, 16), (2049, 64)):
                batch = Batch.decode(context, n)
                ratio = machine.step(batch).latency_ps / 1e9 / tool_step_ms(machine, batch)
                assert (0.975 if pipeline else 0.9999) <= ratio <= 1.0001


pairs = st.lists(
    st.one_of(
        st.tuples(st.just(1), st.integers(1, 3000)),
        st.tuples(st.integers(2, 8), st.integers(20, 3000)),
        st.integers(20, 400).map(lambda n: (n, n)),
    ),
    min_size=1,
    max_size=6,
)


@given(pairs, st.randoms(use_true_random=False), st.sampled_from(VARIANTS), st.sampled_from(ACCOUNTINGS))
@settings(max_examples=40, deadline=None)
def test_order_does_not_matter(found: list[tuple[int, int]], random: Any, variant: str, accounting: str) -> None:
    machine = attacc(GQA, variant=variant, accounting=accounting)
    turned = list(found)
    random.shuffle(turned)
    one, other = machine.step(batch_of(found)), machine.step(batch_of(turned))
    assert one.latency_ps == other.latency_ps
    assert one.energy.total_pj == other.energy.total_pj
    assert machine.step_key(batch_of(found)) == machine.step_key(batch_of(turned))


@given(pairs, st.sampled_from(VARIANTS))
@settings(max_examples=40, deadline=None)
def test_any_batch_is_a_step(found: list[tuple[int, int]], variant: str) -> None:
    step = attacc(GQA, variant=variant).step(batch_of(found))
    assert step.latency_ps > 0
    assert step.energy.total_pj > 0
    assert step.power_w == pytest.approx(step.energy.total_pj / step.latency_ps)
    assert all(0 <= bound.achieved <= bound.peak for bound in step.bounds.values())
    assert step.traffic_bytes["gpu memory"] > 0


def test_prompts_beside_decodes_take_less_than_one_after_the_other() -> None:
    for model in ("llama-65b", GQA):
        machine = attacc(model)
        prompts, ones = [(300, 300), (64, 500)], [(1, 600)] * 8
        apart = machine.step(batch_of(prompts)).latency_ps + machine.step(batch_of(ones)).latency_ps
        assert machine.step(batch_of(prompts + ones)).latency_ps < apart


@pytest.mark.parametrize("model", [SMALL, "gpt3-175b"], ids=["small", "gpt3-175b"])
def test_ragged_batches_lie_between_equal_ones(model: Any) -> None:
    """And those of fast and full detail within 2.5 % of each other, but for a refresh of the stacks."""
    fast, full = attacc(model), attacc(model, detail="full")
    contexts = [100, 350, 351, 900, 901, 1500, 2000, 2000]
    ragged = decodes(contexts)
    lo, hi = (fast.step(Batch.decode(context, len(contexts))).latency_ps for context in (100, 2000))
    assert 0.99 * lo <= fast.step(ragged).latency_ps <= 1.01 * hi
    assert fast.step(ragged).latency_ps == pytest.approx(full.step(ragged).latency_ps, rel=0.025)
    equal = decodes([700] * 16)
    assert cost(fast, equal) == cost(full, equal)
    assert cost(fast, equal) == cost(fast, Batch.decode(700, 16))


def test_several_tokens_share_keys_and_values() -> None:
    """Four tokens of a sequence read its keys once: less than four sequences, no less than one."""
    machine = attacc("llama-65b", accounting="corrected")
    one, four, apart = (cost(machine, batch) for batch in (
        Batch.decode(2000, 16), Batch.decode(2003, 16, 4), Batch.decode(2000, 64),
    ))  # fmt: skip
    assert one[0] < four[0] <= apart[0]  # attention hides behind projections
    assert one[1] < four[1] < apart[1]


def test_grouped_queries_read_fewer_keys() -> None:
    many, few = (attacc(model, accounting="corrected").step(Batch.decode(2000, 64)) for model in (SMALL, GQA))
    few_commands, many_commands = few.breakdown["commands"], many.breakdown["commands"]
    assert few_commands["n_mac"] * 4 == many_commands["n_mac"]
    assert few_commands["n_softmax"] == many_commands["n_softmax"]  # one for each query
    assert few.energy.total_pj < many.energy.total_pj


def test_one_byte_is_less_of_everything() -> None:
    for variant in VARIANTS:
        for context, n in ((1, 1), (512, 16), (2048, 64)):
            two = attacc(SMALL, variant=variant)
            one = attacc(SMALL.replace(name="fp8", weight_bits=8, act_bits=8, kv_bits=8), variant=variant)
            assert cost(one, Batch.decode(context, n)) < cost(two, Batch.decode(context, n))


def test_contexts_apart_never_cost_less() -> None:
    exact, apart = attacc(SMALL), attacc(SMALL, context_step=64)
    for context in (1, 63, 64, 65, 1000):
        assert cost(apart, Batch.decode(context, 8)) == cost(exact, Batch.decode(-(-context // 64) * 64, 8))


def test_the_other_accounting_there_and_back() -> None:
    machine = attacc("gpt3-175b")
    assert machine.other_accounting().accounting.name == "corrected"
    back = machine.other_accounting().other_accounting()
    assert cost(back, Batch.decode(500, 8)) == cost(machine, Batch.decode(500, 8))


def test_limits_follow_memory() -> None:
    model = "gpt3-175b"
    base, large, both = (attacc(model, variant=variant) for variant in ("dgx", "dgx-large", "dgx-attacc"))
    assert large.memory_bytes == both.memory_bytes == 2 * base.memory_bytes == 1280 << 30
    for context in (256, 2176, 4096):
        assert base.batch_limit(context) < large.batch_limit(context) == both.batch_limit(context)
    strict = attacc(model, capacity="enforce", accounting="corrected")
    limit = strict.batch_limit(2048)
    assert strict.check_capacity(limit, 2048) is None
    with pytest.raises(MappingError) as caught:
        strict.check_capacity(limit + 1, 2048)
    assert 0 < caught.value.missing_bytes <= 2048 * strict.kv_room.bytes_per_position


def test_what_the_published_sums_leave_out_is_said() -> None:
    batch = Batch.decode(100, 4)
    assert attacc(SMALL).step(batch).notes == ()
    (said,) = attacc(GQA).step(batch).notes
    assert "count 8 key-value heads of 128, where gqa has 2 of 128" in said
    (said,) = attacc(SMALL.replace(name="broad", head_dim=256)).step(batch).notes
    assert "8 key-value heads of 128, where broad has 8 of 256" in said
    assert attacc(GQA, accounting="corrected").step(batch).notes == ()
