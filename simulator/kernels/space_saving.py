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
_ONE = np.uint64(1)


@njit(cache=True)
def track_space_saving(
    keys, weights, ends, shift, entry_key, entry_count, listed, slots, state, picked_key, picked_count, n_picked
):
    """Count keys uint32[n] and query before every read `ends` int64[q], in order; what follows the last stays counted.

    weights int64[n] are consecutive reads of one key (empty: each is one). entry_key uint32[N + 1] and entry_count
    int64[N + 1] (from 1 on), listed uint32[N + 1], slots uint32[2^s] (an entry, 0: free; shift uint32 = 32 - s; more
    than N + 1 of them) and state int64[N_STATE] go on from call to call; fills picked_key uint32[q, K], picked_count
    int64[q, K], n_picked int64[q]: the K largest counts, ties to the lower entry.
    """
    first = 0
    for query in range(len(ends)):
        end = ends[query]
        _count(keys, weights, first, end, shift, entry_key, entry_count, listed, slots, state)
        n_picked[query] = largest_entries(
            entry_key[1:], entry_count[1:], state[N_USED], picked_key[query], picked_count[query]
        )
        slots[:] = 0
        state[:] = 0
        first = end
    _count(keys, weights, first, len(keys), shift, entry_key, entry_count, listed, slots, state)


@njit(cache=True, inline="always")
def _home(key, shift):
    """The slot, uint64, where the search for a key uint32 begins."""
    return np.uint64(np.uint32(key * _SPREAD) >> shift)


@njit(cache=True)
def _count(keys, weights, first, end, shift, entry_key, entry_count, listed, slots, state):
    """Count keys[first:end]."""
    mask = np.uint64(len(slots) - 1)
    n_used, least, n_listed, front = state[N_USED], state[LEAST], state[N_LISTED], state[FRONT]
    n_entries = len(entry_key) - 1
    for i in range(first, end):
        key = keys[i]
        step = weights[i] if len(weights) > 0 else 1
        home = _home(key, shift)
        slot = home
        entry = np.uint64(slots[slot])
        while entry != 0 and entry_key[entry] != key:
            slot = (slot + _ONE) & mask
            entry = np.uint64(slots[slot])
        if entry != 0:
            entry_count[entry] += step
            continue
        if n_used < n_entries:
            n_used += 1
            entry = np.uint64(n_used)
            entry_count[entry] = step
        else:
            while front < n_listed and entry_count[listed[np.uint64(front)]] != least:
                front += 1
            if front == n_listed:
                least, n_listed = _list_least(entry_count, listed)
                front = 0
            entry = np.uint64(listed[np.uint64(front)])
            front += 1
            slot = _forgotten(entry_key, slots, shift, entry, home, slot)
            entry_count[entry] = least + step
        entry_key[entry] = key
        slots[slot] = entry
    state[N_USED], state[LEAST], state[N_LISTED], state[FRONT] = n_used, least, n_listed, front


@njit(cache=True)
def _list_least(entry_count, listed):
    """List the entries of the smallest count, in order; returns that count and how many they are."""
    least = entry_count[1]
    for entry in range(2, len(entry_count)):
        least = min(least, entry_count[entry])
    n = np.uint64(0)
    for entry in range(1, len(entry_count)):
        listed[n] = entry
        n += np.uint64(entry_count[entry] == least)
    return least, np.int64(n)


@njit(cache=True)
def _forgotten(entry_key, slots, shift, entry, searched, free):
    """Take an entry out of the slots, moving others up that were pushed past it; returns the first free slot of a key
    whose search began at `searched` and ended at `free`, all uint64."""
    mask = np.uint64(len(slots) - 1)
    hole = _home(entry_key[entry], shift)
    while slots[hole] != entry:
        hole = (hole + _ONE) & mask
    at = (hole + _ONE) & mask
    other = np.uint64(slots[at])
    while other != 0:
        home = _home(entry_key[other], shift)
        if ((at - home) & mask) >= ((at - hole) & mask):
            slots[hole] = other
            hole = at
        at = (at + _ONE) & mask
        other = np.uint64(slots[at])
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
