"""A transformer step as Anda does it: products on the array, what surrounds them on the vector unit, bits moved.

Queries, keys and values share their input and are one product, as are gate and up. Attention multiplies queries and
probabilities with keys and values head by head, tiles behind the causal mask left out; keys and values are operands of
`kv_bits`, in digits of what the array takes, activations have `attention_mantissa` bits. Output head and routers are
such products with operands of `head_bits`.

Source: Anda (HPCA 2025) for products with INT4 weights; all else is this project's. Not modelled: residual additions,
scores that leave the chip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.core.rounding import ceil_div
from simulator.devices.anda_tiling import Tiling
from simulator.devices.bit_plane_array import FLOAT_BITS, ArrayWork, BitPlaneArray
from simulator.workload.batch import Batch, Sequence
from simulator.workload.model import ModelSpec
from simulator.workload.operators import (
    AttentionOutput,
    AttentionScore,
    Embedding,
    ExpertLinear,
    KvAppend,
    Linear,
    LmHead,
    Operator,
    OperatorUse,
    Router,
    operators,
)

_MODULE = {"q": "qkv", "k": "qkv", "v": "qkv", "o": "o", "gate": "u", "up": "u", "down": "d"}
_NAME = {"qkv": "qkv_proj", "o": "o_proj", "u": "up_proj", "d": "down_proj"}
BEFORE_LAYERS = ("embedding", "position_embedding")
AFTER_LAYERS = ("final_norm", "lm_head")


@dataclass(frozen=True, slots=True)
class OperandFormat:
    """Integer operands: `bits` each, and `group_bits` of scale and zero point for each `group` along the depth."""

    bits: int
    group: int
    group_bits: int

    def stored_bits(self, depth: int) -> float:
        """Bits of an operand, its share of the metadata included; a last group may be short."""
        return self.bits + self.group_bits * ceil_div(depth, self.group) / depth


@dataclass(frozen=True, slots=True)
class StepWork:
    """One operator: `repeat` times as often as there are layers, or once.

    `array` is None without products; `macs` are its multiplications, `peak_macs_per_cycle` what the array does at most;
    bits by memory stream; `converted` activations that become bit planes, of `mantissa` bits; `vector_ops` on the
    vector unit.
    """

    name: str
    module: str | None = None
    array: ArrayWork | None = None
    macs: int = 0
    peak_macs_per_cycle: float = 0.0
    dram_bits: Mapping[str, float] | None = None
    converted: int = 0
    mantissa: int = 0
    vector_ops: int = 0

    @property
    def all_dram_bits(self) -> float:
        """Bits of all streams."""
        return sum(self.dram_bits.values()) if self.dram_bits else 0.0


@dataclass(frozen=True, slots=True)
class AndaWork:
    """The work of steps on one array: mantissas of the four modules, formats of operands, and the tiling."""

    array: BitPlaneArray
    tiling: Tiling
    weight: OperandFormat
    mantissas: Mapping[str, int]
    attention_mantissa: int
    head_bits: int

    def products(self, model: ModelSpec, batch: Batch) -> list[StepWork]:
        """The products of one layer with INT4 weights, and nothing else: what Anda's paper counts."""
        return [work for work in self.layer(model, batch) if work.module]

    def layer(self, model: ModelSpec, batch: Batch) -> list[StepWork]:
        """Everything of one layer, in the order of the computation."""
        inside = [use for use in operators(model, batch) if use.name not in (*BEFORE_LAYERS, *AFTER_LAYERS)]
        return list(self._fused(inside))

    def once(self, model: ModelSpec, batch: Batch) -> tuple[list[StepWork], list[StepWork]]:
        """What comes before and after the layers."""
        uses = operators(model, batch)
        before = [self._single(use.name, use.operator) for use in uses if use.name in BEFORE_LAYERS]
        after = [self._single(use.name, use.operator) for use in uses if use.name in AFTER_LAYERS]
        return before, after

    def _fused(self, uses: list[OperatorUse]) -> Iterator[StepWork]:
        """Operators of a layer, those of one module with the same input as one product at the first of them."""
        done: set[str] = set()
        for use in uses:
            name = use.name
            shared = "shared_" if name.startswith("shared_") else ""
            stem = name.removeprefix("shared_").removesuffix("_proj")
            if not name.endswith("_proj"):
                yield self._single(name, use.operator)
                continue
            module = _MODULE[stem]
            fused = shared + _NAME[module]
            if fused in done:
                continue
            done.add(fused)
            parts = [
                one.operator
                for one in uses
                if one.name.endswith("_proj")
                and one.name.startswith("shared_") == bool(shared)
                and _MODULE[one.name.removeprefix("shared_").removesuffix("_proj")] == module
            ]
            yield self._module(fused, module, parts)

    def _module(self, name: str, module: str, parts: list[Operator]) -> StepWork:
        """The product of an input with all matrices that take it; experts share their tokens equally."""
        first = parts[0]
        assert isinstance(first, (Linear, ExpertLinear))
        outputs = sum(part.out_features for part in parts if isinstance(part, (Linear, ExpertLinear)))
        tokens, count = first.tokens, 1
        if isinstance(first, ExpertLinear):
            count = max(1, round(first.expected_active_experts))
            tokens = ceil_div(first.routed_tokens, count)
        work = self._linear(
            name, tokens, first.in_features, outputs, self.mantissas[module], self.weight.bits,
            self.weight.stored_bits(first.in_features),
        )  # fmt: skip
        return replace(_times(work, count), module=module)

    def _linear(
        self, name: str, tokens: int, depth: int, outputs: int, mantissa: int, operand_bits: int, stored_bits: float
    ) -> StepWork:
        array = self.array
        mantissa = array.mantissa(mantissa)
        activation_bits = array.activation_bits(mantissa)
        fetches = self.tiling.fetches(tokens, depth, outputs, activation_bits, stored_bits)
        return StepWork(
            name,
            array=array.product(tokens, depth, outputs, mantissa, operand_bits, stored_bits),
            macs=tokens * depth * outputs,
            peak_macs_per_cycle=array.peak_macs_per_cycle(mantissa, operand_bits),
            dram_bits={
                "weights": fetches.n_operand(tokens) * depth * outputs * stored_bits,
                "activations": fetches.n_activation * tokens * depth * activation_bits + tokens * outputs * FLOAT_BITS,
            },
            converted=tokens * depth if array.takes_planes else 0,
            mantissa=mantissa,
        )

    def _single(self, name: str, operator: Operator) -> StepWork:
        match operator:
            case Embedding():
                return StepWork(name, dram_bits={"weights": operator.read_bytes * 8})
            case KvAppend():
                return StepWork(name, dram_bits={"kv": operator.kv_bytes * 8})
            case AttentionScore() | AttentionOutput():
                return self._attention(name, operator)
            case Router():
                return self._head(name, operator.tokens, operator.hidden, operator.n_experts)
            case LmHead():
                return self._head(name, operator.tokens, operator.hidden, operator.vocab)
        return StepWork(name, vector_ops=operator.flops)

    def _head(self, name: str, tokens: int, depth: int, outputs: int) -> StepWork:
        """A product with weights that stay as stored, in as many passes as they have digits."""
        return self._linear(
            name, tokens, depth, outputs, self.attention_mantissa, self.head_bits, float(self.head_bits)
        )  # fmt: skip

    def _attention(self, name: str, operator: AttentionScore | AttentionOutput) -> StepWork:
        """Scores (queries times keys) or outputs (probabilities times values) of all heads and sequences."""
        rep = operator.n_heads // operator.n_kv_heads
        works = [
            _scaled(self._head_attention(operator, sequence, rep), n * operator.n_kv_heads)
            for sequence, n in Batch(operator.sequences).runs
        ]
        array = ArrayWork(
            sum(one.steps for one, _ in works),
            works[0][0].step_cycles,
            sum(one.busy_steps for one, _ in works),
            sum(one.activation_bits for one, _ in works),
            sum(one.operand_bits for one, _ in works),
        )
        tokens = sum(sequence.new_tokens for sequence in operator.sequences)
        mantissa = self.array.mantissa(self.attention_mantissa)
        # Queries come and results leave as FP16; scores and probabilities stay on the chip.
        activations = tokens * operator.n_heads * operator.head_dim * FLOAT_BITS
        is_score = isinstance(operator, AttentionScore)
        converted = tokens * operator.n_heads * operator.head_dim if is_score else operator.n_heads * operator.n_pairs
        return StepWork(
            name,
            array=array,
            macs=operator.flops // 2,
            peak_macs_per_cycle=self.array.peak_macs_per_cycle(mantissa, operator.kv_bits),
            dram_bits={"kv": sum(kv for _, kv in works), "activations": activations},
            converted=converted if self.array.takes_planes else 0,
            mantissa=mantissa,
        )

    def _head_attention(
        self, operator: AttentionScore | AttentionOutput, sequence: Sequence, rep: int
    ) -> tuple[ArrayWork, float]:
        """The array's work for one key-value head of one sequence, and the bits of its keys or values that come."""
        config, kv_bits, head_dim = self.array.config, operator.kv_bits, operator.head_dim
        mantissa = self.array.mantissa(self.attention_mantissa)
        bits, passes = self.array.activation_bits(mantissa), self.array.n_passes(kv_bits)
        n_rows = sequence.new_tokens * rep
        spans = attended_spans(sequence, rep, config.rows, operator.window)
        if isinstance(operator, AttentionScore):
            depth, outputs = config.width * ceil_div(head_dim, config.width), _padded(spans, config.columns)
            steps = depth // config.width * outputs // config.columns
            depth_of_operands, busy = np.full_like(spans, depth), spans / outputs
            operand_bits = float(depth * spans.sum() * kv_bits)
        else:
            n_column_tiles = ceil_div(head_dim, config.columns)
            depth_of_operands = _padded(spans, config.width)
            steps = depth_of_operands // config.width * n_column_tiles
            busy = np.full(len(spans), head_dim / (n_column_tiles * config.columns))
            operand_bits = float(head_dim * depth_of_operands.sum() * kv_bits)
        n_steps = int(steps.sum()) * passes
        array = ArrayWork(
            n_steps,
            self.array.step_cycles(mantissa),
            float((steps * busy).sum()) * passes * n_rows / (len(spans) * config.rows),
            n_steps * config.width * bits * n_rows / len(spans),
            operand_bits,
        )
        longest = int(spans.max())
        shape = (head_dim, longest) if isinstance(operator, AttentionScore) else (longest, head_dim)
        fetches = self.tiling.fetches(n_rows, *shape, bits, kv_bits)
        fetched = attended_spans(sequence, rep, fetches.strip, operator.window)
        return array, float(fetched.sum()) * head_dim * kv_bits


def attended_spans(sequence: Sequence, rep: int, height: int, window: int | None) -> NDArray[np.int64]:
    """Positions that each block of `height` rows attends to together, int64[n_blocks]; a row is a query head of a
    token, and `rep` in a row share keys."""
    n_rows = sequence.new_tokens * rep
    first = np.arange(0, n_rows, height, dtype=np.int64)
    last = np.minimum(first + height, n_rows) - 1
    before = sequence.context - sequence.new_tokens + 1
    end = before + last // rep
    begin = np.zeros_like(end) if window is None else np.maximum(before + first // rep - window, 0)
    return np.asarray(end - begin, np.int64)


def _padded(spans: NDArray[np.int64], to: int) -> NDArray[np.int64]:
    return np.asarray(-(-spans // to) * to, np.int64)


def _scaled(found: tuple[ArrayWork, float], n: int) -> tuple[ArrayWork, float]:
    """`n` such heads."""
    array, kv_bits = found
    return _array_times(array, n), kv_bits * n


def _array_times(array: ArrayWork, n: int) -> ArrayWork:
    return ArrayWork(
        array.steps * n, array.step_cycles, array.busy_steps * n, array.activation_bits * n, array.operand_bits * n
    )


def _times(work: StepWork, n: int) -> StepWork:
    """`n` such products."""
    if n == 1 or work.array is None:
        return work
    bits = {name: value * n for name, value in (work.dram_bits or {}).items()}
    array = _array_times(work.array, n)
    return replace(work, array=array, macs=work.macs * n, dram_bits=bits, converted=work.converted * n)
