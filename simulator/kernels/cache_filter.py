"""Two levels of cache in front of a memory: which accesses to lines leave the second one.

A level is uint64[sets, ways]; a set's lines stand in order of last use, the latest first, each as line * 2 + dirty, or
EMPTY. A level is changed in place, so its state goes on from call to call.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

EMPTY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
MAX_RECORDS_PER_ACCESS = 3
_ONE = np.uint64(1)


@njit(cache=True, inline="always")
def _set_of(level, line):
    """The set of a line: its number modulo the sets."""
    n_sets = np.uint64(level.shape[0])
    if n_sets & (n_sets - _ONE) == 0:
        return line & (n_sets - _ONE)
    return line % n_sets


@njit(cache=True, inline="always")
def _use(level, index, line, dirty):
    """Make `line` the latest of its set, dirty if it was or is now, in one walk that moves others on by a place.

    Returns whether it was there, and the entry that had to go if it was not (EMPTY where there was room).
    """
    moving = (line << _ONE) | dirty
    for way in range(level.shape[1]):
        entry = level[index, way]
        level[index, way] = moving
        if entry >> _ONE == line:
            level[index, 0] = entry | dirty
            return True, EMPTY
        moving = entry
    return False, moving


@njit(cache=True)
def filter_lines(
    line: NDArray[np.uint64],
    is_store: NDArray[np.bool_],
    l1: NDArray[np.uint64],
    llc: NDArray[np.uint64],
    record_line: NDArray[np.uint64],
    record_is_write: NDArray[np.bool_],
    record_cause: NDArray[np.int64],
) -> tuple[int, int]:
    """Records that leave the second level, for accesses `line` uint64[n] (below 2^62) and `is_store` bool[n].

    Both levels allocate on loads and stores, write back, and replace the line that was used longest ago; neither holds
    the other's lines of necessity. A miss in `l1` asks `llc`, and a miss there is a read record. A dirty line that
    leaves `l1` then goes to `llc` (its latest use there), which takes it whole, without a read. A dirty line that
    leaves `llc` is a write record. `record_cause` is the number of the access within the call. The record arrays need
    room for MAX_RECORDS_PER_ACCESS x n. Returns the number of records and the number of misses in `l1`.
    """
    n_out, n_l1_misses = 0, 0
    clean = np.uint64(0)
    for number in range(len(line)):
        wanted = line[number]
        dirty = _ONE if is_store[number] else clean
        l1_set = _set_of(l1, wanted)
        if l1[l1_set, 0] >> _ONE == wanted:
            l1[l1_set, 0] |= dirty
            continue
        was_there, pushed = _use(l1, l1_set, wanted, dirty)
        if was_there:
            continue
        n_l1_misses += 1
        was_there, victim = _use(llc, _set_of(llc, wanted), wanted, clean)
        if not was_there:
            record_line[n_out] = wanted
            record_is_write[n_out] = False
            record_cause[n_out] = number
            n_out += 1
            if victim != EMPTY and victim & _ONE:
                record_line[n_out] = victim >> _ONE
                record_is_write[n_out] = True
                record_cause[n_out] = number
                n_out += 1
        if pushed == EMPTY or not pushed & _ONE:
            continue
        _, victim = _use(llc, _set_of(llc, pushed >> _ONE), pushed >> _ONE, _ONE)
        if victim != EMPTY and victim & _ONE:
            record_line[n_out] = victim >> _ONE
            record_is_write[n_out] = True
            record_cause[n_out] = number
            n_out += 1
    return n_out, n_l1_misses
