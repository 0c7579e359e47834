"""What a published GPU profile says, in the words of our own kernel measurements: kernels, their time, whole steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

# Every profile read here is of 16-bit operands (fp16 or bf16).
ELEMENT_BYTES = 2


@dataclass(frozen=True, slots=True)
class Gemm:
    """`tokens` x `outputs` x `inputs` matrix product; every operand crosses the memory once."""

    kind: ClassVar[str] = "gemm"
    tokens: int
    outputs: int
    inputs: int

    @property
    def moved_bytes(self) -> int:
        """Weights, activations in and activations out."""
        m, n, k = self.tokens, self.outputs, self.inputs
        return ELEMENT_BYTES * (n * k + m * k + m * n)

    @property
    def flops(self) -> int:
        """Two per multiply-accumulate."""
        return 2 * self.tokens * self.outputs * self.inputs

    def columns(self) -> dict[str, int]:
        """The shape in the columns of a kernel CSV."""
        return {"M": self.tokens, "N": self.outputs, "K": self.inputs}


@dataclass(frozen=True, slots=True)
class _Attention:
    """Shape of attention: `batch` sequences, their heads, and `context` positions of each."""

    batch: int
    q_heads: int
    kv_heads: int
    head_dim: int
    context: int

    def columns(self) -> dict[str, int]:
        """The shape in the columns of a kernel CSV."""
        return {"B": self.batch, "Hq": self.q_heads, "Hkv": self.kv_heads, "D": self.head_dim, "L": self.context}


@dataclass(frozen=True, slots=True)
class DecodeAttention(_Attention):
    """One new token of each of `batch` sequences over `context` positions, itself included."""

    kind: ClassVar[str] = "attn_decode"

    @property
    def moved_bytes(self) -> int:
        """Keys and values once, queries and outputs."""
        per_head = self.kv_heads * self.context + self.q_heads
        return 2 * ELEMENT_BYTES * self.batch * self.head_dim * per_head

    @property
    def flops(self) -> int:
        """Scores and weighted sums."""
        return 4 * self.batch * self.q_heads * self.head_dim * self.context


@dataclass(frozen=True, slots=True)
class PrefillAttention(_Attention):
    """Causal attention of `batch` whole prompts of `context` tokens, nothing before them."""

    kind: ClassVar[str] = "attn_prefill"

    @property
    def moved_bytes(self) -> int:
        """Queries, keys, values and outputs once."""
        return 2 * ELEMENT_BYTES * self.batch * self.head_dim * self.context * (self.q_heads + self.kv_heads)

    @property
    def flops(self) -> int:
        """Scores and weighted sums of the lower triangle."""
        return 2 * self.batch * self.q_heads * self.head_dim * self.context**2


@dataclass(frozen=True, slots=True)
class AllReduce:
    """Sum of `message_bytes` over `world` cards of one node, the result on each."""

    kind: ClassVar[str] = "all_reduce"
    message_bytes: int
    world: int

    @property
    def moved_bytes(self) -> int:
        """The message read and the result written on one card."""
        return 2 * self.message_bytes

    @property
    def flops(self) -> int:
        """None that a roof would see."""
        return 0

    @property
    def link_bytes(self) -> float:
        """What a ring sends from one card."""
        return 2 * (self.world - 1) / self.world * self.message_bytes

    def columns(self) -> dict[str, int]:
        """The shape in the columns of a kernel CSV."""
        return {"bytes": self.message_bytes, "world": self.world}


@dataclass(frozen=True, slots=True)
class Elementwise:
    """A kernel that reads and writes `moved_bytes` in all and computes next to nothing; `name` says which."""

    kind: ClassVar[str] = "elementwise"
    moved_bytes: int
    name: str

    @property
    def flops(self) -> int:
        """None that a roof would see."""
        return 0

    def columns(self) -> dict[str, int]:
        """The shape in the columns of a kernel CSV."""
        return {"bytes": self.moved_bytes}


Kernel = Gemm | DecodeAttention | PrefillAttention | AllReduce | Elementwise


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One measured time of one or several kernels, launched one after the other on each card.

    `source` names the reader, `gpu` the card (`rtx4090`, `rtx_pro_6000`, `a30`, `a100_80`, `h100`), `label` the row in
    words; `kernels` are those of one card, `n_ranks` the cards among which the layer is split (1: not split).
    """

    source: str
    gpu: str
    label: str
    kernels: tuple[Kernel, ...]
    measured_us: float
    n_ranks: int = 1


@dataclass(frozen=True, slots=True)
class StepRow:
    """One measured time of a whole step of a model on `tp` cards, host included.

    A prefill takes `batch` prompts of `context` tokens; a decode step one token each, `context` the mean number of
    positions attended. `average_power_frac` is a card's mean power over its limit, None where not measured.
    """

    model: str
    gpu: str
    tp: int
    phase: Literal["prefill", "decode"]
    batch: int
    context: int
    measured_ms: float
    average_power_frac: float | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """Measurements of a data set that are not among the rows, and why."""

    n: int
    reason: str


@dataclass(frozen=True, slots=True)
class GpuProfile:
    """A data set as read: its rows, or its steps, and what was left out."""

    name: str
    rows: tuple[ProfileRow, ...] = ()
    steps: tuple[StepRow, ...] = ()
    dropped: tuple[Dropped, ...] = ()


def roof_us(row: ProfileRow, *, memory_gb_per_s: float, tflops: float, link_gb_per_s: float | None = None) -> float:
    """The least time that a card's data sheet allows the kernels of `row`, in microseconds.

    Memory and 16-bit tensor rates are of one card, `link_gb_per_s` its links' in one direction (None: no roof).
    """
    total = 0.0
    for kernel in row.kernels:
        total += max(
            kernel.moved_bytes / memory_gb_per_s * 1e-3, kernel.flops / tflops * 1e-6, _link_us(kernel, link_gb_per_s)
        )
    return total


def faster_than_roof(
    row: ProfileRow, *, memory_gb_per_s: float, tflops: float, link_gb_per_s: float | None = None
) -> bool:
    """Whether a row was measured faster than the data sheet allows.

    Operands that lie in the cache, or a card that clocks above its sheet, do that: no model of the memory can predict
    such a row, so a caller may leave it out, and say so.
    """
    return row.measured_us < roof_us(row, memory_gb_per_s=memory_gb_per_s, tflops=tflops, link_gb_per_s=link_gb_per_s)


def _link_us(kernel: Kernel, link_gb_per_s: float | None) -> float:
    if link_gb_per_s is None or not isinstance(kernel, AllReduce):
        return 0.0
    return kernel.link_bytes / link_gb_per_s * 1e-3
