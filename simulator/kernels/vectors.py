"""Short rows of words worked on at once, by vector instructions that the compiler does not find by itself.

All take a flat int64 array and the place of the first of `LANES` words, which is not checked. Each has a plain form,
which says what it means and stands in where nothing is compiled.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

LANES = 16
LINE_WORDS = 8

_WORD = ir.IntType(64)
_VECTOR = ir.VectorType(_WORD, LANES)
_ZEROS = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)


def aligned_zeros(n_words: int) -> NDArray[np.int64]:
    """int64[n_words] of zeros that begins a cache line: vectors that straddle lines are slow."""
    space = np.zeros(n_words + LINE_WORDS, np.int64)
    first = -(space.ctypes.data // space.itemsize) % LINE_WORDS
    return space[first : first + n_words]


def plain_raise_by_row(words, first, rows, row, base):
    """words[first + k] becomes at least base + rows[row + k], for k < LANES."""
    for k in range(LANES):
        words[first + k] = max(words[first + k], base + rows[row + k])


def plain_raise_to(words, first, least):
    """words[first + k] becomes at least `least`, for k < LANES."""
    for k in range(LANES):
        words[first + k] = max(words[first + k], least)


def plain_first_of(words, time, order, now, odd, shift):
    """The least of ((max(words[time + k], now) | odd) - now << shift) | words[order + k] over k < LANES.

    With times below and an order in the low bits, this is the earliest, and of several the first in order.
    """
    best = (max(words[time], now) | odd) - now << shift | words[order]
    for k in range(1, LANES):
        best = min(best, (max(words[time + k], now) | odd) - now << shift | words[order + k])
    return best


def plain_apart():
    """Keep the function that calls this out of its callers: LLVM would prepare its loops where it is rare."""


def _row(context, builder, array_type, array, place):
    """Pointer to a row of an array."""
    words = context.make_array(array_type)(context, builder, array)
    return builder.bitcast(builder.gep(words.data, [place]), _VECTOR.as_pointer())


def _load(builder, pointer):
    return builder.load(pointer, align=8)


def _every_lane(builder, word):
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, word, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, _ZEROS)


def _larger(builder, a, b):
    return builder.select(builder.icmp_signed(">", a, b), a, b)


@intrinsic
def _compiled_raise_by_row(typing_context, words, first, rows, row, base):
    def generate(context, builder, signature, arguments):
        words, first, rows, row, base = arguments
        to = _row(context, builder, signature.args[0], words, first)
        waits = _load(builder, _row(context, builder, signature.args[2], rows, row))
        new = builder.add(_every_lane(builder, base), waits)
        builder.store(_larger(builder, new, _load(builder, to)), to, align=8)
        return context.get_dummy_value()

    return types.void(words, types.int64, rows, types.int64, types.int64), generate


@intrinsic
def _compiled_raise_to(typing_context, words, first, least):
    def generate(context, builder, signature, arguments):
        words, first, least = arguments
        to = _row(context, builder, signature.args[0], words, first)
        builder.store(_larger(builder, _every_lane(builder, least), _load(builder, to)), to, align=8)
        return context.get_dummy_value()

    return types.void(words, types.int64, types.int64), generate


@intrinsic
def _compiled_first_of(typing_context, words, time, order, now, odd, shift):
    def generate(context, builder, signature, arguments):
        words, time, order, now, odd, shift = arguments
        now = _every_lane(builder, now)
        times = _load(builder, _row(context, builder, signature.args[0], words, time))
        orders = _load(builder, _row(context, builder, signature.args[0], words, order))
        odd_times = builder.or_(_larger(builder, times, now), _every_lane(builder, odd))
        later = builder.shl(builder.sub(odd_times, now), _every_lane(builder, shift))
        least = builder.module.declare_intrinsic(
            f"llvm.vector.reduce.smin.v{LANES}i64", fnty=ir.FunctionType(_WORD, [_VECTOR])
        )
        return builder.call(least, [builder.or_(later, orders)])

    return types.int64(words, types.int64, types.int64, types.int64, types.int64, types.int64), generate


@intrinsic
def _compiled_apart(typing_context):
    def generate(context, builder, signature, arguments):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


raise_by_row: Any = plain_raise_by_row if config.DISABLE_JIT else _compiled_raise_by_row  # type: ignore[attr-defined]
raise_to: Any = plain_raise_to if config.DISABLE_JIT else _compiled_raise_to  # type: ignore[attr-defined]
first_of: Any = plain_first_of if config.DISABLE_JIT else _compiled_first_of  # type: ignore[attr-defined]
apart: Any = plain_apart if config.DISABLE_JIT else _compiled_apart  # type: ignore[attr-defined]
