"""Scales of scales: the group scales of one output channel as integers with a scale of their own.

Symmetric over the channel's groups: s_ch = max / (2^(b-1) - 1), halves to even. A group whose scale is far below the
channel's largest may get the integer 0, and then is nothing but zeros.

Source: VS-Quant (MLSys 2021), as BitMoD (HPCA 2025), section III-C, takes it over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHANNEL_SCALE_BITS = 16
"""Bits in which the scale of a channel is stored (computed with unrounded ones)."""


@dataclass(frozen=True, slots=True, eq=False)
class SecondLevelScales:
    """Integers int32[n_channels, n_groups] and scales float64[n_channels]; values are scaled by their products."""

    codes: NDArray[np.int32]
    channel_scales: NDArray[np.float64]

    @property
    def scales(self) -> NDArray[np.float64]:
        """Scales of the groups, float64[n_channels, n_groups]."""
        return self.codes * self.channel_scales[:, None]


def second_level_scales(scales: NDArray[np.float64], bits: int) -> SecondLevelScales:
    """Positive scales [n_channels, n_groups] in integers of so many bits, at least 2."""
    channel_scales = scales.max(axis=1) / (2 ** (bits - 1) - 1)
    return SecondLevelScales(np.rint(scales / channel_scales[:, None]).astype(np.int32), channel_scales)
