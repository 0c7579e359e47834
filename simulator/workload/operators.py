"""The operators of one transformer step: `operators(model, batch)` is the only place that knows a transformer.

Not modelled: residual additions, dropout, the layout of fused kernels (a system may fuse what it likes).
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.core.errors import WorkloadError
from simulator.workload.batch import Batch
from simulator.workload.model import ModelSpec
from simulator.workload.operator_kinds import (
    Activation,
    AttentionOutput,
    AttentionScore,
    Collective,
    Embedding,
    ExpertLinear,
    KvAppend,
    Linear,
    LmHead,
    Norm,
    Operator,
    Rope,
    Router,
    Softmax,
    attended_pairs,
    attended_positions,
)

__all__ = [
    "Activation",
    "AttentionOutput",
    "AttentionScore",
    "Collective",
    "Embedding",
    "ExpertLinear",
    "KvAppend",
    "Linear",
    "LmHead",
    "Norm",
    "Operator",
    "OperatorUse",
    "Rope",
    "Router",
    "Softmax",
    "attended_pairs",
    "attended_positions",
    "operators",
]


@dataclass(frozen=True, slots=True)
class OperatorUse:
    """An operator under its name, and how often the step runs it: once, or once per layer."""

    name: str
    operator: Operator
    repeat: int

    @property
    def flops(self) -> int:
        """Operations of all repeats."""
        return self.repeat * self.operator.flops

    @property
    def weight_bytes(self) -> int:
        """Weight bytes of all repeats."""
        return self.repeat * self.operator.weight_bytes


def operators(model: ModelSpec, batch: Batch) -> tuple[OperatorUse, ...]:
    """The operators of one step in the order of the computation; those of a layer stand once, with the layer count.

    Word scores are for the tokens that need them: the last of each prompt, and all new ones where guesses are verified.
    Raises WorkloadError on an empty batch, or one beyond the rows of a learned position table.
    """
    if not batch.runs:
        raise WorkloadError("the batch has no sequence", remedy="give at least one sequence")
    longest = max(sequence.context for sequence, _ in batch.runs)
    if model.position == "learned" and longest > model.n_positions:
        raise WorkloadError(
            f"a context of {longest:,} is beyond the {model.n_positions:,} learned positions of {model.name}",
            remedy="give a shorter context, or a model with rotary positions",
        )
    tokens = batch.new_tokens
    head_tokens = batch.n_scored
    once = [OperatorUse("embedding", Embedding(tokens, model.vocab, model.hidden, model.weight_bits), 1)]
    if model.position == "learned":
        table = Embedding(tokens, model.n_positions, model.hidden, model.weight_bits)
        once.append(OperatorUse("position_embedding", table, 1))
    layer = _layer_norms(model, tokens) | _attention(model, batch) | _feed_forward(model, tokens)
    head = LmHead(
        head_tokens, model.hidden, model.vocab, model.weight_bits, model.act_bits, model.tied_embeddings,
        "lm_head" in model.biases,
    )  # fmt: skip
    return (
        *once,
        *(OperatorUse(name, layer[name], model.n_layers) for name in _ORDER if name in layer),
        OperatorUse("final_norm", _norm(model, head_tokens), 1),
        OperatorUse("lm_head", head, 1),
    )


_ORDER = (
    "attention_norm", "q_proj", "k_proj", "v_proj", "qk_norm", "rope", "kv_append", "attention_score", "softmax",
    "attention_output", "o_proj", "ffn_norm", "router", "gate_proj", "up_proj", "activation", "down_proj",
    "shared_gate_proj", "shared_up_proj", "shared_activation", "shared_down_proj", "other_norms",
)  # fmt: skip


def _norm(model: ModelSpec, tokens: int) -> Norm:
    return Norm(tokens, model.hidden, model.norm, model.weight_bits)


def _layer_norms(model: ModelSpec, tokens: int) -> dict[str, Operator]:
    """A parallel block with one norm shares it; more than two norms per layer are kept together under one name."""
    norms: dict[str, Operator] = {}
    if model.norms_per_layer >= 1:
        norms["attention_norm"] = _norm(model, tokens)
    if model.norms_per_layer >= 2:
        norms["ffn_norm"] = _norm(model, tokens)
    if model.norms_per_layer > 2:
        n_more = model.norms_per_layer - 2
        norms["other_norms"] = Norm(n_more * tokens, model.hidden, model.norm, model.weight_bits, n_more)
    return norms


def _linear(model: ModelSpec, tokens: int, in_features: int, out_features: int, bias: str) -> Linear:
    return Linear(tokens, in_features, out_features, model.weight_bits, model.act_bits, bias in model.biases)


def _attention(model: ModelSpec, batch: Batch) -> dict[str, Operator]:
    tokens, sequences, window = batch.new_tokens, batch.sequences, model.sliding_window
    heads = (model.n_heads, model.n_kv_heads, model.head_dim, model.kv_bits, model.act_bits)
    found: dict[str, Operator] = {
        "q_proj": _linear(model, tokens, model.hidden, model.q_dim, "qkv"),
        "k_proj": _linear(model, tokens, model.hidden, model.kv_dim, "qkv"),
        "v_proj": _linear(model, tokens, model.hidden, model.kv_dim, "qkv"),
        "kv_append": KvAppend(tokens, model.n_kv_heads, model.head_dim, model.kv_bits),
        "attention_score": AttentionScore(sequences, *heads, window),
        "softmax": Softmax(sequences, model.n_heads, model.act_bits, window),
        "attention_output": AttentionOutput(sequences, *heads, window),
        "o_proj": _linear(model, tokens, model.q_dim, model.hidden, "attention_output"),
    }
    if model.qk_norm:
        rows = tokens * (model.n_heads + model.n_kv_heads)
        found["qk_norm"] = Norm(rows, model.head_dim, "rms", model.weight_bits, n_weight_sets=2)
    if model.rotated_dim:
        found["rope"] = Rope(tokens, model.n_heads, model.n_kv_heads, model.rotated_dim)
    return found


def _feed_forward(model: ModelSpec, tokens: int) -> dict[str, Operator]:
    if not model.n_experts:
        return _dense(model, tokens, model.ffn, "")
    routed = tokens * model.n_experts_per_token

    def expert(in_features: int, out_features: int) -> ExpertLinear:
        return ExpertLinear(
            tokens, in_features, out_features, model.n_experts, model.n_experts_per_token, model.weight_bits,
            model.act_bits, "ffn" in model.biases,
        )  # fmt: skip

    found: dict[str, Operator] = {
        "router": Router(tokens, model.hidden, model.n_experts, model.n_experts_per_token, model.weight_bits),
        "up_proj": expert(model.hidden, model.expert_ffn),
        "activation": Activation(routed, model.expert_ffn, model.activation, model.gated, model.act_bits),
        "down_proj": expert(model.expert_ffn, model.hidden),
    }
    if model.gated:
        found["gate_proj"] = expert(model.hidden, model.expert_ffn)
    if model.n_shared_experts:
        found |= _dense(model, tokens, model.n_shared_experts * model.expert_ffn, "shared_")
    return found


def _dense(model: ModelSpec, tokens: int, width: int, prefix: str) -> dict[str, Operator]:
    found: dict[str, Operator] = {
        f"{prefix}up_proj": _linear(model, tokens, model.hidden, width, "ffn"),
        f"{prefix}activation": Activation(tokens, width, model.activation, model.gated, model.act_bits),
        f"{prefix}down_proj": _linear(model, tokens, width, model.hidden, "ffn"),
    }
    if model.gated:
        found[f"{prefix}gate_proj"] = _linear(model, tokens, model.hidden, width, "ffn")
    return found
