"""DAMON records as access streams: every page as often as its region was counted, and what cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.core.errors import WorkloadError
from simulator.workload.access_reading import access_format_of, read_accesses
from simulator.workload.accesses import AccessStream

PERF = """# tracer: nop
  kdamond.0 46568 [027] 79357.100000: damon:damon_aggregated: target_id=0 nr_regions=3 4096-12288: 5 864
  kdamond.0 46568 [027] 79357.100003: damon:damon_aggregated: target_id=0 nr_regions=3 12288-20480: 0 864
  kdamond.0 46568 [027] 79357.100004: damon:damon_aggregated: target_id=0 nr_regions=3 40960-45056: 20 1
  kdamond.0 46568 [027] 79357.100005: damon:damos_before_apply: ctx_idx=0 target_idx=0 nr_regions=3 1-2: 0 1
  kdamond.0 46568 [027] 79357.200000: damon:damon_aggregated: target_id=0 nr_regions=1 4096-20480: 2 0
"""
REPORT = """base_time_absolute: 8 m 59.809 s

monitoring_start:                0 ns
monitoring_end:            100.5 ms
monitoring_duration:       100.5 ms
target_id: 0
nr_regions: 2
# start_addr     end_addr        length  nr_accesses   age
000000001000-000000003000 (   8.000 KiB)           5     0
00000000a000-00000000b000 (   4.000 KiB)          20     1

monitoring_start:          100.5 ms
monitoring_end:            200.5 ms
monitoring_duration:       100.0 ms
target_id: 0
nr_regions: 1
000000001000-000000005000(  16.000 KiB):\t2
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "damon.txt"
    path.write_text(text, encoding="utf-8")
    return path


def counts(stream: AccessStream, first: int = 0, end: int | None = None) -> dict[int, int]:
    """Accesses of every page number."""
    assert stream.page_address is not None
    line = np.concatenate([chunk.line for chunk in stream.chunks(11)])[first:end]
    number, count = np.unique(stream.page_address[line >> 6], return_counts=True)
    return dict(zip(number.tolist(), count.tolist(), strict=True))


@pytest.mark.parametrize("text", [PERF, REPORT])
def test_pages_are_accessed_as_often_as_counted(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    assert access_format_of(path) == "damon"
    stream = read_accesses(path)
    assert (stream.n_records, stream.n_pages) == (2 * 5 + 20 + 4 * 2, 5)
    assert counts(stream, 0, 30) == {1: 5, 2: 5, 10: 20}
    assert counts(stream, 30) == {1: 2, 2: 2, 3: 2, 4: 2}
    assert stream.page_address is not None
    assert stream.page_address.tolist() == [10, 1, 2, 3, 4]  # first seen first
    assert "Made up" in stream.notes[0]
    assert "useless for hot-page and hot-word trackers" in stream.notes[1]


def test_the_clock_goes_by_windows(tmp_path: Path) -> None:
    big = PERF.replace("4096-12288: 5", "4096-40960000: 5").replace("4096-20480: 2", "4096-40960000: 2")
    clock = read_accesses(written(tmp_path, big.replace("12288-20480: 0", "50000000-60000000: 0"))).clock
    assert clock is not None
    assert clock.unit == "ps"
    n_first = (40960000 - 4096) // 4096 * 5 + 20
    assert clock.at(np.array([n_first]))[0] == pytest.approx(1e11, rel=0.01)
    report = read_accesses(written(tmp_path, REPORT)).clock
    assert report is not None
    assert report.samples.tolist() == [0, 200_500_000_000]


def test_accesses_are_spread_over_a_window(tmp_path: Path) -> None:
    line = next(iter(read_accesses(written(tmp_path, PERF)).chunks(1000))).line
    where = np.flatnonzero((line >> 6)[:30] == 1)  # counted in 5 of 20 samplings
    assert np.diff(where).tolist() == [6, 6, 6, 6]  # 4 of the page counted in all, 2 of this region


def test_chunks_of_any_size_hold_the_same(tmp_path: Path) -> None:
    stream = read_accesses(written(tmp_path, REPORT))
    whole = next(iter(stream.chunks(1 << 20))).line.tolist()
    for size in (1, 3, 10, 38):
        chunks = list(stream.chunks(size))
        assert [line for chunk in chunks for line in chunk.line.tolist()] == whole
        assert [chunk.first for chunk in chunks] == list(range(0, 38, size))


def test_half_a_billion_of_of_accesses_is_not_held(tmp_path: Path) -> None:
    text = "".join(
        f"kdamond.0 1 [0] {second}.5: damon:damon_aggregated: target_id=0 nr_regions=1 0-{2**28}: 20 0\n"
        for second in range(400)
    )
    stream = read_accesses(written(tmp_path, text))
    assert stream.n_records == 400 * 20 * 2**16
    assert len(next(iter(stream.chunks(1000)))) == 1000


BAD = [
    ("target_id=0 nr_regions=1 4096-4096: 1 0", 1, "ends where it begins"),
    ("target_id=0 nr_regions=1 8192-4096: 1 0", 1, "ends where it begins"),
    ("target_id=0 nr_regions=1 -4096-4096: 1 0", 1, "negative address"),
    (f"target_id=0 nr_regions=1 4096-{2**64 + 1}: 1 0", 1, "above 2^64"),
    ("target_id=0 nr_regions=1 4096-8192: 99999999 0", 1, "99,999,999 accesses in a window"),
    ("target_id=0 nr_regions=1 4096-8192: 0 0", 0, "no region was found accessed"),
    (f"target_id=0 nr_regions=1 0-{2**40}: 1 0", 0, "pages, and line ids of 32 bits hold"),
    ("target_id=0 nr_regions=x 4096-8192: 0 0", 1, "is no record of DAMON"),
]


@pytest.mark.parametrize(("record", "line", "said"), BAD)
def test_a_bad_record(tmp_path: Path, record: str, line: int, said: str) -> None:
    path = written(tmp_path, f"kdamond.0 1 [0] 1.5: damon:damon_aggregated: {record}\n")
    with pytest.raises(WorkloadError) as caught:
        read_accesses(path, "damon")
    assert str(caught.value).startswith(f"{path}:{line}" if line else f"{path}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("[027] 79357.2", "[027] 79356.2", 6, "time runs backwards"),
        ("target_id=0 nr_regions=1", "target_id=3 nr_regions=1", 6, "two targets, 0 and 3"),
        ("# tracer: nop", "hello", 1, "is no record of DAMON"),
    ],
)
def test_a_bad_line_among_good_ones(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    assert old in PERF
    path = written(tmp_path, PERF.replace(old, new))
    with pytest.raises(WorkloadError) as caught:
        read_accesses(path, "damon")
    assert str(caught.value).startswith(f"{path}:{line}")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("monitoring_end:            100.5 ms", "monitoring_end:  soon", 4, "'soon' is no time"),
        ("monitoring_end:            200.5 ms", "monitoring_end:  90 ms", 13, "time runs backwards"),
        ("target_id: 0\nnr_regions: 1", "target_id: 1\nnr_regions: 1", 15, "two targets"),
        (REPORT[: REPORT.index("0000")], "", 1, "a region before any window"),
    ],
)
def test_a_bad_line_of_a_report(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    assert old in REPORT
    path = written(tmp_path, REPORT.replace(old, new))
    with pytest.raises(WorkloadError) as caught:
        read_accesses(path, "damon")
    assert str(caught.value).startswith(f"{path}:{line}")
    assert said in str(caught.value)
