"""Microscaling formats: groups of 32 small elements share a power of two.

s = 2^(floor(log2 absmax) - floor(log2 largest level)), its exponent in [-127, 127] and stored in 8 bits; elements
saturate at their largest level; an exact midpoint goes to the lower level. MX-INT8 is symmetric: +-127/64.

Not modelled: the standard's rounding of midpoints to even; codes for infinity and for what is not a number.
Source: OCP Microscaling Formats 1.0, sections 5 and 6; MX-FP3 and the rule of midpoints: BitMoD's quantiser.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from simulator.numerics import levels as lv
from simulator.numerics.number_format import Group, GroupedFormat, Quantized

EXPONENT_BITS = 8
_LARGEST_EXPONENT = 127
_ELEMENTS = {
    **{name: lv.MINIFLOATS[name] for name in ("fp3", "fp4", "fp6_e2m3", "fp6_e3m2", "fp8_e4m3", "fp8_e5m2")},
    "int8": lv.signed(step / 64 for step in range(128)),
}


class Mx(GroupedFormat):
    """Levels of any table, scaled by a power of two."""

    class Config(BaseModel):
        """The table of the elements, and how many share an exponent."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        levels: lv.Levels
        group: Group = 32

    NAMES = f"mx_(?P<element>{lv.names_pattern(_ELEMENTS)})"
    TITLE = "floats, scale of two's power"
    EXAMPLES = tuple(f"mx_{name}" for name in _ELEMENTS)

    @classmethod
    def fields_of(cls, parts: Mapping[str, str | None]) -> dict[str, Any]:
        """The elements of a name."""
        return {"levels": _ELEMENTS[parts["element"] or ""]}

    def __init__(self, config: Config) -> None:
        self.config = config
        self.group = config.group
        self.levels = np.array(config.levels)
        self._level_exponent = _exponent(np.abs(self.levels).max())

    @property
    def code_bits(self) -> float:
        """Bits that tell the levels apart."""
        return lv.code_bits(len(self.levels))

    @property
    def group_bits(self) -> float:
        """The shared exponent."""
        return EXPONENT_BITS

    def quantize_groups(self, values: NDArray[np.float64]) -> Quantized:
        """Places in the table of the nearest levels."""
        largest = np.abs(values).max(axis=1)
        exponents = np.where(largest > 0, _exponent(largest) - self._level_exponent, -_LARGEST_EXPONENT)
        scales = np.ldexp(1.0, np.clip(exponents, -_LARGEST_EXPONENT, _LARGEST_EXPONENT))
        return Quantized(lv.nearest(values, scales, self.levels), scales)

    def dequantize_groups(self, quantized: Quantized) -> NDArray[np.float64]:
        """Levels times the power of two."""
        return np.asarray(self.levels[quantized.codes] * quantized.scales[:, None], np.float64)


def _exponent(magnitudes: Any) -> NDArray[np.int32]:
    """floor(log2), exactly; a logarithm would err next to powers of two."""
    return np.asarray(np.frexp(magnitudes)[1] - 1, np.int32)
