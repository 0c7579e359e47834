"""A trace of all accesses of a program behind two levels of cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from simulator.core.errors import WorkloadError
from simulator.memory.cache_filter import CacheFilter, CacheLevel
from simulator.workload.access_file import AccessFile
from simulator.workload.access_pages import AccessRecords, ClockSamples
from simulator.workload.accesses import LINE_BYTES, LINES_PER_PAGE, AccessStream

_LINE_BYTES = np.uint64(LINE_BYTES)
_LINES_PER_PAGE = np.uint64(LINES_PER_PAGE)


def filter_of(l1: str, llc: str) -> CacheFilter:
    """Empty caches of size/ways as options say them. Raises ConfigError naming the option."""
    return CacheFilter(CacheLevel.parse(l1, where="--l1"), CacheLevel.parse(llc, where="--llc"))


def behind_caches(stream: AccessStream, caches: CacheFilter, file: str | Path) -> AccessStream:
    """What of a stream leaves the caches, its pages numbered anew as they first appear.

    Sets are found by address where the stream has addresses, else by line id. Raises WorkloadError, naming `file`,
    where a record stands for several lines or nothing leaves the caches.
    """
    if stream.lines_per_record != 1:
        raise WorkloadError(
            f"its records stand for up to {stream.lines_per_record} lines each, which no cache sees one by one",
            where=str(file),
            remedy="convert it without --cache",
        )
    pages = stream.page_address
    if pages is None:
        pages = np.arange(stream.n_pages, dtype=np.uint64)
    records, samples = AccessRecords(AccessFile(Path(file))), ClockSamples()
    for chunk in stream.chunks():
        line = chunk.line.astype(np.uint64)
        traffic = caches.filter(
            pages[line // _LINES_PER_PAGE] * _LINES_PER_PAGE + line % _LINES_PER_PAGE, chunk.is_write
        )
        records.add(traffic.line * _LINE_BYTES, traffic.is_write)
        if stream.clock is not None:
            samples.add(np.rint(stream.clock.at(chunk.first + traffic.cause)).astype(np.int64))
    if not caches.n_reads:
        raise WorkloadError("nothing leaves the caches", where=str(file), remedy="make the caches smaller with --llc")
    clock = samples.clock(stream.clock.unit) if stream.clock is not None else None
    note = f"what {stream.n_records:,} accesses let out of an L1D of {caches.l1} and an LLC of {caches.llc}"
    return replace(records.stream(clock, (note,)), name=stream.name)
