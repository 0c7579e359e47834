"""One decoder layer on one of several GPUs of AttAcc's analytic model: its operators in order, for any sequences.

Tensor parallelism cuts heads and feed-forward columns over the GPUs; two all-reduces a layer join them.

Not modelled: the causal mask (a prompt computes all its scores), experts, attention and feed-forward side by side,
rotary embeddings, the key-value cache's writes, embedding and output head.
Source: AttAcc (ASPLOS 2024), its public simulator; PAPI (ASPLOS 2025), which builds on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Literal

from simulator.core.errors import MappingError
from simulator.devices.tile_gpu import Product, TileGpu, TileOperator
from simulator.devices.tile_gpu_config import TileGpuCatalogue, TileRules
from simulator.workload.batch import Batch, Run
from simulator.workload.model import ModelSpec

AttentionPlace = Literal["gpu", "host", "pim"]
"""Who computes attention: the GPUs, the CPUs beside them, or stacks behind a link, which cost their own time."""

Operators = tuple[TileOperator, ...]

_N_STEPS_KEPT = 1 << 13
"""Numbers of tokens, and batches of equal sequences, that are kept: it bounds memory, and decides nothing."""


@dataclass(frozen=True, slots=True)
class LayerShard:
    """What one of `n_gpus` holds of a decoder layer.

    `n_kv_heads` heads of keys and values with `rows_per_token` query heads each; `qkv_width` the columns of queries,
    keys and values, `kv_width` those of keys and values; `result_width` those that attention gives, `projection_depth`
    those that the projection takes (the tool rounds them differently); `ffn_width` its feed-forward columns.
    """

    n_kv_heads: int
    rows_per_token: int
    head_dim: int
    qkv_width: int
    kv_width: int
    result_width: int
    projection_depth: int
    ffn_width: float

    @classmethod
    def published(cls, model: ModelSpec, n_gpus: int, rules: TileRules) -> LayerShard:
        """The shard of the public tool: every number rounded down, as many key-value heads as query heads, and a gated
        network of a fixed share of the hidden size, whatever the model's is.

        Raises MappingError where not one head is left for a GPU.
        """
        n_heads, width = model.n_heads // n_gpus, model.hidden // n_gpus
        if not n_heads:
            raise MappingError(
                f"{model.name}: {model.n_heads} heads on {n_gpus} GPUs leave none for one of them",
                where="system.n_gpus",
                remedy="use fewer GPUs, or `accounting: corrected`, which rounds up",
            )
        ratio = float(rules.published_gated_ffn) if model.gated else model.ffn / model.hidden
        head_dim = model.hidden // model.n_heads
        return cls(n_heads, 1, head_dim, 3 * width, 2 * width, n_heads * head_dim, width, ratio * width)

    @classmethod
    def corrected(cls, model: ModelSpec, n_gpus: int) -> LayerShard:
        """The shard that the busiest GPU needs: numbers rounded up, key-value heads and feed-forward width as the model
        has them; fewer key-value heads than GPUs are repeated."""
        n_heads, n_kv_heads = ceil(model.n_heads / n_gpus), ceil(model.n_kv_heads / n_gpus)
        width, kv_width = n_heads * model.head_dim, 2 * n_kv_heads * model.head_dim
        rows, ffn_width = ceil(n_heads / n_kv_heads), ceil(model.ffn / n_gpus)
        return cls(n_kv_heads, rows, model.head_dim, width + kv_width, kv_width, width, width, ffn_width)


class TileLayer:
    """Decoder layers of `model` over `n_gpus` GPUs named `gpu` in a catalogue, operands of `n_bytes` each.

    `attention` is where a machine computes the attention of decodes. `published` follows the public tool to the digit;
    otherwise shapes are the model's own (see LayerShard), the oddities that TileGpu names go, a sliding window counts,
    and the host's sockets share heads and bytes of all GPUs, where the tool gives a socket the work of one GPU of
    eight, whatever `n_gpus` is.

    Raises ConfigError for an unknown GPU, MappingError for a model with experts or a GPU without a head.
    """

    def __init__(
        self,
        catalogue: TileGpuCatalogue,
        gpu: str,
        model: ModelSpec,
        n_gpus: int,
        *,
        n_bytes: float = 2,
        published: bool = True,
        attention: AttentionPlace = "gpu",
    ) -> None:
        if model.n_experts:
            raise MappingError(
                f"{model.name} has experts, which this GPU model has not",
                where="workload.model",
                remedy="use a dense model",
            )
        self.config, self.rules, self.model = catalogue.gpu(gpu), catalogue.rules, model
        self.n_bytes, self.published, self.attention = n_bytes, published, attention
        self.n_gpus = self.config.host.fixed_gpus if published and attention == "host" else n_gpus
        self.gpu = TileGpu(self.config, self.rules, catalogue.energies, n_bytes=n_bytes, published=published)
        self.host = TileGpu(self.config.host, self.rules, None, n_bytes=n_bytes, published=published, in_waves=False)
        if published:
            self.shard = LayerShard.published(model, self.n_gpus, self.rules)
        else:
            self.shard = LayerShard.corrected(model, self.n_gpus)
        self._token_work = lru_cache(maxsize=_N_STEPS_KEPT)(self._priced_tokens)
        self._uniform_attention = lru_cache(maxsize=_N_STEPS_KEPT)(self._priced_attention)

    def operators(self, batch: Batch, attention: AttentionPlace | None = None) -> tuple[TileOperator, ...]:
        """The operators of one layer on one GPU, in order, for a step of prompts, decodes or both.

        `attention` says where this step computes it, by default where decodes do: published machines prefill on `gpu`.
        Names: qkv, link_in, score, softmax, context, link_out, projection, attention_all_reduce, attention_norm,
        ffn_gate (gated models), ffn_up, activation, ffn_down, ffn_all_reduce, ffn_norm. The links are there where
        attention is not on the GPU; on `pim` score, softmax and context are not. Time, bytes and energy are of one GPU
        and one layer, on the host of one socket. An empty batch has no operators.
        """
        if not batch.new_tokens:
            return ()
        place = attention or self.attention
        before, after = self._token_work(batch.new_tokens, place)
        if place == "pim":
            return before + after
        runs = batch.runs
        priced = self._uniform_attention if len(runs) == 1 else self._priced_attention
        return before + priced(runs, place) + after

    def kv_transfer(self, n_tokens: int) -> TileOperator:
        """Keys and values of `n_tokens` from one GPU to its attention stacks after a prefill."""
        moved = n_tokens * self.shard.kv_width * self.n_bytes
        return self.gpu.link("kv_transfer", moved, self.rules.pim_link_gb_per_s)

    def required_bytes(self, n_sequences: int, prompt_tokens: int, output_tokens: int) -> float:
        """Bytes of weights, key-value cache and one layer's activations, all GPUs together and nothing held twice.

        The published count leaves the embedding out and takes the published feed-forward width and all heads' keys.
        """
        model, n_bytes, hidden = self.model, self.n_bytes, self.model.hidden
        positions = prompt_tokens + output_tokens - 1
        scores = positions * model.n_heads
        weights, ffn_width, kv_width = model.n_params * n_bytes, float(model.ffn), model.kv_dim
        if self.published:
            ratio = float(self.rules.published_gated_ffn) if model.gated else model.ffn / hidden
            n_matrices = 3 if model.gated else 2
            weights = model.n_layers * hidden * (4 * hidden + n_matrices * ratio * hidden) * n_bytes
            ffn_width, kv_width = ratio * hidden, hidden
        kv = model.n_layers * 2 * positions * kv_width * n_bytes
        largest = max(hidden + scores, 2 * hidden, 2 * scores, ffn_width + hidden) * n_bytes
        return weights + (kv + largest + scores) * n_sequences

    def _priced_tokens(self, m: int, place: AttentionPlace) -> tuple[Operators, Operators]:
        """What depends on the number of tokens alone: the operators before attention, and those after it."""
        gpu, model, shard = self.gpu, self.model, self.shard
        hidden, width = model.hidden, shard.ffn_width
        links_in, links_out = self._links(m, place)
        gate = (gpu.fc("ffn_gate", m, width, hidden),) if model.gated else ()
        before = (gpu.fc("qkv", m, shard.qkv_width, hidden), *links_in)
        after = (
            *links_out,
            gpu.fc("projection", m, hidden, shard.projection_depth),
            gpu.all_reduce("attention_all_reduce", m, hidden, self.n_gpus),
            gpu.norm("attention_norm", m, hidden),
            *gate,
            gpu.fc("ffn_up", m, width, hidden),
            gpu.activation("activation", m, width, model.activation, gated=model.gated),
            gpu.fc("ffn_down", m, hidden, width),
            gpu.all_reduce("ffn_all_reduce", m, hidden, self.n_gpus),
            gpu.norm("ffn_norm", m, hidden),
        )
        return before, after

    def _links(self, m: int, place: AttentionPlace) -> tuple[Operators, Operators]:
        """Queries, keys and values on their way out, and the result on its way back."""
        if place == "gpu":
            return (), ()
        sent, back = (m * columns * self.n_bytes for columns in (self.shard.qkv_width, self.shard.result_width))
        if place == "pim":
            link = self.rules.pim_link_gb_per_s
            return (self.gpu.link("link_in", sent, link),), (self.gpu.link("link_out", back, link),)
        host = self.config.host
        n_sharing = 1 if self.published else self.n_gpus / host.n_sockets
        return (
            (self.host.link("link_in", sent * n_sharing, host.link_gb_per_s),),
            (self.host.link("link_out", back * n_sharing, host.link_gb_per_s),),
        )

    def _priced_attention(self, runs: tuple[Run, ...], place: AttentionPlace) -> Operators:
        """Score, softmax and context of all sequences together."""
        device, n_heads, rows_per_token, n_sharing = self.gpu, self.shard.n_kv_heads, self.shard.rows_per_token, 1
        if place == "host":
            device = self.host
            if not self.published:
                n_heads, rows_per_token = self.model.n_kv_heads, self.model.rep
                n_sharing = self.config.host.n_sockets
        window = None if self.published else self.model.sliding_window
        scores: list[Product] = []
        contexts: list[Product] = []
        for sequence, count in runs:
            rows, positions = rows_per_token * sequence.new_tokens, sequence.context
            if window is not None:
                positions = min(positions, window + sequence.new_tokens - 1)
            n_products = -(-n_heads * count // n_sharing)
            scores.append((rows, positions, self.shard.head_dim, n_products))
            contexts.append((rows, self.shard.head_dim, positions, n_products))
        return (
            device.matmul("score", scores),
            device.softmax("softmax", scores),
            device.matmul("context", contexts),
        )
