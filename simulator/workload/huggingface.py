"""Model shapes from the `config.json` that Hugging Face repositories carry.

A family is a row: which key holds which number, what the family fixes, and what its own code assumes where a key is
absent. Source: the configuration classes of the transformers library, by model_type. Not modelled: scaled rotary
embeddings (they change no size), dtype (weights count as 16 bits unless a quantization_config says otherwise).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.core.errors import Position, WorkloadError
from simulator.workload.model import MAX_SIZE, ModelShapeError, ModelSpec

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Family:
    """One model_type: keys by ModelSpec field, fields that the family fixes, and its default for tied embeddings.

    `finish` reads what no table can say; it gets the config and the values so far, and changes the values.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    tied: bool = False
    finish: tuple[Callable[[Config, Values], None], ...] = ()


class Config:
    """A config.json with errors that name the file, the model_type and the key."""

    def __init__(self, content: Mapping[str, Any], where: str) -> None:
        self.content = content
        self.where = where
        self.model_type = content.get("model_type")

    def error(self, message: str, remedy: str) -> WorkloadError:
        """The error for this file."""
        return WorkloadError(message, where=self.where, remedy=remedy)

    def size(self, key: str, default: int | None = None) -> int:
        """A positive whole number; `default` where the key is absent or null, an error where there is none."""
        value = self.content.get(key)
        if value is None:
            if default is None:
                raise self.error(
                    f"{self.model_type} config has no {key!r}", f"add {key!r}, or give a complete config.json"
                )
            return default
        if type(value) is not int or not 1 <= value <= MAX_SIZE:
            raise self.error(f"{key!r} is {value!r:.40}", f"give a whole number from 1 to {MAX_SIZE}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false; `default` where the key is absent or null."""
        value = self.content.get(key)
        if value is None:
            return default
        if type(value) is not bool:
            raise self.error(f"{key!r} is {value!r}", "give true or false")
        return value

    def frac(self, key: str, default: float) -> float:
        """A number between 0 and 1."""
        value = self.content.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            raise self.error(f"{key!r} is {value!r}", "give a number above 0 and at most 1")
        return float(value)


_ACTIVATIONS = {
    "silu": "silu", "swish": "silu", "relu": "relu", "gelu": "gelu", "gelu_new": "gelu", "gelu_fast": "gelu",
    "gelu_pytorch_tanh": "gelu", "quick_gelu": "gelu",
}  # fmt: skip


def _attention_bias(config: Config, values: Values) -> None:
    if config.flag("attention_bias", False):
        values["biases"] += ("qkv", "attention_output")
    if config.flag("mlp_bias", False):
        values["biases"] += ("ffn",)


def _window(config: Config, values: Values) -> None:
    if config.content.get("sliding_window") is not None:
        values["sliding_window"] = config.size("sliding_window")


def _optional_window(config: Config, values: Values) -> None:
    # Qwen gives a window's width even where no layer uses it.
    if not config.flag("use_sliding_window", False):
        return
    n_full = config.content.get("max_window_layers", 0)
    if n_full not in (0, None):
        raise config.error(
            f"only the layers from {n_full} on have a sliding window", "layers of different windows are not modelled"
        )
    _window(config, values)


def _all_experts(config: Config, values: Values) -> None:
    if config.content.get("mlp_only_layers") or config.content.get("decoder_sparse_step", 1) not in (1, None):
        raise config.error(
            "some layers have experts and others have none", "layers of different shapes are not modelled"
        )
    values["ffn"] = 0


def _shared_experts(config: Config, values: Values) -> None:
    width = config.size("shared_expert_intermediate_size")
    if width % values["expert_ffn"]:
        raise config.error(
            f"the shared expert is {width} wide, which is no multiple of an expert's {values['expert_ffn']}",
            "shared experts of another width than the routed ones are not modelled",
        )
    values["n_shared_experts"] = width // values["expert_ffn"]


def _head_dim(config: Config, values: Values) -> None:
    hidden, n_heads = values["hidden"], values["n_heads"]
    if config.content.get("head_dim") is None and hidden % n_heads:
        raise config.error(f"{n_heads} heads do not divide the width {hidden}", "give 'head_dim'")
    values["head_dim"] = config.size("head_dim", hidden // n_heads)


def _rotary(key: str, default: float) -> Callable[[Config, Values], None]:
    def finish(config: Config, values: Values) -> None:
        frac = config.frac(key, default)
        if frac < 1:
            values["rotary_dim"] = max(1, int(values["head_dim"] * frac))

    return finish


def _opt(config: Config, values: Values) -> None:
    if config.size("word_embed_proj_dim", values["hidden"]) != values["hidden"]:
        raise config.error(
            "the embeddings are narrower than the model ('word_embed_proj_dim')", "such a projection is not modelled"
        )
    if not config.flag("enable_bias", True):
        values["biases"] = ()
    # The position table of OPT begins with two rows that no token uses.
    values["n_positions"] = values["max_context"] + 2


def _gpt2(config: Config, values: Values) -> None:
    values["ffn"] = config.size("n_inner", 4 * values["hidden"])
    values["n_positions"] = values["max_context"]


def _neox(config: Config, values: Values) -> None:
    values["parallel_block"] = config.flag("use_parallel_residual", True)
    if not config.flag("attention_bias", True):
        values["biases"] = ("ffn",)


def _phi(config: Config, values: Values) -> None:
    if config.flag("qk_layernorm", False):
        raise config.error("'qk_layernorm' is true", "the per-head layer norm of Phi is not modelled")


_KEYS = {
    "n_layers": "num_hidden_layers", "hidden": "hidden_size", "n_heads": "num_attention_heads", "vocab": "vocab_size",
    "max_context": "max_position_embeddings", "ffn": "intermediate_size", "activation": "hidden_act",
}  # fmt: skip
_LAYER_NORM = {"norm": "layer", "gated": False}
_EVERY_BIAS = ("qkv", "attention_output", "ffn")
_QWEN_EXPERTS = {
    "n_experts": "num_experts",
    "n_experts_per_token": "num_experts_per_tok",
    "expert_ffn": "moe_intermediate_size",
}
FAMILIES: dict[str, Family] = {
    "llama": Family(finish=(_head_dim, _attention_bias)),
    "mistral": Family(finish=(_head_dim, _window)),
    "mixtral": Family(
        keys={
            "n_experts": "num_local_experts",
            "n_experts_per_token": "num_experts_per_tok",
            "expert_ffn": "intermediate_size",
        },
        finish=(_head_dim, _window, _all_experts),
    ),
    "qwen2": Family(fixed={"biases": ("qkv",)}, finish=(_head_dim, _optional_window)),
    "qwen2_moe": Family(
        keys=_QWEN_EXPERTS,
        fixed={"biases": ("qkv",)},
        finish=(_head_dim, _optional_window, _all_experts, _shared_experts),
    ),
    "qwen3": Family(fixed={"qk_norm": True}, finish=(_head_dim, _attention_bias, _optional_window)),
    "qwen3_moe": Family(
        keys=_QWEN_EXPERTS,
        fixed={"qk_norm": True},
        finish=(_head_dim, _attention_bias, _optional_window, _all_experts),
    ),
    "phi3": Family(finish=(_head_dim, _window, _rotary("partial_rotary_factor", 1.0))),
    "gemma": Family(tied=True, finish=(_head_dim, _attention_bias)),
    "opt": Family(
        keys={"ffn": "ffn_dim", "activation": "activation_function"},
        fixed={**_LAYER_NORM, "position": "learned", "biases": _EVERY_BIAS},
        tied=True,
        finish=(_head_dim, _opt),
    ),
    "gpt2": Family(
        keys={
            "n_layers": "n_layer",
            "hidden": "n_embd",
            "n_heads": "n_head",
            "max_context": "n_positions",
            "ffn": "n_inner",
            "activation": "activation_function",
        },
        fixed={**_LAYER_NORM, "position": "learned", "biases": _EVERY_BIAS},
        tied=True,
        finish=(_head_dim, _gpt2),
    ),
    "gpt_neox": Family(
        fixed={**_LAYER_NORM, "biases": _EVERY_BIAS}, finish=(_head_dim, _rotary("rotary_pct", 0.25), _neox)
    ),
    "phi": Family(
        fixed={**_LAYER_NORM, "biases": (*_EVERY_BIAS, "lm_head"), "parallel_block": True, "norms_per_layer": 1},
        finish=(_head_dim, _rotary("partial_rotary_factor", 0.5), _phi),
    ),
}
_OPTIONAL = frozenset({"n_inner"})


def model_from_hf(config: str | Path | Mapping[str, Any], name: str | None = None) -> ModelSpec:
    """The shape in a Hugging Face config.json, given as its path (or its folder's) or as its content.

    `name` is what the model is called; without it, the repository's name in the file, else the folder's or the file's.
    Raises WorkloadError (exit code 3) with the file, the key and a remedy.
    """
    if isinstance(config, Mapping):
        return _from_content(Config(config, "config"), name or str(config.get("_name_or_path") or "model"))
    path = Path(config)
    if path.is_dir():
        path = path / "config.json"
    content = _read_json(path)
    fallback = path.resolve().parent.name if path.name == "config.json" else path.stem
    return _from_content(Config(content, str(path)), name or fallback)


def _from_content(config: Config, name: str) -> ModelSpec:
    family = _family(config)
    values: Values = {"name": name, **_common_values(config, family), "weight_bits": _weight_bits(config)}
    for finish in family.finish:
        finish(config, values)
    try:
        return ModelSpec(**values)
    except ModelShapeError as error:
        raise ModelShapeError(error.message, field=error.field, where=config.where, remedy=error.remedy) from None


def _family(config: Config) -> Family:
    model_type = config.model_type
    if not isinstance(model_type, str):
        raise config.error("the config has no 'model_type'", f"add one of {', '.join(FAMILIES)}")
    if model_type not in FAMILIES:
        close = difflib.get_close_matches(model_type, FAMILIES, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise config.error(
            f"model_type {model_type!r} is not known",
            f"{hint}known are {', '.join(FAMILIES)}; any other shape can be written as a YAML in workloads/models",
        )
    return FAMILIES[model_type]


def _common_values(config: Config, family: Family) -> Values:
    """The fields that one key each gives, and the family's fixed ones."""
    values: Values = {"biases": (), **family.fixed}
    for name, key in {**_KEYS, **family.keys}.items():
        if name == "activation":
            values[name] = _activation(config, key)
        elif key not in _OPTIONAL:
            values[name] = config.size(key)
    kv_default = None if config.content.get("num_key_value_heads") is not None else values["n_heads"]
    values["n_kv_heads"] = config.size("num_key_value_heads", kv_default)
    values["tied_embeddings"] = config.flag("tie_word_embeddings", family.tied)
    kinds = config.content.get("layer_types")
    if isinstance(kinds, list) and len({str(kind) for kind in kinds}) > 1:
        raise config.error("'layer_types' names more than one kind", "layers of different shapes are not modelled")
    return values


def _activation(config: Config, key: str) -> str:
    value = config.content.get(key, config.content.get("hidden_activation"))
    if value is None:
        raise config.error(f"{config.model_type} config has no {key!r}", f'add {key!r}, for example "silu"')
    if not isinstance(value, str) or value not in _ACTIVATIONS:
        raise config.error(f"activation {value!r} is not known", f"known are {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[value]


def _weight_bits(config: Config) -> int:
    quantization = config.content.get("quantization_config")
    if quantization is None:
        return 16
    if isinstance(quantization, Mapping):
        bits = quantization.get("bits")
        if type(bits) is int and 1 <= bits <= 16:
            return bits
        by_name = {"fp8": 8, "mxfp4": 4}
        method = quantization.get("quant_method")
        if isinstance(method, str) and method in by_name:
            return by_name[method]
        for key, n_bits in (("load_in_4bit", 4), ("load_in_8bit", 8)):
            if quantization.get(key) is True:
                return n_bits
    raise config.error(
        "'quantization_config' does not say how many bits a weight has",
        "give it 'bits', or remove it and override weight_bits",
    )


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        content = json.loads(text)
    except OSError as error:
        raise WorkloadError(
            f"cannot read the model: {error.strerror}", where=str(path), remedy="give the path of a config.json"
        ) from None
    except UnicodeDecodeError:
        raise WorkloadError("the file is not UTF-8 text", where=str(path), remedy="give a config.json") from None
    except json.JSONDecodeError as error:
        raise WorkloadError(
            f"not JSON: {error.msg}", where=Position(str(path), error.lineno, error.colno), remedy="mend the file"
        ) from None
    except (ValueError, RecursionError):
        raise WorkloadError("not JSON that can be read", where=str(path), remedy="mend the file") from None
    if not isinstance(content, dict):
        raise WorkloadError("the file holds no JSON object", where=str(path), remedy="give a config.json")
    return content
