"""Runs of lines to records, and records to chunks of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.workload.accesses import AccessChunk

# Records that are written out at once: it bounds memory and decides nothing.
_SLICE_RECORDS = 1 << 18

Lines = NDArray[np.uint32]


class Piece(NamedTuple):
    """Consecutive records of one kind: how many, whether they write, and what makes them, a part at a time."""

    n_records: int
    is_write: bool
    make: Callable[[], Iterator[Lines]]


def sequential(first_line: int, n_records: int, lines_per_record: int) -> Piece:
    """Reads of `n_records` one after the other."""

    def make() -> Iterator[Lines]:
        for first in range(0, n_records, _SLICE_RECORDS):
            end = min(first + _SLICE_RECORDS, n_records)
            lines = np.arange(first, end, dtype=np.uint32)
            lines *= np.uint32(lines_per_record)
            lines += np.uint32(first_line)
            yield lines

    return Piece(n_records, False, make)


def scattered(first_line: NDArray[np.int64], n_lines: NDArray[np.int64], lines_per_record: int) -> Iterator[Lines]:
    """The records of runs that begin at `first_line` int64[n] and have `n_lines` int64[n]: multiples of a record's."""
    if len(n_lines) and (n_lines == n_lines[0]).all():
        each = int(n_lines[0]) // lines_per_record
        within = np.arange(each, dtype=np.int64) * lines_per_record
        rows = max(1, _SLICE_RECORDS // each)
        for first in range(0, len(first_line), rows):
            yield (first_line[first : first + rows, None] + within).ravel().astype(np.uint32)
        return
    counts = n_lines // lines_per_record
    ends = np.cumsum(counts)
    first = 0
    while first < len(counts):
        done = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + _SLICE_RECORDS, side="right")))
        part = slice(first, last)
        offset = first_line[part] - (ends[part] - counts[part] - done) * lines_per_record
        records = np.repeat(offset, counts[part])
        records += np.arange(len(records), dtype=np.int64) * lines_per_record
        yield records.astype(np.uint32)
        first = last


def chunked(pieces: Iterator[Piece], n_records: int) -> Iterator[AccessChunk]:
    """The records of all pieces in order, `n_records` to a chunk and the last ones in a shorter one."""
    first = filled = 0
    line, is_write = np.empty(n_records, np.uint32), np.zeros(n_records, np.bool_)
    for piece in pieces:
        for records in piece.make():
            taken = 0
            while taken < len(records):
                count = min(n_records - filled, len(records) - taken)
                line[filled : filled + count] = records[taken : taken + count]
                if piece.is_write:
                    is_write[filled : filled + count] = True
                filled, taken = filled + count, taken + count
                if filled == n_records:
                    yield AccessChunk(first, line, is_write)
                    first, filled = first + n_records, 0
                    line, is_write = np.empty(n_records, np.uint32), np.zeros(n_records, np.bool_)
    if filled:
        yield AccessChunk(first, line[:filled], is_write[:filled])
