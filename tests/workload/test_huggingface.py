"""Shapes from config.json: they equal the YAML of the same model, and what is missing or unknown is named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import WorkloadError
from simulator.workload.catalog import load_model
from simulator.workload.huggingface import FAMILIES
from simulator.workload.model import ModelSpec


def llama(**more: Any) -> dict[str, Any]:
    """The keys that the Llama-like families share."""
    return {
        "model_type": "llama",
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": 32000,
        **more,
    }


LLAMA2_70B = llama(
    hidden_size=8192,
    intermediate_size=28672,
    num_hidden_layers=80,
    num_attention_heads=64,
    num_key_value_heads=8,
    max_position_embeddings=4096,
)
MIXTRAL = llama(
    model_type="mixtral",
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    max_position_embeddings=32768,
    num_local_experts=8,
    num_experts_per_tok=2,
    sliding_window=None,
)
QWEN2 = llama(
    model_type="qwen2",
    hidden_size=3584,
    intermediate_size=18944,
    num_hidden_layers=28,
    num_attention_heads=28,
    num_key_value_heads=4,
    max_position_embeddings=131072,
    sliding_window=131072,
    use_sliding_window=False,
    max_window_layers=28,
    vocab_size=152064,
)
QWEN3_MOE = llama(
    model_type="qwen3_moe",
    hidden_size=2048,
    intermediate_size=6144,
    moe_intermediate_size=768,
    num_experts=128,
    num_experts_per_tok=8,
    num_hidden_layers=48,
    num_attention_heads=32,
    num_key_value_heads=4,
    head_dim=128,
    max_position_embeddings=40960,
    vocab_size=151936,
    decoder_sparse_step=1,
    mlp_only_layers=[],
)
QWEN3 = llama(
    model_type="qwen3",
    hidden_size=5120,
    intermediate_size=25600,
    num_hidden_layers=64,
    num_attention_heads=64,
    num_key_value_heads=8,
    head_dim=128,
    max_position_embeddings=40960,
    vocab_size=151936,
)
OPT = {
    "model_type": "opt",
    "activation_function": "relu",
    "do_layer_norm_before": True,
    "ffn_dim": 16384,
    "hidden_size": 4096,
    "max_position_embeddings": 2048,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "vocab_size": 50272,
    "word_embed_proj_dim": 4096,
}
PHI2 = {
    "model_type": "phi",
    "hidden_act": "gelu_new",
    "hidden_size": 2560,
    "intermediate_size": 10240,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 2048,
    "partial_rotary_factor": 0.4,
    "tie_word_embeddings": False,
    "vocab_size": 51200,
}
YI = llama(
    hidden_size=4096,
    intermediate_size=11008,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=4,
    max_position_embeddings=4096,
    vocab_size=64000,
)
GPT2 = {
    "model_type": "gpt2",
    "activation_function": "gelu_new",
    "n_embd": 768,
    "n_head": 12,
    "n_layer": 12,
    "n_positions": 1024,
    "n_ctx": 1024,
    "n_inner": None,
    "vocab_size": 50257,
}
NEOX = {
    "model_type": "gpt_neox",
    "hidden_act": "gelu_fast",
    "hidden_size": 6144,
    "intermediate_size": 24576,
    "num_attention_heads": 64,
    "num_hidden_layers": 44,
    "max_position_embeddings": 2048,
    "rotary_pct": 0.25,
    "tie_word_embeddings": False,
    "use_parallel_residual": True,
    "vocab_size": 50432,
}
MISTRAL = llama(
    model_type="mistral",
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    max_position_embeddings=32768,
    sliding_window=4096,
)
SAME_AS_YAML = {
    "llama2-70b": LLAMA2_70B,
    "mixtral-8x7b": MIXTRAL,
    "qwen2-7b": QWEN2,
    "qwen3-30b-a3b": QWEN3_MOE,
    "qwen3-32b": QWEN3,
    "opt-6.7b": OPT,
    "phi-2": PHI2,
    "yi-6b": YI,
}


@pytest.mark.parametrize(("name", "config"), SAME_AS_YAML.items())
def test_config_and_yaml_are_one_model(name: str, config: dict[str, Any]) -> None:
    assert ModelSpec.from_hf(config, name) == load_model(name)


@pytest.mark.parametrize(
    ("config", "n_params"), [(GPT2, 124_439_808), (NEOX, 20_554_567_680), (MISTRAL, 7_241_732_096)]
)
def test_parameters_of_other_families(config: dict[str, Any], n_params: int) -> None:
    assert ModelSpec.from_hf(config).n_params == n_params


def test_mistral_has_a_window_and_neox_a_parallel_block() -> None:
    assert ModelSpec.from_hf(MISTRAL).sliding_window == 4096
    assert ModelSpec.from_hf(NEOX).parallel_block
    assert ModelSpec.from_hf(NEOX).rotated_dim == 24


def test_qwen2_moe_shared_experts_count_in_units_of_a_routed_one() -> None:
    config = {
        **QWEN3_MOE,
        "model_type": "qwen2_moe",
        "moe_intermediate_size": 1408,
        "num_experts": 60,
        "num_experts_per_tok": 4,
        "shared_expert_intermediate_size": 5632,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
    }
    model = ModelSpec.from_hf(config)
    assert model.n_shared_experts == 4
    assert model.n_params == pytest.approx(14.3e9, rel=0.01)
    assert model.n_active_params == pytest.approx(2.7e9, rel=0.02)


def test_biases_that_a_config_asks_for() -> None:
    model = ModelSpec.from_hf({**LLAMA2_70B, "attention_bias": True, "mlp_bias": True})
    assert model.biases == ("qkv", "attention_output", "ffn")


@pytest.mark.parametrize(
    ("quantization", "bits"),
    [
        ({"quant_method": "gptq", "bits": 4}, 4),
        ({"quant_method": "fp8"}, 8),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4),
    ],
)
def test_quantized_weights(quantization: dict[str, Any], bits: int) -> None:
    assert ModelSpec.from_hf({**YI, "quantization_config": quantization}).weight_bits == bits


def test_unclear_quantization_is_refused() -> None:
    with pytest.raises(WorkloadError, match="quantization_config"):
        ModelSpec.from_hf({**YI, "quantization_config": {"quant_method": "new"}})


def test_tiny_llama_of_the_shared_folder(shared_dir: Path) -> None:
    model = ModelSpec.from_hf(shared_dir / "models" / "tiny-llama" / "config.json")
    assert model.name == "tiny-llama"
    assert model.n_params == pytest.approx(6.5e6, rel=0.01)
    assert load_model(shared_dir / "models" / "small-llama").n_params == pytest.approx(27.8e6, rel=0.01)


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "vocab_size", "intermediate_size", "hidden_act"])
def test_a_missing_key_is_named(key: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({name: value for name, value in YI.items() if name != key}))
    with pytest.raises(WorkloadError, match=f"no '{key}'") as caught:
        ModelSpec.from_hf(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 3
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "lama"}, "'lama' is not known"),
        ({"model_type": None}, "no 'model_type'"),
        ({"hidden_size": 4096.5}, "'hidden_size' is 4096.5"),
        ({"hidden_size": True}, "'hidden_size' is True"),
        ({"hidden_size": -1}, "'hidden_size' is -1"),
        ({"num_key_value_heads": 5}, "cannot share 5 key-value heads"),
        ({"hidden_act": "softsign"}, "'softsign' is not known"),
        ({"tie_word_embeddings": "yes"}, "'tie_word_embeddings' is 'yes'"),
        ({"num_attention_heads": 33, "num_key_value_heads": 33}, "33 heads do not divide"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "more than one kind"),
    ],
)
def test_bad_values_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError, match=message) as caught:
        ModelSpec.from_hf({**YI, **change})
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("config", "change"),
    [
        (QWEN3_MOE, {"mlp_only_layers": [0]}),
        (QWEN3_MOE, {"decoder_sparse_step": 2}),
        (QWEN2, {"use_sliding_window": True}),
        (OPT, {"word_embed_proj_dim": 512}),
        (PHI2, {"qk_layernorm": True}),
    ],
)
def test_structures_that_are_not_modelled_are_refused(config: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(WorkloadError) as caught:
        ModelSpec.from_hf({**config, **change})
    assert "not modelled" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"model_type": 3}'])
def test_files_that_are_no_config(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(WorkloadError) as caught:
        ModelSpec.from_hf(path)
    assert str(path) in str(caught.value)


def test_missing_file_and_json_position(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="cannot read"):
        ModelSpec.from_hf(tmp_path / "absent.json")
    path = tmp_path / "config.json"
    path.write_text('{\n "a": 1,\n "b" 2}')
    with pytest.raises(WorkloadError, match=r"config\.json:3:6"):
        ModelSpec.from_hf(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = sorted({*YI, *QWEN3_MOE, *OPT, *PHI2, *GPT2, *NEOX, "quantization_config", "layer_types", "n_inner"})


@settings(max_examples=300, deadline=None)
@given(
    base=st.sampled_from([YI, MIXTRAL, QWEN3_MOE, OPT, PHI2, GPT2, NEOX]),
    family=st.sampled_from(sorted(FAMILIES)),
    changes=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3),
    dropped=st.sets(st.sampled_from(KEYS), max_size=2),
)
def test_any_config_gives_a_model_or_an_error(
    base: dict[str, Any], family: str, changes: dict[str, Any], dropped: set[str]
) -> None:
    config = {key: value for key, value in {**base, "model_type": family, **changes}.items() if key not in dropped}
    try:
        model = ModelSpec.from_hf(config)
    except WorkloadError:
        return
    assert model.n_params > 0
    assert all(
        isinstance(getattr(model, field.name), int | str | bool | tuple | None) for field in dataclasses.fields(model)
    )
