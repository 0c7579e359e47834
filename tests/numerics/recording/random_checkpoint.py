"""A small Llama-type checkpoint with random weights, and tokens for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from simulator.numerics.checkpoint import Checkpoint, expected_shapes
from simulator.workload.model import ModelSpec

# A key of 32 elements is a line; the last group of 64 channels of the FFN is half full.
CONFIG: dict[str, Any] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "vocab_size": 97,
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 160, "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
}  # fmt: skip


def random_checkpoint(folder: Path, **changes: Any) -> Path:
    """The folder of a new checkpoint whose attention is neither even nor all on one token."""
    folder.mkdir()
    config = folder / "config.json"
    config.write_text(json.dumps({**CONFIG, **changes}))
    rng = np.random.default_rng(8)
    tensors = {
        name: (rng.standard_normal(size) * (0.3 if len(size) > 1 else 1.0)).astype(np.float16)
        for name, size in expected_shapes(ModelSpec.from_hf(config)).items()
    }
    save_file(tensors, str(folder / "model.safetensors"))
    Checkpoint.open(folder)
    return folder


def random_tokens(path: Path, n: int = 400) -> Path:
    """A file of token ids."""
    np.save(path, np.random.default_rng(9).integers(0, CONFIG["vocab_size"], n).astype(np.uint16))
    return path
