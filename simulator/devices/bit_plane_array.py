"""An array of units that multiply activations with integer weights: Anda's, plane by plane, and those beside it.

Outputs stay where they are added up: `rows` tokens by `columns` outputs at a time, `width` of the depth in a step. Anda
takes a sign plane and M mantissa planes of 64 activations each, one a cycle, so a step has M + 1 cycles; other arrays
take whole activations. An operand of more bits than a unit takes at once is cut into digits, one pass for each.

Source: Anda (HPCA 2025), section on hardware, and its tables of processing elements. Not modelled: filling and
draining (operands are broadcast), the last additions, stalls between tiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict

from simulator.core.quantities import Bits, Milliwatts, NonNegativeFloat, NonNegativeInt, PositiveInt
from simulator.core.rounding import ceil_div

EXPONENT_BITS = 5
EXPONENT_GROUP = 64
FLOAT_BITS = 16


@dataclass(frozen=True, slots=True)
class ArrayWork:
    """Steps of an array: `steps` of `step_cycles` each; `busy` of them as if only units with work counted.

    `activation_bits` and `operand_bits` are what the steps read from the buffers.
    """

    steps: int
    step_cycles: float
    busy_steps: float
    activation_bits: float
    operand_bits: float

    @property
    def cycles(self) -> float:
        """Cycles of all steps."""
        return self.steps * self.step_cycles


class BitPlaneArray:
    """One array, by its configuration."""

    class Config(BaseModel):
        """A part such as `hw_configs/parts/anda/anda.yaml`.

        A step takes `step_cycles` and `plane_cycles` for each mantissa bit, at least `least_step_cycles`, in which the
        weights of the next one arrive; `operand_bits` is what a unit takes of a weight at once (null: any number);
        `mantissa_bits` what is left of an activation's mantissa where that is no choice, sixteen for FP16; `power` is
        drawn while the array works.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        kind: Literal["bit_plane_array"] = "bit_plane_array"
        name: str
        rows: PositiveInt
        columns: PositiveInt
        width: PositiveInt
        step_cycles: NonNegativeFloat
        plane_cycles: NonNegativeInt = 0
        least_step_cycles: NonNegativeFloat = 0.0
        operand_bits: Bits | None = None
        mantissa_bits: Annotated[int, Ge(1), Le(16)] = FLOAT_BITS
        power_mw: Milliwatts
        area_mm2: NonNegativeFloat

    def __init__(self, config: Config) -> None:
        self.config = config

    @property
    def takes_planes(self) -> bool:
        """Whether activations come as bit planes, of any mantissa."""
        return self.config.plane_cycles > 0

    def mantissa(self, chosen: int) -> int:
        """Mantissa bits of an activation: those chosen, or those that the units have."""
        return chosen if self.takes_planes else self.config.mantissa_bits

    def activation_bits(self, mantissa: int) -> float:
        """Stored bits of an activation: sign, mantissa and a share of the exponent; FP16 where there are no planes."""
        return 1 + mantissa + EXPONENT_BITS / EXPONENT_GROUP if self.takes_planes else FLOAT_BITS

    def step_cycles(self, mantissa: int) -> float:
        """Cycles of a step."""
        config = self.config
        return max(config.step_cycles + config.plane_cycles * mantissa, config.least_step_cycles)

    def n_passes(self, operand_bits: int) -> int:
        """How often a step runs for operands of so many bits."""
        return 1 if self.config.operand_bits is None else ceil_div(operand_bits, self.config.operand_bits)

    def peak_macs_per_cycle(self, mantissa: int, operand_bits: int) -> float:
        """Multiplications a cycle with every unit at work."""
        config = self.config
        return (
            config.rows
            * config.columns
            * config.width
            / (self.step_cycles(mantissa) * self.n_passes(operand_bits))
        )  # fmt: skip

    def product(
        self, tokens: int, depth: int, outputs: int, mantissa: int, operand_bits: int, stored_bits: float
    ) -> ArrayWork:
        """The product of tokens x depth and depth x outputs, its tails padded to whole tiles.

        Operands are computed with `operand_bits`, and lie in the buffers with `stored_bits`, scales included.
        """
        config, passes = self.config, self.n_passes(operand_bits)
        row_tiles, column_tiles = ceil_div(tokens, config.rows), ceil_div(outputs, config.columns)
        depth_steps = ceil_div(depth, config.width)
        steps = row_tiles * column_tiles * depth_steps * passes
        padded = depth_steps * config.width
        return ArrayWork(
            steps,
            self.step_cycles(mantissa),
            steps * tokens / (row_tiles * config.rows) * outputs / (column_tiles * config.columns),
            tokens * padded * self.activation_bits(mantissa) * column_tiles * passes,
            outputs * padded * stored_bits * row_tiles,
        )
