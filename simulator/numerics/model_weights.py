"""A checkpoint's weights as the forward pass uses them, through a number format where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.numerics.checkpoint import EMBEDDING, FINAL_NORM, HEAD, Checkpoint, layer_prefix
from simulator.numerics.number_format import NumberFormat

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
    finite."""
    tally = _Tally(checkpoint, number_format)
    layers = tuple(_layer(checkpoint, tally, layer) for layer in range(checkpoint.shape.n_layers))
    embedding = checkpoint.tensor(EMBEDDING)
    head = embedding if checkpoint.shape.tied_embeddings else checkpoint.tensor(HEAD)
    return ModelWeights(embedding, layers, checkpoint.tensor(FINAL_NORM), head, tally.report())


class _Tally:
    """Rounds matrices one after the other, and adds up what that does."""

    def __init__(self, checkpoint: Checkpoint, number_format: NumberFormat | None) -> None:
        self._checkpoint = checkpoint
        self._format = number_format
        self._n_weights = 0
        self._bits = 0.0
        self._squares = 0.0
        self._squared_error = 0.0
        self._picks: dict[int, int] = {}

    def matrix(self, name: str) -> Weights:
        """A matrix as the format has it."""
        stored = self._checkpoint.tensor(name)
        self._n_weights += stored.size
        self._squares += _sum_of_squares(stored)
        if self._format is None:
            self._bits += stored.size * self._checkpoint.stored_bits(name)
            return stored
        quantized = self._format.quantize(stored)
        rounded = self._format.dequantize(quantized)
        self._bits += stored.size * self._format.bits_per_value(stored.shape[1])
        self._squared_error += _sum_of_squares(rounded.astype(np.float64) - stored)
        if "special" in quantized.extra:
            for pick, count in zip(*np.unique(quantized.extra["special"], return_counts=True), strict=True):
                self._picks[int(pick)] = self._picks.get(int(pick), 0) + int(count)
        return rounded

    def report(self) -> WeightReport:
        """Of all matrices so far."""
        error = self._squared_error / self._squares if self._squares else 0.0
        return WeightReport(self._n_weights, self._bits / self._n_weights, error, dict(sorted(self._picks.items())))


def _sum_of_squares(values: NDArray[np.floating]) -> float:
    flat = values.astype(np.float64, copy=False).ravel()
    return float(flat @ flat)


def _layer(checkpoint: Checkpoint, tally: _Tally, layer: int) -> LayerWeights:
    prefix = layer_prefix(layer)

    def linear(*names: str) -> Linear:
        weight = np.concatenate([tally.matrix(f"{prefix}{name}.weight") for name in names])
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
