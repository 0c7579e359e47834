"""The shape of a transformer: every number that decides how many weights, key-value bytes and operations a step has."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.core.errors import Position, WorkloadError

POSITIONS = ("rope", "learned", "alibi", "none")
NORMS = ("rms", "layer")
ACTIVATIONS = ("silu", "gelu", "relu")
BIASES = ("qkv", "attention_output", "ffn", "lm_head")
MAX_SIZE = 2**24


class ModelShapeError(WorkloadError):
    """A model's shape is impossible; `field` names the number to change, so that a reader can point at its line."""

    def __init__(
        self, message: str, *, field: str, where: Position | str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.field = field


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A decoder-only transformer whose layers all have one shape.

    n_layers, hidden (model width), n_heads (query heads), n_kv_heads (fewer means grouped queries), head_dim; ffn the
    width of the dense feed-forward network (0 where experts replace it), gated whether it has a gate projection beside
    the up projection; vocab; tied_embeddings whether the output head is the embedding table; position one of
    POSITIONS, n_positions the rows of a learned table, rotary_dim how much of a head is rotated (None: all of it);
    sliding_window the positions that a token attends to at most (None: all); n_experts, n_experts_per_token (top-k of
    the router), expert_ffn and n_shared_experts (always on, each as wide as a routed one); qk_norm whether queries and
    keys are normalised per head; parallel_block whether attention and feed-forward read the same input;
    norms_per_layer; biases the projections that have one; weight_bits, act_bits, kv_bits the widths as stored;
    max_context the positions that the model was trained for.

    Raises ModelShapeError (exit code 3) on an impossible shape. Not modelled: layers of different shapes, encoders,
    low-rank (latent) attention, weights of mixed precision.
    """

    name: str
    n_layers: int
    hidden: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    max_context: int
    gated: bool = True
    activation: str = "silu"
    tied_embeddings: bool = False
    position: str = "rope"
    n_positions: int = 0
    rotary_dim: int | None = None
    sliding_window: int | None = None
    n_experts: int = 0
    n_experts_per_token: int = 0
    expert_ffn: int = 0
    n_shared_experts: int = 0
    qk_norm: bool = False
    parallel_block: bool = False
    norm: str = "rms"
    norms_per_layer: int = 2
    biases: tuple[str, ...] = ()
    weight_bits: int = 16
    act_bits: int = 16
    kv_bits: int = 16

    def __post_init__(self) -> None:
        for field, message, remedy in _problems(self):
            raise ModelShapeError(f"model {self.name!r}: {message}", field=field, remedy=remedy)

    @classmethod
    def from_hf(cls, config: str | Path | Mapping[str, Any], name: str | None = None) -> ModelSpec:
        """The shape that a Hugging Face `config.json` (its path, or its content as a mapping) describes.

        Raises WorkloadError on a model_type that is not known, a key that the family needs and the file lacks, or a
        structure that is not modelled.
        """
        from simulator.workload.huggingface import model_from_hf

        return model_from_hf(config, name)

    def replace(self, **overrides: Any) -> ModelSpec:
        """The same model with some fields changed; ModelShapeError on an unknown field or an impossible value."""
        for field in overrides:
            if field not in FIELDS:
                raise unknown_field(field)
        return dataclasses.replace(self, **overrides)

    @property
    def rep(self) -> int:
        """Query heads that share one key-value head."""
        return self.n_heads // self.n_kv_heads

    @property
    def q_dim(self) -> int:
        """Width of all queries of one token."""
        return self.n_heads * self.head_dim

    @property
    def kv_dim(self) -> int:
        """Width of all keys (and of all values) of one token."""
        return self.n_kv_heads * self.head_dim

    @property
    def rotated_dim(self) -> int:
        """Elements of one head that the rotary embedding turns (0 where positions are not rotary)."""
        if self.position != "rope":
            return 0
        return self.head_dim if self.rotary_dim is None else self.rotary_dim

    @property
    def n_attention_params(self) -> int:
        """Weights and biases of the four attention projections and the per-head norms of one layer."""
        projections = 2 * self.hidden * (self.q_dim + self.kv_dim)
        biases = ("qkv" in self.biases) * (self.q_dim + 2 * self.kv_dim)
        biases += ("attention_output" in self.biases) * self.hidden
        return projections + biases + 2 * self.head_dim * self.qk_norm

    @property
    def n_ffn_params(self) -> int:
        """Weights and biases of the feed-forward part of one layer: dense network, or router with all experts."""
        if self.n_experts:
            return self.hidden * self.n_experts + (self.n_experts + self.n_shared_experts) * self._expert_params
        return self._ffn_params(self.ffn)

    @property
    def n_active_params(self) -> int:
        """Parameters that one token touches: all of them, except the experts that the router leaves out."""
        idle_experts = self.n_experts - self.n_experts_per_token
        return self.n_params - self.n_layers * idle_experts * self._expert_params

    @property
    def n_params(self) -> int:
        """All parameters; tied embeddings count once."""
        norm_params = self.hidden * (2 if self.norm == "layer" else 1)
        layer = self.n_attention_params + self.n_ffn_params + self.norms_per_layer * norm_params
        embedding = self.vocab * self.hidden * (1 if self.tied_embeddings else 2) + self.n_positions * self.hidden
        head_bias = self.vocab * ("lm_head" in self.biases)
        return embedding + self.n_layers * layer + norm_params + head_bias

    @property
    def weight_bytes(self) -> int:
        """Bytes of all parameters, each stored in `weight_bits`."""
        return bits_to_bytes(self.n_params * self.weight_bits)

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes that one token adds to the key-value cache, all layers together."""
        return bits_to_bytes(2 * self.n_layers * self.kv_dim * self.kv_bits)

    def _ffn_params(self, width: int) -> int:
        n_inner = 2 if self.gated else 1
        biases = ("ffn" in self.biases) * (n_inner * width + self.hidden)
        return (n_inner + 1) * self.hidden * width + biases

    @property
    def _expert_params(self) -> int:
        return self._ffn_params(self.expert_ffn)


FIELDS: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(ModelSpec))
REQUIRED_FIELDS: tuple[str, ...] = tuple(
    field.name
    for field in dataclasses.fields(ModelSpec)
    if field.default is dataclasses.MISSING and field.name != "name"
)

_AT_LEAST = {
    "n_layers": 1, "hidden": 1, "n_heads": 1, "n_kv_heads": 1, "head_dim": 1, "ffn": 0, "vocab": 1, "max_context": 1,
    "n_positions": 0, "n_experts": 0, "n_experts_per_token": 0, "expert_ffn": 0, "n_shared_experts": 0,
    "norms_per_layer": 0, "weight_bits": 1, "act_bits": 1, "kv_bits": 1,
}  # fmt: skip
_FLAGS = ("gated", "tied_embeddings", "qk_norm", "parallel_block")
_CHOICES = {"activation": ACTIVATIONS, "position": POSITIONS, "norm": NORMS}

Problem = tuple[str, str, str]


def bits_to_bytes(n_bits: int) -> int:
    """Whole bytes that hold `n_bits`."""
    return -(-n_bits // 8)


def unknown_field(field: str, where: Position | str | None = None) -> ModelShapeError:
    """The error for a field that a model does not have, with the nearest one that it has."""
    import difflib

    close = difflib.get_close_matches(field, FIELDS, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else f"a model has the fields {', '.join(FIELDS[1:])}"
    return ModelShapeError(f"a model has no field {field!r}", field=field, where=where, remedy=remedy)


def _problems(spec: ModelSpec) -> Iterator[Problem]:
    """What is wrong with a shape: values of the wrong kind first, then numbers that contradict each other."""
    wrong_kind = list(_wrong_values(spec))
    yield from wrong_kind
    if not wrong_kind:
        yield from _contradictions(spec)


def _wrong_values(spec: ModelSpec) -> Iterator[Problem]:
    for field, least in _AT_LEAST.items():
        value = getattr(spec, field)
        if type(value) is not int or not least <= value <= MAX_SIZE:
            yield field, f"{field} is {value!r}", f"give a whole number from {least} to {MAX_SIZE}"
    for field in ("rotary_dim", "sliding_window"):
        value = getattr(spec, field)
        if value is not None and (type(value) is not int or not 1 <= value <= MAX_SIZE):
            yield field, f"{field} is {value!r}", "give a whole number of at least 1, or null"
    for field in _FLAGS:
        if type(getattr(spec, field)) is not bool:
            yield field, f"{field} is {getattr(spec, field)!r}", "give true or false"
    for field, choices in _CHOICES.items():
        if getattr(spec, field) not in choices:
            yield field, f"{field} is {getattr(spec, field)!r}", f"give one of {', '.join(choices)}"
    if not isinstance(spec.biases, tuple) or not all(bias in BIASES for bias in spec.biases):
        yield "biases", f"biases is {spec.biases!r}", f"give a list of {', '.join(BIASES)}"


def _contradictions(spec: ModelSpec) -> Iterator[Problem]:
    if spec.n_heads % spec.n_kv_heads:
        yield (
            "n_kv_heads",
            f"{spec.n_heads} query heads cannot share {spec.n_kv_heads} key-value heads evenly",
            "n_kv_heads must divide n_heads",
        )
    for field in ("weight_bits", "act_bits", "kv_bits"):
        if getattr(spec, field) > 64:
            yield field, f"{field} is {getattr(spec, field)}", "give the bits of one number, at most 64"
    if spec.n_experts == 0:
        for field in ("n_experts_per_token", "expert_ffn", "n_shared_experts"):
            if getattr(spec, field):
                yield field, f"{field} is {getattr(spec, field)} in a model without experts", "give n_experts too"
        if spec.ffn == 0:
            yield "ffn", "ffn is 0 in a model without experts", "give the width of the feed-forward network"
    else:
        if not 1 <= spec.n_experts_per_token <= spec.n_experts:
            yield (
                "n_experts_per_token",
                f"the router picks {spec.n_experts_per_token} of {spec.n_experts} experts",
                "give n_experts_per_token between 1 and n_experts",
            )
        if spec.expert_ffn == 0:
            yield "expert_ffn", "expert_ffn is 0 in a model with experts", "give the width of one expert"
        if spec.ffn != 0:
            yield "ffn", f"ffn is {spec.ffn} in a model whose layers are all experts", "give ffn: 0, and expert_ffn"
    if (spec.position == "learned") != (spec.n_positions > 0):
        yield (
            "n_positions",
            f"n_positions is {spec.n_positions} with position {spec.position!r}",
            "a learned position table has rows, and nothing else has",
        )
    if spec.rotary_dim is not None and spec.rotary_dim > spec.head_dim:
        yield "rotary_dim", f"rotary_dim is {spec.rotary_dim} of {spec.head_dim} elements", "rotate at most one head"
