"""OliVe: a value much larger than the others, an outlier, takes the place of its neighbour, the victim, which is lost.

Columns 2p and 2p + 1 are a pair, a last one without a neighbour is normal. Normal levels are those of int {0..7} or of
flint {0, 1, 2, 3, 4, 6, 8, 16}, with their negatives; outliers are abfloat with two exponent bits and one of mantissa:
{12, 16, 24, 32, 48, 64, 96} beside int and {24, 32, 48, 64, 96, 128, 192} beside flint. A value nearer to an outlier's
level than to a normal one is an outlier; its neighbour becomes zero and gets the code of minus zero, which says what
the other code means. Of two outliers in a pair the larger is kept. The largest normal level stands for 0.75, 0.77 ..
1.49 of |mean| + 3 standard deviations of the group; type and share of least squared error are taken, the first of equal
ones.

With 3 bits: normal {0..3} or {0, 1, 2, 4}, outliers {8, 16, 32}.

Not modelled: the authors' one type for a whole tensor (here a group has its own, for one bit).
Source: OliVe (ISCA 2023) and its released quantiser: levels, pairs, shares (the released defaults, for weights by
output channel). Recalled: that the larger of two outliers is kept, where the code keeps the left one. Derived: three
bits, by the code's rule for any width. Assumed: groups, after BitMoD's comparison, and a 16-bit scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from simulator.kernels.ant_levels import search_pairs
from simulator.numerics.number_format import Group, GroupedFormat, Quantized

SCALE_BITS = 16
TYPES = ("int", "flint")
NORMAL = {
    3: np.array([(0, 1, 2, 3), (0, 1, 2, 4)], np.float64),
    4: np.array([(0, 1, 2, 3, 4, 5, 6, 7), (0, 1, 2, 3, 4, 6, 8, 16)], np.float64),
}
OUTLIERS = {
    3: np.array([(8, 16, 32), (8, 16, 32)], np.float64),
    4: np.array([(12, 16, 24, 32, 48, 64, 96), (24, 32, 48, 64, 96, 128, 192)], np.float64),
}
_DEVIATIONS = 3
_SHARES = np.arange(75, 150, 2) / 100


class Olive(GroupedFormat):
    """Outlier-victim pairs: an outlier has its own levels, at the cost of its neighbour."""

    class Config(BaseModel):
        """Width, and how many values share a scale and a type."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        bits: Literal[3, 4]
        group: Group = 128

    NAMES = r"olive(?P<bits>[34])"
    TITLE = "outlier-victim pairs"
    EXAMPLES = ("olive4", "olive3")

    @classmethod
    def fields_of(cls, parts: Mapping[str, str | None]) -> dict[str, Any]:
        """Width."""
        return {"bits": int(parts["bits"] or 0)}

    def __init__(self, config: Config) -> None:
        self.config = config
        self.group = config.group

    @property
    def code_bits(self) -> float:
        """A sign and the number of a level."""
        return self.config.bits

    @property
    def group_bits(self) -> float:
        """A scale, and which of the two types."""
        return SCALE_BITS + 1

    def quantize_groups(self, values: NDArray[np.float64]) -> Quantized:
        """Numbers of levels, plus 2^(bits - 1) where a value is negative; 2^(bits - 1) alone marks a victim."""
        bits = self.config.bits
        spread = values.std(axis=1, ddof=1) if values.shape[1] > 1 else np.zeros(len(values))
        reach = np.abs(values.mean(axis=1)) + _DEVIATIONS * spread
        codes, scales = np.empty(values.shape, np.int32), np.empty(len(values))
        types = np.empty(len(values), np.int32)
        search_pairs(np.ascontiguousarray(values), NORMAL[bits], OUTLIERS[bits], reach, _SHARES, codes, scales, types)
        return Quantized(codes, scales, {"type": types})

    def dequantize_groups(self, quantized: Quantized) -> NDArray[np.float64]:
        """Levels times scales: of a pair with a victim's code, the other is an outlier."""
        codes, types = quantized.codes, quantized.extra["type"][:, None]
        normal, outliers = NORMAL[self.config.bits], OUTLIERS[self.config.bits]
        n_levels = normal.shape[1]
        is_victim = codes == n_levels
        is_outlier = np.zeros_like(is_victim)
        paired = slice(0, codes.shape[1] // 2 * 2)
        is_outlier[:, paired] = is_victim[:, paired].reshape(len(codes), -1, 2)[:, :, ::-1].reshape(len(codes), -1)
        places = codes % n_levels
        levels = np.where(is_outlier, outliers[types, np.maximum(places - 1, 0)], normal[types, places])
        signed = np.where(codes > n_levels, -levels, levels)
        return np.asarray(signed * quantized.scales[:, None], np.float64)
