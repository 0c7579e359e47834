"""How often a product's operands come from memory: what its buffers hold, or a strip of tokens as in Anda's paper.

Outputs stay in the array, so a product goes strip by strip of tokens: a strip's activations lie in their buffer, all
operands stream past it, and come again for the next strip. The other way round a block of operands stays, and all
activations stream past.

Source: Anda (HPCA 2025) for the buffers; its paper gives no tiling (docs/anda.md says what is assumed).
Not modelled: depth cut in pieces, as partial sums would have to leave the array.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.core.rounding import ceil_div


@dataclass(frozen=True, slots=True)
class Fetches:
    """Operands come once for every `strip` tokens, activations `n_activation` times."""

    strip: int
    n_activation: int

    def n_operand(self, tokens: int) -> int:
        """How often operands come."""
        return ceil_div(tokens, self.strip)


@dataclass(frozen=True, slots=True)
class StripTiling:
    """Strips of `strip` tokens, whatever the buffers hold; activations come once."""

    strip: int

    def fetches(self, tokens: int, depth: int, outputs: int, activation_bits: float, operand_bits: float) -> Fetches:
        """The same for every product."""
        return Fetches(self.strip, 1)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BufferTiling:
    """The better of the two ways, with strips and blocks as large as the buffers hold.

    Of the weight buffer one half receives while the other one is used; rows and columns are the array's.
    """

    rows: int
    columns: int
    activation_buffer_bits: int
    operand_buffer_bits: int

    def fetches(self, tokens: int, depth: int, outputs: int, activation_bits: float, operand_bits: float) -> Fetches:
        """What moves fewest bits; strips and blocks are whole tiles, and a product that fits no other way goes tile by
        tile."""
        every_strip = Fetches(self.rows, ceil_div(outputs, self.columns))
        choices = [every_strip]
        row_bits = depth * activation_bits
        strip = int(self.activation_buffer_bits / row_bits) // self.rows * self.rows
        if strip:
            choices.append(Fetches(strip, 1))
        block = int(self.operand_buffer_bits / 2 / (depth * operand_bits)) // self.columns * self.columns
        if block:
            choices.append(Fetches(max(tokens, 1), ceil_div(outputs, block)))
        activations, operands = tokens * row_bits, outputs * depth * operand_bits
        return min(choices, key=lambda one: one.n_operand(tokens) * operands + one.n_activation * activations)


Tiling = StripTiling | BufferTiling
