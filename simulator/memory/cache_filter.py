"""Two cache levels between a program's loads and stores and a memory: what of them reaches the memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ConfigError
from simulator.core.units import parse_quantity, unit
from simulator.kernels.cache_filter import EMPTY, MAX_RECORDS_PER_ACCESS, filter_lines
from simulator.memory.tiers.pages import LINE_BYTES

MAX_CACHE_BYTES = 1 << 32
MAX_LINE = 1 << 62


@dataclass(frozen=True, slots=True)
class CacheLevel:
    """A set-associative cache of 64-byte lines: its size in bytes and the lines of a set."""

    size_bytes: int
    ways: int

    @property
    def n_sets(self) -> int:
        """Sets, of any number; a line's set is its number modulo them."""
        return self.size_bytes // (LINE_BYTES * self.ways)

    def __str__(self) -> str:
        return f"{self.size_bytes / 1024:g}KiB/{self.ways}"

    @classmethod
    def parse(cls, text: str, *, where: str) -> CacheLevel:
        """The level that `32KiB/8` (size / ways) says. Raises ConfigError at `where` for anything that is no cache."""
        size, slash, count = text.rpartition("/")
        remedy = "write size/ways, such as 32KiB/8 or 1MiB/16"
        if not slash or not count.strip().isdecimal() or not int(count):
            raise ConfigError(f"{text!r} is no cache level", where=where, remedy=remedy)
        size_bytes, ways = parse_quantity(size, unit("B"), where=where), int(count)
        if not 0 < size_bytes <= MAX_CACHE_BYTES:
            raise ConfigError(f"{text!r}: a cache holds above 0 bytes, 4 GiB at most", where=where, remedy=remedy)
        if size_bytes % (LINE_BYTES * ways):
            raise ConfigError(
                f"{text!r}: {float(size_bytes):,.10g} bytes are not whole sets of {ways} lines of {LINE_BYTES} bytes",
                where=where,
                remedy=f"give a multiple of {LINE_BYTES * ways:,} bytes",
            )
        return cls(int(size_bytes), ways)


DEFAULT_L1 = CacheLevel(32 << 10, 8)
DEFAULT_LLC = CacheLevel(1 << 20, 16)


@dataclass(frozen=True, slots=True, eq=False)
class CacheTraffic:
    """What left the last level: `line` uint64[n] (address / 64), `is_write` bool[n], and `cause` int64[n], the number
    of the access (of the same call) that caused each record."""

    line: NDArray[np.uint64]
    is_write: NDArray[np.bool_]
    cause: NDArray[np.int64]


class CacheFilter:
    """L1 and last level, both LRU, write-back, write-allocate, neither inclusive nor exclusive; state goes on from call
    to call, so that it does not matter how a stream is cut.

    A miss of a load or a store in both is a read record; a dirty line that leaves the last level a write record.

    Not modelled: prefetching, instruction fetches, other cores, page-table walks, hashed set indices.
    Source: the recipe of the traces that the M5 golden results were made from.
    """

    def __init__(self, l1: CacheLevel = DEFAULT_L1, llc: CacheLevel = DEFAULT_LLC) -> None:
        self.l1 = l1
        self.llc = llc
        self.n_accesses = 0
        self.n_l1_misses = 0
        self.n_reads = 0
        self.n_writes = 0
        self._l1 = np.full((l1.n_sets, l1.ways), EMPTY, np.uint64)
        self._llc = np.full((llc.n_sets, llc.ways), EMPTY, np.uint64)
        self._records = _record_arrays(0)

    def filter(self, line: NDArray[np.uint64], is_store: NDArray[np.bool_]) -> CacheTraffic:
        """The records that accesses `line` uint64[n] (address / 64, below 2^62) and `is_store` bool[n] cause."""
        n_room = MAX_RECORDS_PER_ACCESS * len(line)
        if len(self._records[0]) < n_room:
            self._records = _record_arrays(n_room)
        n_records, n_misses = filter_lines(line, is_store, self._l1, self._llc, *self._records)
        record_line, is_write, cause = self._records
        traffic = CacheTraffic(record_line[:n_records].copy(), is_write[:n_records].copy(), cause[:n_records].copy())
        n_writes = int(np.count_nonzero(traffic.is_write))
        self.n_accesses += len(line)
        self.n_l1_misses += n_misses
        self.n_reads += n_records - n_writes
        self.n_writes += n_writes
        return traffic


def _record_arrays(n: int) -> tuple[NDArray[np.uint64], NDArray[np.bool_], NDArray[np.int64]]:
    return np.empty(n, np.uint64), np.empty(n, np.bool_), np.empty(n, np.int64)
