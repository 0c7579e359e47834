"""Vector instructions against what they mean in plain words."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from simulator.kernels import vectors

N = 2 * vectors.LANES


@njit
def compiled(words, rows, first, row, base, now, odd, shift):
    """What the three compiled forms make of a row; returns the first of the row."""
    vectors.raise_by_row(words, first, rows, row, base)
    vectors.raise_to(words, first, now)
    return vectors.first_of(words, first, first + vectors.LANES, now, odd, shift)


@pytest.mark.parametrize("seed", range(20))
def test_compiled_as_plain(seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 1000, 3 * N)
    rows = rng.integers(-1000, 1000, 3 * N)
    first, row, base, now, odd, shift = (int(x) for x in rng.integers([0, 0, -50, 0, 0, 3], [9, 40, 50, 900, 2, 30]))
    plain = words.copy()
    vectors.plain_raise_by_row(plain, first, rows, row, base)
    vectors.plain_raise_to(plain, first, now)
    expected = vectors.plain_first_of(plain, first, first + vectors.LANES, now, odd, shift)
    assert compiled(words, rows, first, row, base, now, odd, shift) == expected
    assert (words == plain).all()


def test_aligned() -> None:
    for n in (1, 7, 64, 1001):
        space = vectors.aligned_zeros(n)
        assert len(space) == n
        assert not space.any()
        assert space.ctypes.data % 64 == 0
