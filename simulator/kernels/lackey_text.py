"""Text of valgrind's lackey (`--trace-mem=yes`) as accesses to 64-byte lines.

A line is `I  address,size` (an instruction), ` L address,size` (a load), ` S address,size` (a store) or
` M address,size` (a load, then a store): address hexadecimal, size decimal. Lines of any other form are passed over.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_NEWLINE = 10
_SPACE = 32
_COMMA = 44
_I, _L, _M, _S = 73, 76, 77, 83
_NO_NUMBER = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
LINE_SHIFT = np.uint64(6)


@njit(cache=True)
def _hexadecimal(text, first, end):
    """The number that all of text[first:end] writes, or _NO_NUMBER; at most 16 digits."""
    if first >= end or end - first > 16:
        return _NO_NUMBER
    value = np.uint64(0)
    for at in range(first, end):
        digit = text[at]
        if 48 <= digit <= 57:
            digit -= 48
        elif 97 <= digit <= 102:
            digit -= 87
        elif 65 <= digit <= 70:
            digit -= 55
        else:
            return _NO_NUMBER
        value = (value << np.uint64(4)) | np.uint64(digit)
    return value


@njit(cache=True)
def _decimal(text, first, end):
    """The number that all of text[first:end] writes, or 0; at most 9 digits."""
    if first >= end or end - first > 9:
        return 0
    value = 0
    for at in range(first, end):
        digit = text[at]
        if digit < 48 or digit > 57:
            return 0
        value = value * 10 + (digit - 48)
    return value


@njit(cache=True)
def _put(line, is_store, instructions, at, first, last, kind, n_instructions):
    """The accesses of one line of text to lines `first` to `last`, from place `at` of the outputs; returns the place
    after them."""
    for offset in range(int(last - first) + 1):
        for store in range(1 if kind == _S else 0, 1 if kind == _L else 2):
            line[at] = first + np.uint64(offset)
            is_store[at] = store == 1
            instructions[at] = n_instructions
            at += 1
    return at


@njit(cache=True)
def parse_lackey(
    text: NDArray[np.uint8],
    n_instructions: int,
    line: NDArray[np.uint64],
    is_store: NDArray[np.bool_],
    instructions: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Accesses of the whole lines of `text` uint8[n], of which the last may be cut off.

    Fills `line` (address / 64), `is_store` and `instructions` (how many were begun, this access's own included; it goes
    on from `n_instructions`). An access that straddles lines is one access to each. Returns how many accesses there
    are, how many bytes were read (up to the end of a line: the rest has no newline, or the outputs have no room for
    its accesses), and the count of instructions after them. The outputs need room for one access at least.
    """
    n_out, start, end = 0, 0, len(text)
    capacity = len(line)
    while True:
        stop = start
        comma = -1
        while stop < end and text[stop] != _NEWLINE:
            if text[stop] == _COMMA:
                comma = stop
            stop += 1
        if stop == end:
            return n_out, start, n_instructions
        if comma > start + 3 and text[start + 2] == _SPACE:
            kind = text[start + 1]
            if kind == _SPACE and text[start] == _I:
                n_instructions += 1
            elif text[start] == _SPACE and (kind == _L or kind == _S or kind == _M):
                address = _hexadecimal(text, start + 3, comma)
                size = _decimal(text, comma + 1, stop)
                if address != _NO_NUMBER and size > 0:
                    first = address >> LINE_SHIFT
                    last = (address + np.uint64(size - 1)) >> LINE_SHIFT
                    n_needed = (int(last - first) + 1) * (2 if kind == _M else 1)
                    if n_out + n_needed > capacity:
                        return n_out, start, n_instructions
                    n_out = _put(line, is_store, instructions, n_out, first, last, kind, n_instructions)
        start = stop + 1
