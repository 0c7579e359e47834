"""How well a tracker's picks meet the hottest keys, epoch by epoch, by exact counts of all reads that arrived.

Source: M5's access-count ratio: accesses to the K keys picked over accesses to the K hottest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.kernels import epoch_scores as scores
from simulator.memory.trackers.key_space import KeySpace
from simulator.memory.trackers.picks import Counts, Picks, Reads


class Accuracy:
    """Exact counts beside a tracker that picks K keys a query; reads after the last query are not judged."""

    def __init__(self, k: int) -> None:
        self._keys = KeySpace()
        self._best = np.zeros(k, np.int64)
        self._sums = np.zeros(scores.N_SUMS, np.int64)
        self._counts, self._touched = np.zeros(0, np.uint32), np.zeros(1, np.uint32)
        self._total, self._was_picked = np.zeros(0, np.int64), np.zeros(0, np.bool_)
        self._picked: list[Counts] = []
        self._hottest: list[Counts] = []

    def judge(self, arrived: Reads, picks: Picks) -> None:
        """Count reads, and judge the picks of the queries among them."""
        index = self._keys.indexes(arrived.key)
        is_there = np.arange(picks.key.shape[1])[None, :] < picks.n[:, None]
        picked_index = np.zeros_like(picks.key)
        picked_index[is_there] = self._keys.indexes(picks.key[is_there])
        self._hold(self._keys.size)
        picked, hottest = np.zeros((2, len(arrived.ends)), np.int64)
        scores.score_epochs(
            index,
            arrived.weight,
            arrived.ends,
            picked_index,
            picks.n,
            self._counts,
            self._total,
            self._touched,
            self._was_picked,
            self._best,
            self._sums,
            picked,
            hottest,
        )
        self._picked.append(picked)
        self._hottest.append(hottest)

    @property
    def n_epochs(self) -> int:
        """Epochs judged."""
        return sum(map(len, self._picked))

    @property
    def ratio_epoch(self) -> float:
        """Reads of picked keys in the epochs that they were picked in, over those of as many hottest keys."""
        return _share(int(self._sums[scores.PICKED]), int(self._sums[scores.BEST]))

    @property
    def topk_hit(self) -> float:
        """Share of the picks that are read as often as the K-th hottest key, at least."""
        return _share(int(self._sums[scores.N_HITS]), int(self._sums[scores.N_PICKS]))

    @property
    def distinct_picked(self) -> int:
        """Different keys picked in any epoch."""
        return int(np.count_nonzero(self._was_picked))

    @property
    def ratio_union(self) -> float:
        """Reads in all judged epochs of the keys ever picked, over those of as many hottest keys."""
        n = self.distinct_picked
        if not n:
            return float("nan")
        # Of millions of keys few are ever read, and partitioning is slow where nearly all are equal.
        read = self._total[self._total > 0]
        n_rest = max(0, len(read) - n)
        hottest = np.partition(read, n_rest)[n_rest:] if n_rest else read
        return _share(int(self._total[self._was_picked].sum()), int(hottest.sum()))

    def ratio_by_epoch(self) -> NDArray[np.float64]:
        """The ratio of each epoch, NaN where it had no read."""
        picked, hottest = (np.concatenate([np.zeros(0, np.int64), *parts]) for parts in (self._picked, self._hottest))
        ratio = np.full(len(picked), np.nan)
        np.divide(picked, hottest, out=ratio, where=hottest > 0)
        return ratio

    def _hold(self, n_keys: int) -> None:
        """Make room for indexes below n_keys."""
        n_held = len(self._counts)
        if n_keys <= n_held:
            return
        n_more = max(n_keys, n_held + n_held // 2) - n_held
        self._counts = _longer(self._counts, n_more)
        self._touched = _longer(self._touched, n_more)
        self._total = _longer(self._total, n_more)
        self._was_picked = _longer(self._was_picked, n_more)


def _longer(array: NDArray[Any], n_more: int) -> NDArray[Any]:
    return np.concatenate([array, np.zeros(n_more, array.dtype)])


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
