"""Rotary positions: the first and second half of a head are the two coordinates that an angle turns ("rotate half").

Source: RoFormer; the scaling of Llama 3 as the transformers library defines `rope_type: llama3`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError

DEFAULT_THETA = 10000.0
SCALINGS = ("default", "linear", "llama3")
_LEAST, _MOST = 1e-30, 1e30  # angles beyond have no cosine


@dataclass(frozen=True, slots=True)
class Rotary:
    """Angles of a model: base of the frequencies, and how they are stretched for longer contexts.

    `factor` divides all frequencies (linear), or those of wavelengths above `original_context / low_frequency_factor`,
    with a ramp up to `original_context / high_frequency_factor` (llama3).
    """

    theta: float = DEFAULT_THETA
    scaling: str = "default"
    factor: float = 1.0
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 4.0
    original_context: int = 8192

    @classmethod
    def from_hf(cls, config: Mapping[str, Any], where: str) -> Rotary:
        """As a config.json has it. Raises WorkloadError on a scaling that is not modelled or is impossible."""
        # Newer files have all of it in `rope_parameters`.
        scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
        if not isinstance(scaling, Mapping):
            raise WorkloadError("'rope_scaling' is no object", where=where, remedy="write it as transformers does")
        kind = scaling.get("rope_type", scaling.get("type", "default"))
        if kind not in SCALINGS:
            raise WorkloadError(
                f"rotary positions of scaling {kind!r} are not modelled",
                where=where,
                remedy=f"use a checkpoint with one of {', '.join(SCALINGS)}",
            )
        for values in (config, scaling):
            if values.get("partial_rotary_factor") not in (None, 1):
                raise WorkloadError(
                    f"positions that turn a part of each head ('partial_rotary_factor' "
                    f"{values['partial_rotary_factor']!r}) are not modelled",
                    where=where,
                    remedy="use a checkpoint whose positions turn whole heads",
                )
        theta = _positive(scaling if "rope_theta" in scaling else config, "rope_theta", where, DEFAULT_THETA)
        if kind == "default":
            return cls(theta)
        factor = _positive(scaling, "factor", where)
        if kind == "linear":
            return cls(theta, kind, factor)
        low = _positive(scaling, "low_freq_factor", where)
        high = _positive(scaling, "high_freq_factor", where)
        if high <= low:
            raise WorkloadError(
                f"'high_freq_factor' {high:g} is not above 'low_freq_factor' {low:g}", where=where, remedy="mend it"
            )
        return cls(theta, kind, factor, low, high, int(_positive(scaling, "original_max_position_embeddings", where)))

    def inverse_frequencies(self, head_dim: int) -> NDArray[np.float64]:
        """Radians per position of each of the head's pairs, float64[head_dim / 2]."""
        plain = self.theta ** (-np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
        if self.scaling == "default":
            return np.asarray(plain)
        if self.scaling == "linear":
            return np.asarray(plain / self.factor)
        turns = self.original_context * plain / (2 * math.pi)
        kept = np.clip(
            (turns - self.low_frequency_factor) / (self.high_frequency_factor - self.low_frequency_factor), 0, 1
        )
        return np.asarray(plain * (kept + (1 - kept) / self.factor))

    def table(self, head_dim: int, first: int, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cosines and sines of `n` positions from `first`, each float32[n, head_dim / 2]; angles in float64."""
        angles = np.arange(first, first + n)[:, None] * self.inverse_frequencies(head_dim)
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def turned(heads: NDArray[np.float32], cosines: NDArray[np.float32], sines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Queries or keys [T, n, head_dim] turned by their positions' angles [T, head_dim / 2], as [n, T, head_dim]."""
    half = heads.shape[-1] // 2
    first, second = (part.transpose(1, 0, 2) for part in (heads[..., :half], heads[..., half:]))
    found = np.empty((heads.shape[1], heads.shape[0], 2 * half), np.float32)
    found[..., :half] = first * cosines - second * sines
    found[..., half:] = second * cosines + first * sines
    return found


def _positive(values: Mapping[str, Any], key: str, where: str, default: float | None = None) -> float:
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _LEAST <= value <= _MOST:
        raise WorkloadError(
            f"{key!r} is {value!r:.40}", where=where, remedy=f"give a positive number, from {_LEAST:g} to {_MOST:g}"
        )
    return float(value)
