"""The chip around an Anda array: buffers, memory, vector unit, compressor, and what is assumed of them.

Source: Anda (HPCA 2025), table of components; `hw_configs/anda.yaml` says which values are the paper's.
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict

from simulator.core.quantities import (
    Bits,
    GigabytesPerSecond,
    Milliwatts,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveBytes,
    PositiveInt,
)

Mantissa = Annotated[int, Ge(1), Le(16)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WeightConfig(_Section):
    """Integer weights: bits of each, and of the scale and the zero point that a group shares."""

    bits: Bits = 4
    group: PositiveInt = 128
    group_bits: NonNegativeInt = 20


class MemoryConfig(_Section):
    """The memory outside: its peak, its energy, and what it holds."""

    bandwidth_gb_per_s: GigabytesPerSecond
    pj_per_bit: NonNegativeFloat
    capacity_bytes: PositiveBytes


class ComponentConfig(_Section):
    """A block of the chip: its area, and its power at work."""

    area_mm2: NonNegativeFloat
    power_mw: Milliwatts


class LanesConfig(ComponentConfig):
    """A block that works on `n_lanes` elements (vector unit) or groups of 64 (compressor) a cycle."""

    n_lanes: PositiveInt


class BufferConfig(ComponentConfig):
    """A buffer on the chip."""

    capacity_bytes: PositiveBytes


class SramConfig(_Section):
    """Energy of a bit that a buffer takes or gives, as each accounting has it."""

    published_pj_per_bit: NonNegativeFloat
    corrected_pj_per_bit: NonNegativeFloat


class ChipConfig(_Section):
    """Everything on the chip but the array."""

    activation_buffer: BufferConfig
    weight_buffer: BufferConfig
    vector: LanesConfig
    compressor: LanesConfig
    controller: ComponentConfig
    sram: SramConfig
