"""BitMoD: FP3 or FP4 whose needless second zero becomes one special value, chosen for each group.

A group takes the special value with the least squared error, of equal ones the first in the order of `special_values`.
The scale puts the group's largest magnitude on the largest of all levels, special value included, whatever its sign:
with extra asymmetry (+-6, +-8) values of the other sign may saturate. It is kept within [1e-5, 1e4]. An exact midpoint
goes to the lower level. With `scale_bits` the scales of an output channel become integers once codes and picks are
taken.

Stored for a group: its scale, 16 bits or `scale_bits`, and which special value, 2 bits of four, 1 of two; for an output
channel with `scale_bits` another scale of 16 bits.

Source: BitMoD (HPCA 2025), section III, and its quantiser.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le, Len
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat, model_validator

from simulator.numerics import levels as lv
from simulator.numerics.number_format import Group, GroupedFormat, Matrix, Quantized
from simulator.numerics.second_level_scales import CHANNEL_SCALE_BITS, second_level_scales

_BASIC = {3: lv.MINIFLOATS["fp3"], 4: lv.MINIFLOATS["fp4"]}
_EXTRA_RESOLUTION = {3: (3.0, -3.0), 4: (5.0, -5.0)}
_EXTRA_ASYMMETRY = {3: (6.0, -6.0), 4: (8.0, -8.0)}
_SCALE_BOUNDS = (1e-5, 1e4)


class Bitmod(GroupedFormat):
    """Levels of FP3 or FP4 and a special value of the group's own."""

    class Config(BaseModel):
        """Width, the special values to choose from (the paper's four where none are given), width of integer scales."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        bits: Literal[3, 4]
        special_values: Annotated[tuple[FiniteFloat, ...], Len(0, 256)] = ()
        scale_bits: Annotated[int, Ge(2), Le(16)] | None = None
        group: Group = 128

        @model_validator(mode="after")
        def _special_values_are_special(self) -> Bitmod.Config:
            for value in self.special_values:
                if value in _BASIC[self.bits]:
                    raise ValueError(f"{value:g} is a level of FP{self.bits} already, so it cannot be a special value")
            return self

        @property
        def candidates(self) -> tuple[float, ...]:
            """The special values in the order in which they are tried."""
            return self.special_values or _EXTRA_RESOLUTION[self.bits] + _EXTRA_ASYMMETRY[self.bits]

    NAMES = r"bitmod_(?P<bits>[34])b(?:_(?P<only>er|ea))?(?:_int(?P<scale_bits>[2-8])scale)?"
    TITLE = "FP with a special value"
    EXAMPLES = (
        *("bitmod_4b", "bitmod_4b_er", "bitmod_4b_ea", "bitmod_4b_int8scale"),
        *("bitmod_3b", "bitmod_3b_er", "bitmod_3b_ea", "bitmod_3b_int8scale", "bitmod_3b_int4scale"),
    )

    @classmethod
    def fields_of(cls, parts: Mapping[str, str | None]) -> dict[str, Any]:
        """Width, special values and width of the scales."""
        bits = int(parts["bits"] or 0)
        only = {None: (), "er": _EXTRA_RESOLUTION[bits], "ea": _EXTRA_ASYMMETRY[bits]}[parts["only"]]
        scale_bits = {"scale_bits": int(parts["scale_bits"])} if parts["scale_bits"] else {}
        return {"bits": bits, "special_values": only, **scale_bits}

    def __init__(self, config: Config) -> None:
        self.config = config
        self.group = config.group
        self.tables = np.array([sorted((*_BASIC[config.bits], value)) for value in config.candidates])

    @property
    def code_bits(self) -> float:
        """Bits that tell the levels apart."""
        return lv.code_bits(self.tables.shape[1])

    @property
    def group_bits(self) -> float:
        """A scale and which special value."""
        return (self.config.scale_bits or lv.SCALE_BITS) + lv.code_bits(len(self.tables))

    def bits_per_value(self, n_columns: int) -> float:
        """Bits of a code and its share of what the group and the channel store."""
        channel_bits = 0 if self.config.scale_bits is None else CHANNEL_SCALE_BITS
        return super().bits_per_value(n_columns) + channel_bits / n_columns

    @property
    def choice_names(self) -> tuple[str, ...]:
        """The special values."""
        return tuple(f"{value:+g}" for value in self.config.candidates)

    def quantize(self, values: Matrix) -> Quantized:
        """Codes, scales and `special`, the place of a group's special value among the candidates.

        With integer scales also these, `scale_code` [n_rows, n_groups], and `channel_scale` [n_rows].
        """
        found = super().quantize(values)
        if self.config.scale_bits is None:
            return found
        second = second_level_scales(found.scales, self.config.scale_bits)
        own: dict[str, NDArray[Any]] = {"scale_code": second.codes, "channel_scale": second.channel_scales}
        return Quantized(found.codes, second.scales, {**found.extra, **own})

    def dequantize(self, quantized: Quantized) -> NDArray[np.float32]:
        """Levels times the scales."""
        special = {"special": quantized.extra["special"]}
        return super().dequantize(Quantized(quantized.codes, quantized.scales, special))

    def quantize_groups(self, values: NDArray[np.float64]) -> Quantized:
        """Codes in the table with the least squared error."""
        fit = lv.best_fit(values, self.tables, _SCALE_BOUNDS)
        return Quantized(fit.codes, fit.scales, {"special": fit.picks})

    def dequantize_groups(self, quantized: Quantized) -> NDArray[np.float64]:
        """Levels of the group's table times the scale."""
        chosen = self.tables[quantized.extra["special"][:, None], quantized.codes]
        return np.asarray(chosen * quantized.scales[:, None], np.float64)
