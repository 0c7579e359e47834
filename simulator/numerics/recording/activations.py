"""Statistics of the inputs of a model's matrices: size, outliers, and what a shared exponent costs them.

Groups of 64 consecutive channels of a token, values as fp16: a value whose exponent is m or more below that of the
group's largest one has nothing left of it in a format that keeps m bits of mantissa after one shared exponent and cuts
off the rest (Anda with M = m).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.numerics.format_names import SITES, Site
from simulator.numerics.observer import Observer
from simulator.workload.model import ModelSpec

GROUP = 64
GAPS = tuple(range(1, 17))
FAR_SIGMAS = 6

_MOST_FP16 = np.float32(65504)
_LEAST_EXPONENT = -14  # of a shared exponent: that of fp16's smallest normal number
_EXPONENT_BIAS, _EXPONENT_SHIFT = 127, 23  # of float32


@dataclass(frozen=True, slots=True)
class SiteStatistics:
    """Inputs of one site of one layer, all tokens seen.

    `beyond_6_sigma_frac` is the share of values further than 6 standard deviations from the mean, both those of the
    text that the value is of; `channel_ratio` the largest |value| of the most extreme channel over that of the median
    channel (NaN where that is 0); `zero_frac` the share of zeros in fp16; `gap_frac` for m = 1 to 16 the share of the
    other values whose exponent is m or more below that of their group's largest one.
    """

    layer: int
    site: Site
    n_values: int
    mean: float
    rms: float
    absmax: float
    beyond_6_sigma_frac: float
    channel_ratio: float
    zero_frac: float
    gap_frac: tuple[float, ...]


class ActivationRecorder(Observer):
    """Gathers `SiteStatistics` of every layer and site; its memory does not grow with the tokens."""

    def __init__(self, shape: ModelSpec) -> None:
        widths = dict(zip(SITES, (shape.hidden, shape.q_dim, shape.hidden, shape.ffn), strict=True))
        self._seen = {(layer, site): _Seen(widths[site]) for layer in range(shape.n_layers) for site in SITES}

    def inputs(self, layer: int, site: Site, values: NDArray[np.float32]) -> None:
        """Take the inputs of a site."""
        self._seen[layer, site].add(values)

    def statistics(self) -> list[SiteStatistics]:
        """What was seen, layer by layer. At least one text must have been."""
        return [seen.statistics(layer, site) for (layer, site), seen in self._seen.items()]


class _Seen:
    """Sums of one site of one layer."""

    def __init__(self, width: int) -> None:
        self._n = self._n_far = self._n_zero = 0
        self._total = self._squares = 0.0
        self._channel_max = np.zeros(width, np.float32)
        self._n_by_gap = np.zeros(GAPS[-1] + 1, np.int64)

    def add(self, values: NDArray[np.float32]) -> None:
        """The inputs float32[T, features] of a text."""
        total = float(values.sum(dtype=np.float64))
        squares = float(np.einsum("ij,ij->i", values, values, dtype=np.float64).sum())
        sizes = np.abs(values)
        mean = total / values.size
        far = FAR_SIGMAS * np.sqrt(max(0.0, squares / values.size - mean * mean))
        np.maximum(self._channel_max, sizes.max(axis=0), out=self._channel_max)
        # Few values are so large that they can be far off: only those are looked at one by one.
        candidates = values[sizes > max(0.0, far - abs(mean))]
        self._n_far += int((np.abs(candidates - mean) > far).sum())
        self._n += values.size
        self._total += total
        self._squares += squares
        self._add_gaps(sizes)

    def _add_gaps(self, sizes: NDArray[np.float32]) -> None:
        exponents = _exponents(sizes)
        n_groups = -(-exponents.shape[1] // GROUP)
        none = np.iinfo(exponents.dtype).min
        padded = np.pad(exponents, ((0, 0), (0, n_groups * GROUP - exponents.shape[1])), constant_values=none)
        groups = padded.reshape(len(exponents), n_groups, GROUP)
        is_there = groups != none
        gaps = np.maximum(groups.max(axis=2, keepdims=True), _LEAST_EXPONENT) - groups
        self._n_zero += sizes.size - int(is_there.sum())
        self._n_by_gap += np.bincount(np.clip(gaps[is_there], 0, GAPS[-1]), minlength=GAPS[-1] + 1)

    def statistics(self, layer: int, site: Site) -> SiteStatistics:
        """All of it as shares and means."""
        others = max(1, self._n - self._n_zero)
        at_least = self._n_by_gap[::-1].cumsum()[::-1] / others
        median = float(np.median(self._channel_max))
        absmax = float(self._channel_max.max())
        return SiteStatistics(
            layer=layer,
            site=site,
            n_values=self._n,
            mean=self._total / self._n,
            rms=float(np.sqrt(self._squares / self._n)),
            absmax=absmax,
            beyond_6_sigma_frac=self._n_far / self._n,
            channel_ratio=absmax / median if median else float("nan"),
            zero_frac=self._n_zero / self._n,
            gap_frac=tuple(float(at_least[gap]) for gap in GAPS),
        )


def _exponents(sizes: NDArray[np.float32]) -> NDArray[np.int16]:
    """floor(log2) of sizes as fp16, the least int16 for a zero; what is beyond fp16 counts as its largest number."""
    halves = np.minimum(sizes, _MOST_FP16).astype(np.float16).astype(np.float32)
    found = (halves.view(np.int32) >> _EXPONENT_SHIFT).astype(np.int16) - np.int16(_EXPONENT_BIAS)
    found[halves == 0] = np.iinfo(np.int16).min
    return found
