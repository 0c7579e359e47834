"""Layers on the analytic GPU: mixes of sequences, grouped queries, speculation, host CPUs, and both accountings."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import ConfigError, MappingError
from simulator.devices.tile_gpu import TileOperator, summed_energy, summed_ps
from simulator.workload.batch import Batch, Sequence
from simulator.workload.catalog import load_model
from tests.devices.tile_gpu_parts import catalogue, device, layer

ATTENTION = ("score", "softmax", "context")
GPT = [
    "qkv", "score", "softmax", "context", "projection", "attention_all_reduce", "attention_norm",
    "ffn_up", "activation", "ffn_down", "ffn_all_reduce", "ffn_norm",
]  # fmt: skip


def by_name(operators: tuple[TileOperator, ...]) -> dict[str, TileOperator]:
    return {operator.name: operator for operator in operators}


def test_operators_come_in_the_order_of_the_layer() -> None:
    assert [operator.name for operator in layer().operators(Batch.decode(100, 4))] == GPT


def test_a_gated_layer_has_a_gate_and_stacks_take_attention_away() -> None:
    names = [operator.name for operator in layer("llama-65b", attention="pim").operators(Batch.decode(100, 4))]
    gated = [name for name in GPT if name not in ATTENTION]
    gated.insert(gated.index("ffn_up"), "ffn_gate")
    gated[1:1] = ["link_in", "link_out"]
    assert names == gated


def test_a_machine_with_stacks_prefills_on_its_gpus() -> None:
    prompt = Batch.prefill(512, 4)
    assert layer(attention="pim").operators(prompt, "gpu") == layer().operators(prompt)


@settings(max_examples=40, deadline=None)
@given(
    contexts=st.lists(st.integers(1, 4096), min_size=1, max_size=40),
    published=st.booleans(),
    model=st.sampled_from(["gpt3-175b", "llama-65b"]),
)
def test_a_ragged_batch_adds_up_its_sequences(contexts: list[int], published: bool, model: str) -> None:
    machine = layer(model, published=published)
    ragged = by_name(machine.operators(Batch(tuple(Sequence(1, context) for context in contexts))))
    alone = [by_name(machine.operators(Batch.decode(context))) for context in contexts]
    for name in ATTENTION:
        for column in ("flops", "offchip_bytes", "l2_bytes", "l1_bytes"):
            total = sum(getattr(one[name], column) for one in alone)
            assert getattr(ragged[name], column) == pytest.approx(total, rel=1e-12)
        assert ragged[name].time_ps <= sum(one[name].time_ps for one in alone) * (1 + 1e-12)


@settings(max_examples=40, deadline=None)
@given(context=st.integers(1, 4096), n=st.integers(2, 64), published=st.booleans())
def test_equal_sequences_one_by_one_cost_what_they_cost_together(context: int, n: int, published: bool) -> None:
    machine = layer(published=published)
    mixed = Batch.of_runs([(Sequence(1, context), n), (Sequence(1, context + 1), 1)])
    near = by_name(machine.operators(mixed))
    equal = by_name(machine.operators(Batch.decode(context, n + 1)))
    for name in set(GPT) - set(ATTENTION):
        assert near[name] == equal[name]
    assert near["score"].flops - equal["score"].flops == 2 * 128 * 12


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 200), context=st.integers(1, 4000), published=st.booleans())
def test_more_work_is_never_cheaper_in_energy(n: int, context: int, published: bool) -> None:
    machine = layer(published=published)
    steps = [Batch.decode(context, n), Batch.decode(context, n + 1), Batch.decode(context + 1, n + 1)]
    spent = [summed_energy(machine.operators(step)).total_pj for step in steps]
    assert all(less <= more for less, more in pairwise(spent))


def test_speculation_makes_tokens_rows_of_the_same_products() -> None:
    machine = layer()
    one = by_name(machine.operators(Batch.decode(2048, 16)))
    four = by_name(machine.operators(Batch.of_runs([(Sequence(4, 2048), 16)])))
    for name in ("qkv", "projection", "ffn_up", "score", "context"):
        assert four[name].flops == 4 * one[name].flops
    assert four["score"].offchip_bytes < 1.1 * one["score"].offchip_bytes
    assert four["qkv"] == by_name(machine.operators(Batch.decode(7, 64)))["qkv"]


def test_grouped_queries_read_their_keys_once_in_the_corrected_accounting() -> None:
    model = load_model("llama3-70b")
    step = Batch.decode(4096, 64)
    shared = by_name(layer(model, published=False).operators(step))
    alone = by_name(layer(model.replace(n_kv_heads=model.n_heads), published=False).operators(step))
    assert shared["score"].flops == alone["score"].flops
    assert shared["score"].offchip_bytes < 0.2 * alone["score"].offchip_bytes
    published = by_name(layer(model).operators(step))
    assert published["score"].offchip_bytes == pytest.approx(alone["score"].offchip_bytes)


def test_corrected_heads_and_feed_forward_are_the_models() -> None:
    published, corrected = layer("llama-65b", 7).shard, layer("llama-65b", 7, published=False).shard
    assert (published.n_kv_heads, corrected.n_kv_heads) == (64 // 7, 10)
    assert published.ffn_width == pytest.approx(8192 // 7 * 8 / 3)
    assert corrected.ffn_width == 3146


def test_both_accountings_of_a_plain_model_share_products_and_differ_in_the_named_oddities() -> None:
    prompt = Batch.prefill(2048, 4)
    published, corrected = by_name(layer().operators(prompt)), by_name(layer(published=False).operators(prompt))
    for name in ("qkv", "score", "projection", "ffn_up", "attention_all_reduce", "softmax"):
        assert published[name].time_ps == corrected[name].time_ps
    assert corrected["activation"].time_ps < published["activation"].time_ps
    assert published["activation"].bound == "compute"
    assert corrected["activation"].bound == "memory"
    assert corrected["score"].register_bytes == published["score"].register_bytes * 12 * 4 * 2


def test_a_lone_gpu_sends_nothing() -> None:
    alone = by_name(layer("opt-66b", 1, published=False).operators(Batch.decode(100, 4)))["ffn_all_reduce"]
    assert (alone.time_ps, alone.energy.nvlink_pj) == (0, 0)


def test_sockets_share_all_heads_in_the_corrected_accounting() -> None:
    step = Batch.decode(2048, 16)
    published = layer(attention="host", n_gpus=4)
    corrected = layer(attention="host", n_gpus=4, published=False)
    assert published.n_gpus == 8
    assert corrected.n_gpus == 4
    one, half = by_name(published.operators(step)), by_name(corrected.operators(step))
    assert half["score"].flops == 4 * one["score"].flops
    assert summed_energy(half[name] for name in ATTENTION).total_pj == 0
    assert half["link_in"].time_ps == one["link_in"].time_ps * 4


def test_sockets_know_the_groups_of_heads_however_many_gpus_repeat_keys() -> None:
    few, many = (layer("llama3-70b", n, attention="host", published=False) for n in (4, 16))
    step = Batch.decode(1024, 8)
    assert by_name(few.operators(step))["score"] == by_name(many.operators(step))["score"]


def test_a_sliding_window_limits_what_is_read() -> None:
    model = load_model("llama-65b").replace(sliding_window=512)
    near, far = (layer(model, published=False).operators(Batch.decode(context, 4)) for context in (512, 4000))
    assert near == far


def test_a_faster_memory_shortens_what_memory_bounds() -> None:
    step = Batch.decode(1024, 4)
    hbm3, hbm2 = layer().operators(step), layer(gpu="A100").operators(step)
    assert summed_ps(hbm3) < summed_ps(hbm2)
    assert by_name(hbm2)["ffn_up"].time_ps / by_name(hbm3)["ffn_up"].time_ps == pytest.approx(3352 / 1935)


def test_bytes_of_energy_are_eight_bits() -> None:
    energies = catalogue().energies
    assert 8 * energies.offchip_pj_per_bit == pytest.approx(28.72)
    spent = device().softmax("softmax", [(1, 100, 1, 1)])
    per_byte = (spent.energy.dram_pj, spent.energy.l2_pj, spent.energy.l1_pj, spent.energy.reg_pj)
    assert [pj / spent.offchip_bytes for pj in per_byte] == pytest.approx([28.72, 2.4, 1.28, 0.0675])
    assert device().link("link", 1e6, 600).energy.nvlink_pj == pytest.approx(10.4e6)


def test_keys_and_values_of_a_prompt_cross_the_link() -> None:
    transfer = layer(attention="pim").kv_transfer(2048)
    assert transfer.link_bytes == 2048 * 2 * 12288 / 8 * 2
    assert transfer.time_ps == pytest.approx(transfer.link_bytes / 300e9 * 1e12)


def test_equal_steps_are_computed_once() -> None:
    machine = layer()
    first, again = (machine.operators(Batch.decode(2048, 64)) for _ in range(2))
    assert all(one is other for one, other in zip(first, again, strict=True))


def test_an_empty_batch_costs_nothing() -> None:
    assert layer().operators(Batch(())) == ()


def test_what_the_model_cannot_hold_is_refused() -> None:
    with pytest.raises(ConfigError, match="A100q") as wrong:
        layer(gpu="A100q")
    assert "did you mean" in str(wrong.value)
    with pytest.raises(MappingError, match="leave none"):
        layer("llama-65b", 65)
    with pytest.raises(MappingError, match="experts"):
        layer("mixtral-8x7b")
    assert layer("llama-65b", 65, published=False).shard.n_kv_heads == 1
