"""Streams of memory accesses: what leaves a processor's last-level cache, 64-byte line by line, in order.

A page's id is its number in order of first appearance, which stands for a physical frame under first-touch allocation;
a line's id is its page's times 64 plus the word (64 B, as M5 says) within the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError

LINE_BYTES = 64
PAGE_BYTES = 4096
LINES_PER_PAGE = PAGE_BYTES // LINE_BYTES
CHUNK_RECORDS = 1 << 20

ClockUnit = Literal["instructions", "ps"]


@dataclass(frozen=True, slots=True, eq=False)
class AccessChunk:
    """Consecutive records: the first one's number, `line` uint32[n] ids of the first line and `is_write` bool[n]."""

    first: int
    line: NDArray[np.uint32]
    is_write: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.line)


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """When records come: `samples` int64[k] of retired instructions, or of picoseconds, at record 0, `every`, 2 x
    `every` and so on, never falling. Between two samples it runs evenly, after the last one as before it."""

    samples: NDArray[np.int64]
    every: int
    unit: ClockUnit

    def at(self, record: NDArray[np.int64]) -> NDArray[np.float64]:
        """The clock at records, float64[n]."""
        samples = self.samples
        if len(samples) < 2:
            return np.full(len(record), float(samples[0]) if len(samples) else 0.0)
        block = np.minimum(record // self.every, len(samples) - 2)
        step = (samples[block + 1] - samples[block]) / self.every
        at: NDArray[np.float64] = samples[block] + (record - block * self.every) * step
        return at


@dataclass(frozen=True, slots=True)
class Region:
    """Pages `first` to `end` (not included) that hold one kind of thing, such as weights."""

    name: str
    first: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class AccessStream:
    """A stream of `n_records` accesses to `n_pages` pages; its records are made anew at every pass.

    `make_chunks(n)` gives them in order, no more than n at a time; `chunks` fills what it leaves. A record stands for
    `lines_per_record` consecutive lines of one page. `page_address` uint64[n_pages] is the number (address / 4 KiB) of
    each page where the stream has addresses, `request_starts` int64[m] the records at which requests begin where it has
    requests.
    """

    name: str
    n_records: int
    n_pages: int
    make_chunks: Callable[[int], Iterator[AccessChunk]]
    lines_per_record: int = 1
    clock: Clock | None = None
    page_address: NDArray[np.uint64] | None = None
    regions: tuple[Region, ...] = ()
    request_starts: NDArray[np.int64] | None = None
    checksum: str = ""
    notes: tuple[str, ...] = ()

    @property
    def footprint_bytes(self) -> int:
        """Bytes of all pages."""
        return self.n_pages * PAGE_BYTES

    def chunks(self, n_records: int = CHUNK_RECORDS) -> Iterator[AccessChunk]:
        """All records in order, `n_records` at a time, the last fewer."""
        return _rejoined(self.make_chunks(n_records), n_records)

    @classmethod
    def of_arrays(
        cls,
        name: str,
        line: NDArray[np.uint32],
        is_write: NDArray[np.bool_],
        n_pages: int,
        *,
        clock: Clock | None = None,
        page_address: NDArray[np.uint64] | None = None,
    ) -> AccessStream:
        """A stream that is held whole: `line` uint32[n] and `is_write` bool[n]."""

        def make_chunks(n_records: int) -> Iterator[AccessChunk]:
            for first in range(0, len(line), n_records):
                end = first + n_records
                yield AccessChunk(first, line[first:end], is_write[first:end])

        return cls(name, len(line), n_pages, make_chunks, clock=clock, page_address=page_address)

    def head(self, n_records: int) -> AccessStream:
        """The first records, and the pages that they touch (all pages, where the stream has regions).

        Raises WorkloadError where there are not so many.
        """
        if not 1 <= n_records <= self.n_records:
            raise WorkloadError(
                f"{n_records:,} accesses of a trace of {self.n_records:,}",
                where=self.name,
                remedy=f"take 1 to {self.n_records:,}",
            )
        source = self

        def make_chunks(chunk_records: int) -> Iterator[AccessChunk]:
            for chunk in source.make_chunks(chunk_records):
                kept = n_records - chunk.first
                if kept <= 0:
                    return
                yield AccessChunk(chunk.first, chunk.line[:kept], chunk.is_write[:kept])

        n_pages = self.n_pages
        if not self.regions:
            n_pages = 1 + max(int(chunk.line.max()) // LINES_PER_PAGE for chunk in make_chunks(CHUNK_RECORDS))
        starts = self.request_starts
        return replace(
            self,
            n_records=n_records,
            n_pages=n_pages,
            make_chunks=make_chunks,
            page_address=None if self.page_address is None else self.page_address[:n_pages],
            request_starts=None if starts is None else starts[starts < n_records],
        )

    def by_line(self) -> AccessStream:
        """The same accesses with a record for each line."""
        n_lines, source = self.lines_per_record, self
        if n_lines == 1:
            return self

        def make_chunks(chunk_records: int) -> Iterator[AccessChunk]:
            for chunk in source.make_chunks(max(1, chunk_records // n_lines)):
                line = np.repeat(chunk.line, n_lines)
                line += np.tile(np.arange(n_lines, dtype=np.uint32), len(chunk))
                yield AccessChunk(chunk.first * n_lines, line, np.repeat(chunk.is_write, n_lines))

        clock, starts = self.clock, self.request_starts
        return replace(
            self,
            n_records=self.n_records * n_lines,
            make_chunks=make_chunks,
            lines_per_record=1,
            clock=None if clock is None else replace(clock, every=clock.every * n_lines),
            request_starts=None if starts is None else starts * n_lines,
        )

    def repeated(self, times: int) -> AccessStream:
        """The stream `times` times over, one pass after the other; clock and requests go on from pass to pass."""
        if times == 1 or not self.n_records:
            return self
        source, n_records = self, self.n_records

        def make_chunks(chunk_records: int) -> Iterator[AccessChunk]:
            for number in range(times):
                for chunk in source.make_chunks(chunk_records):
                    yield AccessChunk(chunk.first + number * n_records, chunk.line, chunk.is_write)

        starts = self.request_starts
        if starts is not None:
            starts = np.concatenate([starts + number * n_records for number in range(times)])
        return replace(
            self,
            n_records=n_records * times,
            make_chunks=make_chunks,
            clock=self._clock_of(times),
            request_starts=starts,
        )

    def _clock_of(self, times: int) -> Clock | None:
        """The clock of so many passes, sampled as densely as the stream's own."""
        clock, n_records = self.clock, self.n_records
        if clock is None or not len(clock.samples):
            return clock
        ends = clock.at(np.array([0, n_records]))
        span = float(ends[1] - ends[0])
        record = np.arange(0, n_records * times + clock.every, clock.every)
        number, within = np.divmod(record, n_records)
        samples = clock.at(within) + number * span
        if samples[-1] >= float(np.iinfo(np.int64).max):
            raise WorkloadError(
                f"{times:,} passes take more {clock.unit} than int64 counts",
                where=self.name,
                remedy="repeat it fewer times",
            )
        return Clock(np.rint(samples).astype(np.int64), clock.every, clock.unit)


def _rejoined(chunks: Iterator[AccessChunk], n_records: int) -> Iterator[AccessChunk]:
    """The same records `n_records` at a time, whatever the length of the chunks that they come in."""
    held: list[AccessChunk] = []
    n_held = 0
    for chunk in chunks:
        at = 0
        while at < len(chunk):
            end = min(len(chunk), at + n_records - n_held)
            held.append(AccessChunk(chunk.first + at, chunk.line[at:end], chunk.is_write[at:end]))
            n_held += end - at
            at = end
            if n_held == n_records:
                yield _joined(held)
                held, n_held = [], 0
    if held:
        yield _joined(held)


def _joined(chunks: list[AccessChunk]) -> AccessChunk:
    if len(chunks) == 1:
        return chunks[0]
    lines = np.concatenate([chunk.line for chunk in chunks])
    return AccessChunk(chunks[0].first, lines, np.concatenate([chunk.is_write for chunk in chunks]))
