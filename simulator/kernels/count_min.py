"""Count-min sketch with a sorted memory of the K largest estimates: M5's tracker, queried and reset at given reads.

Every row of counters has one counter of a key; its estimate is the smallest of them. An estimate that cannot enter the
memory is not looked up there: a resident's is above the last entry's as long as no counter falls, which only wrapping
counters do.
Source: Cormode and Muthukrishnan, 2005; M5's register-transfer code; conservative update: Estan and Varghese, 2002.
"""

import numpy as np
from numba import njit

from simulator.kernels.h3 import packed_hash, row_hash
from simulator.kernels.top_cam import offer, report

# Words of `rules`, int64. LARGEST is the largest count; MODULUS W where the hash is cut by them, or 0.
IS_PACKED, IS_CONSERVATIVE, OVERFLOW, LARGEST, MODULUS = range(5)
N_RULES = 5
UNBOUNDED, WRAP, SATURATE = range(3)
# Words of `state`, int64: entries of the memory; and of the open epoch whether it has reads of an earlier call, and
# whether a counter has wrapped.
N_HELD, HAS_EARLIER, HAS_WRAPPED = range(3)
N_STATE = 3

_MASK_16 = np.uint64(0xFFFF)
_S16, _S32, _S48 = np.uint64(16), np.uint64(32), np.uint64(48)
_ONE, _ALL = np.uint32(1), np.uint32(0xFFFFFFFF)
_UNDO_COST = 16  # one read's counters set to 0 one by one take as long as so many columns set together


@njit(cache=True)
def track_count_min(
    keys, weights, ends, rules, packed, tables, counters, cam_key, cam_count, state, picked_key, picked_count, n_picked
):
    """Count keys uint32[n] and query before every read `ends` int64[q], in order; what follows the last stays counted.

    weights int64[n] are consecutive reads of one key (empty: each is one). rules int64[N_RULES]; packed uint64[4 x 256]
    and tables uint32[H, 4, 256] of `h3`; counters uint32[H, W], cam_key uint32[K], cam_count int64[K] and state
    int64[N_STATE] go on from call to call; fills picked_key uint32[q, K], picked_count int64[q, K], n_picked int64[q].
    """
    first = 0
    for query in range(len(ends)):
        end = ends[query]
        _count(keys, weights, first, end, rules, packed, tables, counters, cam_key, cam_count, state)
        n_picked[query] = report(cam_key, cam_count, state[N_HELD], picked_key[query], picked_count[query])
        if state[HAS_EARLIER] != 0 or (end - first) * _UNDO_COST >= counters.shape[1]:
            counters[:] = np.uint32(0)
        else:
            _undo(keys, first, end, rules, packed, tables, counters)
        first = end
        state[:] = 0
    _count(keys, weights, first, len(keys), rules, packed, tables, counters, cam_key, cam_count, state)
    if first < len(keys):
        state[HAS_EARLIER] = 1


@njit(cache=True)
def _count(keys, weights, first, end, rules, packed, tables, counters, cam_key, cam_count, state):
    """Count keys[first:end], packed as long as that is exact."""
    at = first
    if rules[IS_PACKED] != 0:
        while at < end and state[N_HELD] < len(cam_key):
            _count_any(keys, weights, at, at + 1, rules, tables, counters, cam_key, cam_count, state)
            at += 1
        if at < end and rules[OVERFLOW] == UNBOUNDED:
            if len(weights) == 0:
                at = _count_unbounded(keys, at, end, packed, counters, cam_key, cam_count)
            else:
                at = _count_runs(keys, weights, at, end, packed, counters, cam_key, cam_count)
        elif at < end and state[HAS_WRAPPED] == 0 and len(weights) == 0:
            at = _count_wrapping(keys, at, end, rules, packed, counters, cam_key, cam_count, state)
    if at < end:
        _count_any(keys, weights, at, end, rules, tables, counters, cam_key, cam_count, state)


@njit(cache=True, inline="always")
def _add_packed(key, step, mask, packed, row_0, row_1, row_2, row_3):
    """Add `step` to the counters of a key, cut by a mask, all uint32; returns the estimate, uint32."""
    hashed = packed_hash(packed, np.uint64(key))
    at_0 = hashed & _MASK_16
    at_1 = (hashed >> _S16) & _MASK_16
    at_2 = (hashed >> _S32) & _MASK_16
    at_3 = hashed >> _S48
    n_0 = np.uint32(row_0[at_0] + step) & mask
    n_1 = np.uint32(row_1[at_1] + step) & mask
    n_2 = np.uint32(row_2[at_2] + step) & mask
    n_3 = np.uint32(row_3[at_3] + step) & mask
    row_0[at_0] = n_0
    row_1[at_1] = n_1
    row_2[at_2] = n_2
    row_3[at_3] = n_3
    return min(min(n_0, n_1), min(n_2, n_3))


@njit(cache=True)
def _count_unbounded(keys, first, end, packed, counters, cam_key, cam_count):
    """Four rows of at most 2^16 counters that are wide enough, plain update, a full memory; returns `end`."""
    row_0, row_1, row_2, row_3 = counters[0], counters[1], counters[2], counters[3]
    n_held = len(cam_key)
    least = np.uint32(cam_count[n_held - 1])
    for i in range(first, end):
        estimate = _add_packed(keys[i], _ONE, _ALL, packed, row_0, row_1, row_2, row_3)
        if estimate > least:
            offer(keys[i], np.int64(estimate), cam_key, cam_count, n_held)
            least = np.uint32(cam_count[n_held - 1])
    return end


@njit(cache=True)
def _count_runs(keys, weights, first, end, packed, counters, cam_key, cam_count):
    """As `_count_unbounded`, for runs of reads."""
    row_0, row_1, row_2, row_3 = counters[0], counters[1], counters[2], counters[3]
    n_held = len(cam_key)
    least = np.uint32(cam_count[n_held - 1])
    for i in range(first, end):
        estimate = _add_packed(keys[i], np.uint32(weights[i]), _ALL, packed, row_0, row_1, row_2, row_3)
        if estimate > least:
            offer(keys[i], np.int64(estimate), cam_key, cam_count, n_held)
            least = np.uint32(cam_count[n_held - 1])
    return end


@njit(cache=True)
def _count_wrapping(keys, first, end, rules, packed, counters, cam_key, cam_count, state):
    """As `_count_unbounded`, for counters of which none has wrapped yet; returns the read after the first one that
    wraps a counter to 0 (its estimate is 0 then), or `end`."""
    row_0, row_1, row_2, row_3 = counters[0], counters[1], counters[2], counters[3]
    mask = np.uint32(rules[LARGEST])
    n_held = len(cam_key)
    least = np.uint32(cam_count[n_held - 1])
    for i in range(first, end):
        estimate = _add_packed(keys[i], _ONE, mask, packed, row_0, row_1, row_2, row_3)
        if np.uint32(estimate - _ONE) >= least:  # 0 - 1 is the largest number of all
            offer(keys[i], np.int64(estimate), cam_key, cam_count, n_held)
            if estimate == 0:
                state[HAS_WRAPPED] = 1
                return i + 1
            least = np.uint32(cam_count[n_held - 1])
    return end


@njit(cache=True)
def _count_any(keys, weights, first, end, rules, tables, counters, cam_key, cam_count, state):
    """Any number of rows and columns, any update and counters."""
    for i in range(first, end):
        run = weights[i] if len(weights) > 0 else 1
        # A run that wraps a counter could enter the memory before it does: one by one.
        n_turns = run if rules[OVERFLOW] == WRAP else 1
        step = 1 if rules[OVERFLOW] == WRAP else run
        for _ in range(n_turns):
            estimate = _add(np.uint64(keys[i]), step, rules, tables, counters)
            if estimate == 0:
                state[HAS_WRAPPED] = 1
            n_held = state[N_HELD]
            is_shut = state[HAS_WRAPPED] == 0 and n_held == len(cam_key) and estimate <= cam_count[n_held - 1]
            # A full counter's estimate no longer grows, and a resident goes behind its equals.
            is_shut = is_shut and estimate < rules[LARGEST]
            if not is_shut:
                state[N_HELD] = offer(keys[i], estimate, cam_key, cam_count, n_held)


@njit(cache=True)
def _add(key, step, rules, tables, counters):
    """Add `step` reads of a key uint64 to its counters; returns its estimate."""
    largest = rules[LARGEST]
    least = largest
    for row in range(counters.shape[0]):
        n = np.int64(counters[row, _column(tables, row, key, rules[MODULUS])])
        if rules[IS_CONSERVATIVE] == 0:
            n = _sum(n, step, rules[OVERFLOW], largest)
            counters[row, _column(tables, row, key, rules[MODULUS])] = n
        least = min(least, n)
    if rules[IS_CONSERVATIVE] == 0:
        return least
    raised = _sum(least, step, rules[OVERFLOW], largest)
    for row in range(counters.shape[0]):
        column = _column(tables, row, key, rules[MODULUS])
        n = np.int64(counters[row, column])
        if n == least or n < raised:
            counters[row, column] = raised
    return raised


@njit(cache=True)
def _sum(n, step, overflow, largest):
    """A counter after `step` more reads."""
    n += step
    if overflow == SATURATE:
        return min(n, largest)
    if overflow == WRAP:
        return n & largest
    return n


@njit(cache=True)
def _column(tables, row, key, modulus):
    """The column, uint64, of a key's counter in a row."""
    hashed = np.uint64(row_hash(tables, row, key))
    if modulus > 0:
        hashed %= np.uint64(modulus)
    return hashed


@njit(cache=True)
def _undo(keys, first, end, rules, packed, tables, counters):
    """Set the counters of keys[first:end] to 0."""
    if rules[IS_PACKED] != 0:
        row_0, row_1, row_2, row_3 = counters[0], counters[1], counters[2], counters[3]
        for i in range(first, end):
            hashed = packed_hash(packed, np.uint64(keys[i]))
            row_0[hashed & _MASK_16] = 0
            row_1[(hashed >> _S16) & _MASK_16] = 0
            row_2[(hashed >> _S32) & _MASK_16] = 0
            row_3[hashed >> _S48] = 0
    else:
        for row in range(counters.shape[0]):
            for i in range(first, end):
                counters[row, _column(tables, row, np.uint64(keys[i]), rules[MODULUS])] = 0
