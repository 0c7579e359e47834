"""`sim trace info` on traces of memory accesses: footprint, mix, concentration, and sparsity with its window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.contracts.results import Distribution, RunRecord, Scalar
from simulator.core.errors import ConfigError
from simulator.kernels import access_counts
from simulator.workload.access_reading import access_format_of, read_accesses
from simulator.workload.accesses import LINES_PER_PAGE, PAGE_BYTES, AccessStream

DEFAULT_WINDOWS = (262_144, 1_048_576)
SPARSE_WORDS = (4, 8, 16, 32, 48)
_N_HOTTEST = 10
_HOT_SHARES = (("reads_of_hottest_1pct_pages_frac", 100), ("reads_of_hottest_10pct_pages_frac", 10))
_WORDS = np.arange(LINES_PER_PAGE + 1)


@dataclass(frozen=True, slots=True, eq=False)
class WordSparsity:
    """How many of a page's 64 words a window of reads touches: over all pairs of a window and a page touched in it.

    `window_reads` 0 is the whole trace; of other windows the last counts only if it is full. `pages` int64[65] counts
    the pairs by the number of words.
    """

    window_reads: int
    pages: NDArray[np.int64]

    @property
    def mean_words(self) -> float:
        """Words touched per touched page."""
        return float((self.pages * _WORDS).sum() / self.pages.sum())

    def at_most(self, n_words: int) -> float:
        """P(words touched <= n)."""
        return float(self.pages[: n_words + 1].sum() / self.pages.sum())


@dataclass(frozen=True, slots=True, eq=False)
class AccessSummary:
    """A stream of accesses in numbers: reads and writes of every page, int64[pages], and words touched per window."""

    stream: AccessStream
    reads: NDArray[np.int64]
    writes: NDArray[np.int64]
    sparsity: tuple[WordSparsity, ...]

    @classmethod
    def of(cls, stream: AccessStream, windows: Sequence[int] = DEFAULT_WINDOWS) -> AccessSummary:
        """The summary of a stream, with windows of so many reads, and of the whole."""
        reads, writes = np.zeros(stream.n_pages, np.int64), np.zeros(stream.n_pages, np.int64)
        counting = [_WordCounts(stream.n_pages, window) for window in (*windows, 0)]
        for chunk in stream.chunks():
            access_counts.count_pages(chunk.line, chunk.is_write, reads, writes)
            for words in counting:
                words.add(chunk.line, chunk.is_write)
        found = (words.sparsity() for words in counting)
        return cls(stream, reads, writes, tuple(one for one in found if one.pages.any()))

    def hottest(self, divisor: int) -> float:
        """Share of all reads that goes to the hottest 1/divisor of the pages that are read."""
        hot = np.sort(self.reads[self.reads > 0])[::-1]
        return float(hot[: max(1, len(hot) // divisor)].sum() / hot.sum())


class _WordCounts:
    """Words touched per page in windows of one size, gathered chunk by chunk."""

    def __init__(self, n_pages: int, window_reads: int) -> None:
        self._window_reads = window_reads
        self._masks = np.zeros(n_pages, np.uint64)
        self._touched = np.zeros(n_pages, np.uint32)
        self._state = np.zeros(access_counts.N_STATE, np.int64)
        self._pages = np.zeros(LINES_PER_PAGE + 1, np.int64)

    def add(self, line: NDArray[np.uint32], is_write: NDArray[np.bool_]) -> None:
        """The next records."""
        access_counts.count_words(
            line, is_write, self._window_reads, self._masks, self._touched, self._state, self._pages
        )

    def sparsity(self) -> WordSparsity:
        """What was found at the end of the trace."""
        if self._window_reads == 0:
            access_counts.end_window(self._masks, self._touched, self._state, self._pages)
        return WordSparsity(self._window_reads, self._pages)


def describe_accesses(file: str | Path, format_name: str = "auto", windows: Sequence[int] = ()) -> RunRecord:
    """Footprint, mix, concentration and sparsity of a trace of accesses, the sparsity with its window of reads.

    Raises WorkloadError, by line, for one that cannot be read, and ConfigError for a window that is no count of reads.
    """
    for window in windows:
        if window < 1:
            raise ConfigError(f"a window of {window} reads", where="--window", remedy="give at least 1")
    stream = read_accesses(file, format_name)
    chosen = tuple(dict.fromkeys(windows)) or DEFAULT_WINDOWS
    summary = AccessSummary.of(stream.by_line(), chosen)
    format_read = access_format_of(file) or format_name if format_name == "auto" else format_name
    found = _record(summary, format_read, chosen)
    if stream.lines_per_record > 1:
        by_line = f"its {stream.n_records:,} records are of {stream.lines_per_record} lines each, told line by line"
        found.notes = (*found.notes, by_line)
    return found


def _record(summary: AccessSummary, format_name: str, windows: Sequence[int]) -> RunRecord:
    stream = summary.stream
    n_reads = int(summary.reads.sum())
    metrics: dict[str, int | float] = {
        "n_records": stream.n_records,
        "n_reads": n_reads,
        "n_writes": stream.n_records - n_reads,
        "read_frac": n_reads / stream.n_records,
        "n_pages": stream.n_pages,
        "footprint_mib": stream.footprint_bytes / 2**20,
        **_time_metrics(stream, n_reads),
    }
    breakdown: dict[str, dict[str, Scalar]] = {}
    distributions: dict[str, Distribution] = {}
    if n_reads:
        metrics.update({name: summary.hottest(divisor) for name, divisor in _HOT_SHARES})
        metrics["n_pages_read"] = int((summary.reads > 0).sum())
        metrics["reads_of_hottest_page"] = int(summary.reads.max())
        metrics["reads_of_median_page"] = float(np.median(summary.reads[summary.reads > 0]))
        breakdown["reads_of_hottest_pages"] = _hottest_pages(summary)
        distributions["reads_per_page"] = Distribution.of(summary.reads[summary.reads > 0])
    if stream.request_starts is not None:
        metrics["n_requests"] = len(stream.request_starts)
    if stream.regions:
        breakdown["reads_by_region"] = {
            region.name: int(summary.reads[region.first : region.end].sum()) for region in stream.regions
        }
    for found in summary.sparsity:
        window = f"{found.window_reads} reads" if found.window_reads else "the whole trace"
        breakdown.setdefault("mean_words_per_touched_page", {})[f"in {window}"] = found.mean_words
        name = f"in_{window}".replace(" ", "_")
        breakdown[f"sparsity_{name}"] = {f"P(words <= {n})": found.at_most(n) for n in SPARSE_WORDS}
        distributions[f"words_per_touched_page_{name}"] = Distribution.of(_WORDS, found.pages)
    short = [f"{window:,}" for window in windows if window > n_reads]
    notes = [f"too short for a window of {' or of '.join(short)} reads"] if short else []
    mix = f"{100 * n_reads / stream.n_records:.1f} % reads"
    size = f"{stream.n_pages:,} pages ({stream.footprint_bytes / 2**20:,.1f} MiB)"
    return RunRecord(
        system=format_name,
        workload=stream.name,
        metrics=metrics,
        breakdown=breakdown,
        headlines=(f"{stream.n_records:,} accesses, {mix}, {size}", f"SHA-256 {stream.checksum}"),
        notes=(*notes, *stream.notes),
        distributions=distributions,
    )


def _time_metrics(stream: AccessStream, n_reads: int) -> dict[str, int | float]:
    """What the clock tells up to its last sample in the trace: instructions and reads per 1,000 of them, or time."""
    clock = stream.clock
    if clock is None:
        return {}
    last = (stream.n_records - 1) // clock.every * clock.every or stream.n_records
    passed = float(np.diff(clock.at(np.array([0, last])))[0])
    if clock.unit == "ps":
        return {"span_ms": passed / 1e9}
    metrics: dict[str, int | float] = {"n_instructions": round(passed)}
    if passed > 0:
        metrics["reads_per_1000_instructions"] = 1000 * n_reads / passed
    return metrics


def _hottest_pages(summary: AccessSummary) -> dict[str, Scalar]:
    """Reads of the pages read most, by address where the trace has addresses, else by id; ties by id."""
    address = summary.stream.page_address
    order = np.argsort(-summary.reads, kind="stable")[:_N_HOTTEST].tolist()
    names = (f"page {page}" if address is None else f"{int(address[page]) * PAGE_BYTES:#x}" for page in order)
    return {name: int(summary.reads[page]) for name, page in zip(names, order, strict=True) if summary.reads[page]}
