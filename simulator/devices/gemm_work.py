"""Matrix products as an array of processing elements sees them: their sizes, and the three operands that they move."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Literal

Phase = Literal["prefill", "decode"]
WORD_BITS = 64
"""What a buffer is filled with at a time."""


def ceil_ratio(value: Fraction | int) -> int:
    """The least whole number that is not below a ratio."""
    return -(-value.numerator // value.denominator)


@dataclass(frozen=True, slots=True)
class Operand:
    """A matrix of `rows` rows of `row_values` values, of `bits` each in memory and `buffer_bits` in a buffer (None: as
    in memory); every row begins a byte in memory and a word in the buffer."""

    row_values: int
    rows: int
    bits: Fraction
    buffer_bits: Fraction | None = None

    @property
    def n_bytes(self) -> int:
        """Bytes in memory."""
        return ceil_ratio(self.row_values * self.bits / 8) * self.rows

    @property
    def words(self) -> int:
        """Words of `WORD_BITS` that fill the buffer."""
        bits = self.bits if self.buffer_bits is None else self.buffer_bits
        return ceil_ratio(self.row_values * bits / WORD_BITS) * self.rows

    @property
    def packed_bits(self) -> float:
        """Bits of all values without a gap."""
        return float(self.row_values * self.rows * self.bits)


@dataclass(frozen=True, slots=True)
class Gemm:
    """`n_products` products of one shape, `repeat` times a step: each of `tokens` rows of `inputs` values with a
    stationary matrix of `outputs` columns.

    `weight`, `activation` and `output` are the operands of all products together. `term_bits` decides how many terms a
    bit-serial element needs for a value of the stationary matrix; `scaled` says that its groups have scales, to be
    applied in the element. `phase` says which arrangement of the array runs it.
    """

    name: str
    phase: Phase
    repeat: int
    inputs: int
    outputs: int
    tokens: int
    n_products: int
    term_bits: Fraction
    weight: Operand
    activation: Operand
    output: Operand
    scaled: bool = False

    @property
    def macs(self) -> int:
        """Multiplications of all products, once."""
        return self.inputs * self.outputs * self.tokens * self.n_products


@dataclass(frozen=True, slots=True)
class Fetches:
    """How often each operand is fetched where neither fits its buffer."""

    weight: int = 1
    activation: int = 1


def fetches(weight_bytes: int, activation_bytes: int, buffer_bytes: int) -> Fetches:
    """Both once where one of them fits; else the one for each piece of the other, whichever moves less.

    Source: BitMoD's simulator, refetches.
    """
    if weight_bytes <= buffer_bytes or activation_bytes <= buffer_bytes:
        return Fetches()
    of_weight = -(-activation_bytes // buffer_bytes)
    of_activation = -(-weight_bytes // buffer_bytes)
    if of_weight * weight_bytes + activation_bytes < of_activation * activation_bytes + weight_bytes:
        return Fetches(weight=of_weight)
    return Fetches(activation=of_activation)


def serial_terms(bits: Fraction) -> int:
    """Terms of a value whose code is decomposed: two bits of it each, so 8: 4, 6 and 5: 3, 4 and 3: 2.

    INT8 and INT6 are radix-4 Booth strings; FP4 and FP3 with special values are fixed-point numbers of at most two
    ones. A share of scales in the bits does not count: 6.0625 is a code of 6.
    Source: BitMoD (HPCA'25), section IV, and its simulator.
    """
    return -(-floor(bits) // 2)
