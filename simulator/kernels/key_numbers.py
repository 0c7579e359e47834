"""Numbers for keys in order of first appearance, by an open-addressed table: sparse keys become dense."""

import numpy as np
from numba import njit

_SPREAD = np.uint32(0x9E3779B1)
_LOW = np.uint64(0xFFFFFFFF)
_S32 = np.uint64(32)
_ONE = np.uint64(1)


@njit(cache=True)
def number_keys(keys, shift, slots, n_known, key_of, number):
    """Fill number uint32[n] with those of keys uint32[n], and key_of uint32[m] with the keys of new numbers; returns
    how many keys are known then.

    slots uint64[2^s] are kept from call to call and stay half empty: a key in the high half and its number plus one in
    the low half, 0 where free; shift = 32 - s.
    """
    mask = np.uint64(len(slots) - 1)
    n = np.uint64(n_known)
    for i in range(len(keys)):
        key = keys[i]
        slot = np.uint64(np.uint32(key * _SPREAD) >> np.uint32(shift))
        held = slots[slot]
        while held != 0 and held >> _S32 != np.uint64(key):
            slot = (slot + _ONE) & mask
            held = slots[slot]
        if held == 0:
            key_of[n] = key
            n += _ONE
            held = (np.uint64(key) << _S32) | n
            slots[slot] = held
        number[i] = np.uint32((held & _LOW) - _ONE)
    return np.int64(n)


@njit(cache=True)
def move_slots(slots, shift, wider):
    """Enter all keys of slots uint64[m] into the free ones of wider uint64[2^s]; shift = 32 - s."""
    mask = np.uint64(len(wider) - 1)
    for i in range(len(slots)):
        held = slots[i]
        if held != 0:
            slot = np.uint64(np.uint32(np.uint32(held >> _S32) * _SPREAD) >> np.uint32(shift))
            while wider[slot] != 0:
                slot = (slot + _ONE) & mask
            wider[slot] = held
