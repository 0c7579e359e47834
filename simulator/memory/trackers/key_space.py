"""Keys as indexes of arrays: themselves while they are small, numbers in order of first appearance beyond that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError
from simulator.kernels.key_numbers import move_slots, number_keys
from simulator.memory.trackers.picks import Keys

MOST_DENSE = 1 << 24
"""Keys up to which an array with a place for each is small beside a machine's memory."""
MOST_SLOTS = 1 << 31


class KeySpace:
    """Indexes for keys; `size` is above every index that was given."""

    def __init__(self, most_dense: int = MOST_DENSE) -> None:
        self.size = 0
        self._most_dense = most_dense
        self._slots: NDArray[np.uint64] | None = None
        self._key_of = np.zeros(0, np.uint32)

    def indexes(self, key: Keys) -> Keys:
        """Indexes uint32[n] of keys uint32[n]. Raises WorkloadError where there are too many different ones."""
        if not len(key):
            return key
        if self._slots is None:
            above = int(key.max()) + 1
            if above <= self._most_dense:
                self.size = max(self.size, above)
                return key
            known = np.arange(self.size, dtype=np.uint32)
            self.size = 0
            self._slots = np.zeros(2, np.uint64)
            self._number(known)
        return self._number(key)

    def keys(self, index: Keys) -> Keys:
        """The keys of indexes."""
        return index if self._slots is None else self._key_of[index]

    def _number(self, key: Keys) -> Keys:
        """Numbers of keys in order of first appearance."""
        assert self._slots is not None
        bits = max(1, (2 * (self.size + len(key))).bit_length())
        if 1 << bits > MOST_SLOTS:
            raise WorkloadError(
                f"more than {self.size:,} different keys", where="the trace", remedy="replay a part of it, or key=page"
            )
        if 1 << bits > len(self._slots):
            wider = np.zeros(1 << bits, np.uint64)
            move_slots(self._slots, 32 - bits, wider)
            self._slots = wider
        if self.size + len(key) > len(self._key_of):
            self._key_of = np.concatenate([self._key_of, np.zeros(self.size + len(key), np.uint32)])
        number = np.empty(len(key), np.uint32)
        shift = 33 - len(self._slots).bit_length()
        self.size = int(number_keys(key, shift, self._slots, self.size, self._key_of, number))
        return number
