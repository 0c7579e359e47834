"""Model shapes: parameter counts against published ones, key-value bytes, refused shapes."""

from __future__ import annotations

import pytest

from simulator.core.errors import WorkloadError
from simulator.workload.catalog import load_model
from simulator.workload.model import ModelShapeError, ModelSpec

# Exact counts, as the tensors of the public repositories (safetensors index) sum up.
EXACT_PARAMS = {
    "llama-7b": 6_738_415_616,
    "llama-13b": 13_015_864_320,
    "llama-30b": 32_528_943_616,
    "llama-65b": 65_285_660_672,
    "llama2-7b": 6_738_415_616,
    "llama2-13b": 13_015_864_320,
    "llama2-70b": 68_976_648_192,
    "llama3-8b": 8_030_261_248,
    "llama3-70b": 70_553_706_496,
    "llama3.1-8b": 8_030_261_248,
    "opt-1.3b": 1_315_758_080,
    "opt-6.7b": 6_658_473_984,
    "mixtral-8x7b": 46_702_792_704,
    "qwen2-7b": 7_615_616_512,
    "qwen3-32b": 32_762_123_264,
    "qwen3-30b-a3b": 30_532_122_624,
    "phi-2": 2_779_683_840,
    "yi-6b": 6_061_035_520,
}
# Sizes as the papers round them, in billions.
NAMED_PARAMS = {
    "opt-2.7b": 2.65,
    "opt-13b": 12.85,
    "opt-30b": 29.97,
    "opt-66b": 65.7,
    "opt-175b": 174.6,
    "gpt3-66b": 66.0,
    "gpt3-175b": 175.0,
}
KV_BYTES_PER_TOKEN = {
    "llama3-8b": 131_072,
    "llama2-7b": 524_288,
    "llama2-13b": 819_200,
    "opt-13b": 819_200,
    "llama2-70b": 327_680,
    "opt-30b": 1_376_256,
    "opt-66b": 2_359_296,
    "opt-175b": 4_718_592,
    "yi-6b": 65_536,
    "mixtral-8x7b": 131_072,
    "qwen2-7b": 57_344,
    "qwen3-32b": 262_144,
    "qwen3-30b-a3b": 98_304,
}
ACTIVE_PARAMS = {"mixtral-8x7b": 12.9e9, "qwen3-30b-a3b": 3.3e9}

SMALL = {
    "name": "small",
    "n_layers": 2,
    "hidden": 64,
    "n_heads": 4,
    "n_kv_heads": 2,
    "head_dim": 16,
    "ffn": 128,
    "vocab": 100,
    "max_context": 256,
}


@pytest.mark.parametrize(("name", "n_params"), EXACT_PARAMS.items())
def test_parameters_equal_the_published_tensors(name: str, n_params: int) -> None:
    assert load_model(name).n_params == n_params


@pytest.mark.parametrize(("name", "billions"), NAMED_PARAMS.items())
def test_parameters_are_what_the_name_says(name: str, billions: float) -> None:
    assert load_model(name).n_params == pytest.approx(billions * 1e9, rel=0.01)


@pytest.mark.parametrize(("name", "n_bytes"), KV_BYTES_PER_TOKEN.items())
def test_kv_bytes_per_token_at_16_bits(name: str, n_bytes: int) -> None:
    assert load_model(name).kv_bytes_per_token == n_bytes


@pytest.mark.parametrize(("name", "n_params"), ACTIVE_PARAMS.items())
def test_active_parameters_of_expert_models(name: str, n_params: float) -> None:
    assert load_model(name).n_active_params == pytest.approx(n_params, rel=0.02)


def test_dense_models_use_all_their_parameters() -> None:
    model = load_model("llama2-7b")
    assert model.n_active_params == model.n_params


def test_bits_scale_bytes() -> None:
    model = load_model("llama2-7b")
    assert model.replace(weight_bits=4).weight_bytes * 4 == model.weight_bytes == 2 * model.n_params
    assert model.replace(kv_bits=8).kv_bytes_per_token * 2 == model.kv_bytes_per_token


def test_grouped_heads() -> None:
    model = load_model("llama2-70b")
    assert (model.rep, model.q_dim, model.kv_dim) == (8, 8192, 1024)


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"n_kv_heads": 3}, "n_kv_heads"),
        ({"n_layers": 0}, "n_layers"),
        ({"n_layers": True}, "n_layers"),
        ({"n_layers": 2.0}, "n_layers"),
        ({"hidden": -1}, "hidden"),
        ({"hidden": 2**50}, "hidden"),
        ({"ffn": 0}, "ffn"),
        ({"gated": 1}, "gated"),
        ({"activation": "tanh"}, "activation"),
        ({"biases": ("q",)}, "biases"),
        ({"biases": ["qkv"]}, "biases"),
        ({"weight_bits": 128}, "weight_bits"),
        ({"expert_ffn": 8}, "expert_ffn"),
        ({"n_experts": 4, "ffn": 0, "expert_ffn": 8, "n_experts_per_token": 5}, "n_experts_per_token"),
        ({"n_experts": 4, "ffn": 0, "n_experts_per_token": 2}, "expert_ffn"),
        ({"n_experts": 4, "expert_ffn": 8, "n_experts_per_token": 2}, "ffn"),
        ({"position": "learned"}, "n_positions"),
        ({"n_positions": 4}, "n_positions"),
        ({"rotary_dim": 17}, "rotary_dim"),
        ({"sliding_window": 0}, "sliding_window"),
    ],
)
def test_impossible_shapes_name_the_field(overrides: dict[str, object], field: str) -> None:
    with pytest.raises(ModelShapeError) as caught:
        ModelSpec(**{**SMALL, **overrides})  # type: ignore[arg-type]
    assert caught.value.field == field
    assert caught.value.exit_code == 3
    assert caught.value.remedy


def test_replace_knows_its_fields() -> None:
    model = ModelSpec(**SMALL)  # type: ignore[arg-type]
    assert model.replace(n_layers=5).n_layers == 5
    with pytest.raises(WorkloadError, match="did you mean 'n_layers'"):
        model.replace(n_layer=5)
