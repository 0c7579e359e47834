"""A trained model on disk, as Hugging Face repositories carry it: config.json and safetensors.

Llama-type models: RMSNorm, rotary positions, grouped queries, gated SiLU. Not modelled: experts, layer norms, models
stored in less than 16 bits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError
from simulator.core.spelling import did_you_mean
from simulator.numerics.rotary import Rotary
from simulator.numerics.safetensors_file import STORED_BITS, StoredTensor, stored_tensors
from simulator.workload.catalog import checkpoints
from simulator.workload.model import ModelSpec

CONFIG = "config.json"
MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")
EMBEDDING = "model.embed_tokens.weight"
FINAL_NORM = "model.norm.weight"
HEAD = "lm_head.weight"
PROJECTIONS = (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
    "mlp.down_proj",
)  # fmt: skip
"""The matrices of a layer that number formats are of, each [out_features, in_features]."""

_DEFAULT_EPS = 1e-6  # of the transformers library, where a config.json says nothing
_RECOMPUTED = "rotary_emb.inv_freq"  # in old files; follows from the config


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A model whose tensors are all there, of the right shape and a type that is read; values are read when asked for.

    `shape` the model's numbers, `norm_eps` of its norms, `rotary` its positions.
    """

    path: Path
    shape: ModelSpec
    norm_eps: float
    rotary: Rotary
    stored: Mapping[str, StoredTensor]

    @classmethod
    def open(cls, path: str | Path) -> Checkpoint:
        """The checkpoint in a folder. Raises WorkloadError that names file and tensor where it cannot be used."""
        folder = Path(path)
        file = folder / CONFIG
        if not file.is_file():
            raise WorkloadError(
                f"there is no {CONFIG}", where=str(folder), remedy="give the folder of a Hugging Face checkpoint"
            )
        shape = ModelSpec.from_hf(file)
        content = json.loads(file.read_bytes().decode("utf-8-sig"))
        _check_kind(shape, content, str(file))
        eps = content.get("rms_norm_eps", _DEFAULT_EPS)
        if isinstance(eps, bool) or not isinstance(eps, int | float) or not 0 <= eps < 1:
            raise WorkloadError(f"'rms_norm_eps' is {eps!r}", where=str(file), remedy="give a small number, as 1e-5")
        stored = stored_tensors(folder)
        _check_tensors(shape, stored, folder)
        return cls(folder, shape, float(eps), Rotary.from_hf(content, str(file)), stored)

    @property
    def matrices(self) -> tuple[str, ...]:
        """Names of all matrices that number formats are of, layer by layer."""
        return tuple(
            f"{layer_prefix(layer)}{name}.weight" for layer in range(self.shape.n_layers) for name in PROJECTIONS
        )

    def tensor(self, name: str) -> NDArray[np.float32]:
        """Values of a tensor, read now. Raises WorkloadError where there is none or a value is not finite."""
        if name not in self.stored:
            raise WorkloadError(
                f"there is no tensor {name!r}", where=str(self.path), remedy=did_you_mean(name, self.stored)
            )
        return self.stored[name].values()

    def stored_bits(self, name: str) -> int:
        """Bits of a value of a tensor as stored."""
        return STORED_BITS[self.stored[name].dtype]


def find_checkpoint(name_or_path: str | Path) -> Path:
    """The folder of a checkpoint: a path, or the name of one that comes with the simulator (`tiny-llama`)."""
    path = Path(name_or_path)
    if path.is_dir():
        return path
    if path.name == CONFIG and path.is_file():
        return path.parent
    own = checkpoints()
    if str(name_or_path) in own:
        return own[str(name_or_path)]
    raise WorkloadError(
        f"there is no checkpoint {str(name_or_path)!r}",
        where="workload.checkpoint",
        remedy=f"{did_you_mean(str(name_or_path), own)}; the folder of a Llama-type checkpoint will do too",
    )


def layer_prefix(layer: int) -> str:
    """What the names of a layer's tensors begin with."""
    return f"model.layers.{layer}."


def expected_shapes(shape: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor that a model of this shape has, by name."""
    found: dict[str, tuple[int, ...]] = {
        EMBEDDING: (shape.vocab, shape.hidden),
        FINAL_NORM: (shape.hidden,),
    }
    if not shape.tied_embeddings:
        found[HEAD] = (shape.vocab, shape.hidden)
    for layer in range(shape.n_layers):
        found.update({layer_prefix(layer) + name: size for name, size in _layer_shapes(shape)})
    return found


def _layer_shapes(shape: ModelSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden = shape.hidden
    features = {
        "q": (shape.q_dim, hidden), "k": (shape.kv_dim, hidden), "v": (shape.kv_dim, hidden),
        "o": (hidden, shape.q_dim),
        "gate": (shape.ffn, hidden), "up": (shape.ffn, hidden), "down": (hidden, shape.ffn),
    }  # fmt: skip
    bias_of = {"q": "qkv", "k": "qkv", "v": "qkv", "o": "attention_output", "gate": "ffn", "up": "ffn", "down": "ffn"}
    for name, (short, size) in zip(PROJECTIONS, features.items(), strict=True):
        yield f"{name}.weight", size
        if bias_of[short] in shape.biases:
            yield f"{name}.bias", size[:1]
    yield "input_layernorm.weight", (hidden,)
    yield "post_attention_layernorm.weight", (hidden,)
    if shape.qk_norm:
        yield "self_attn.q_norm.weight", (shape.head_dim,)
        yield "self_attn.k_norm.weight", (shape.head_dim,)


def _check_kind(shape: ModelSpec, content: Mapping[str, Any], where: str) -> None:
    """Refuse what the forward pass does not compute."""
    kind = content.get("model_type")
    if kind not in MODEL_TYPES:
        raise WorkloadError(
            f"a checkpoint of model_type {kind!r} is not evaluated",
            where=where,
            remedy=f"use a Llama-type one: {', '.join(MODEL_TYPES)}",
        )
    if shape.activation != "silu":
        raise WorkloadError(
            f"the activation {shape.activation!r} is not evaluated", where=where, remedy="use a model with SiLU"
        )
    if shape.head_dim % 2:
        raise WorkloadError(
            f"rotary positions turn pairs, and a head has {shape.head_dim} elements",
            where=where,
            remedy="give an even 'head_dim'",
        )
    if content.get("quantization_config") is not None:
        raise WorkloadError(
            "the checkpoint is quantised already", where=where, remedy="use one stored in F16, BF16 or F32"
        )


def _check_tensors(shape: ModelSpec, stored: Mapping[str, StoredTensor], folder: Path) -> None:
    """Every tensor that the model has is there, of its shape and a known type, and there is none that it has not."""
    expected = expected_shapes(shape)
    for name, size in expected.items():
        if name not in stored:
            tied = ", or set 'tie_word_embeddings'" if name == HEAD else ""
            raise WorkloadError(
                f"tensor {name!r} is missing",
                where=str(folder),
                remedy=f"copy all files of the checkpoint{tied}",
            )
        tensor = stored[name]
        if tensor.shape != size:
            raise tensor.error(f"is {list(tensor.shape)}, and {CONFIG} says {list(size)}", f"mend {CONFIG}")
        if tensor.dtype not in STORED_BITS:
            raise tensor.error(f"has type {tensor.dtype}", f"store it as one of {', '.join(STORED_BITS)}")
    for name, tensor in stored.items():
        # A bias or a layer left out would give the loss of another model.
        if name not in expected and name != HEAD and not name.endswith(_RECOMPUTED):
            raise tensor.error(f"is none that the model of {CONFIG} has", f"mend {CONFIG}, or remove the tensor")
