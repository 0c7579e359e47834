"""Addresses as line ids: pages are numbered as they first appear, and records are gathered into a stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.workload.access_file import AccessFile
from simulator.workload.accesses import LINE_BYTES, LINES_PER_PAGE, AccessStream, Clock, ClockUnit

MAX_PAGES = 1 << 26
RECORDS_PER_SAMPLE = 1024
_LINE_SHIFT = np.uint64(LINE_BYTES.bit_length() - 1)
_PAGE_SHIFT = np.uint64(LINES_PER_PAGE.bit_length() - 1)
_WORD_MASK = np.uint64(LINES_PER_PAGE - 1)
# Pages seen lately, found by a multiplicative hash: most accesses need no search.
_SLOT_BITS = 16
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_SLOT_SHIFT = np.uint64(64 - _SLOT_BITS)
_NO_PAGE = np.uint64(2**64 - 1)


class PageIds:
    """Page numbers (address / 4 KiB) to ids in order of first appearance."""

    def __init__(self, file: AccessFile) -> None:
        self._file = file
        self._sorted = np.zeros(0, np.uint64)
        self._id = np.zeros(0, np.uint32)
        self._new: list[NDArray[np.uint64]] = []
        self._slot_page = np.full(1 << _SLOT_BITS, _NO_PAGE)
        self._slot_id = np.zeros(1 << _SLOT_BITS, np.uint32)

    def of(self, page: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """The ids of pages in the order in which they were accessed. Raises WorkloadError above 2^26 pages."""
        slot = (page * _SPREAD) >> _SLOT_SHIFT
        ids: NDArray[np.uint32] = self._slot_id[slot]
        missed = np.flatnonzero(self._slot_page[slot] != page)
        if len(missed):
            ids[missed] = self._searched(page[missed])
            self._slot_page[slot[missed]] = page[missed]
            self._slot_id[slot[missed]] = ids[missed]
        return ids

    def pages(self) -> NDArray[np.uint64]:
        """The page number of every id."""
        return np.concatenate(self._new) if self._new else np.zeros(0, np.uint64)

    def _searched(self, page: NDArray[np.uint64]) -> NDArray[np.uint32]:
        at = np.searchsorted(self._sorted, page)
        is_known = self._sorted.take(at, mode="clip") == page if len(self._sorted) else np.zeros(len(page), np.bool_)
        if not is_known.all():
            self._number(page[~is_known])
            at = np.searchsorted(self._sorted, page)
        return self._id[at]

    def _number(self, page: NDArray[np.uint64]) -> None:
        distinct, first = np.unique(page, return_index=True)
        order = np.argsort(first)
        ids = np.empty(len(distinct), np.uint32)
        n_known = len(self._sorted)
        if n_known + len(distinct) > MAX_PAGES:
            raise self._file.error(
                f"more than {MAX_PAGES:,} pages of 4 KiB, which is all that line ids of 32 bits tell apart",
                "cut the trace, or record a smaller program",
            )
        ids[order] = np.arange(n_known, n_known + len(distinct), dtype=np.uint32)
        self._new.append(distinct[order])
        at = np.searchsorted(self._sorted, distinct)
        self._sorted = np.insert(self._sorted, at, distinct)
        self._id = np.insert(self._id, at, ids)


class ClockSamples:
    """A clock gathered from every record's time: the times of record 0, 1,024, 2,048 and so on, from 0."""

    n_records: int

    def __init__(self) -> None:
        self._samples: list[NDArray[np.int64]] = []
        self.n_records = 0
        self._last = 0

    def add(self, times: NDArray[np.int64]) -> None:
        """The times of the next records, which do not fall."""
        if len(times):
            # Copied: a view would keep all the times.
            self._samples.append(times[-self.n_records % RECORDS_PER_SAMPLE :: RECORDS_PER_SAMPLE].copy())
            self.n_records += len(times)
            self._last = int(times[-1])

    def clock(self, unit: ClockUnit) -> Clock:
        """The clock, with a sample behind the end that has the last record come at its time."""
        samples = np.concatenate(self._samples)
        since = self.n_records - 1 - (len(samples) - 1) * RECORDS_PER_SAMPLE
        if since:
            step = (self._last - int(samples[-1])) * RECORDS_PER_SAMPLE // since
            samples = np.append(samples, samples[-1] + step)
        return Clock((samples - samples[0]).astype(np.int64), RECORDS_PER_SAMPLE, unit)


class AccessRecords:
    """Records gathered block by block from the addresses of a file."""

    def __init__(self, file: AccessFile) -> None:
        self._file = file
        self._pages = PageIds(file)
        self._line: list[NDArray[np.uint32]] = []
        self._is_write: list[NDArray[np.bool_]] = []

    def add(self, address: NDArray[np.uint64], is_write: NDArray[np.bool_]) -> None:
        """The next accesses: byte addresses uint64[n] and whether each writes, bool[n]."""
        if len(address):
            line = address >> _LINE_SHIFT
            ids = self._pages.of(line >> _PAGE_SHIFT)
            self._line.append((ids << np.uint32(_PAGE_SHIFT)) | (line & _WORD_MASK).astype(np.uint32))
            self._is_write.append(is_write)

    def stream(self, clock: Clock | None, notes: Sequence[str] = ()) -> AccessStream:
        """The stream of all of them. Raises WorkloadError where there are none."""
        if not self._line:
            raise self._file.empty()
        line, is_write = np.concatenate(self._line), np.concatenate(self._is_write)
        self._line, self._is_write = [line], [is_write]
        pages = self._pages.pages()
        stream = AccessStream.of_arrays("", line, is_write, len(pages), clock=clock, page_address=pages)
        return replace(stream, notes=tuple(notes))
