"""Blocks of FP16 values under one exponent, as Anda stores them: fields, values, bit planes.

A value's significand (11 bits with the hidden one) is shifted right by what its exponent lacks to the largest of its
block, and cut to M bits. A block of 64 lies in memory as a word of signs and M words of mantissa bits, the most
significant first; exponents lie apart. Value j is bit j of a word.

Source: Anda (HPCA 2025), sections III and IV; which bit of a word is whose value's is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError

PLANE_BITS = 64
EXPONENT_BITS = 5
_SIGNIFICAND_BITS = 11
_BIAS = 15
_LARGEST = 65504

Values = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Blocks of values: bool and uint16[n, width] of signs and mantissas, uint8[n] of biased exponents.

    A value is +-mantissa x 2^(exponent - 15 - (M - 1)).
    """

    negative: NDArray[np.bool_]
    mantissas: NDArray[np.uint16]
    exponents: NDArray[np.uint8]


def halves_of(values: Values) -> NDArray[np.uint16]:
    """The bits of values in FP16, rounded to nearest. Raises WorkloadError for what is not finite there."""
    with np.errstate(over="ignore"):
        halves = np.asarray(values).astype(np.float16)
    if not np.isfinite(halves).all():
        raise beyond_fp16(float(np.asarray(values)[~np.isfinite(halves)][0]))
    return halves.view(np.uint16)


def beyond_fp16(value: float) -> WorkloadError:
    """The refusal of a value that FP16 does not have."""
    return WorkloadError(
        f"an activation of {value:g} has no FP16 (largest {_LARGEST}), in which blocks with a shared exponent begin",
        remedy="check the checkpoint and the formats of its weights, or leave activations as they are",
    )


def encode(halves: NDArray[np.uint16], mantissa_bits: int, *, nearest: bool = False) -> Blocks:
    """Blocks [n, width] of FP16 bits; what is cut off is dropped, or with `nearest` rounded, halves to even.

    Rounding up does not carry into the exponent: the largest mantissa stays.
    """
    exponents, significands = _fields(halves)
    shared = exponents.max(axis=1)
    # To the right by the gap and what M lacks of 11 bits, or to the left; beyond 30 nothing is left anyway.
    shift = np.minimum(shared[:, None] - exponents + _SIGNIFICAND_BITS - mantissa_bits, 30)
    right, left = np.maximum(shift, 0), np.maximum(-shift, 0)
    mantissas = (significands << left) >> right
    if nearest:
        rest = significands - (mantissas << right)
        half = (1 << right) >> 1
        up = (rest > half) | ((rest == half) & (mantissas % 2 == 1))
        mantissas = np.minimum(mantissas + (up & (right > 0)), (1 << mantissa_bits) - 1)
    return Blocks(halves >> 15 == 1, mantissas.astype(np.uint16), shared.astype(np.uint8))


def decode(blocks: Blocks, mantissa_bits: int) -> NDArray[np.float64]:
    """The values [n, width] of blocks."""
    signed = np.where(blocks.negative, -1.0, 1.0) * blocks.mantissas
    return np.asarray(signed * steps_of(blocks.exponents, mantissa_bits)[:, None], np.float64)


def steps_of(exponents: NDArray[np.uint8], mantissa_bits: int) -> NDArray[np.float64]:
    """What a mantissa of one is worth in blocks of these exponents."""
    return np.ldexp(1.0, exponents.astype(np.int32) - _BIAS - (mantissa_bits - 1))


def planes_of(blocks: Blocks, mantissa_bits: int) -> NDArray[np.uint64]:
    """Bit planes uint64[n, 1 + M] of blocks of at most 64 values: signs, then mantissa bits, the largest first."""
    bits = [blocks.negative] + [blocks.mantissas >> place & 1 for place in reversed(range(mantissa_bits))]
    return np.stack([_word(plane) for plane in bits], axis=1)


def blocks_of(planes: NDArray[np.uint64], exponents: NDArray[np.uint8], width: int = PLANE_BITS) -> Blocks:
    """The blocks that bit planes uint64[n, 1 + M] and exponents uint8[n] hold."""
    bits = planes[:, :, None] >> np.arange(width, dtype=np.uint64) & np.uint64(1)
    n_planes = planes.shape[1]
    mantissas = np.zeros((len(planes), width), np.uint16)
    for plane in range(1, n_planes):
        mantissas |= bits[:, plane].astype(np.uint16) << (n_planes - 1 - plane)
    return Blocks(bits[:, 0] == 1, mantissas, exponents)


def compressed_serially(
    halves: NDArray[np.uint16], mantissa_bits: int, n_lanes: int = 16
) -> tuple[NDArray[np.uint64], NDArray[np.uint8], int]:
    """What the bit plane compressor gives for blocks of FP16 bits [n, <= 64], plane by plane: planes uint64[n, 1 + M],
    exponents uint8[n] and the cycles that it takes.

    Each of `n_lanes` lanes takes a block, finds the largest exponent, and emits a plane per cycle: an element sends out
    the most significant bit of its significand once its gap to that exponent has counted down, and zeros before.
    Not modelled: the pipeline stages ahead of the first plane, which overlap with the blocks before.
    """
    gaps, significands = _fields(halves)
    shared = gaps.max(axis=1)
    gaps = shared[:, None] - gaps
    planes = [_word(halves >> 15 == 1)]
    for _ in range(mantissa_bits):
        is_due = gaps == 0
        planes.append(_word(is_due & (significands >> (_SIGNIFICAND_BITS - 1) == 1)))
        significands = np.where(is_due, significands << 1 & (1 << _SIGNIFICAND_BITS) - 1, significands)
        gaps = np.where(is_due, 0, gaps - 1)
    rounds = -(-len(halves) // n_lanes)
    return np.stack(planes, axis=1), shared.astype(np.uint8), rounds * mantissa_bits


def _fields(halves: NDArray[np.uint16]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Biased exponents, 1 for subnormal values, and significands with the hidden bit."""
    stored = (halves >> 10 & 0x1F).astype(np.int32)
    fraction = (halves & 0x3FF).astype(np.int32)
    return np.maximum(stored, 1), np.where(stored > 0, fraction | 0x400, fraction)


def _word(bits: NDArray[Any]) -> NDArray[np.uint64]:
    """Bits [n, <= 64] as uint64[n], column j as bit j."""
    places = np.arange(bits.shape[1], dtype=np.uint64)
    return np.asarray(np.bitwise_or.reduce(bits.astype(np.uint64) << places, axis=1), np.uint64)
