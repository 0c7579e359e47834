"""QoQ's progressive 4-bit weights: INT8 for each output channel, and UINT4 with integer scales for each of its groups.

First s0 = absmax / 119 of a row and integers within +-119; then for each group of these s1 = max(round((max - min) /
15), 1), z = clip(round(-min / s1), 0, 15), and codes in [0, 15]. Halves are rounded to even. (q - z) s1 fits INT8: that
is what 119 is for. A row of zeros has s0 = 1. A group of one sign saturates where its least magnitude is much above its
range, for z cannot leave [0, 15].

Stored for a group: s1 in 8 bits and z in 4; for an output channel s0 in 16 (computed with an unrounded one).

Not modelled: QoQ's 8-bit activations and 4-bit keys and values, its smoothing, rotation and clipping of ranges.
Source: QServe (MLSys 2025), section 4.1; the widths of s1 and z are assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from simulator.numerics import levels as lv
from simulator.numerics.number_format import Group, GroupedFormat, Matrix, Quantized, check_finite

CODE_BITS = 4
GROUP_SCALE_BITS = 8
CHANNEL_SCALE_BITS = 16
_PROTECTED = 119  # and half a step of at most 16 are 127
_TOP = 2**CODE_BITS - 1


class Qoq(GroupedFormat):
    """UINT4 of INT8, with an integer scale and zero point for each group."""

    class Config(BaseModel):
        """How many values share an integer scale."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        group: Group = 128

    NAMES = r"qoq_w4"
    TITLE = "UINT4 within INT8"
    EXAMPLES = ("qoq_w4",)

    @classmethod
    def fields_of(cls, parts: Mapping[str, str | None]) -> dict[str, Any]:
        """None: the name says all."""
        return {}

    def __init__(self, config: Config) -> None:
        self.config = config
        self.group = config.group

    @property
    def code_bits(self) -> float:
        """Bits of an integer."""
        return CODE_BITS

    @property
    def group_bits(self) -> float:
        """An integer scale and a zero point."""
        return GROUP_SCALE_BITS + CODE_BITS

    def bits_per_value(self, n_columns: int) -> float:
        """Bits of a code and its share of what the group and the channel store."""
        return super().bits_per_value(n_columns) + CHANNEL_SCALE_BITS / n_columns

    def quantize(self, values: Matrix) -> Quantized:
        """Codes, integer `scales` and `zero_point` of the groups, and `channel_scale` [n_rows]."""
        check_finite(values)
        wide = np.asarray(values, np.float64)
        channel_scale = lv.absmax_scales(wide, _PROTECTED)
        found = super().quantize(np.clip(np.rint(wide / channel_scale[:, None]), -_PROTECTED, _PROTECTED))
        return Quantized(found.codes, found.scales, {**found.extra, "channel_scale": channel_scale})

    def dequantize(self, quantized: Quantized) -> NDArray[np.float32]:
        """INT8 of the codes, times the channel's scale."""
        zero_point = {"zero_point": quantized.extra["zero_point"]}
        integers = super().dequantize(Quantized(quantized.codes, quantized.scales, zero_point))
        return np.asarray(integers * quantized.extra["channel_scale"][:, None], np.float32)

    def quantize_groups(self, values: NDArray[np.float64]) -> Quantized:
        """UINT4 of integers."""
        least, most = values.min(axis=1), values.max(axis=1)
        scales = np.maximum(np.rint((most - least) / _TOP), 1.0)
        zero_point = np.clip(np.rint(-least / scales), 0, _TOP)
        codes = np.clip(np.rint(values / scales[:, None]) + zero_point[:, None], 0, _TOP)
        return Quantized(codes.astype(np.int32), scales, {"zero_point": zero_point.astype(np.int32)})

    def dequantize_groups(self, quantized: Quantized) -> NDArray[np.float64]:
        """Integers, less the zero point, times the integer scale."""
        return np.asarray((quantized.codes - quantized.extra["zero_point"][:, None]) * quantized.scales[:, None])
