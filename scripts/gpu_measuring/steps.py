"""Whole decode steps and prefills of Llama shapes with random weights: the rows of h200_end_to_end.csv.

Fused QKV and gate-and-up GEMMs; norm, SiLU, multiply and add as kernels of their own; LM head included, embedding and
position encoding not. Decode attention is PyTorch's flash back end, or matmul, softmax, matmul where heads share keys.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .card import CardBench
from .errors import RowSkipped
from .rows import Row
from .timing import GraphTimer


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """Sizes of one model; every one has 128-wide heads."""

    n_layers: int
    hidden: int
    n_heads: int
    n_kv_heads: int
    ffn: int
    vocab: int
    head_dim: int = 128


MODELS = {
    "llama2-7b": LlamaShape(32, 4096, 32, 32, 11008, 32000),
    "llama2-13b": LlamaShape(40, 5120, 40, 40, 13824, 32000),
    "llama2-70b": LlamaShape(80, 8192, 64, 8, 28672, 32000),
    "llama3-8b": LlamaShape(32, 4096, 32, 8, 14336, 128256),
}


def shape_of(model: str) -> LlamaShape:
    """The sizes of `llama2-7b`, or of eight of its layers as `llama2-7b:8`; raises RowSkipped for an unknown name."""
    name, _, layers = model.partition(":")
    if name not in MODELS or (layers and not layers.isdigit()):
        raise RowSkipped(f"no shapes of {model!r}: {', '.join(MODELS)}, or NAME:LAYERS")
    full = MODELS[name]
    sizes = (full.hidden, full.n_heads, full.n_kv_heads, full.ffn, full.vocab)
    return LlamaShape(int(layers) if layers else full.n_layers, *sizes)


class StepBench(CardBench):
    """Measures the rows of mode `steps`; the weights of a model stay from one row to the next."""

    def __init__(self, torch: Any, timer: GraphTimer) -> None:
        self.torch = torch
        self.timer = timer
        self._model = ""
        self._weights: list[list[Any]] = []
        super().__init__(torch, "phase", {"decode": self.decode, "prefill": self.prefill})

    def decode(self, row: Row) -> Row:
        """One token of each sequence; keys and values of `L` positions are there already."""
        shape = self._load(str(row["model"]))
        batch, context = int(row["B"]), int(row["L"])
        kv_shape = (batch, shape.n_kv_heads, context, shape.head_dim)
        caches = [[self._random(*kv_shape) for _ in range(2)] for _ in range(shape.n_layers)]
        x = self._random(batch, shape.hidden)

        def attend(layer: int, qkv: Any) -> Any:
            key, value = caches[layer]
            query = qkv[:, : shape.n_heads * shape.head_dim]
            if shape.n_heads == shape.n_kv_heads:
                query = query.view(batch, shape.n_heads, 1, shape.head_dim)
                with self.torch.nn.attention.sdpa_kernel(self.torch.nn.attention.SDPBackend.FLASH_ATTENTION):
                    seen = self.torch.nn.functional.scaled_dot_product_attention(query, key, value)
            else:
                rep = shape.n_heads // shape.n_kv_heads
                query = query.view(batch, shape.n_kv_heads, rep, shape.head_dim)
                scores = self.torch.softmax(query @ key.transpose(-1, -2), dim=-1)
                seen = scores @ value
            return seen.reshape(batch, -1)

        return self._step(lambda: self._forward(shape, x, attend, slice(None)))

    def prefill(self, row: Row) -> Row:
        """Whole prompts; PyTorch chooses the attention, the LM head sees the last position of each."""
        shape = self._load(str(row["model"]))
        batch, length = int(row["B"]), int(row["L"])
        x = self._random(batch * length, shape.hidden)
        heads = (shape.n_heads, shape.n_kv_heads, shape.n_kv_heads)
        grouped = {"enable_gqa": True} if shape.n_heads != shape.n_kv_heads else {}

        def attend(layer: int, qkv: Any) -> Any:
            parts = qkv.split([n * shape.head_dim for n in heads], dim=-1)
            query, key, value = (
                part.view(batch, length, n, shape.head_dim).transpose(1, 2)
                for part, n in zip(parts, heads, strict=True)
            )
            attention = self.torch.nn.functional.scaled_dot_product_attention
            seen = attention(query, key, value, is_causal=True, **grouped)
            return seen.transpose(1, 2).reshape(batch * length, -1)

        return self._step(lambda: self._forward(shape, x, attend, slice(length - 1, None, length)))

    def _forward(self, shape: LlamaShape, x: Any, attend: Any, last: slice) -> Any:
        f = self.torch.nn.functional
        norm, head = self._weights[-1]
        for layer, (qkv, out, gate_up, down) in enumerate(self._weights[:-1]):
            x = x + f.linear(attend(layer, f.linear(f.rms_norm(x, (shape.hidden,), norm), qkv)), out)
            gate, up = f.linear(f.rms_norm(x, (shape.hidden,), norm), gate_up).chunk(2, dim=-1)
            x = x + f.linear(f.silu(gate) * up, down)
        return f.linear(f.rms_norm(x[last], (shape.hidden,), norm), head)

    def _step(self, step: Any) -> Row:
        with self.torch.no_grad():
            timing = self.timer.measure([step])
        return {"t_ms": timing.t_us / 1e3, "power_w": timing.power_w}

    def _load(self, model: str) -> LlamaShape:
        shape = shape_of(model)
        if model != self._model:
            # Marked as loaded last: a model that does not fit must not leave half its layers behind.
            self._model, self._weights = "", []
            self.torch.cuda.empty_cache()
            try:
                self._weights = self._random_weights(shape)
            except self.torch.cuda.OutOfMemoryError as error:
                raise RowSkipped(f"the weights of {model} do not fit into this card's memory") from error
            self._model = model
        return shape

    def _random_weights(self, shape: LlamaShape) -> list[list[Any]]:
        width = shape.n_heads * shape.head_dim
        sizes = (
            (width + 2 * shape.n_kv_heads * shape.head_dim, shape.hidden),
            (shape.hidden, width),
            (2 * shape.ffn, shape.hidden),
            (shape.hidden, shape.ffn),
        )
        layers = [[self._random(n, k) / math.sqrt(k) for n, k in sizes] for _ in range(shape.n_layers)]
        head = self._random(shape.vocab, shape.hidden) / math.sqrt(shape.hidden)
        return [*layers, [self._random(shape.hidden), head]]

    def _random(self, *shape: int) -> Any:
        return self.torch.randn(*shape, dtype=self.torch.bfloat16, device="cuda")
