"""A checkpoint's weights as the forward pass uses them, through a number format where there is one."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError
from simulator.numerics.checkpoint import EMBEDDING, FINAL_NORM, HEAD, Checkpoint, layer_prefix
from simulator.numerics.number_format import NumberFormat
from simulator.numerics.workers import workers

Weights = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """Matrices [out_features, in_features] of the same inputs, below each other, and their biases [out_features]."""

    weight: Weights
    bias: Weights | None

    def __call__(self, inputs: Weights) -> Weights:
        """Outputs float32[T, out_features] of inputs float32[T, in_features]."""
        outputs: Weights = inputs @ self.weight.T
        if self.bias is not None:
            outputs += self.bias
        return outputs


@dataclass(frozen=True, slots=True, eq=False)
class LayerWeights:
    """One layer: matrices by their inputs, and norms; `query_norm` and `key_norm` only where heads have them."""

    qkv: Linear
    o: Linear
    gate_up: Linear
    down: Linear
    attention_norm: Weights
    ffn_norm: Weights
    query_norm: Weights | None
    key_norm: Weights | None


@dataclass(frozen=True, slots=True)
class WeightReport:
    """What a format did to all matrices of the layers together.

    `bits_per_weight` with all metadata, `rel_sq_error` the squared error over the squared weights, `special_picks` how
    many groups chose each special value, by its number, where a format has them.
    """

    n_weights: int
    bits_per_weight: float
    rel_sq_error: float
    special_picks: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class ModelWeights:
    """Weights of a model; `head` [vocab, hidden] is the embedding itself where they are tied."""

    embedding: Weights
    layers: tuple[LayerWeights, ...]
    norm: Weights
    head: Weights
    report: WeightReport


def load_weights(checkpoint: Checkpoint, number_format: NumberFormat | None = None) -> ModelWeights:
    """All weights in float32, the layers' matrices rounded to a format. Raises WorkloadError on a weight that is not
    finite, and where this machine's memory cannot hold them."""
    _check_memory(checkpoint)
    with workers() as pool:
        names = checkpoint.matrices
        rounded = dict(zip(names, pool.map(lambda name: _rounded(checkpoint, number_format, name), names), strict=True))
    report = _report(list(rounded.values()))
    layers = tuple(_layer(checkpoint, rounded, layer) for layer in range(checkpoint.shape.n_layers))
    embedding = checkpoint.tensor(EMBEDDING)
    head = embedding if checkpoint.shape.tied_embeddings else checkpoint.tensor(HEAD)
    return ModelWeights(embedding, layers, checkpoint.tensor(FINAL_NORM), head, report)


def _check_memory(checkpoint: Checkpoint) -> None:
    """Refuse what would be killed, or swapped out, while it is read."""
    needed, there = 4 * checkpoint.shape.n_params, memory_bytes()
    if there is not None and needed > there:
        raise WorkloadError(
            f"{checkpoint.shape.name} takes {needed / 1e9:.1f} GB in float32; this machine has {there / 1e9:.1f} GB",
            where=str(checkpoint.path),
            remedy="evaluate a smaller model of the family, or on a larger machine",
        )


def memory_bytes() -> int | None:
    """Memory of this machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


@dataclass(frozen=True, slots=True, eq=False)
class _Rounded:
    """A matrix as a format has it, and what that took and did."""

    weight: Weights
    n_bits: float
    squares: float
    squared_error: float = 0.0
    picks: Mapping[int, int] = field(default_factory=dict)


def _rounded(checkpoint: Checkpoint, number_format: NumberFormat | None, name: str) -> _Rounded:
    stored = checkpoint.tensor(name)
    squares = _sum_of_squares(stored)
    if number_format is None:
        return _Rounded(stored, float(stored.size * checkpoint.stored_bits(name)), squares)
    quantized = number_format.quantize(stored)
    weight = number_format.dequantize(quantized)
    picks, counts = np.unique(quantized.extra.get("special", np.empty(0, np.int64)), return_counts=True)
    return _Rounded(
        weight,
        stored.size * number_format.bits_per_value(stored.shape[1]),
        squares,
        _sum_of_squares(weight.astype(np.float64) - stored),
        dict(zip(picks.tolist(), counts.tolist(), strict=True)),
    )


def _report(rounded: list[_Rounded]) -> WeightReport:
    """Of all matrices together."""
    n_weights = sum(one.weight.size for one in rounded)
    squares = math.fsum(one.squares for one in rounded)
    error = math.fsum(one.squared_error for one in rounded)
    picks: Counter[int] = Counter()
    for one in rounded:
        picks.update(one.picks)
    n_bits = math.fsum(one.n_bits for one in rounded)
    return WeightReport(n_weights, n_bits / n_weights, error / squares if squares else 0.0, dict(sorted(picks.items())))


def _sum_of_squares(values: NDArray[np.floating[Any]]) -> float:
    flat = values.astype(np.float64, copy=False).ravel()
    return float(flat @ flat)


def _layer(checkpoint: Checkpoint, rounded: dict[str, _Rounded], layer: int) -> LayerWeights:
    """The weights of a layer; its matrices leave `rounded`, so that none is kept twice."""
    prefix = layer_prefix(layer)

    def linear(*names: str) -> Linear:
        weight = np.concatenate([rounded.pop(f"{prefix}{name}.weight").weight for name in names])
        has_bias = f"{prefix}{names[0]}.bias" in checkpoint.stored
        bias = np.concatenate([checkpoint.tensor(f"{prefix}{name}.bias") for name in names]) if has_bias else None
        return Linear(weight, bias)

    def norm(name: str) -> Weights | None:
        full = f"{prefix}{name}.weight"
        return checkpoint.tensor(full) if full in checkpoint.stored else None

    return LayerWeights(
        qkv=linear("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        o=linear("self_attn.o_proj"),
        gate_up=linear("mlp.gate_proj", "mlp.up_proj"),
        down=linear("mlp.down_proj"),
        attention_norm=checkpoint.tensor(f"{prefix}input_layernorm.weight"),
        ffn_norm=checkpoint.tensor(f"{prefix}post_attention_layernorm.weight"),
        query_norm=norm("self_attn.q_norm"),
        key_norm=norm("self_attn.k_norm"),
    )
