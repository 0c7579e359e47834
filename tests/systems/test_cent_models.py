"""CENT with every shipped model, and with a Hugging Face configuration as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.systems.cent import Cent
from simulator.workload.batch import Batch
from simulator.workload.catalog import load_model

from .golden_cases import REPO_ROOT
from .machines import machine

Call = Callable[..., dict[str, Any]]

MODELS = sorted(path.stem for path in (REPO_ROOT / "workloads" / "models").glob("*.yaml"))
# Devices that hold every query of 4096 positions, where 32 do not; of the largest models 96 devices hold half of it.
MANY = {"gpt3-175b": 96, "opt-175b": 96, "llama-65b": 96, "gpt3-66b": 64, "opt-66b": 64}


def devices(model: str) -> int:
    """Devices enough for a model and all its queries."""
    return MANY.get(model, 32)


@pytest.mark.parametrize("config", ["cent", "cent_corrected"])
@pytest.mark.parametrize("model", MODELS)
def test_a_block_and_a_query(model: str, config: str, run_json: Call) -> None:
    sets: dict[str, object] = {"workload.model": model, "system.n_devices": devices(model)}
    spec = load_model(model)
    block = run_json(config, {**sets, "workload.context": 512, "workload.scope": "block"})["metrics"]
    half = {"workload.output_tokens": 1536} if "175b" in model else {}
    query = run_json(config, {**sets, "workload.context_step": 1024, **half})
    metrics = query["metrics"]
    # Weights are read once a token, at 512 GB/s a channel.
    blocks_per_device = -(-spec.n_layers // devices(model))
    rate = 32 // blocks_per_device * 512e9
    active = spec.n_active_params - spec.vocab * spec.hidden * (1 if spec.tied_embeddings else 2)
    active -= spec.n_positions * spec.hidden
    # Norms and biases, under a per cent, are no matrices.
    assert block["token_latency_ms"] >= 0.99 * active * 2 / rate * 1e3
    assert block["throughput_tokens_per_s"] == pytest.approx(
        spec.n_layers * 1e3 / block["token_latency_ms"], rel=0.05 if config == "cent_corrected" else 1e-9
    )
    assert metrics["queries_in_flight"] == spec.n_layers
    assert metrics["query_latency_s"] == pytest.approx(metrics["prefill_latency_s"] + metrics["decode_latency_s"])
    assert metrics["prefill_throughput_tokens_per_s"] > metrics["decode_throughput_tokens_per_s"]
    assert metrics["token_latency_ms"] > block["token_latency_ms"]
    assert metrics["energy_mj_per_token"] > 0
    shares = query["breakdown"]["token_time_by_operator_ms"]
    assert sum(shares.values()) == pytest.approx(metrics["token_latency_ms"], rel=1e-9)
    assert ("router" in shares) is (spec.n_experts > 0)
    assert ("rope" in shares) is (spec.position == "rope")
    assert ("norm_ffn" in shares) is not spec.parallel_block


@pytest.mark.parametrize("model", [m for m in MODELS if m != "qwen3-30b-a3b"])
def test_tensor_parallel(model: str) -> None:
    """All devices share a block: a token is there sooner and takes more energy."""
    n_devices = devices(model)
    tp, pp = (machine(model, n_devices=n_devices, parallelism=text).step(Batch.decode(512)) for text in ("tp", "pp"))
    assert tp.n_slots == 1
    assert tp.latency_ps < pp.latency_ps
    assert tp.energy.total_pj > pp.energy.total_pj
    assert tp.interval_ps > pp.interval_ps


def test_experts_of_a_tensor_parallel_group_lie_side_by_side() -> None:
    """Qwen3-30B-A3B has 61 GB of weights; eight devices of 16 GiB hold twice that."""
    machine("qwen3-30b-a3b", n_devices=8, parallelism="tp")


def pim_ps(made: Cent, operator: str, context: int = 512) -> int:
    """In-memory time of an operator over all layers."""
    return made.step(Batch.decode(context)).schedule.operator_ps().get(operator, 0)


@pytest.mark.parametrize("model", ["opt-6.7b", "llama2-7b", "phi-2", "mixtral-8x7b", "qwen3-30b-a3b", "qwen3-32b"])
def test_matrix_products_are_no_faster_than_their_weights_can_be_read(model: str) -> None:
    made = machine(model, n_devices=16)
    spec, group = made.model, made.block.group
    bytes_per_ps = group.n_channels * 0.512
    widths = sum(made.block.ffn_widths())
    weights = {
        "qkv_projection": spec.hidden * (spec.q_dim + 2 * spec.kv_dim),
        "output_projection": spec.q_dim * spec.hidden,
        "ffn_up": (2 if spec.gated else 1) * spec.hidden * widths,
        "ffn_down": spec.hidden * widths,
        "router": spec.hidden * spec.n_experts,
    }
    for operator, n_weights in weights.items():
        least_ps = spec.n_layers * 2 * n_weights / bytes_per_ps
        assert pim_ps(made, operator) >= least_ps
        if n_weights >= 1e8:
            # The reference's own share of the peak is 40 to 60 per cent for large matrices.
            assert pim_ps(made, operator) <= 3 * least_ps


def test_attention_time_follows_the_key_value_heads() -> None:
    """Fewer key-value heads: as many scores, fewer keys and values to append, and no more time."""
    many = machine(load_model("llama2-7b"), n_devices=8)
    few = machine(load_model("llama2-7b").replace(n_kv_heads=8), n_devices=8)
    assert pim_ps(few, "kv_append") < pim_ps(many, "kv_append")
    assert pim_ps(few, "qkv_projection") < pim_ps(many, "qkv_projection")
    assert few.kv_room.bytes_per_position * 4 == many.kv_room.bytes_per_position


def test_shapes_change_what_they_should() -> None:
    base = load_model("llama2-7b")
    made = machine(base, n_devices=8)
    ungated = machine(base.replace(gated=False, activation="gelu"), n_devices=8)
    assert pim_ps(ungated, "ffn_up") == pytest.approx(pim_ps(made, "ffn_up") / 2, rel=0.06)
    assert pim_ps(ungated, "ffn_down") == pim_ps(made, "ffn_down")
    assert pim_ps(ungated, "activation") < pim_ps(made, "activation")
    window = machine(base.replace(sliding_window=512), n_devices=8)
    assert window.step(Batch.decode(512)).latency_ps == made.step(Batch.decode(512)).latency_ps
    for operator in ("attention_score", "softmax", "attention_output"):
        assert pim_ps(window, operator, 4000) == pim_ps(made, operator, 512)
    normed = machine(base.replace(qk_norm=True), n_devices=8)
    assert normed.step(Batch.decode(512)).latency_ps > made.step(Batch.decode(512)).latency_ps
    parallel = machine(base.replace(parallel_block=True), n_devices=8)
    assert parallel.step(Batch.decode(512)).latency_ps < made.step(Batch.decode(512)).latency_ps


def test_more_experts_a_token_take_longer_and_idle_ones_only_room() -> None:
    base = load_model("mixtral-8x7b")
    made = {k: machine(base.replace(n_experts_per_token=k), n_devices=32) for k in (1, 2, 4)}
    one, two, four = (pim_ps(made[k], "ffn_up") for k in (1, 2, 4))
    assert two == pytest.approx(2 * one, rel=0.01)
    assert four == pytest.approx(4 * one, rel=0.01)
    more = machine(base.replace(n_experts=16), n_devices=32)
    assert pim_ps(more, "ffn_up") == pytest.approx(two, rel=1e-3)
    assert more.kv_room.free_bytes < made[2].kv_room.free_bytes


def test_transfers_of_experts_take_the_time_of_their_bytes() -> None:
    made = machine("mixtral-8x7b", n_devices=8, parallelism="tp")
    step = made.step(Batch.decode(512))
    spans = [span for span in step.schedule.spans if span.resource == "cxl"]
    moved = sum(span.end_ps - span.start_ps - made.link.hop_ps for span in spans) * made.link.bytes_per_s / 1e12
    assert moved == pytest.approx(step.traffic_bytes["cxl"], rel=1e-3)


@pytest.mark.parametrize("parallelism", ["pp", "tp", "4x2"])
def test_transfers_of_dense_models_take_the_time_of_their_bytes(parallelism: str) -> None:
    made = machine("llama2-7b", n_devices=8, parallelism=parallelism)
    step = made.step(Batch.decode(512))
    spans = [span for span in step.schedule.spans if span.resource == "cxl"]
    moved = sum(span.end_ps - span.start_ps - made.link.hop_ps for span in spans) * made.link.bytes_per_s / 1e12
    assert moved == pytest.approx(step.traffic_bytes["cxl"], rel=1e-3)


@pytest.mark.parametrize("override", ["weight_bits", "kv_bits", "act_bits"])
def test_widths_other_than_the_part_s_are_refused(
    override: str, sim: Callable[..., Any], repo_root: Path, tmp_path: Path
) -> None:
    config = repo_root / "hw_configs" / "cent.yaml"
    sets = (
        "--set",
        f"workload.overrides.{override}=8",
        "--set",
        "workload.scope=block",
        "--set",
        "workload.context=512",
    )
    outcome = sim("run", config, *sets, "--no-report", "--out", tmp_path / "run")
    assert outcome.code == 4
    assert "16" in outcome.err


def test_a_hugging_face_configuration_as_it_is(tmp_path: Path, run_json: Call) -> None:
    shape = {
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 32,
        "vocab_size": 32000,
        "max_position_embeddings": 4096,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(shape), encoding="utf-8")
    sets = {"system.n_devices": 8, "workload.context": 512, "workload.scope": "block"}
    ours = run_json("cent", {**sets, "workload.model": str(path)})["metrics"]
    assert ours == run_json("cent", {**sets, "workload.model": "llama2-7b"})["metrics"]
    assert ours == run_json("cent", {**sets, "workload.model": "meta-llama/Llama-2-7b-hf"})["metrics"]


@pytest.mark.parametrize(
    "override",
    ["n_layers=0", "hidden=-1", "n_kv_heads=5", "head_dim=nan", "no_such_field=3", "n_heads=1.5", "gated=7"],
)
def test_impossible_shapes_are_refused(override: str, sim: Callable[..., Any], repo_root: Path) -> None:
    outcome = sim("run", repo_root / "hw_configs" / "cent.yaml", "--set", f"workload.overrides.{override}", "--json")
    assert outcome.code == 3, outcome
    assert "remedy" in outcome.err
    assert outcome.out == ""


def test_heads_wider_than_a_row_are_refused(sim: Callable[..., Any], repo_root: Path) -> None:
    outcome = sim("run", repo_root / "hw_configs" / "cent.yaml", "--set", "workload.overrides.head_dim=2048", "--json")
    assert outcome.code == 4
    assert "2048" in outcome.err
