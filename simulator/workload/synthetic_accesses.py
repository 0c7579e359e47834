"""Accesses that are drawn, not recorded: pages by a Zipf law or all alike, words of a page all alike; of any length."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from simulator.core.seeds import child_rng
from simulator.workload.accesses import LINES_PER_PAGE, AccessChunk, AccessStream

_BLOCK = 1 << 18
_CHANCE_BITS = 20
_WORD_BITS = 12
_READ_BITS = 16


class SyntheticAccesses(BaseModel):
    """What is drawn: `n_accesses` of `n_pages` pages, of which the one of rank r has a weight of r^-`zipf` (0: all are
    alike) and a random id; in a page one of its first `n_words` words; a read with probability `read_frac`, in steps of
    2^-16. Draws are independent of one another.

    Not modelled: locality in time, which real programs have, and phases. Each block of accesses has a random stream of
    its own, so that a stream of any length takes the memory of one block.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_accesses: int = Field(10_000_000, ge=1, le=1 << 40)
    n_pages: int = Field(1 << 18, ge=1, le=1 << 22)
    zipf: float = Field(1.0, ge=0, le=10)
    n_words: int = Field(LINES_PER_PAGE, ge=1, le=LINES_PER_PAGE)
    read_frac: float = Field(1.0, ge=0, le=1)

    def stream(self, seed: int) -> AccessStream:
        """The accesses of a seed, drawn anew at every pass."""
        tables = _AliasTables.of(self.n_pages, self.zipf, child_rng(seed, "accesses", "pages"))

        def make_chunks(n_records: int) -> Iterator[AccessChunk]:
            for first in range(0, self.n_accesses, n_records):
                end = min(first + n_records, self.n_accesses)
                blocks = range(first // _BLOCK, -(-end // _BLOCK))
                parts = [self._block(tables, seed, block) for block in blocks]
                line, is_write = (np.concatenate(columns) for columns in zip(*parts, strict=True))
                begin = first - blocks[0] * _BLOCK
                yield AccessChunk(first, line[begin : begin + end - first], is_write[begin : begin + end - first])

        return AccessStream(self._name(), self.n_accesses, self.n_pages, make_chunks)

    def _name(self) -> str:
        law = f"Zipf {self.zipf:g}" if self.zipf else "uniform"
        return f"{self.n_accesses:,} accesses to {self.n_pages:,} pages, {law}"

    def _block(self, tables: _AliasTables, seed: int, block: int) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """Block number `block` of _BLOCK accesses."""
        draw = child_rng(seed, "accesses", block).integers(0, 1 << 64, _BLOCK, np.uint64)
        page = tables.pages(draw)
        word = ((draw & np.uint64((1 << _WORD_BITS) - 1)) * np.uint64(self.n_words)) >> np.uint64(_WORD_BITS)
        line = page * np.uint32(LINES_PER_PAGE) + word.astype(np.uint32)
        if self.read_frac == 1:
            return line, np.zeros(_BLOCK, np.bool_)
        chance = child_rng(seed, "kinds", block).integers(0, 1 << _READ_BITS, _BLOCK, np.uint32)
        return line, chance >= round(self.read_frac * (1 << _READ_BITS))


class _AliasTables:
    """Draws pages in constant time.  Source: Walker, 1977; Vose, 1991."""

    def __init__(self, threshold: NDArray[np.uint32], own: NDArray[np.uint32], other: NDArray[np.uint32]) -> None:
        self._threshold = threshold
        self._own = own
        self._other = other

    @classmethod
    def of(cls, n_pages: int, zipf: float, rng: np.random.Generator) -> _AliasTables:
        """Tables of n_pages places for weights rank^-zipf; pages have their ranks at random."""
        page = rng.permutation(n_pages).astype(np.uint32)
        weight = np.arange(1, n_pages + 1, dtype=np.float64) ** -zipf
        share = weight * (n_pages / weight.sum())
        other = np.arange(n_pages)
        if zipf:
            _balance(share, other)
        threshold = np.minimum(np.rint(share * (1 << _CHANCE_BITS)), 1 << _CHANCE_BITS).astype(np.uint32)
        return cls(threshold, page, page[other])

    def pages(self, draw: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """Pages uint32[n] of draws uint64[n]: the high half says the place, 20 bits below it which of two."""
        place = ((draw >> np.uint64(32)) * np.uint64(len(self._own))) >> np.uint64(32)
        chance = (draw.astype(np.uint32)) >> np.uint32(_WORD_BITS)
        pages: NDArray[np.uint32] = np.where(chance < self._threshold[place], self._own[place], self._other[place])
        return pages


def _balance(share: NDArray[np.float64], other: NDArray[np.int64]) -> None:
    """Cut shares float64[n], falling, of mean 1, down to what stays at their own place; the rest of each place goes to
    `other` int64[n]."""
    n = len(share)
    shares, others = share.tolist(), other.tolist()
    large = 0
    small = n - 1
    # Shares fall, so large ones lie in front and small ones behind; a large one that became small is dealt with next.
    while small > large:
        place = small
        small -= 1
        while True:
            others[place] = large
            shares[large] -= 1.0 - shares[place]
            if shares[large] >= 1.0 or large + 1 > small:
                break
            place = large
            large += 1
    share[:] = shares
    other[:] = others
