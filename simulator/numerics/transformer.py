"""The forward pass of a Llama-type model in float32, with its tensors in number formats and its attention by a rule.

A layer: RMSNorm, queries, keys and values, rotation, attention, output projection, residual; RMSNorm, SiLU(gate) * up,
down projection, residual. Weights are rounded once; inputs of the matrices by site; keys (rotated) and values as they
enter the cache, the current token's too. Embedding, word scores, norms and softmax stay in float32.

Source: the Llama papers; the protocol of numbers stated with the reference losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.core.errors import WorkloadError
from simulator.numerics.attention import AttentionRule, LayerCall, attention_rule
from simulator.numerics.checkpoint import Checkpoint
from simulator.numerics.format_names import ModelFormats, Site
from simulator.numerics.model_weights import LayerWeights, ModelWeights, Weights, load_weights
from simulator.numerics.number_format import NumberFormat
from simulator.numerics.observer import Observer
from simulator.numerics.rotary import turned
from simulator.numerics.workers import steady_blas

DENSE = "dense"
GATED_ROWS = 64
"""Tokens whose gates are worked on at once, few enough for a core's cache."""


class KvCache:
    """Keys and values of a text so far, float32[n_layers, n_kv_heads, capacity, head_dim] each; `length` are filled;
    beside them what the attention rule keeps of each layer."""

    def __init__(self, n_layers: int, n_kv_heads: int, capacity: int, head_dim: int) -> None:
        self.keys = np.zeros((n_layers, n_kv_heads, capacity, head_dim), np.float32)
        self.values = np.zeros_like(self.keys)
        self.length = 0
        self.rule_states: tuple[dict[str, Any], ...] = tuple({} for _ in range(n_layers))


class Transformer:
    """A checkpoint's model with its weights in memory: 4 bytes a parameter.

    `formats` what its tensors are rounded to; `attention` the rule of its attention (None or dense: exact, of
    the model's sliding window if it has one); `observer` who looks on; `is_exact` whether attention is that of
    the trained model. Raises WorkloadError where a weight is not finite.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        formats: ModelFormats | None = None,
        attention: AttentionRule | None = None,
        observer: Observer | None = None,
        *,
        weights: ModelWeights | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.shape = checkpoint.shape
        self.formats = formats or ModelFormats()
        self.is_exact = attention is None or attention.name == DENSE
        self.attention = _own_attention(checkpoint) if attention is None or self.is_exact else attention
        self.observer = observer
        self.weights = weights or load_weights(checkpoint, self.formats.weights)

    def with_activations(self, activations: Mapping[Site, NumberFormat]) -> Transformer:
        """The same model, sharing its weights, with other formats of the matrices' inputs."""
        return self._sharing(replace(self.formats, activations=activations), self.observer)

    def observed(self, observer: Observer) -> Transformer:
        """The same model, sharing its weights, with somebody looking on."""
        return self._sharing(self.formats, observer)

    def cache(self, capacity: int) -> KvCache:
        """An empty cache for a text of at most `capacity` tokens."""
        self._check_context(capacity)
        return KvCache(self.shape.n_layers, self.shape.n_kv_heads, capacity, self.shape.head_dim)

    def logits(self, tokens: ArrayLike, first: int = 0) -> NDArray[np.float32]:
        """Word scores float32[T - first, vocab] after each token from `first` on, of a text int[T] from position 0."""
        return self.head(self.hidden(tokens)[first:])

    def head(self, hidden: NDArray[np.float32]) -> NDArray[np.float32]:
        """Word scores float32[T, vocab] of last hidden states float32[T, hidden]."""
        return np.asarray(hidden @ self.weights.head.T, np.float32)

    def hidden(self, tokens: ArrayLike, cache: KvCache | None = None) -> NDArray[np.float32]:
        """Last hidden states float32[T, hidden], normed, of tokens int[T] that follow those of the cache, if any.

        The cache takes their keys and values. Raises WorkloadError where a token is not of the vocabulary, or the text
        becomes longer than the model's context or the cache.
        """
        first = 0 if cache is None else cache.length
        ids = self.check(tokens, first)
        if cache is not None and first + len(ids) > cache.keys.shape[2]:
            raise WorkloadError(
                f"the cache holds {cache.keys.shape[2]} tokens, not {first + len(ids)}", remedy="make a larger one"
            )
        if self.observer is not None:
            self.observer.begin(ids, first)
        turn = self.checkpoint.rotary.table(self.shape.head_dim, first, len(ids))
        x = self.weights.embedding[ids]
        # What goes beyond a format's range shows in the loss, which is refused.
        with np.errstate(over="ignore", invalid="ignore"), steady_blas():
            for layer, weights in enumerate(self.weights.layers):
                x += self._attention(layer, weights, x, turn, first, cache)
                x += self._feed_forward(layer, weights, x)
        if cache is not None:
            cache.length += len(ids)
        return self._norm(x, self.weights.norm)

    def check(self, tokens: ArrayLike, first: int = 0) -> NDArray[np.int64]:
        """Ids int64[T] of tokens from position `first`, refused with WorkloadError as `hidden` would."""
        ids = np.asarray(tokens)
        if ids.ndim != 1 or ids.size == 0 or ids.dtype.kind not in "iu":
            raise WorkloadError(
                f"tokens are {ids.dtype}{list(ids.shape)}", remedy="give a list of at least one whole number"
            )
        wrong = (ids < 0) | (ids >= self.shape.vocab)
        if wrong.any():
            place = int(np.argmax(wrong))
            raise WorkloadError(
                f"token {int(ids[place])} at place {place} is not of the {self.shape.vocab} that {self.shape.name} has",
                remedy="give token ids of this model's own tokenizer",
            )
        self._check_context(first + len(ids))
        return ids.astype(np.int64)

    def _attention(
        self,
        layer: int,
        weights: LayerWeights,
        x: Weights,
        turn: tuple[Weights, Weights],
        first: int,
        cache: KvCache | None,
    ) -> Weights:
        """What attention adds to the hidden states [T, hidden]."""
        shape = self.shape
        projected = weights.qkv(self._input(layer, "qkv", self._norm(x, weights.attention_norm)))
        q, k, v = (
            part.reshape(len(x), -1, shape.head_dim)
            for part in np.split(projected, [shape.q_dim, shape.q_dim + shape.kv_dim], axis=1)
        )
        if weights.query_norm is not None and weights.key_norm is not None:
            q, k = self._norm(q, weights.query_norm), self._norm(k, weights.key_norm)
        queries = turned(q, *turn)
        keys = _rounded_heads(turned(k, *turn), self.formats.keys)
        values = _rounded_heads(np.ascontiguousarray(v.transpose(1, 0, 2)), self.formats.values)
        if self.observer is not None:
            self.observer.keys_values(layer, first, keys, values)
        state: dict[str, Any] = {}
        if cache is not None:
            state, last = cache.rule_states[layer], first + len(x)
            cache.keys[layer, :, first:last] = keys
            cache.values[layer, :, first:last] = values
            keys, values = cache.keys[layer, :, :last], cache.values[layer, :, :last]
        outputs = self.attention.attend(LayerCall(layer, first, self.observer, state), queries, keys, values)
        return weights.o(self._input(layer, "o", outputs.transpose(1, 0, 2).reshape(len(x), shape.q_dim)))

    def _feed_forward(self, layer: int, weights: LayerWeights, x: Weights) -> Weights:
        """What the gated network adds to the hidden states [T, hidden]."""
        inner = weights.gate_up(self._input(layer, "u", self._norm(x, weights.ffn_norm)))
        return weights.down(self._input(layer, "d", _gated(inner)))

    def _input(self, layer: int, site: Site, values: Weights) -> Weights:
        """Inputs of a site's matrices, in their format."""
        if self.observer is not None:
            self.observer.inputs(layer, site, values)
        number_format = self.formats.activations.get(site)
        return values if number_format is None else number_format.rounded(values)

    def _norm(self, x: Weights, weight: Weights) -> Weights:
        """Root-mean-square norm over the last axis."""
        mean_square = np.square(x).mean(axis=-1, keepdims=True)
        normed: Weights = x / np.sqrt(mean_square + np.float32(self.checkpoint.norm_eps))
        normed *= weight
        return normed

    def _check_context(self, n_tokens: int) -> None:
        if n_tokens > self.shape.max_context:
            raise WorkloadError(
                f"{n_tokens} tokens are more than the context of {self.shape.name}, {self.shape.max_context}",
                remedy=f"use texts of at most {self.shape.max_context} tokens",
            )
        if not self.is_exact and n_tokens > (self.shape.sliding_window or n_tokens):
            raise WorkloadError(
                f"{self.shape.name} attends to {self.shape.sliding_window} tokens at most, and the rule "
                f"{self.attention.name!r} to those of all {n_tokens}",
                remedy=f"use texts of at most {self.shape.sliding_window} tokens with this rule",
            )

    def _sharing(self, formats: ModelFormats, observer: Observer | None) -> Transformer:
        rule = None if self.is_exact else self.attention
        return Transformer(self.checkpoint, formats, rule, observer, weights=self.weights)


def _own_attention(checkpoint: Checkpoint) -> AttentionRule:
    """Exact attention as the model was trained with."""
    window = checkpoint.shape.sliding_window
    return attention_rule(DENSE) if window is None else attention_rule("window", tokens=window)


def _gated(inner: Weights) -> Weights:
    """SiLU(gate) * up of gate and up [T, 2 * ffn] beside each other."""
    width = inner.shape[1] // 2
    found = np.empty((len(inner), width), np.float32)
    for first in range(0, len(inner), GATED_ROWS):
        rows = slice(first, first + GATED_ROWS)
        gate = inner[rows, :width]
        divisor = np.negative(gate)
        np.exp(divisor, out=divisor)
        divisor += 1
        np.multiply(gate, inner[rows, width:], out=found[rows])
        found[rows] /= divisor
    return found


def _rounded_heads(heads: Weights, number_format: NumberFormat | None) -> Weights:
    """Keys or values [n_kv_heads, T, head_dim] in a format, whose rows are those of a token and head."""
    if number_format is None:
        return heads
    return number_format.rounded(heads.reshape(-1, heads.shape[2])).reshape(heads.shape)
