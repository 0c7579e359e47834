"""Exact counters of keys: one for each, or small ones whose overflows a host sums up, as M5's PAC and WAC have them.

Source: M5's register-transfer code and host software (4-bit counters; 16 indices of wrapped counters fill a line).
"""

import numpy as np
from numba import njit

from simulator.kernels.space_saving import largest_entries

INDICES_PER_LINE = 16
# Words of `state`, int64: keys touched in the open epoch, indices that wait for a full line, lines written so far.
N_TOUCHED, N_WAITING, N_LINES = range(3)
N_STATE = 3


@njit(cache=True)
def count_keys(keys, counts):
    """Add keys uint32[n] to counts uint32[m]."""
    for i in range(len(keys)):
        counts[np.uint64(keys[i])] += np.uint32(1)


@njit(cache=True)
def first_reads(keys, ends, cam_key, state, picked_key, picked_count, n_picked):
    """The first K keys of every epoch: what a tracker of first touches reports before every read `ends` int64[q].

    keys uint32[n]; cam_key uint32[K] and state int64[1] (keys held) go on from call to call; fills picked_key
    uint32[q, K], picked_count int64[q, K] with ones, and n_picked int64[q].
    """
    first = 0
    for query in range(len(ends) + 1):
        end = ends[query] if query < len(ends) else len(keys)
        n = state[0]
        at = first
        while at < end and n < len(cam_key):
            place = 0
            while place < n and cam_key[place] != keys[at]:
                place += 1
            cam_key[place] = keys[at]
            n = max(n, place + 1)
            at += 1
        state[0] = n
        if query < len(ends):
            for place in range(n):
                picked_key[query, place] = cam_key[place]
                picked_count[query, place] = 1
            n_picked[query] = n
            state[0] = 0
        first = end


@njit(cache=True)
def track_exact(
    keys,
    weights,
    ends,
    n_bits,
    with_residues,
    small,
    table,
    touched,
    waiting,
    state,
    reading,
    picked_key,
    picked_count,
    n_picked,
):
    """Count keys uint32[n] below m exactly, and report the K largest counts before every read `ends` int64[q].

    weights int64[n] are consecutive reads of one key (empty: each is one). Counters of n_bits wrap (0: none does); the
    index of a wrapped one waits, int64[16], until a line is full of them, and the host adds 2^n_bits to its table for
    each index of a line. A reading flushes the line, and adds what the counters hold where `with_residues`.
    small uint32[m], table int64[m], touched uint32[m + 1] and state int64[N_STATE] go on from call to call; reading
    int64[m] is scratch. Ties go to the key that was touched first.
    """
    first = 0
    for query in range(len(ends) + 1):
        end = ends[query] if query < len(ends) else len(keys)
        if n_bits == 0 and len(weights) == 0:
            state[N_TOUCHED] = count_touched(keys, first, end, small, touched, state[N_TOUCHED])
        else:
            _count_wrapping(keys, weights, first, end, n_bits, small, table, touched, waiting, state)
        if query < len(ends):
            _flush(n_bits, table, waiting, state)
            _read_out(n_bits, with_residues, small, table, touched, state[N_TOUCHED], reading)
            n_picked[query] = largest_entries(
                touched, reading, state[N_TOUCHED], picked_key[query], picked_count[query]
            )
            state[N_TOUCHED] = 0
        first = end


@njit(cache=True)
def count_touched(keys, first, end, counts, touched, n):
    """Add keys[first:end] to counts uint32[m] and list each new one in touched uint32[m + 1]; returns the list's
    length."""
    for i in range(first, end):
        key = np.uint64(keys[i])
        count = counts[key]
        touched[np.uint64(n)] = keys[i]
        n += count == 0
        counts[key] = count + np.uint32(1)
    return n


@njit(cache=True)
def _count_wrapping(keys, weights, first, end, n_bits, small, table, touched, waiting, state):
    """Count keys[first:end] in counters that wrap. The host's table has one more for a key that was touched, so that a
    wrapped counter of 0 is not taken for an untouched one."""
    for i in range(first, end):
        key = np.uint64(keys[i])
        run = weights[i] if len(weights) > 0 else 1
        if (table[key] if n_bits > 0 else np.int64(small[key])) == 0:
            table[key] = 1 if n_bits > 0 else 0
            touched[state[N_TOUCHED]] = keys[i]
            state[N_TOUCHED] += 1
        total = np.int64(small[key]) + run
        if n_bits > 0:
            for _ in range(total >> n_bits):
                waiting[state[N_WAITING]] = keys[i]
                state[N_WAITING] += 1
                if state[N_WAITING] == INDICES_PER_LINE:
                    _flush(n_bits, table, waiting, state)
            total &= (1 << n_bits) - 1
        small[key] = total


@njit(cache=True)
def _read_out(n_bits, with_residues, small, table, touched, n_touched, reading):
    """Fill reading int64[m] with the counts of the keys touched, and begin anew."""
    for i in range(n_touched):
        key = np.uint64(touched[i])
        count = np.int64(small[key])
        small[key] = 0
        if n_bits > 0:
            count = table[key] - 1 + (count if with_residues else 0)
            table[key] = 0
        reading[i] = count


@njit(cache=True)
def _flush(n_bits, table, waiting, state):
    """Write the line of waiting indices to the host, which adds them up."""
    for i in range(state[N_WAITING]):
        table[waiting[i]] += np.int64(1) << n_bits
    state[N_LINES] += state[N_WAITING] > 0
    state[N_WAITING] = 0
