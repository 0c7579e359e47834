"""Pages and lines of memory, and lists of pages, as policies make them and machines move them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LINE_BYTES = 64
PAGE_BYTES = 4096
LINES_PER_PAGE = PAGE_BYTES // LINE_BYTES


def first_appearances(pages: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pages once each, in the order in which they first stand there."""
    if len(pages) < 2:
        return pages
    _, first = np.unique(pages, return_index=True)
    kept: NDArray[np.int64] = pages[np.sort(first)]
    return kept
