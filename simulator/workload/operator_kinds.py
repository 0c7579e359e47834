"""The kinds of operators of a transformer step: what is computed, on how much of what, and no hardware.

Conventions, the same in every operator: a multiply and an add are two operations; `flops` counts what the result needs
(causal attention counts the pairs at or before each token, not the masked half); a bias is fused into its product and
adds bytes but no operations; an exponential, a division and a comparison count as one operation each. `weight_bytes`
are the parameters that the operator reads if it reads each once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simulator.workload.batch import Sequence
from simulator.workload.model import bits_to_bytes

ACTIVATION_FLOPS = {"relu": 1, "silu": 4, "gelu": 9}
NORM_FLOPS = {"rms": 4, "layer": 7}
SOFTMAX_FLOPS = 5
ROPE_FLOPS = 3


@dataclass(frozen=True, slots=True)
class Embedding:
    """Rows of a table, one per token: words, or learned positions. `rows` is the table's height."""

    tokens: int
    rows: int
    hidden: int
    weight_bits: int

    @property
    def weight_bytes(self) -> int:
        """Bytes of the whole table; a step reads `read_bytes` of it."""
        return bits_to_bytes(self.rows * self.hidden * self.weight_bits)

    @property
    def read_bytes(self) -> int:
        """Bytes of the rows that the step looks up."""
        return bits_to_bytes(self.tokens * self.hidden * self.weight_bits)

    @property
    def flops(self) -> int:
        """Looking up computes nothing."""
        return 0


@dataclass(frozen=True, slots=True)
class Linear:
    """A matrix product: tokens x in_features by in_features x out_features, with or without a bias."""

    tokens: int
    in_features: int
    out_features: int
    weight_bits: int
    act_bits: int
    bias: bool = False

    @property
    def weight_bytes(self) -> int:
        """Bytes of the matrix and the bias."""
        n_weights = self.in_features * self.out_features + self.bias * self.out_features
        return bits_to_bytes(n_weights * self.weight_bits)

    @property
    def flops(self) -> int:
        """Two operations per weight and token."""
        return 2 * self.tokens * self.in_features * self.out_features


@dataclass(frozen=True, slots=True)
class AttentionScore:
    """Queries times keys, for every sequence of the batch, causal, within the sliding window if there is one."""

    sequences: tuple[Sequence, ...]
    n_heads: int
    n_kv_heads: int
    head_dim: int
    kv_bits: int
    act_bits: int
    window: int | None = None

    @property
    def n_pairs(self) -> int:
        """(query token, key position) pairs of one head."""
        return attended_pairs(self.sequences, self.window)

    @property
    def kv_bytes(self) -> int:
        """Bytes of keys that the operator reads if it reads each position once."""
        return _cache_bytes(self.sequences, self.window, self.n_kv_heads * self.head_dim * self.kv_bits)

    @property
    def weight_bytes(self) -> int:
        """Attention has no weights."""
        return 0

    @property
    def flops(self) -> int:
        """A dot product of head_dim per pair and head."""
        return 2 * self.n_heads * self.head_dim * self.n_pairs


@dataclass(frozen=True, slots=True)
class Softmax:
    """Exponentials of the scores, each row divided by its sum."""

    sequences: tuple[Sequence, ...]
    n_heads: int
    act_bits: int
    window: int | None = None

    @property
    def n_elements(self) -> int:
        """Scores of all heads."""
        return self.n_heads * attended_pairs(self.sequences, self.window)

    @property
    def weight_bytes(self) -> int:
        """Softmax has no weights."""
        return 0

    @property
    def flops(self) -> int:
        """Maximum, difference, exponential, sum and division of each score."""
        return SOFTMAX_FLOPS * self.n_elements


@dataclass(frozen=True, slots=True)
class AttentionOutput:
    """Probabilities times values, for every sequence of the batch."""

    sequences: tuple[Sequence, ...]
    n_heads: int
    n_kv_heads: int
    head_dim: int
    kv_bits: int
    act_bits: int
    window: int | None = None

    @property
    def n_pairs(self) -> int:
        """(query token, value position) pairs of one head."""
        return attended_pairs(self.sequences, self.window)

    @property
    def kv_bytes(self) -> int:
        """Bytes of values that the operator reads if it reads each position once."""
        return _cache_bytes(self.sequences, self.window, self.n_kv_heads * self.head_dim * self.kv_bits)

    @property
    def weight_bytes(self) -> int:
        """Attention has no weights."""
        return 0

    @property
    def flops(self) -> int:
        """A scaled sum of head_dim per pair and head."""
        return 2 * self.n_heads * self.head_dim * self.n_pairs


@dataclass(frozen=True, slots=True)
class Norm:
    """Root-mean-square (`rms`) or mean-and-variance (`layer`) normalisation of `rows` vectors of `width` elements.

    `n_weight_sets` is how many weight vectors there are: two where one operator covers the queries' and the keys' norm.
    """

    rows: int
    width: int
    kind: str
    weight_bits: int
    n_weight_sets: int = 1

    @property
    def weight_bytes(self) -> int:
        """Bytes of the scale, and of the shift that a layer norm adds."""
        n_vectors = 2 if self.kind == "layer" else 1
        return bits_to_bytes(self.n_weight_sets * n_vectors * self.width * self.weight_bits)

    @property
    def flops(self) -> int:
        """Per element: square, sum, scale, weight; a layer norm adds sum, centring and shift."""
        return NORM_FLOPS[self.kind] * self.rows * self.width


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary positions: pairs of elements of every query and key head turned by an angle of the position."""

    tokens: int
    n_heads: int
    n_kv_heads: int
    rotated_dim: int

    @property
    def weight_bytes(self) -> int:
        """The angles are computed, not stored with the model."""
        return 0

    @property
    def flops(self) -> int:
        """Two products and a sum per rotated element."""
        return ROPE_FLOPS * self.tokens * (self.n_heads + self.n_kv_heads) * self.rotated_dim


@dataclass(frozen=True, slots=True)
class Activation:
    """The non-linearity of a feed-forward network, times the up projection where the network is gated."""

    tokens: int
    width: int
    kind: str
    gated: bool
    act_bits: int

    @property
    def weight_bytes(self) -> int:
        """An activation has no weights."""
        return 0

    @property
    def flops(self) -> int:
        """Operations of the function, and one product with the gate."""
        return (ACTIVATION_FLOPS[self.kind] + self.gated) * self.tokens * self.width


@dataclass(frozen=True, slots=True)
class Router:
    """Scores of all experts for each token, their softmax, and the choice of the best `top_k`."""

    tokens: int
    hidden: int
    n_experts: int
    top_k: int
    weight_bits: int

    @property
    def weight_bytes(self) -> int:
        """Bytes of the gate matrix."""
        return bits_to_bytes(self.hidden * self.n_experts * self.weight_bits)

    @property
    def flops(self) -> int:
        """The product and the softmax; the choice is not counted."""
        return self.tokens * self.n_experts * (2 * self.hidden + SOFTMAX_FLOPS)


@dataclass(frozen=True, slots=True)
class ExpertLinear:
    """One projection of every expert of a layer: each token goes through `top_k` of `n_experts` matrices."""

    tokens: int
    in_features: int
    out_features: int
    n_experts: int
    top_k: int
    weight_bits: int
    act_bits: int
    bias: bool = False

    @property
    def routed_tokens(self) -> int:
        """Rows that all experts together compute."""
        return self.tokens * self.top_k

    @property
    def expert_bytes(self) -> int:
        """Bytes of one expert's matrix and bias."""
        n_weights = self.in_features * self.out_features + self.bias * self.out_features
        return bits_to_bytes(n_weights * self.weight_bits)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all experts; a step reads those that are chosen (`expected_active_experts`)."""
        return self.n_experts * self.expert_bytes

    @property
    def expected_active_experts(self) -> float:
        """Experts that at least one token chooses, on average, where each token chooses uniformly and independently."""
        return self.n_experts * (1.0 - (1.0 - self.top_k / self.n_experts) ** self.tokens)

    @property
    def flops(self) -> int:
        """Two operations per weight and routed token."""
        return 2 * self.routed_tokens * self.in_features * self.out_features


@dataclass(frozen=True, slots=True)
class KvAppend:
    """Keys and values of the new tokens, written to the cache of one layer."""

    tokens: int
    n_kv_heads: int
    head_dim: int
    kv_bits: int

    @property
    def kv_bytes(self) -> int:
        """Bytes written."""
        return bits_to_bytes(2 * self.tokens * self.n_kv_heads * self.head_dim * self.kv_bits)

    @property
    def weight_bytes(self) -> int:
        """The cache is no weight."""
        return 0

    @property
    def flops(self) -> int:
        """Writing computes nothing."""
        return 0


@dataclass(frozen=True, slots=True)
class LmHead:
    """Scores of every word for the tokens that need them; `tied` says that the matrix is the embedding table."""

    tokens: int
    hidden: int
    vocab: int
    weight_bits: int
    act_bits: int
    tied: bool = False
    bias: bool = False

    @property
    def weight_bytes(self) -> int:
        """Bytes of the matrix (and bias), whether or not it is stored a second time."""
        return bits_to_bytes((self.hidden + self.bias) * self.vocab * self.weight_bits)

    @property
    def flops(self) -> int:
        """Two operations per weight and token."""
        return 2 * self.tokens * self.hidden * self.vocab


@dataclass(frozen=True, slots=True)
class Collective:
    """An exchange that a system adds when it splits an operator over `n_ranks` devices; `n_bytes` is one rank's input.

    `operators` yields none: how to split is the system's choice.
    """

    kind: Literal["all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send", "broadcast"]
    n_bytes: int
    n_ranks: int
    act_bits: int = 16

    @property
    def weight_bytes(self) -> int:
        """An exchange has no weights."""
        return 0

    @property
    def flops(self) -> int:
        """The additions of a reduction, over all ranks."""
        if self.kind not in ("all_reduce", "reduce_scatter"):
            return 0
        return (self.n_ranks - 1) * (self.n_bytes * 8 // self.act_bits)


Operator = (
    Embedding | Linear | AttentionScore | Softmax | AttentionOutput | Norm | Rope | Activation | Router | ExpertLinear
    | KvAppend | LmHead | Collective
)  # fmt: skip


def attended_pairs(sequences: tuple[Sequence, ...], window: int | None = None) -> int:
    """(query, key) pairs of one head: a new token attends to itself and what stands before it, within the window."""
    return sum(_sequence_pairs(sequence, window) for sequence in sequences)


def attended_positions(sequence: Sequence, window: int | None = None) -> int:
    """Distinct key-value positions that the new tokens of one sequence attend to."""
    if window is None:
        return sequence.context
    return min(sequence.context, window + sequence.new_tokens - 1)


def _sequence_pairs(sequence: Sequence, window: int | None) -> int:
    new, context = sequence.new_tokens, sequence.context
    if window is None or context <= window:
        return new * context - new * (new - 1) // 2
    # The tokens before the window is full attend to 1 + (their position); every later one to the whole window.
    growing = max(0, window - (context - new))
    first = context - new
    return growing * first + growing * (growing + 1) // 2 + (new - growing) * window


def _cache_bytes(sequences: tuple[Sequence, ...], window: int | None, bits_per_position: int) -> int:
    return bits_to_bytes(sum(attended_positions(sequence, window) for sequence in sequences) * bits_per_position)
