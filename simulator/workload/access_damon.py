"""A stream of accesses made from DAMON's counts: as many as were counted, at 4 KiB pages, evenly spread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.workload.access_file import AccessFile
from simulator.workload.access_pages import MAX_PAGES, RECORDS_PER_SAMPLE
from simulator.workload.accesses import LINES_PER_PAGE, AccessChunk, AccessStream, Clock

_MIN_ROUNDS = 20
_NOTES = (
    "DAMON's records hold regions and counts, no accesses. Made up here: the order of accesses, their even spread over "
    "the samplings of a window and over a region's pages, and the line within a page (sampling k touches line k "
    "modulo 64); all are reads. Regions that were never found accessed are left out of the footprint.",
    "useless for hot-page and hot-word trackers, which live on order and lines; good for policies that see regions",
)


@dataclass(frozen=True, slots=True)
class Regions:
    """One window: its time, and the regions found accessed, by first page, end page and count, in order of address."""

    start_ps: int
    end_ps: int
    found: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """Runs of consecutive pages, in the order of the stream: `place` int64[m] of the first page among all pages in
    order of address, `end` int64[m], the record after the run's last, and the line within the page, uint32[m]."""

    place: NDArray[np.int64]
    end: NDArray[np.int64]
    word: NDArray[np.uint32]


def damon_stream(file: AccessFile, windows: Sequence[Regions]) -> AccessStream:
    """The stream of all windows. Raises WorkloadError where no region was found accessed, or more than 2^26 pages."""
    found = np.array([one for window in windows for one in window.found], np.uint64).reshape(-1, 3)
    if not len(found):
        raise file.error("no region was found accessed", "record while the program runs, or sample more often")
    begin, end, base, n_pages = _union(found)
    if n_pages > MAX_PAGES:
        raise file.error(f"{n_pages:,} pages, and line ids of 32 bits hold {MAX_PAGES:,}", "cut the records")
    place = (base + (found[:, 0] - begin)).astype(np.int64)
    runs, window_records = _runs(windows, place)
    ids, address = _numbered(runs, begin, end, base, n_pages)
    n_records = int(runs.end[-1])

    def make_chunks(chunk_records: int) -> Iterator[AccessChunk]:
        for first in range(0, n_records, chunk_records):
            line = _lines(runs, ids, first, min(n_records, first + chunk_records))
            yield AccessChunk(first, line, np.zeros(len(line), np.bool_))

    clock = _clock(windows, window_records)
    return AccessStream("", n_records, n_pages, make_chunks, clock=clock, page_address=address, notes=_NOTES)


def _union(
    found: NDArray[np.uint64],
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], int]:
    """Of every region the stretch of pages that it lies in: begin, end, and how many pages lie before it; all pages."""
    order = np.argsort(found[:, 0], kind="stable")
    start, end = found[order, 0], np.maximum.accumulate(found[order, 1])
    is_new = np.concatenate((np.ones(1, np.bool_), start[1:] > end[:-1]))
    stretch = np.cumsum(is_new) - 1
    begins = start[is_new]
    ends = end[np.concatenate((np.flatnonzero(is_new)[1:] - 1, np.array([len(end) - 1])))]
    lengths = ends - begins
    bases = np.cumsum(lengths) - lengths
    of_region = np.empty(len(found), np.intp)
    of_region[order] = stretch
    return begins[of_region], ends[of_region], bases[of_region], int(lengths.sum())


def _runs(windows: Sequence[Regions], place: NDArray[np.int64]) -> tuple[_Runs, NDArray[np.int64]]:
    """All runs, and the number of records of every window."""
    most = max(count for window in windows for _, _, count in window.found)
    n_rounds = max(_MIN_ROUNDS, most)
    rounds = np.arange(n_rounds)[:, None]
    places, lengths, words = [], [], []
    n_of_window = np.zeros(len(windows), np.int64)
    first = 0
    for number, window in enumerate(windows):
        if not window.found:
            continue
        table = np.array(window.found, np.uint64)
        count = table[:, 2].astype(np.int64)
        n_pages = (table[:, 1] - table[:, 0]).astype(np.int64)
        # A region that was found c times of n is accessed in c of n rounds, as evenly as whole rounds allow.
        taken = (rounds + 1) * count // n_rounds > rounds * count // n_rounds
        which, region = np.nonzero(taken)
        places.append(place[first : first + len(table)][region])
        lengths.append(n_pages[region])
        words.append(((number * n_rounds + which) % LINES_PER_PAGE).astype(np.uint32))
        n_of_window[number] = int((count * n_pages).sum())
        first += len(table)
    return _Runs(np.concatenate(places), np.cumsum(np.concatenate(lengths)), np.concatenate(words)), n_of_window


def _numbered(
    runs: _Runs, begin: NDArray[np.uint64], end: NDArray[np.uint64], base: NDArray[np.uint64], n_pages: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
    """The id of every page in order of address, uint32[pages], and the page number of every id, uint64[pages]."""
    number = np.empty(n_pages, np.uint64)
    for first in np.unique(base, return_index=True)[1].tolist():
        at = int(base[first])
        number[at : at + int(end[first] - begin[first])] = np.arange(begin[first], end[first], dtype=np.uint64)
    id_of = np.full(n_pages, -1, np.int64)
    n_known = 0
    start = np.concatenate((np.zeros(1, np.int64), runs.end[:-1]))
    seen: set[tuple[int, int]] = set()
    for place, length in zip(runs.place.tolist(), (runs.end - start).tolist(), strict=True):
        if n_known == n_pages or (place, length) in seen:
            continue
        seen.add((place, length))
        unknown = place + np.flatnonzero(id_of[place : place + length] < 0)
        id_of[unknown] = np.arange(n_known, n_known + len(unknown))
        n_known += len(unknown)
    address = np.empty(n_pages, np.uint64)
    address[id_of] = number
    return id_of.astype(np.uint32), address


def _lines(runs: _Runs, ids: NDArray[np.uint32], first: int, end: int) -> NDArray[np.uint32]:
    """The line ids of records `first` to `end` (not included)."""
    at, last = np.searchsorted(runs.end, (first, end - 1), side="right")
    run_end = np.minimum(runs.end[at : last + 1], end)
    run_start = np.concatenate((np.array([first]), run_end[:-1]))
    whole_start = np.concatenate((runs.end[at - 1 : at] if at else np.zeros(1, np.int64), runs.end[at:last]))
    run = np.repeat(np.arange(at, last + 1), run_end - run_start)
    page = runs.place[run] + np.arange(first, end) - whole_start[run - at]
    line: NDArray[np.uint32] = (ids[page] * np.uint32(LINES_PER_PAGE)) + runs.word[run]
    return line


def _clock(windows: Sequence[Regions], window_records: NDArray[np.int64]) -> Clock:
    """Picoseconds since the first window, even within each."""
    n_records = int(window_records.sum())
    record = np.arange(0, n_records + RECORDS_PER_SAMPLE, RECORDS_PER_SAMPLE)
    end = np.cumsum(window_records)
    window = np.minimum(np.searchsorted(end, record, side="right"), np.flatnonzero(window_records)[-1])
    origin = windows[0].start_ps
    start_ps = np.array([one.start_ps - origin for one in windows], np.int64)
    end_ps = np.array([one.end_ps - origin for one in windows], np.int64)
    # A sample behind the end of the records comes at the end of the last window.
    into = np.minimum((record - (end - window_records)[window]) / window_records[window], 1.0)
    samples = start_ps[window] + np.rint(into * (end_ps - start_ps)[window]).astype(np.int64)
    samples = np.maximum.accumulate(samples)
    return Clock(samples - samples[0], RECORDS_PER_SAMPLE, "ps")
