"""What every tracking algorithm has in common: keys go in, and at each query those that it holds for hot come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint32]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Reads:
    """Keys uint32[n] in order, the reads that each stands for, int64[n] (empty: one each), and queries: before which of
    them the tracker is read and reset, `ends` int64[q], not falling."""

    key: Keys
    weight: Counts
    ends: Counts


@dataclass(frozen=True, slots=True, eq=False)
class Picks:
    """Of each query the keys reported, uint32[q, K], with their estimates int64[q, K], of which the first `n` int64[q]
    are there."""

    key: Keys
    estimate: Counts
    n: Counts

    @classmethod
    def none(cls, n_queries: int, k: int) -> Picks:
        """Room for the picks of so many queries."""
        return cls(
            np.zeros((n_queries, k), np.uint32), np.zeros((n_queries, k), np.int64), np.zeros(n_queries, np.int64)
        )


class Algorithm(Protocol):
    """A tracking algorithm with its state."""

    def track(self, reads: Reads) -> Picks:
        """Count reads, and give what each query among them reports; the next call goes on from there."""
        ...
