"""H3 hash functions: a row's hash of a key is the XOR of one constant for each of the key's set bits, cut to the row.

Packed, four rows of at most 16 bits share one word, so that four look-ups of a byte each give four hashes.
Source: Carter and Wegman, JCSS 1979; the constants and their order are those of M5's golden runs (splitmix64).
"""

import numpy as np
from numba import njit

KEY_BITS = 32
KEY_BYTES = 4
PACKED_ROWS = 4
PACKED_BITS = 16

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)
_LOW = np.uint64(0xFFFFFFFF)
_BYTE = np.uint64(0xFF)
_TABLE_1, _TABLE_2, _TABLE_3 = np.uint64(256), np.uint64(512), np.uint64(768)
_S8, _S16, _S24 = np.uint64(8), np.uint64(16), np.uint64(24)


@njit(cache=True)
def fill_constants(seed, constants):
    """Constants uint32[rows, 32], row by row: the low halves of successive outputs of splitmix64 from `seed` uint64."""
    state = seed
    for row in range(constants.shape[0]):
        for bit in range(KEY_BITS):
            state += _GAMMA
            z = (state ^ (state >> _S30)) * _MIX_1
            z = (z ^ (z >> _S27)) * _MIX_2
            constants[row, bit] = (z ^ (z >> _S31)) & _LOW


@njit(cache=True)
def fill_tables(constants, mask, tables):
    """Tables uint32[rows, 4, 256] of a key's bytes, the low one first, from constants uint32[rows, 32]; mask uint32."""
    for row in range(constants.shape[0]):
        for place in range(KEY_BYTES):
            for value in range(256):
                hashed = np.uint32(0)
                for bit in range(8):
                    if (value >> bit) & 1:
                        hashed ^= constants[row, 8 * place + bit]
                tables[row, place, value] = hashed & mask


@njit(cache=True)
def fill_packed(tables, packed):
    """Tables uint64[4 x 256] whose words hold four rows' hashes of 16 bits, row 0 lowest, from uint32[4, 4, 256]."""
    for place in range(KEY_BYTES):
        for value in range(256):
            word = np.uint64(0)
            for row in range(PACKED_ROWS):
                word |= np.uint64(tables[row, place, value]) << np.uint64(PACKED_BITS * row)
            packed[256 * place + value] = word


@njit(cache=True, inline="always")
def packed_hash(packed, key):
    """Four hashes of a key uint64 in one word."""
    return (
        packed[key & _BYTE]
        ^ packed[((key >> _S8) & _BYTE) + _TABLE_1]
        ^ packed[((key >> _S16) & _BYTE) + _TABLE_2]
        ^ packed[((key >> _S24) & _BYTE) + _TABLE_3]
    )


@njit(cache=True, inline="always")
def row_hash(tables, row, key):
    """One row's hash, uint32, of a key uint64."""
    return (
        tables[row, 0, key & _BYTE]
        ^ tables[row, 1, (key >> _S8) & _BYTE]
        ^ tables[row, 2, (key >> _S16) & _BYTE]
        ^ tables[row, 3, (key >> _S24) & _BYTE]
    )
