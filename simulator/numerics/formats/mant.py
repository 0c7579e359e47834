"""M-ANT-like weights: levels +-(a i + 2^i), i = 0..7, with a coefficient `a` for each group, or INT4.

Coefficients 0 (powers of two), 5, 10, 17, 20, 30 .. 120. Each group starts with symmetric INT4 and goes on through the
coefficients in this order; one of strictly less squared error takes its place. A scale is the largest magnitude over
the largest level, stored in 16 bits, the choice in 4. Sums of products split into a sum(x i) + sum(x 2^i): a multiplier
and a shifter.

Not modelled: M-ANT's KV cache (its window of 64 tokens, and the choice by variance).
Source: recalled, as the paper's text and code were not to be had: M-ANT (arXiv 2502.18755); the set of coefficients is
that of our reference measurements, the bits of a choice are assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from simulator.kernels.ant_levels import search_levels
from simulator.numerics.number_format import Group, GroupedFormat, Quantized

SCALE_BITS = 16
COEFFICIENTS = (0, 5, 10, 17, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120)
INT4 = tuple(range(8))
LEVELS = np.array([INT4, *([a * i + 2**i for i in range(8)] for a in COEFFICIENTS)], np.float64)
_SIGNED = np.concatenate((LEVELS, -LEVELS), axis=1)


class Mant(GroupedFormat):
    """Levels a i + 2^i, with a coefficient a of each group, or INT4."""

    class Config(BaseModel):
        """How many values share a scale and a coefficient; the width is 4 bits."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        group: Group = 128

    NAMES = r"mant_4b"
    TITLE = "levels a i + 2^i, or INT4"
    EXAMPLES = ("mant_4b", "mant_4b_g64")

    @classmethod
    def fields_of(cls, parts: Mapping[str, str | None]) -> dict[str, Any]:
        """None."""
        return {}

    def __init__(self, config: Config) -> None:
        self.config = config
        self.group = config.group

    @property
    def code_bits(self) -> float:
        """A sign and i."""
        return 4

    @property
    def group_bits(self) -> float:
        """A scale, and one of sixteen choices."""
        return SCALE_BITS + (len(LEVELS) - 1).bit_length()

    def quantize_groups(self, values: NDArray[np.float64]) -> Quantized:
        """i, plus 8 where a value is negative; `choice` is 0 for INT4, else 1 and the coefficient's place."""
        codes, scales = np.empty(values.shape, np.int32), np.empty(len(values))
        choices = np.empty(len(values), np.int32)
        search_levels(np.ascontiguousarray(values), LEVELS, codes, scales, choices)
        return Quantized(codes, scales, {"choice": choices})

    def dequantize_groups(self, quantized: Quantized) -> NDArray[np.float64]:
        """Levels of the groups' coefficients, times their scales."""
        levels = _SIGNED[quantized.extra["choice"][:, None], quantized.codes]
        return np.asarray(levels * quantized.scales[:, None], np.float64)
