"""Longest-first balancing: items go, longest first, each to the bin with least in it, the lowest number among equals.

Source: Graham (1969), the LPT rule. Arrays in, arrays out.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def longest_first(costs, counts, n_bins):
    """Kind of each item's bin and the bins' loads.

    `costs` float64[k], falling, and `counts` int64[k] describe kinds of equal items. Returns (bin int64[sum of counts],
    in the order of the kinds; loads float64[n_bins]).
    """
    total = 0
    for i in range(len(counts)):
        total += counts[i]
    bins = np.empty(total, np.int64)
    loads = np.zeros(n_bins, np.float64)
    heap = np.arange(n_bins)  # of bin numbers, the least load first
    at = 0
    for kind in range(len(costs)):
        for _ in range(counts[kind]):
            chosen = heap[0]
            bins[at] = chosen
            at += 1
            loads[chosen] += costs[kind]
            _sink(heap, loads, n_bins)
    return bins, loads


@njit(cache=True)
def _sink(heap, loads, n):
    """Restore the heap after its root's load has grown."""
    root = 0
    while True:
        least = root
        for child in (2 * root + 1, 2 * root + 2):
            if child < n:
                a, b = heap[child], heap[least]
                if loads[a] < loads[b] or (loads[a] == loads[b] and a < b):
                    least = child
        if least == root:
            return
        heap[root], heap[least] = heap[least], heap[root]
        root = least
