"""A paged key-value cache: which blocks a sequence has, and which lines hold a position's keys and values.

A block's number is the same in every layer; each layer has its own pool of as many blocks. Within a block keys stand
before values, either [tokens, heads, elements] (`nhd`) or [heads, tokens, elements] (`hnd`).

Not modelled: blocks shared by sequences with one prefix, blocks given back as a window moves on, swapping.
Source: Kwon et al. 2023 (PagedAttention), section 4; the layouts are those of FlashInfer's paged cache; free blocks
queue as in vLLM's `FreeKVCacheBlockQueue` (first freed, first taken; a sequence's last block is freed first).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.workload.accesses import LINE_BYTES
from simulator.workload.llm_accesses.selection import Attended

Ints = NDArray[np.int64]


class BlockTables:
    """The blocks of `n_slots` sequences out of a pool of `n_blocks`, each for `block_tokens` positions.

    `table` int64[n_slots, most blocks of a sequence] holds block numbers in the order of positions.
    """

    def __init__(self, n_slots: int, n_blocks: int, block_tokens: int, most_tokens: int) -> None:
        self.block_tokens = block_tokens
        self.table = np.full((n_slots, -(-most_tokens // block_tokens)), -1, dtype=np.int64)
        self._n_held = [0] * n_slots
        self._free = deque(range(n_blocks))

    def grow(self, slot: int, tokens: int) -> None:
        """Take the blocks that the sequence lacks for so many positions."""
        while self._n_held[slot] * self.block_tokens < tokens:
            self.table[slot, self._n_held[slot]] = self._free.popleft()
            self._n_held[slot] += 1

    def release(self, slot: int) -> None:
        """Give all blocks of a sequence back, its last one first."""
        held = self.table[slot, : self._n_held[slot]]
        self._free.extend(held[::-1].tolist())
        held[:] = -1
        self._n_held[slot] = 0


@dataclass(frozen=True, slots=True)
class KvShape:
    """Sizes of one layer's blocks: `row_bytes` are one head's keys of one token; `together` says that the heads of a
    token are read and written together, in one run."""

    block_tokens: int
    n_heads: int
    row_bytes: int
    together: bool
    layout: str

    @property
    def unit_lines(self) -> int:
        """Lines that every run is a multiple of."""
        return self.token_lines if self.together else self.row_bytes // LINE_BYTES

    @property
    def token_lines(self) -> int:
        """Lines of a token's keys, all heads."""
        return self.n_heads * self.row_bytes // LINE_BYTES

    @property
    def block_lines(self) -> int:
        """Lines of a block, keys and values."""
        return 2 * self.block_tokens * self.token_lines

    def lines(self, position_heads: int) -> int:
        """Lines of the keys and values of so many (position, head) pairs."""
        return 2 * position_heads * self.row_bytes // LINE_BYTES

    def runs(self, base_line: int, table: Ints, attended: Attended) -> tuple[Ints, Ints]:
        """First lines and lengths of the runs that hold these positions, in a layer whose pool begins at a line."""
        tokens = self.block_tokens
        first_block = attended.first // tokens
        counts = (attended.first + attended.n_positions - 1) // tokens - first_block + 1
        of, nth = _spread(counts)
        block = first_block[of] + nth
        begin = np.maximum(attended.first[of] - block * tokens, 0)
        end = np.minimum((attended.first + attended.n_positions)[of] - block * tokens, tokens)
        start = base_line + table[attended.sequence[of], block] * self.block_lines
        head = None if attended.head is None else attended.head[of]
        if self.layout == "hnd":
            return self._head_by_head(start, begin, end - begin, head)
        return self._token_by_token(start, begin, end - begin, head)

    def _token_by_token(self, start: Ints, begin: Ints, count: Ints, head: Ints | None) -> tuple[Ints, Ints]:
        if head is None:
            first, length = start + begin * self.token_lines, count * self.token_lines
        else:
            of, nth = _spread(count)
            first = start[of] + (begin[of] + nth) * self.token_lines + head[of] * self.unit_lines
            length = np.full(len(of), self.unit_lines)
        return self._keys_and_values(first), np.repeat(length, 2)

    def _head_by_head(self, start: Ints, begin: Ints, count: Ints, head: Ints | None) -> tuple[Ints, Ints]:
        first, length = start + begin * self.unit_lines, count * self.unit_lines
        plane = self.block_tokens * self.unit_lines
        if head is not None:
            return self._keys_and_values(first + head * plane), np.repeat(length, 2)
        planes = np.arange(2 * self.n_heads) * plane
        return (first[:, None] + planes).ravel(), np.repeat(length, 2 * self.n_heads)

    def _keys_and_values(self, first: Ints) -> Ints:
        both: Ints = first[:, None] + np.array([0, self.block_lines // 2])
        return both.ravel()


def _spread(counts: Ints) -> tuple[Ints, Ints]:
    """Item `i` counts[i] times over: the item's number, and which of its times it is."""
    of = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    return of, np.arange(len(of)) - before[of]
