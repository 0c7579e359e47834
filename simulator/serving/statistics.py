"""Means and percentiles of times, for plain samples and for values that occur many times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

QUANTILES = (0.5, 0.9, 0.99)
"""The quantiles that every summary gives."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean and percentiles of a set of values, in the values' unit. Percentiles interpolate linearly between ranks."""

    mean: float
    p50: float
    p90: float
    p99: float

    def scaled(self, factor: float) -> Summary:
        """The same in another unit."""
        return Summary(self.mean * factor, self.p50 * factor, self.p90 * factor, self.p99 * factor)


@dataclass(frozen=True, slots=True, eq=False)
class WeightedValues:
    """A multiset: distinct `values` int64[k] in rising order and how often each occurs, `counts` int64[k] >= 1."""

    values: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, values: ArrayLike, counts: ArrayLike) -> WeightedValues:
        """The multiset in which `values[i]`, in any order and repeated or not, occurs `counts[i]` >= 0 times."""
        every, times = np.asarray(values, np.int64), np.asarray(counts, np.int64)
        distinct, which = np.unique(every[times > 0], return_inverse=True)
        total = np.zeros(len(distinct), np.int64)
        np.add.at(total, which, times[times > 0])
        return cls(distinct, total)

    def __len__(self) -> int:
        return int(self.counts.sum())

    def summary(self) -> Summary | None:
        """What `summary` gives of the values written out one by one; None if there are none."""
        n = len(self)
        if n == 0:
            return None
        last_rank = np.cumsum(self.counts) - 1
        ranks = np.array(QUANTILES) * (n - 1)
        below = np.floor(ranks).astype(np.int64)
        low = self.values[np.searchsorted(last_rank, below)]
        high = self.values[np.searchsorted(last_rank, np.minimum(below + 1, n - 1))]
        quantiles = (low + (high - low) * (ranks - below)).tolist()
        return Summary(float(np.average(self.values, weights=self.counts)), *quantiles)


def summary(values: NDArray[np.int64] | NDArray[np.float64]) -> Summary | None:
    """Mean and percentiles of a sample; None if it is empty."""
    if len(values) == 0:
        return None
    return Summary(float(np.mean(values)), *np.quantile(values, QUANTILES).tolist())
