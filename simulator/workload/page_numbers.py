"""Numbers for pages in order of first appearance: what stands for physical frames under first-touch allocation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class PageNumbers:
    """Gives every page that it sees the next number: 0, 1, 2, ..."""

    def __init__(self) -> None:
        self._known = np.empty(0, np.uint64)  # rising
        self._id_of_known = np.empty(0, np.uint32)
        self._in_order: list[NDArray[np.uint64]] = []

    def __len__(self) -> int:
        return len(self._known)

    @property
    def addresses(self) -> NDArray[np.uint64]:
        """The address / 4 KiB of each page, uint64[pages], by its number."""
        return np.concatenate(self._in_order) if self._in_order else np.empty(0, np.uint64)

    def of(self, page: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """The numbers of pages uint64[n] (address / 4 KiB); those not seen before are numbered on in order."""
        distinct, first, which = np.unique(page, return_index=True, return_inverse=True)
        place = np.searchsorted(self._known, distinct)
        is_known = place < len(self._known)
        is_known[is_known] = self._known[place[is_known]] == distinct[is_known]
        number = np.empty(len(distinct), np.uint32)
        number[is_known] = self._id_of_known[place[is_known]]
        fresh = np.flatnonzero(~is_known)
        if len(fresh):
            in_order = fresh[np.argsort(first[fresh])]
            number[in_order] = np.arange(len(self._known), len(self._known) + len(fresh), dtype=np.uint32)
            self._in_order.append(distinct[in_order])
            self._known = np.insert(self._known, place[fresh], distinct[fresh])
            self._id_of_known = np.insert(self._id_of_known, place[fresh], number[fresh])
        return number[which]
