"""Small checkpoints of random weights, as files."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from simulator.numerics.checkpoint import expected_shapes
from simulator.numerics.safetensors_file import INDEX
from simulator.workload.model import ModelSpec

SMALL: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 50,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
}
"""A model of two layers, whose heads together are wider than the model."""

Tensors = dict[str, NDArray[Any]]


def random_tensors(config: Mapping[str, Any], seed: int = 0, dtype: Any = np.float16) -> Tensors:
    """Weights that let each layer matter; norms near 1."""
    rng = np.random.default_rng(seed)
    found: Tensors = {}
    for name, size in expected_shapes(ModelSpec.from_hf(config, "random")).items():
        values = rng.normal(0, 1 if len(size) == 1 else size[-1] ** -0.5, size)
        found[name] = (1 + 0.1 * values if name.endswith("norm.weight") else values).astype(dtype)
    return found


def write_checkpoint(folder: Path, config: Mapping[str, Any], tensors: Tensors, n_files: int = 1) -> Path:
    """Write a checkpoint, in so many files, with an index where there are several."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if n_files == 1:
        save_file(tensors, folder / "model.safetensors")
        return folder
    file_of = {
        name: f"model-{at * n_files // len(tensors) + 1:05}-of-{n_files:05}.safetensors"
        for at, name in enumerate(tensors)
    }
    for file in set(file_of.values()):
        save_file({name: tensors[name] for name in tensors if file_of[name] == file}, folder / file)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": file_of}))
    return folder


def random_checkpoint(folder: Path, seed: int = 0, n_files: int = 1, **overrides: Any) -> Path:
    """A checkpoint of random weights; `overrides` of the config of `SMALL`."""
    config = {**SMALL, **overrides}
    return write_checkpoint(folder, config, random_tensors(config, seed), n_files)


def write_raw(file: Path, tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    """A safetensors file of tensors by their type, shape and bytes: also of types that NumPy has not."""
    header, at = {}, 0
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(content)]}
        at += len(content)
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(content for *_, content in tensors.values()))
