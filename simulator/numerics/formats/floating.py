"""Small floating-point formats with a scale for each group of consecutive values: FP3, FP4, FP5, FP6, FP8.

A format is a table of levels: s = absmax / largest level, and a value becomes the nearest level times s; an exact
midpoint goes to the lower level. A group of zeros has the scale 1. A scale is stored in 16 bits (computed with
unrounded ones); the second zero of sign and magnitude, -0, is a code without use.

Source: BitMoD (HPCA 2025), sections III and V, and its quantiser; FP8 without infinity as OCP's 8-bit formats have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from simulator.numerics import levels as lv
from simulator.numerics.number_format import Group, GroupedFormat, Quantized


class Floating(GroupedFormat):
    """Levels of any table, scaled by the largest magnitude of a group."""

    class Config(BaseModel):
        """The table, and how many values share a scale."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        levels: lv.Levels
        group: Group = 128

    NAMES = f"(?P<element>{lv.names_pattern(lv.MINIFLOATS)})"
    TITLE = "small floats, scaled"
    EXAMPLES = tuple(lv.MINIFLOATS)

    @classmethod
    def fields_of(cls, parts: Mapping[str, str | None]) -> dict[str, Any]:
        """The table of a name."""
        return {"levels": lv.MINIFLOATS[parts["element"] or ""]}

    def __init__(self, config: Config) -> None:
        self.config = config
        self.group = config.group
        self.levels = np.array(config.levels)

    @property
    def code_bits(self) -> float:
        """Bits that tell the levels apart."""
        return lv.code_bits(len(self.levels))

    @property
    def group_bits(self) -> float:
        """A scale."""
        return lv.SCALE_BITS

    def quantize_groups(self, values: NDArray[np.float64]) -> Quantized:
        """Places in the table of the nearest levels."""
        scales = lv.absmax_scales(values, np.abs(self.levels).max())
        return Quantized(lv.nearest(values, scales, self.levels), scales)

    def dequantize_groups(self, quantized: Quantized) -> NDArray[np.float64]:
        """Levels times the scale."""
        return np.asarray(self.levels[quantized.codes] * quantized.scales[:, None], np.float64)
