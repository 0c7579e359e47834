"""The units of fully-connected layers: what a step's tokens cost on each, and the links between."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import pytest

from simulator.devices.fc_units import (
    ELEMENTWISE,
    ElementwiseConfig,
    FcOnGpus,
    FcOnStacks,
    FcUnit,
    LinkConfig,
    elementwise_on_dies,
    elementwise_on_gpus,
    tokens,
)
from simulator.devices.pim_weights import PimWeights
from simulator.workload.catalog import load_model
from simulator.workload.model import ModelSpec
from tests.devices.pim_stack_parts import pim_stack
from tests.devices.tile_gpu_parts import layer

LINK = LinkConfig(n_ports=2, bandwidth_gb_per_s=100.0, latency_ps=500_000, pj_per_bit=2.0)
GATED = ("ffn_gate", "ffn_up", "ffn_down")


@lru_cache
def on_stacks(model: str = "llama-65b", n_bytes: int = 2) -> FcOnStacks:
    return FcOnStacks(PimWeights(pim_stack("fc_pim"), 30, n_bytes, 1 / 0.2), LINK, load_model(model))


@lru_cache
def on_gpus(model: str = "llama-65b", n_gpus: int = 6, n_bytes: int = 2) -> FcOnGpus:
    return FcOnGpus(layer(model, n_gpus, "A100", n_bytes=n_bytes, published=False, attention="pim"))


def total_ps(unit: FcUnit, n: int) -> float:
    return sum(piece.time_ps for own in unit.pieces(n)[0].values() for piece in own)


def test_a_link_takes_its_latency_and_its_bytes() -> None:
    assert LINK.time_ps(0) == 500_000
    assert LINK.time_ps(2_000_000) == 500_000 + 10_000_000
    assert LINK.energy_pj(10) == 160


def test_stacks_have_every_matrix_between_two_transfers() -> None:
    unit = on_stacks()
    pieces, energy = unit.pieces(4)
    assert list(pieces) == ["qkv", "projection", "ffn_up", "ffn_down"]
    moved = 0.0
    for name, own in pieces.items():
        assert [piece.operator for piece in own] == [f"{name}_in", name, f"{name}_out"]
        assert [piece.resource for piece in own] == ["fc link", "fc pim", "fc link"]
        moved += sum((piece.time_ps - LINK.latency_ps) * 0.2 for piece in (own[0], own[2]))
    assert energy.dynamic_pj["fc_link"] == pytest.approx(moved * 8 * LINK.pj_per_bit)
    assert energy.total_pj > energy.dynamic_pj["fc_link"]


def test_gpus_have_every_matrix_and_two_sums() -> None:
    pieces, _ = on_gpus().pieces(4)
    assert set(pieces) == {"qkv", "projection", *GATED, "attention_all_reduce", "ffn_all_reduce"}
    plain, _ = on_gpus("gpt3-175b").pieces(4)
    assert set(plain) == {"qkv", "projection", "ffn_up", "ffn_down", "attention_all_reduce", "ffn_all_reduce"}
    assert {piece.resource for own in pieces.values() for piece in own} == {"gpu", "nvlink"}


def test_one_gpu_sums_nothing() -> None:
    pieces, _ = on_gpus(n_gpus=1).pieces(4)
    assert (
        sum(piece.time_ps for name in ("attention_all_reduce", "ffn_all_reduce") for piece in pieces.get(name, ())) == 0
    )


@pytest.mark.parametrize("model", ["llama-65b", "gpt3-175b", "llama3-70b"])
def test_both_do_the_same_arithmetic(model: str) -> None:
    """0.32 pJ for each multiplication: what a layer's matrices hold, times the tokens."""
    spec = load_model(model)
    n_up = 2 if spec.gated else 1
    n_weights = (
        spec.hidden * (spec.q_dim + 2 * spec.kv_dim) + spec.q_dim * spec.hidden + (n_up + 1) * spec.hidden * spec.ffn
    )
    on_pim = on_stacks(model).pieces(8)[1].dynamic_pj["mac"]
    assert on_pim == pytest.approx(0.32 * 8 * n_weights)
    # The GPUs' busiest shard, six times: rounded up.
    assert on_gpus(model).pieces(8)[1].dynamic_pj["gpu_alu"] == pytest.approx(on_pim, rel=0.06)


@pytest.mark.parametrize("model", ["llama-65b", "gpt3-175b"])
def test_stacks_win_with_few_tokens_and_gpus_with_many(model: str) -> None:
    assert total_ps(on_stacks(model), 1) < 0.5 * total_ps(on_gpus(model), 1)
    assert total_ps(on_stacks(model), 1024) > total_ps(on_gpus(model), 1024)


@pytest.mark.parametrize("unit", [on_stacks, on_gpus])
def test_more_tokens(unit: object) -> None:
    made = unit()  # type: ignore[operator]
    times = [total_ps(made, n) for n in (1, 2, 4, 8, 16, 64, 256)]
    energies = [made.pieces(n)[1].total_pj for n in (1, 2, 4, 8, 16, 64, 256)]
    for fewer, more in pairwise(times):
        assert more >= 0.97 * fewer  # tiles of the GPUs fit some numbers better
    assert energies == sorted(energies)


@pytest.mark.parametrize("unit", [on_stacks, on_gpus])
def test_one_byte_is_less_of_everything(unit: object) -> None:
    two, one = unit(), unit(n_bytes=1)  # type: ignore[operator]
    assert total_ps(one, 4) < total_ps(two, 4)
    assert one.pieces(4)[1].total_pj < two.pieces(4)[1].total_pj


def test_norms_and_activation() -> None:
    machine = layer("llama-65b", 6, "A100", published=False, attention="pim")
    on_gpu, _ = elementwise_on_gpus(machine, 4)
    dies = ElementwiseConfig(latency_ps=1000, bandwidth_gb_per_s=500.0, pj_per_bit=0.5)
    on_die, energy = elementwise_on_dies(dies, machine.model, 2, 4)
    assert set(on_gpu) == set(on_die) == set(ELEMENTWISE)
    n_bytes = 3 * 2 * 4 * (2 * machine.model.hidden + machine.model.ffn)
    assert sum(piece.time_ps for piece in on_die.values()) == pytest.approx(3 * 1000 + n_bytes * 2)
    assert energy.total_pj == pytest.approx(n_bytes * 8 * 0.5)
    more, _ = elementwise_on_gpus(machine, 4000)
    assert all(more[name].time_ps > on_gpu[name].time_ps for name in ELEMENTWISE)


def test_tokens_is_a_batch_of_so_many() -> None:
    assert tokens(7).new_tokens == 7


def test_a_model_of_few_key_value_heads_has_a_narrower_projection() -> None:
    spec: ModelSpec = load_model("llama3-70b")
    wide = spec.replace(name="mha", n_kv_heads=spec.n_heads)
    narrow_run, wide_run = (
        FcOnStacks(on_stacks().weights, LINK, one).pieces(1)[0]["qkv"][1].time_ps for one in (spec, wide)
    )
    assert narrow_run < wide_run


def test_a_transfer_is_bound_by_its_link_for_the_time_of_its_bytes() -> None:
    link = LinkConfig(n_ports=2, bandwidth_gb_per_s=100, latency_ps=1_000_000, pj_per_bit=1)
    piece = link.piece("qkv_in", "fc link", 600_000)
    assert piece.time_ps == 4_000_000
    assert piece.bound is not None
    assert (piece.bound.constraint, piece.bound.achieved) == ("link", 0.75)
