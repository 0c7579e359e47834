"""Integers with a scale, and where they are asymmetric a zero point, for each group of consecutive values.

Symmetric: s = absmax / (2^(b-1) - 1), codes in [-2^(b-1), 2^(b-1) - 1]. Asymmetric: s = (max - min) / (2^b - 1), not
forced through zero, z = clip(round(-min / s)), codes in [0, 2^b - 1]. Halves are rounded to even. A scale is stored in
16 bits (computed with unrounded ones), a zero point in b; in a KV cache in 16, so that both fill a word.

Source: BitMoD (HPCA 2025) and its quantiser, for the definitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from simulator.numerics.number_format import Group, GroupedFormat, Quantized

SCALE_BITS = 16
_TINY = 1e-30  # in place of the scale of a group of equal values


class Integer(GroupedFormat):
    """INTb, symmetric or asymmetric, per group or per row."""

    class Config(BaseModel):
        """Width, whether zero is in the middle, and how many values share a scale."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        bits: Annotated[int, Ge(2), Le(16)]
        symmetric: bool = False
        group: Group = 128
        zero_point_bits: Annotated[int, Ge(1), Le(16)] | None = None
        """Stored bits of a zero point; None is the width."""

    NAMES = r"int(?P<bits>\d+)_(?P<kind>sym|asym)(?P<word>_z16)?"
    TITLE = "integers, scaled"
    EXAMPLES = ("int8_sym_channel", "int6_sym", "int4_sym", "int4_asym", "int3_sym", "int3_asym")

    @classmethod
    def fields_of(cls, parts: Mapping[str, str | None]) -> dict[str, Any]:
        """Width and symmetry, and whether a zero point is stored in 16 bits."""
        return {
            "bits": int(parts["bits"] or 0),
            "symmetric": parts["kind"] == "sym",
            "zero_point_bits": 16 if parts["word"] else None,
        }

    def __init__(self, config: Config) -> None:
        self.config = config
        self.group = config.group

    @property
    def code_bits(self) -> float:
        """Bits of an integer."""
        return self.config.bits

    @property
    def group_bits(self) -> float:
        """A scale, and a zero point where there is one."""
        if self.config.symmetric:
            return SCALE_BITS
        return SCALE_BITS + (self.config.zero_point_bits or self.config.bits)

    def quantize_groups(self, values: NDArray[np.float64]) -> Quantized:
        """Integers nearest to the values, in steps of the group's scale."""
        bits = self.config.bits
        if self.config.symmetric:
            scales = np.maximum(np.abs(values).max(axis=1) / (2 ** (bits - 1) - 1), _TINY)
            codes = np.clip(np.rint(values / scales[:, None]), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            return Quantized(codes.astype(np.int32), scales)
        least, most = values.min(axis=1), values.max(axis=1)
        scales = np.maximum((most - least) / (2**bits - 1), _TINY)
        zero_point = np.clip(np.rint(-least / scales), 0, 2**bits - 1)
        codes = np.clip(np.rint(values / scales[:, None]) + zero_point[:, None], 0, 2**bits - 1)
        return Quantized(codes.astype(np.int32), scales, {"zero_point": zero_point.astype(np.int32)})

    def dequantize_groups(self, quantized: Quantized) -> NDArray[np.float64]:
        """Integers, less the zero point, times the scale."""
        codes: NDArray[Any] = quantized.codes
        if not self.config.symmetric:
            codes = codes - quantized.extra["zero_point"][:, None]
        return np.asarray(codes * quantized.scales[:, None], np.float64)
