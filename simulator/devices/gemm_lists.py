"""The matrix products of a transformer's step, as BitMoD's simulator lists them and as they are.

The published list is no reading of `workload.operators`: its output head scores every token of a prompt, prompts of a
batch stay separate products, attention is a full square, and the revision of 2024 has shapes in attention that no
attention has. The corrected list is made of `operators`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from simulator.devices.gemm_work import Gemm, Operand, Phase
from simulator.workload.batch import Batch, Sequence
from simulator.workload.model import ModelSpec
from simulator.workload.operators import AttentionOutput, AttentionScore, Linear, LmHead, operators


@dataclass(frozen=True, slots=True)
class Bits:
    """Widths of a step's values: weights with their share of scales, keys and values, activations."""

    weight: Fraction
    kv: Fraction
    activation: Fraction


def published_gemms(model: ModelSpec, batch: Batch, bits: Bits, revision: int) -> list[Gemm]:
    """The products that the simulator of `revision` 2024 or 2025 adds up.

    A batch of prompts and decodes, which it does not have, is one after the other. Source: BitMoD's repository.
    """
    decodes = [(sequence, n) for sequence, n in batch.runs if _is_pass(sequence)]
    mixed = 0 < len(decodes) < len(batch.runs)
    found: list[Gemm] = []
    for sequence, n in batch.runs:
        if not _is_pass(sequence):
            prefix = "prompt_" if mixed else ""
            found += _published_linear(model, "prefill", sequence.new_tokens, n, bits, prefix)
            found += _published_attention(model, "prefill", sequence, n, bits, revision, prefix)
    if decodes:
        tokens = sum(sequence.new_tokens * n for sequence, n in decodes)
        found += _published_linear(model, "decode", tokens, 1, bits, "")
        for sequence, n in decodes:
            found += _published_attention(model, "decode", sequence, n, bits, revision, "")
    return found


def corrected_gemms(model: ModelSpec, batch: Batch, bits: Bits) -> list[Gemm]:
    """The products of `workload.operators`: weights meet all tokens of the step at once and lie packed, new keys and
    values are written in their own width, the output head scores the tokens that need it.

    Not modelled: tiles of attention that causality masks are computed, as nothing says that the array skips them.
    """
    phase: Phase = "decode" if all(_is_pass(sequence) for sequence, _ in batch.runs) else "prefill"
    found: list[Gemm] = []
    for use in operators(model, batch):
        operator = use.operator
        if isinstance(operator, Linear):
            out = bits.kv if use.name in ("k_proj", "v_proj") else bits.activation
            shape = (operator.in_features, operator.out_features, operator.tokens)
            found.append(_packed_linear(use.name, phase, use.repeat, *shape, bits, out))
        elif isinstance(operator, LmHead):
            shape = (operator.hidden, operator.vocab, operator.tokens)
            found.append(_packed_linear(use.name, "decode", use.repeat, *shape, bits, bits.activation))
        elif isinstance(operator, AttentionScore | AttentionOutput):
            for sequence, n in batch.runs:
                of: Phase = "decode" if _is_pass(sequence) else "prefill"
                keys = isinstance(operator, AttentionScore)
                found.append(_attention(use.name, model, of, sequence, n, bits, keys=keys))
    return found


def _is_pass(sequence: Sequence) -> bool:
    """Whether a sequence decodes or verifies: one token, or a few on keys that are there."""
    return sequence.new_tokens == 1 or sequence.is_verified


def _published_linear(model: ModelSpec, phase: Phase, tokens: int, n: int, bits: Bits, prefix: str) -> list[Gemm]:
    """Products with weights, of `n` prompts each by itself, or of a token of each sequence."""
    h, q, kv, ffn = model.hidden, model.q_dim, model.kv_dim, model.ffn
    layer = {"q_proj": (h, q), "k_proj": (h, kv), "v_proj": (h, kv), "o_proj": (q, h)}
    layer |= {"gate_proj": (h, ffn)} if model.gated else {}
    layer |= {"up_proj": (h, ffn), "down_proj": (ffn, h)}
    shapes = [(name, *shape, model.n_layers) for name, shape in layer.items()]
    return [
        Gemm(
            name=prefix + name,
            phase=phase,
            repeat=repeat,
            inputs=inputs,
            outputs=outputs,
            tokens=tokens,
            n_products=n,
            term_bits=bits.weight,
            weight=Operand(inputs, outputs, bits.weight),
            activation=Operand(inputs, tokens * n, bits.activation),
            output=Operand(outputs, tokens * n, bits.activation),
            scaled=True,
        )
        for name, inputs, outputs, repeat in [*shapes, ("lm_head", h, model.vocab, 1)]
    ]


def _published_attention(
    model: ModelSpec, phase: Phase, sequence: Sequence, n: int, bits: Bits, revision: int, prefix: str
) -> list[Gemm]:
    if revision == 2024:
        return _attention_of_2024(model, phase, sequence, n, bits, prefix)
    return [
        _attention(prefix + name, model, phase, sequence, n, bits, keys=keys)
        for name, keys in (("attention_score", True), ("attention_output", False))
    ]


def _attention(
    name: str, model: ModelSpec, phase: Phase, sequence: Sequence, n: int, bits: Bits, *, keys: bool
) -> Gemm:
    """Queries times keys, or probabilities times values: a product for each key-value head, whose rows are the queries
    that share it, against all positions that any of the new tokens attends to."""
    positions = sequence.context
    if model.sliding_window:
        positions = min(positions, model.sliding_window + sequence.new_tokens - 1)
    inputs, outputs = (model.head_dim, positions) if keys else (positions, model.head_dim)
    n_products, tokens = n * model.n_kv_heads, model.rep * sequence.new_tokens
    return Gemm(
        name=name,
        phase=phase,
        repeat=model.n_layers,
        inputs=inputs,
        outputs=outputs,
        tokens=tokens,
        n_products=n_products,
        term_bits=bits.kv,
        weight=Operand(inputs, outputs * n_products, bits.kv),
        activation=Operand(inputs, tokens * n_products, bits.activation),
        output=Operand(outputs, tokens * n_products, bits.activation),
    )


def _attention_of_2024(
    model: ModelSpec, phase: Phase, sequence: Sequence, n: int, bits: Bits, prefix: str
) -> list[Gemm]:
    """Attention as the figures of the paper have it: all heads in the width of the keys *and* in the rows of the
    output, 16-bit operands, but terms and buffer writes of the weights' bits."""
    new, context, heads = sequence.new_tokens, sequence.context, model.n_heads
    shapes = {"attention_score": (model.hidden, new, heads * new), "attention_output": (context, heads * new, new)}
    return [
        Gemm(
            name=prefix + name,
            phase=phase,
            repeat=model.n_layers,
            inputs=columns,
            outputs=rows,
            tokens=out_rows,
            n_products=n,
            term_bits=bits.weight,
            weight=Operand(columns, rows * n, Fraction(16), buffer_bits=bits.weight),
            activation=Operand(model.kv_dim, out_rows * n, bits.activation),
            output=Operand(rows, out_rows * n, bits.activation),
        )
        for name, (columns, rows, out_rows) in shapes.items()
    ]


def _packed_linear(
    name: str, phase: Phase, repeat: int, inputs: int, outputs: int, tokens: int, bits: Bits, out: Fraction
) -> Gemm:
    """A product with weights that lie in memory one behind the other."""
    return Gemm(
        name=name,
        phase=phase,
        repeat=repeat,
        inputs=inputs,
        outputs=outputs,
        tokens=tokens,
        n_products=1,
        term_bits=bits.weight,
        weight=Operand(inputs * outputs, 1, bits.weight),
        activation=Operand(inputs, tokens, bits.activation),
        output=Operand(outputs, tokens, out),
        scaled=True,
    )
