"""Streams of accesses: chunks, passes, beginnings and clocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError
from simulator.workload.accesses import AccessStream, Clock


def stream(n: int, *, starts: list[int] | None = None, clock: Clock | None = None) -> AccessStream:
    """Records that are told apart by their line."""
    line = np.arange(n, dtype=np.uint32)
    made = AccessStream.of_arrays("made", line, line % 3 == 0, -(-n // 64), clock=clock)
    return replace(made, request_starts=None if starts is None else np.array(starts, np.int64))


def records(source: AccessStream, chunk: int) -> tuple[list[int], list[bool]]:
    """All lines and writes; chunks follow on each other, and are full but for the last."""
    lines: list[int] = []
    writes: list[bool] = []
    lengths = []
    for piece in source.chunks(chunk):
        assert piece.first == len(lines)
        assert len(piece) == len(piece.line) == len(piece.is_write)
        lines += piece.line.tolist()
        writes += piece.is_write.tolist()
        lengths.append(len(piece))
    assert all(length == chunk for length in lengths[:-1])
    assert all(0 < length <= chunk for length in lengths[-1:])
    return lines, writes


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 12), st.integers(1, 5), st.integers(1, 30), st.integers(0, 70))
def test_passes_and_beginnings_are_the_same_records_whatever_the_chunks(
    n: int, times: int, chunk: int, kept: int
) -> None:
    base = stream(n)
    lines = list(range(n)) * times
    writes = [line % 3 == 0 for line in lines]
    repeated = base.repeated(times)
    assert repeated.n_records == len(lines)
    assert records(repeated, chunk) == (lines, writes)
    if not 1 <= kept <= len(lines):
        with pytest.raises(WorkloadError, match=f"{kept} accesses of a trace of {len(lines)}"):
            repeated.head(kept)
        return
    head = repeated.head(kept)
    assert (head.n_records, head.n_pages) == (kept, 1)
    assert records(head, chunk) == (lines[:kept], writes[:kept])
    assert records(head.repeated(2), chunk)[0] == lines[:kept] * 2


def test_a_chunk_larger_than_a_pass_holds_many() -> None:
    assert [len(chunk) for chunk in stream(3).repeated(1000).chunks(1024)] == [1024, 1024, 952]


def test_requests_go_on_from_pass_to_pass() -> None:
    repeated = stream(10, starts=[0, 7]).repeated(3)
    assert repeated.request_starts is not None
    assert repeated.request_starts.tolist() == [0, 7, 10, 17, 20, 27]
    head = repeated.head(17)
    assert head.request_starts is not None
    assert head.request_starts.tolist() == [0, 7, 10]


def clock(samples: list[int], every: int) -> Clock:
    return Clock(np.array(samples, np.int64), every, "instructions")


def at(made: Clock | None, *record: int) -> NDArray[np.float64]:
    assert made is not None
    return made.at(np.array(record, np.int64))


def test_a_clock_runs_evenly_between_samples_and_on_after_the_last() -> None:
    made = clock([5, 15, 15, 45], 10)
    assert at(made, 0, 4, 10, 15, 20, 21, 30, 40).tolist() == [5, 9, 15, 15, 15, 18, 45, 75]
    assert at(clock([5], 10), 0, 99).tolist() == [5, 5]
    assert at(clock([], 10), 0, 99).tolist() == [0, 0]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=6), st.integers(1, 20), st.integers(2, 6), st.data())
def test_a_clock_goes_on_from_pass_to_pass(steps: list[int], every: int, times: int, data: st.DataObject) -> None:
    made = clock(np.cumsum(steps).tolist(), every)
    n = data.draw(st.integers(1, every * len(steps)))
    start, span = at(made, 0)[0], at(made, n)[0] - at(made, 0)[0]
    repeated = stream(n, clock=made).repeated(times).clock
    ends = at(repeated, 0, n * times)
    # Its samples lie elsewhere in each pass, so that what is between two of them may be off.
    off = 2 * max(steps) + 2
    assert abs(ends[0] - start) <= 1
    assert abs(ends[1] - start - times * span) <= off
    every_record = at(repeated, *range(n * times + 1))
    assert (np.diff(every_record) >= -1e-6).all(), "a clock never falls"
    passes, within = np.divmod(np.arange(n * times), n)
    assert np.abs(every_record[:-1] - at(made, *within) - passes * span).max() <= off


def test_a_long_clock_is_held() -> None:
    """10^7 s of a clock in ps would not fit int64: 10^6 s do."""
    made = Clock(np.array([0, 10**15], np.int64), 1024, "ps")
    repeated = stream(1024, clock=made).repeated(1000).clock
    assert at(repeated, 1024 * 1000)[0] == pytest.approx(1e18)
    with pytest.raises(WorkloadError, match="more ps than int64"):
        stream(1024, clock=made).repeated(10_000)


def test_nothing_repeated_is_nothing() -> None:
    empty = stream(0, clock=clock([0, 10], 4), starts=[])
    assert records(empty.repeated(3), 5) == ([], [])
    assert empty.repeated(3).n_records == 0
