"""Space-Saving: N entries, filled in order; a key that has none takes the first entry of the smallest count, plus one.

Counts only rise, so the entries of the smallest count, listed once in order, are taken from the list's front until none
is left at that count. A small table of hashed keys says where a key is.
Source: Metwally, Agrawal and El Abbadi, ICDT 2005; the tie rule is that of M5's golden runs.
"""

import numpy as np
from numba import njit

# Words of `state`, int64: entries used, the smallest count while the list holds, the list's length and its front.
N_USED, LEAST, N_LISTED, FRONT = range(4)
N_STATE = 4

_SPREAD = np.uint32(0x9E3779B1)


@njit(cache=True)
def track_space_saving(
    keys, weights, ends, shift, entry_key, entry_count, listed, slots, state, picked_key, picked_count, n_picked
):
    """Count keys uint32[n] and query before every read `ends` int64[q], in order; what follows the last stays counted.

    weights int64[n] are consecutive reads of one key (empty: each is one). entry_key uint32[N], entry_count int64[N],
    listed int64[N], slots int64[2^s] (an entry's number plus one, 0: free; shift = 32 - s; more than N + 1 of them) and
    state int64[N_STATE] go on from call to call; fills picked_key uint32[q, K], picked_count int64[q, K], n_picked
    int64[q]: the K largest counts, ties to the lower entry.
    """
    first = 0
    for query in range(len(ends)):
        end = ends[query]
        _count(keys, weights, first, end, shift, entry_key, entry_count, listed, slots, state)
        n_picked[query] = largest_entries(entry_key, entry_count, state[N_USED], picked_key[query], picked_count[query])
        slots[:] = 0
        state[:] = 0
        first = end
    _count(keys, weights, first, len(keys), shift, entry_key, entry_count, listed, slots, state)


@njit(cache=True)
def _home(key, shift):
    """The slot, int64, where the search for a key uint32 begins."""
    return np.int64(np.uint32(key * _SPREAD) >> np.uint32(shift))


@njit(cache=True)
def _count(keys, weights, first, end, shift, entry_key, entry_count, listed, slots, state):
    """Count keys[first:end]."""
    mask = len(slots) - 1
    n_used, least, n_listed, front = state[N_USED], state[LEAST], state[N_LISTED], state[FRONT]
    for i in range(first, end):
        key = keys[i]
        step = weights[i] if len(weights) > 0 else 1
        slot = _home(key, shift)
        entry = slots[slot] - 1
        while entry >= 0 and entry_key[entry] != key:
            slot = (slot + 1) & mask
            entry = slots[slot] - 1
        if entry >= 0:
            entry_count[entry] += step
            continue
        if n_used < len(entry_key):
            entry = n_used
            n_used += 1
            entry_count[entry] = step
        else:
            while front < n_listed and entry_count[listed[front]] != least:
                front += 1
            if front == n_listed:
                least, n_listed = _list_least(entry_count, listed)
                front = 0
            entry = listed[front]
            front += 1
            slot = _forgotten(entry_key, slots, shift, entry, _home(key, shift), slot)
            entry_count[entry] = least + step
        entry_key[entry] = key
        slots[slot] = entry + 1
    state[N_USED], state[LEAST], state[N_LISTED], state[FRONT] = n_used, least, n_listed, front


@njit(cache=True)
def _list_least(entry_count, listed):
    """List the entries of the smallest count, in order; returns that count and how many they are."""
    least = entry_count[0]
    for entry in range(1, len(entry_count)):
        least = min(least, entry_count[entry])
    n = 0
    for entry in range(len(entry_count)):
        listed[n] = entry
        n += entry_count[entry] == least
    return least, n


@njit(cache=True)
def _forgotten(entry_key, slots, shift, entry, searched, free):
    """Take an entry out of the slots, moving others up that were pushed past it; returns the first free slot of a key
    whose search began at `searched` and ended at `free`."""
    mask = len(slots) - 1
    hole = _home(entry_key[entry], shift)
    while slots[hole] != entry + 1:
        hole = (hole + 1) & mask
    at = (hole + 1) & mask
    while slots[at] != 0:
        home = _home(entry_key[slots[at] - 1], shift)
        if ((at - home) & mask) >= ((at - hole) & mask):
            slots[hole] = slots[at]
            hole = at
        at = (at + 1) & mask
    slots[hole] = 0
    # All slots from `searched` up to `free` were full: the hole is the first free one if it lies between them.
    return hole if ((hole - searched) & mask) < ((free - searched) & mask) else free


@njit(cache=True)
def largest_entries(entry_key, entry_count, n_used, picked_key, picked_count):
    """Fill picked_key uint32[K] and picked_count int64[K] with the largest of `n_used` counts, ties to the lower entry;
    returns how many there are."""
    n = 0
    for entry in range(n_used):
        count = entry_count[entry]
        if n == len(picked_count):
            if count <= picked_count[n - 1]:
                continue
            at = n - 1
        else:
            at = n
            n += 1
        while at > 0 and picked_count[at - 1] < count:
            picked_key[at] = picked_key[at - 1]
            picked_count[at] = picked_count[at - 1]
            at -= 1
        picked_key[at] = entry_key[entry]
        picked_count[at] = count
    return n
