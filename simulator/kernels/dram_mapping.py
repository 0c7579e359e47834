"""Addresses to channel, bank and row: every output is an exclusive-or of shifted and masked copies of the address."""

import numpy as np
from numba import njit

BLOCK = 1024
"""Addresses done at a time, so that they stay in the first-level cache from term to term."""


@njit(cache=True)
def _fill(block, terms, begin, end, scratch, target):
    """target[i] = XOR over terms begin to end of ((block[i] >> shift) & mask)."""
    length = block.size
    found = scratch[:length]
    found[:] = 0
    for term in range(begin, end):
        shift = terms[term, 0]
        mask = terms[term, 1]
        if shift >= 0:
            for i in range(length):
                found[i] ^= (block[i] >> np.uint64(shift)) & mask
        else:
            for i in range(length):
                found[i] ^= (block[i] << np.uint64(-shift)) & mask
    for i in range(length):
        target[i] = found[i]


@njit(cache=True)
def map_linear(addresses, terms, firsts, scratch, channel, bank, row):
    """Channel, bank and row of every address; returns the lowest and the highest address (0, 0 where there is none).

    addresses int64[n]; terms int64[k, 2] of (shift, mask), a negative shift going left; terms firsts[o] to
    firsts[o + 1], int64[4], make output o. Fills channel int32[n], bank int32[n], row int64[n]; scratch int64[BLOCK].
    """
    n = addresses.size
    lowest = highest = addresses[0] if n else 0
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        block = addresses[start:stop]
        for i in range(stop - start):
            lowest = min(lowest, block[i])
            highest = max(highest, block[i])
        _fill(block, terms, firsts[0], firsts[1], scratch, channel[start:stop])
        _fill(block, terms, firsts[1], firsts[2], scratch, bank[start:stop])
        _fill(block, terms, firsts[2], firsts[3], scratch, row[start:stop])
    return lowest, highest
