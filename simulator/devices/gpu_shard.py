"""The launches of one transformer step on one GPU of a tensor-parallel group.

Queries, keys and values are one product, gate and up projection another; attention is one kernel over all sequences.
Heads and feed-forward columns are spread over the group, norms and residual additions are repeated on every GPU.
Rotary positions and the appending of keys and values ride in neighbouring kernels.

Not modelled: sequence parallelism, expert parallelism, uneven expert loads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from simulator.core.errors import ConfigError, MappingError
from simulator.core.spelling import did_you_mean
from simulator.devices.gpu_config import GpuConfig
from simulator.devices.gpu_kernels import BF16_BYTES, DecodeKernel, GpuKernels, Heads, Kernel, PrefillKernel, Rows
from simulator.workload.batch import Batch
from simulator.workload.model import ModelSpec
from simulator.workload.operators import ExpertLinear, Router, operators

ROUTER_LAUNCHES = ("router_softmax", "expert_choice", "token_sort")
Fusion = Literal["separate", "fused"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A collective between the GPUs of the group on a vector of `n_bytes`."""

    kind: str
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Launches:
    """What one GPU runs, by name and in order: before the layers, in each layer, and after them."""

    before: tuple[tuple[str, Kernel | Exchange], ...]
    layer: tuple[tuple[str, Kernel | Exchange], ...]
    after: tuple[tuple[str, Kernel | Exchange], ...]


class GpuShard:
    """One of `n_ranks` GPUs that hold `model` together.

    `elementwise` says whether norms, activations and residual additions are separate launches, as in PyTorch, or fused
    in pairs, as serving engines have them. Raises MappingError where heads do not divide.
    """

    def __init__(
        self,
        config: GpuConfig,
        model: ModelSpec,
        n_ranks: int = 1,
        *,
        number_format: str | None = None,
        attention_kernel: DecodeKernel = "split_kv",
        prefill_kernel: PrefillKernel = "cudnn",
        elementwise: Fusion = "separate",
    ) -> None:
        _check_heads(model, n_ranks)
        self.config = config
        self.model = model
        self.n_ranks = n_ranks
        self.kernels = GpuKernels(config)
        self.number_format = format_of(config, model) if number_format is None else _known(config, number_format)
        self.attention_kernel = attention_kernel
        self.prefill_kernel = prefill_kernel
        self.is_fused = elementwise == "fused"
        self.heads = Heads(model.n_heads // n_ranks, max(1, model.n_kv_heads // n_ranks), model.head_dim, model.kv_bits)

    def launches(self, batch: Batch) -> Launches:
        """All launches of a step of any sequences: prompts, single new tokens, guessed ones that are verified."""
        uses = {use.name: use.operator for use in operators(self.model, batch)}
        tokens = batch.new_tokens
        layer = [*self._attention_block(uses, tokens, batch), *self._ffn_block(uses, tokens)]
        return Launches(self._before(tokens), tuple(layer), tuple(self._after(batch.n_scored)))

    def _before(self, tokens: int) -> tuple[tuple[str, Kernel], ...]:
        n_bytes = 2 * tokens * self.model.hidden * BF16_BYTES
        return (("embedding", self.kernels.elementwise(n_bytes)),)

    def _after(self, n_scored: int) -> Iterator[tuple[str, Kernel | Exchange]]:
        model = self.model
        width = -(-model.vocab // self.n_ranks)
        yield "final_norm", self._norm(n_scored, model.hidden)
        yield "lm_head", self.kernels.gemm(n_scored, width, model.hidden, self.config.base_format)
        if self.n_ranks > 1:
            yield "all_gather_logits", Exchange("all_gather", n_scored * width * self.n_ranks * BF16_BYTES)

    def _attention_block(
        self, uses: dict[str, Any], tokens: int, batch: Batch
    ) -> Iterator[tuple[str, Kernel | Exchange]]:
        model, heads = self.model, self.heads
        if "attention_norm" in uses:
            yield "attention_norm", self._norm(tokens, model.hidden)
        yield "qkv_proj", self._gemm(tokens, (heads.n + 2 * heads.n_kv) * model.head_dim, model.hidden)
        if "qk_norm" in uses:
            yield "qk_norm", self._norm(tokens * (heads.n + heads.n_kv), model.head_dim)
        yield from self._attention(batch)
        yield "o_proj", self._gemm(tokens, model.hidden, heads.n * model.head_dim)
        if self.n_ranks > 1 and not model.parallel_block:
            yield "all_reduce_attention", self._all_reduce(tokens)
        if not self.is_fused and not model.parallel_block:
            yield "attention_residual", self._residual(tokens)

    def _attention(self, batch: Batch) -> Iterator[tuple[str, Kernel]]:
        window = self.model.sliding_window
        decoding: list[Rows] = []
        prompts: list[Rows] = []
        for sequence, count in batch.runs:
            rows = Rows(count, sequence.new_tokens, sequence.context, window)
            is_decode = sequence.new_tokens == 1 or sequence.is_verified
            (decoding if is_decode else prompts).append(rows)
        if prompts:
            name = "attention_prefill" if decoding else "attention"
            yield name, self.kernels.attention_prefill(self.heads, prompts, self.prefill_kernel)
        if decoding:
            yield "attention", self.kernels.attention_decode(self.heads, decoding, self.attention_kernel)

    def _ffn_block(self, uses: dict[str, Any], tokens: int) -> Iterator[tuple[str, Kernel | Exchange]]:
        model = self.model
        if "ffn_norm" in uses:
            yield "ffn_norm", self._norm(tokens, model.hidden)
        for _ in range(model.norms_per_layer - 2):
            yield "other_norm", self._norm(tokens, model.hidden)
        up = uses.get("up_proj")
        if isinstance(up, ExpertLinear):
            yield from self._experts(uses["router"], up, tokens)
        elif up is not None:
            yield from self._dense(tokens, up.out_features, "")
        if "shared_up_proj" in uses:
            yield from self._dense(tokens, uses["shared_up_proj"].out_features, "shared_")
        if self.n_ranks > 1:
            yield "all_reduce_ffn", self._all_reduce(tokens)
        if not self.is_fused:
            yield "ffn_residual", self._residual(tokens)

    def _dense(self, tokens: int, width: int, prefix: str) -> Iterator[tuple[str, Kernel]]:
        model, mine = self.model, -(-width // self.n_ranks)
        name = f"{prefix}gate_up_proj" if model.gated else f"{prefix}up_proj"
        yield name, self._gemm(tokens, mine * (2 if model.gated else 1), model.hidden)
        yield from self._activations(f"{prefix}activation", tokens, mine)
        yield f"{prefix}down_proj", self._gemm(tokens, model.hidden, mine)

    def _experts(self, router: Router, up: ExpertLinear, tokens: int) -> Iterator[tuple[str, Kernel]]:
        model, mine = self.model, -(-up.out_features // self.n_ranks)
        active, routed = up.expected_active_experts, up.routed_tokens
        grouped = self.kernels.grouped_gemm
        yield "router", self.kernels.gemm(tokens, router.n_experts, model.hidden, self.config.base_format)
        scores = self.kernels.elementwise(2 * tokens * router.n_experts * BF16_BYTES)
        for name in ROUTER_LAUNCHES:
            yield name, scores
        name = "expert_gate_up_proj" if model.gated else "expert_up_proj"
        width = mine * (2 if model.gated else 1)
        yield name, grouped(routed, width, model.hidden, active, self.number_format)
        yield from self._activations("expert_activation", routed, mine)
        yield "expert_down_proj", grouped(routed, model.hidden, mine, active, self.number_format)

    # --- kernels of the model's sizes

    def _gemm(self, tokens: int, n: int, k: int) -> Kernel:
        return self.kernels.gemm(tokens, n, k, self.number_format)

    def _norm(self, rows: int, width: int) -> Kernel:
        if self.is_fused:  # with the residual addition: reads and writes both the sum and its norm
            return self.kernels.elementwise(4 * rows * width * BF16_BYTES)
        return self.kernels.norm(rows, width)

    def _residual(self, tokens: int) -> Kernel:
        return self.kernels.elementwise(3 * tokens * self.model.hidden * BF16_BYTES)

    def _activations(self, name: str, rows: int, width: int) -> Iterator[tuple[str, Kernel]]:
        """Where gate and up projection are one product, their halves are rows of a wider matrix, which separate
        launches read element by element: the function reads and writes one, the product reads two and writes one."""
        elements = rows * width
        if not self.model.gated:
            yield name, self.kernels.elementwise(2 * elements * BF16_BYTES)
        elif self.is_fused:
            yield name, self.kernels.elementwise(3 * elements * BF16_BYTES)
        else:
            yield name, self.kernels.elementwise(2 * elements * BF16_BYTES, strided_elements=elements)
            yield f"{name}_product", self.kernels.elementwise(3 * elements * BF16_BYTES, strided_elements=elements)

    def _all_reduce(self, tokens: int) -> Exchange:
        return Exchange("all_reduce", tokens * self.model.hidden * BF16_BYTES)


def format_of(config: GpuConfig, model: ModelSpec) -> str:
    """The first number format of the part with the model's bits. Raises ConfigError where it has none."""
    for name, form in config.formats.items():
        if (form.weight_bits, form.act_bits) == (model.weight_bits, model.act_bits):
            return name
    have = ", ".join(f"{name} ({form.weight_bits:g} x {form.act_bits})" for name, form in config.formats.items())
    with_them = [form.act_bits for form in config.formats.values() if form.weight_bits == model.weight_bits]
    too = f"; set workload.overrides.act_bits={with_them[0]} too" if with_them else ""
    raise ConfigError(
        f"{config.name} multiplies no {model.weight_bits}-bit weights by {model.act_bits}-bit activations",
        where="workload.overrides.weight_bits",
        remedy=f"its formats are: {have}{too}",
    )


def _known(config: GpuConfig, name: str) -> str:
    """The name of a number format that the part has."""
    if name not in config.formats:
        raise ConfigError(
            f"{config.name} has no number format {name!r}",
            where="system.number_format",
            remedy=did_you_mean(name, config.formats),
        )
    return name


def _check_heads(model: ModelSpec, n_ranks: int) -> None:
    if model.n_heads % n_ranks:
        raise MappingError(
            f"{model.name} has {model.n_heads} heads, which {n_ranks} GPUs cannot share equally",
            where="system.tensor_parallel",
            remedy=f"use a divisor of {model.n_heads}",
        )
    if model.n_kv_heads % n_ranks and n_ranks % model.n_kv_heads:
        raise MappingError(
            f"{model.name} has {model.n_kv_heads} key-value heads, which {n_ranks} GPUs can neither share nor copy",
            where="system.tensor_parallel",
            remedy="use a divisor or a multiple of them",
        )
