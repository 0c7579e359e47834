"""Block floating point of activations: FP16, a shared exponent for each group, a short mantissa."""

import math

import numpy as np
from numba import njit

FIRST_BEYOND_FP16 = 65520.0
# Its bits as a float32: from there on FP16, rounded to nearest, is infinite. NaN lies above, too.
BEYOND_FP16 = 0x477FF000
LEAST_EXPONENT = -14
MAGNITUDE = 0x7FFFFFFF


@njit(cache=True)
def round_blocks(values, bits, group, mantissa_bits, to_nearest, rounded):
    """Round values float32[n_rows, n_columns] to FP16 and then to blocks of `group` consecutive columns.

    `bits` int32 is the same memory; fills `rounded`, of the same shape, which may be `values`. Returns -1, or the place
    in C order of a block with a value that is not finite in FP16, where it stops.
    """
    n_rows, n_columns = values.shape
    halves = np.empty(min(group, n_columns), np.float32)
    half_bits = halves.view(np.int32)
    for row in range(n_rows):
        for first in range(0, n_columns, group):
            width = min(group, n_columns - first)
            # Rows of their own, so that the compiler sees consecutive words and uses the vector unit.
            words = bits[row, first : first + width]
            to = rounded[row, first : first + width]
            largest = np.int32(0)
            for i in range(width):
                largest = max(largest, np.int32(words[i] & MAGNITUDE))
            if largest >= BEYOND_FP16:
                return row * n_columns + first
            for i in range(width):
                half_bits[i] = (words[i] + 0xFFF + ((words[i] >> 13) & 1)) & ~0x1FFF
            exponent = max(((largest + 0xFFF + ((largest >> 13) & 1)) >> 23) - 127, LEAST_EXPONENT)
            place = exponent - mantissa_bits + 1
            if place <= LEAST_EXPONENT:
                round_subnormals(values[row, first : first + width], halves)
            step = np.float32(math.ldexp(1.0, place))
            steps = np.float32(math.ldexp(1.0, -place))
            if to_nearest:
                most = np.float32((1 << mantissa_bits) - 1)
                for i in range(width):
                    to[i] = max(min(np.rint(halves[i] * steps), most), -most) * step
            else:
                for i in range(width):
                    to[i] = np.trunc(halves[i] * steps) * step
    return -1


@njit(cache=True)
def round_subnormals(values, halves):
    """FP16 of those values float32[width] that are below its normal range: multiples of 2^-24, halves to even.

    Only a group whose own steps are as small needs them: elsewhere they are cut to zero or rounded to it either way.
    """
    least = np.float32(2.0**LEAST_EXPONENT)
    grid = np.float32(0.75)  # float32 numbers near it lie 2^-24 apart
    for i in range(len(values)):
        if abs(values[i]) < least:
            halves[i] = np.float32(values[i] + grid) - grid
