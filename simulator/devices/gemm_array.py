"""An array of processing elements for matrix products, bit-parallel or bit-serial: cycles, work and area of a datapath.

An element takes `lanes` values of a row per step, of which a bit-serial one does a term per cycle. Outputs stay in the
elements: rows of the array are outputs, columns are tokens. Prompts and decodes use two arrangements of the elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from simulator.core.errors import ConfigError
from simulator.core.quantities import Bits, Picojoules, PositiveFloat, PositiveInt
from simulator.core.rounding import ceil_div
from simulator.devices.gemm_work import Gemm, Phase, serial_terms


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shape(_Section):
    """Rows and columns of an arrangement, or of a tile of it."""

    rows: PositiveInt
    columns: PositiveInt


class BitRange(_Section):
    """Code bits that a datapath takes, scales left out: 4 for a width of 4.0625."""

    least: Bits
    most: Bits

    @model_validator(mode="after")
    def _ordered(self) -> BitRange:
        if self.least > self.most:
            raise ValueError("`least` is above `most`")
        return self


@dataclass(frozen=True, slots=True)
class Passes:
    """A product on the array: `folds` of it, one after the other, each `steps` of `terms` cycles."""

    folds: int
    steps: int
    terms: int
    shape: Shape

    @property
    def cycles(self) -> int:
        """Cycles with an operand in every step, nothing else counted."""
        return self.folds * self.steps * self.terms


class GemmArray:
    """One datapath: the array that multiplies in a number format.

    Not modelled: how elements round; changing the arrangement; vector operations between products.
    Source: BitMoD (HPCA'25), section IV, and its simulator.
    """

    class Config(_Section):
        """A part such as `hw_configs/parts/datapaths/bitmod.yaml`.

        `terms`: `one` a cycle for any value, `bit_serial` as many cycles as its code has terms. `pe_energy` is of an
        element and cycle by synthesis; `tile` the elements that operands reach in one cycle. `dequantises` says that
        elements apply the scales of groups, a bit per cycle. `number_formats` names the format of weights by the bits
        of a code: what a model is evaluated in.
        """

        kind: Literal["gemm_array"] = "gemm_array"
        name: str
        lanes: PositiveInt
        terms: Literal["one", "bit_serial"]
        prefill: Shape
        decode: Shape
        tile: Shape
        pe_energy_pj: Picojoules
        pe_area_um2: PositiveFloat
        activation_bits: Bits
        weight_bits: BitRange
        kv_bits: BitRange
        dequantises: bool = False
        number_formats: dict[str, str] = {}

        @field_validator("number_formats")
        @classmethod
        def _by_bits(cls, named: dict[str, str]) -> dict[str, str]:
            if wrong := [code for code in named if not (code.isascii() and code.isdigit())]:
                raise ValueError(f"{wrong[0]!r} is no number of bits")
            return named

    def __init__(self, config: Config) -> None:
        self.config = config

    @property
    def n_elements(self) -> int:
        """Processing elements, of the larger arrangement where the two differ."""
        return max(shape.rows * shape.columns for shape in (self.config.prefill, self.config.decode))

    @property
    def area_mm2(self) -> float:
        """Area of all elements; tiles add an encoder and accumulators, which the published sums leave out."""
        return self.n_elements * self.config.pe_area_um2 * 1e-6

    def shape(self, phase: Phase) -> Shape:
        """The arrangement of a phase."""
        return self.config.prefill if phase == "prefill" else self.config.decode

    def number_format(self, bits: Fraction, where: str) -> str:
        """The format of weights of so many bits, scales included: that of the widest code that they hold.

        Raises ConfigError at `where` for bits that hold no code with a format.
        """
        named = self.config.number_formats
        held = [code for code in named if int(code) <= bits]
        if not held:
            codes = ", ".join(sorted(named, key=int)) or "no width"
            raise ConfigError(
                f"the datapath {self.config.name} names no number format for weights of {float(bits):g} bits",
                where=where,
                remedy=f"it has formats for {codes}: choose one of them, or name the model's with workload.format",
            )
        return named[max(held, key=int)]

    def terms(self, bits: Fraction) -> int:
        """Cycles that an element spends on a value of so many bits, scales included."""
        return serial_terms(bits) if self.config.terms == "bit_serial" else 1

    def passes(self, gemm: Gemm) -> Passes:
        """Folds and steps of a product."""
        shape = self.shape(gemm.phase)
        folds = ceil_div(gemm.outputs, shape.rows) * ceil_div(gemm.tokens, shape.columns) * gemm.n_products
        return Passes(folds, ceil_div(gemm.inputs, self.config.lanes), self.terms(gemm.term_bits), shape)

    def skew_cycles(self, shape: Shape) -> int:
        """Cycles from the first tile's operands to those of the last one: tiles pass operands on, a cycle each way."""
        tile = self.config.tile
        return ceil_div(shape.rows, tile.rows) + ceil_div(shape.columns, tile.columns) - 2

    def stall_cycles(self, inputs: int, bits: Fraction, group: int, scale_bits: int) -> int:
        """Cycles of a fold in which groups' scales hold up the elements.

        A scale is applied bit by bit beside the next group's steps; where those are fewer, the array waits. A group of
        128 of three bits on four lanes has 64 steps, against 8 bits of a scale.
        """
        if not self.config.dequantises:
            return 0
        width = min(group, inputs)
        busy = ceil_div(width, self.config.lanes) * self.terms(bits)
        return max(0, scale_bits - busy) * ceil_div(inputs, width)

    def active_cycles(self, gemm: Gemm) -> int:
        """Cycles that elements with an output work, summed over elements."""
        passes = self.passes(gemm)
        return gemm.outputs * gemm.tokens * gemm.n_products * passes.steps * passes.terms

    def port_widths(self, phase: Phase, weight_bits: Fraction, *, padded: bool) -> tuple[int, int]:
        """Widths of the buffers' ports, of weights and of activations, that feed a step of the whole array.

        Bit-serial elements take half of it a cycle. With `padded` a code takes whole nibbles, and 4.0625 bits take two,
        as the published sums have it; else it takes its own bits.
        """
        config, shape = self.config, self.shape(phase)
        code = 4 * -(-weight_bits // 4) if padded else max(1, floor(weight_bits))
        halves = 2 if config.terms == "bit_serial" else 1
        weights = config.lanes * int(code) * shape.rows
        activations = config.lanes * config.activation_bits * shape.columns
        return max(1, weights // halves), max(1, activations // halves)

    def check_bits(self, what: str, bits: Fraction, where: str) -> None:
        """Refuse widths that the datapath has no decoder for. Raises ConfigError at `where`."""
        taken = self.config.weight_bits if what == "weights" else self.config.kv_bits
        if not taken.least <= floor(bits) <= taken.most:
            raise ConfigError(
                f"{what} of {float(bits):g} bits on the datapath {self.config.name}, which takes codes of "
                f"{taken.least} to {taken.most} bits",
                where=where,
                remedy="choose another width or system.datapath, or change the part's range",
            )
