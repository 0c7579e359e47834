"""ANT: every group, or a whole matrix, takes the one of several types that fits it best.

Levels, each with its negative: int {0..7}, pot {0, 1, 2, 4 .. 64}, flint {0, 1, 2, 3, 4, 6, 8, 16}, float (E2M1)
{0, 1, 2, 3, 4, 6, 8, 12}; with 3 bits int {0..3}, and {0, 1, 2, 4} for the other three. A scale is the largest
magnitude over the largest level, stored in 16 bits; a value takes the nearest level, of two equally near ones the
lower. The type of least squared error is taken, the first of equal ones in the order above; with `choice: group` its
number is stored with each group.

Not modelled: the authors' scan of scales below the largest magnitude.
Source: ANT (MICRO 2022) and its released quantiser for the levels, BitMoD (HPCA 2025) for scales of groups. That the
four-bit float is E2M1 is assumed: with three exponent bits it would be pot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, field_validator

from simulator.kernels.ant_levels import search_levels
from simulator.numerics.number_format import Group, GroupedFormat, Matrix, Quantized

SCALE_BITS = 16
Type = Literal["int", "pot", "flint", "float"]
LEVELS: dict[int, dict[Type, tuple[int, ...]]] = {
    3: {"int": (0, 1, 2, 3), "pot": (0, 1, 2, 4), "flint": (0, 1, 2, 4), "float": (0, 1, 2, 4)},
    4: {
        "int": (0, 1, 2, 3, 4, 5, 6, 7),
        "pot": (0, 1, 2, 4, 8, 16, 32, 64),
        "flint": (0, 1, 2, 3, 4, 6, 8, 16),
        "float": (0, 1, 2, 3, 4, 6, 8, 12),
    },
}
_DISTINCT: dict[int, tuple[Type, ...]] = {3: ("int", "flint"), 4: ("int", "pot", "flint", "float")}


class Ant(GroupedFormat):
    """Adaptive types: integers, powers of two, flint or floats, whichever fits a group best."""

    class Config(BaseModel):
        """Width, the types to choose from, for what one is chosen, and how many values share a scale."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        bits: Literal[3, 4]
        types: tuple[Type, ...] = ("int", "pot", "flint", "float")
        choice: Literal["group", "tensor"] = "group"
        group: Group = 128

        @field_validator("types")
        @classmethod
        def _some(cls, types: tuple[Type, ...]) -> tuple[Type, ...]:
            if not types or len(set(types)) < len(types):
                raise ValueError("name at least one type, and none twice")
            return types

    NAMES = r"(?:ant(?P<bits>[34])(?P<tensor>_tensor)?|(?P<type>pot|flint)(?P<width>[34]))"
    TITLE = "best of several types"
    EXAMPLES = ("ant4", "ant4_tensor", "ant3", "flint4", "pot4")

    @classmethod
    def fields_of(cls, parts: Mapping[str, str | None]) -> dict[str, Any]:
        """Width, and either one type or those that differ at this width."""
        bits = int(parts["bits"] or parts["width"] or 0)
        if parts["type"]:
            return {"bits": bits, "types": (parts["type"],)}
        return {"bits": bits, "types": _DISTINCT[bits], "choice": "tensor" if parts["tensor"] else "group"}

    def __init__(self, config: Config) -> None:
        self.config = config
        self.group = config.group
        self._levels = np.array([LEVELS[config.bits][name] for name in config.types], np.float64)

    @property
    def code_bits(self) -> float:
        """A sign and the number of a level."""
        return self.config.bits

    @property
    def group_bits(self) -> float:
        """A scale, and the number of a type where groups choose; one a matrix is nothing."""
        return SCALE_BITS + (0 if self.config.choice == "tensor" else (len(self.config.types) - 1).bit_length())

    def quantize(self, values: Matrix) -> Quantized:
        """Codes of a matrix, with each group's `type`, or with the one that suits all groups together best."""
        if self.config.choice == "group":
            return super().quantize(values)
        best: Quantized | None = None
        least = np.inf
        for number, name in enumerate(self.config.types):
            alone = Ant(self.config.model_copy(update={"types": (name,), "choice": "group"}))
            found = alone.quantize(values)
            error = float(np.square(alone.dequantize(found) - values, dtype=np.float64).sum())
            if best is None or error < least:
                least = error
                best = Quantized(found.codes, found.scales, {"type": np.full_like(found.extra["type"], number)})
        assert best is not None  # the configuration names a type
        return best

    def quantize_groups(self, values: NDArray[np.float64]) -> Quantized:
        """Numbers of levels, plus how many there are where a value is negative."""
        codes, scales = np.empty(values.shape, np.int32), np.empty(len(values))
        types = np.empty(len(values), np.int32)
        search_levels(np.ascontiguousarray(values), self._levels, codes, scales, types)
        return Quantized(codes, scales, {"type": types})

    def dequantize_groups(self, quantized: Quantized) -> NDArray[np.float64]:
        """Levels of the groups' types, times their scales."""
        signed = np.concatenate((self._levels, -self._levels), axis=1)
        return np.asarray(
            signed[quantized.extra["type"][:, None], quantized.codes] * quantized.scales[:, None], np.float64
        )
