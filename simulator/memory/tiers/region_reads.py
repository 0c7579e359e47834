"""Line reads of each kind of region on either tier: which of weights, experts and KV cache a placement serves from DDR.

Not modelled: writes, which nobody waits for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.kernels import tiers as kernel

_LINES_PER_PAGE = 64


class RegionReads:
    """Counts of one run: `kind_of_page` uint8[n_pages] says which of `kinds` of region a page belongs to."""

    def __init__(self, kinds: Sequence[str], kind_of_page: NDArray[np.uint8], lines_per_record: int) -> None:
        self._kinds = tuple(kinds)
        self._kind_of_page = kind_of_page
        self._lines_per_record = lines_per_record
        self._reads = np.zeros((len(kinds), 2), np.int64)

    def count(self, line: NDArray[np.uint32], is_write: NDArray[np.bool_], tier: NDArray[np.uint8]) -> None:
        """Count records, uint32[n] and bool[n], among which no page moves; tier uint8[n_pages]."""
        pages = line[~is_write] // _LINES_PER_PAGE
        key = self._kind_of_page[pages].astype(np.int64) * 2 + tier[pages]
        counts = np.bincount(key, minlength=self._reads.size)
        self._reads += counts.reshape(self._reads.shape) * self._lines_per_record

    def served(self) -> dict[str, tuple[int, int]]:
        """Line reads that DDR and CXL memory served, by kind."""
        ddr, cxl = self._reads[:, kernel.DDR].tolist(), self._reads[:, kernel.CXL].tolist()
        return dict(zip(self._kinds, zip(ddr, cxl, strict=True), strict=True))
