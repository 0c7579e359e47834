"""Anda's activations: FP16 values in groups under one exponent, with a mantissa of M bits.

Values are rounded to FP16 (nearest, halves to even) and cut towards zero at 2^(E - M + 1), E the exponent of a group's
largest value, at least -14. A value takes 1 + M bits, a group an exponent of 5. `_nearest` rounds instead of cutting:
a control, which Anda does not build.

Not modelled: infinities, which the format does not have; an activation beyond FP16 is refused.
Source: Anda (HPCA 2025); groups of 64 of its study of group sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from simulator.kernels import bfp
from simulator.numerics.block_floating_point import (
    EXPONENT_BITS,
    Blocks,
    beyond_fp16,
    encode,
    halves_of,
    steps_of,
)
from simulator.numerics.number_format import Group, GroupedFormat, Matrix, Quantized


class Anda(GroupedFormat):
    """Blocks with an exponent: the mantissas of a group shifted to its largest value's, and cut."""

    class Config(BaseModel):
        """Bits of a mantissa, what becomes of the rest, and how many values share an exponent."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        mantissa: Annotated[int, Ge(1), Le(16)]
        rounding: Literal["truncate", "nearest"] = "truncate"
        group: Group = 64

    NAMES = r"anda_m(?P<mantissa>\d+)(?P<nearest>_nearest)?"
    TITLE = "blocks with an exponent"
    EXAMPLES = ("anda_m4", "anda_m6", "anda_m8", "anda_m11", "anda_m13", "anda_m6_nearest")
    role = "activations"

    @classmethod
    def fields_of(cls, parts: Mapping[str, str | None]) -> dict[str, Any]:
        """Bits and rounding."""
        return {"mantissa": int(parts["mantissa"] or 0), "rounding": "nearest" if parts["nearest"] else "truncate"}

    def __init__(self, config: Config) -> None:
        self.config = config
        self.group = config.group

    @property
    def code_bits(self) -> float:
        """A sign and a mantissa."""
        return 1 + self.config.mantissa

    @property
    def group_bits(self) -> float:
        """An exponent."""
        return EXPONENT_BITS

    def quantize_groups(self, values: NDArray[np.float64]) -> Quantized:
        """Mantissas with their signs as codes, their unit as scale, and the biased `exponent`."""
        blocks = self.blocks(values)
        codes = np.where(blocks.negative, -1, 1) * blocks.mantissas.astype(np.int32)
        scales = steps_of(blocks.exponents, self.config.mantissa)
        return Quantized(codes.astype(np.int32), scales, {"exponent": blocks.exponents.astype(np.int32)})

    def dequantize_groups(self, quantized: Quantized) -> NDArray[np.float64]:
        """Mantissas times their unit."""
        return np.asarray(quantized.codes * quantized.scales[:, None], np.float64)

    def blocks(self, groups: Matrix) -> Blocks:
        """Groups [n, width] as signs, mantissas and exponents, from which bit planes are made.

        Raises WorkloadError for a value that FP16 does not have.
        """
        return encode(halves_of(groups), self.config.mantissa, nearest=self.config.rounding == "nearest")

    def rounded(self, values: Matrix) -> NDArray[np.float32]:
        """A matrix through the format and back, in one pass where it is float32."""
        if values.dtype != np.float32:
            return super().rounded(values)
        rounded = np.array(values, order="C")
        self.round_in_place(rounded)
        return rounded

    def round_in_place(self, values: NDArray[np.float32]) -> None:
        """Round a contiguous matrix where it lies: a fresh one of some megabytes costs more than the rounding."""
        width = values.shape[1] if self.group == "channel" else self.group
        at = bfp.round_blocks(
            values, values.view(np.int32), width, self.config.mantissa, self.config.rounding == "nearest", values
        )
        if at >= 0:
            block = values.reshape(-1)[at : at + min(width, values.shape[1])]
            raise beyond_fp16(float(block[np.argmax(~(np.abs(block) < bfp.FIRST_BEYOND_FP16))]))
