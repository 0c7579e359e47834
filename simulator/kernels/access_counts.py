"""Counts over a stream of memory accesses: reads and writes of every page, and its words touched in windows."""

import numpy as np
from numba import njit

N_WORDS = 64
# Cells of the state that `count_words` goes on from.
READS, TOUCHED, N_STATE = 0, 1, 2

_ONE = np.uint64(1)
_PAGE_SHIFT = np.uint32(6)
_WORD_MASK = np.uint32(N_WORDS - 1)


@njit(cache=True)
def count_pages(line, is_write, reads, writes):
    """Adds the accesses of line uint32[n], is_write bool[n] to reads and writes int64[pages]."""
    for record in range(len(line)):
        page = line[record] >> _PAGE_SHIFT
        if is_write[record]:
            writes[page] += 1
        else:
            reads[page] += 1


@njit(cache=True)
def count_words(line, is_write, window_reads, masks, touched, state, histogram):
    """Goes on through the reads of line uint32[n] and, at the end of every window of `window_reads` of them, adds 1 to
    histogram int64[65] at the number of different words of each page that the window touched.

    masks uint64[pages] (words touched in this window), touched uint32[pages] (the pages that were) and state int64[2]
    are kept from call to call, zeros at first; window_reads 0 has no window end by itself.
    """
    for record in range(len(line)):
        if is_write[record]:
            continue
        page = line[record] >> _PAGE_SHIFT
        if masks[page] == 0:
            touched[state[TOUCHED]] = page
            state[TOUCHED] += 1
        masks[page] |= _ONE << np.uint64(line[record] & _WORD_MASK)
        state[READS] += 1
        if state[READS] == window_reads:
            end_window(masks, touched, state, histogram)


@njit(cache=True)
def end_window(masks, touched, state, histogram):
    """Adds the pages of the current window to the histogram and begins another; arrays as in `count_words`."""
    for index in range(state[TOUCHED]):
        page = touched[index]
        mask = masks[page]
        n_words = 0
        while mask != 0:
            mask &= mask - _ONE
            n_words += 1
        histogram[n_words] += 1
        masks[page] = 0
    state[READS] = 0
    state[TOUCHED] = 0
