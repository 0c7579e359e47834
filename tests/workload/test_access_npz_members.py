"""What only some archives of accesses hold: records of several lines, requests and regions; kept, and checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.core.errors import WorkloadError
from simulator.workload.access_reading import read_accesses
from simulator.workload.access_writing import write_accesses
from simulator.workload.accesses import AccessStream, Clock, Region

N = 3000


def stream() -> AccessStream:
    """Records of four lines of 50 pages, with everything that a stream can have."""
    rng = np.random.default_rng(2)
    line = (rng.integers(0, 48 * 16, N) * 4).astype(np.uint32)
    clock = Clock(np.arange(4, dtype=np.int64) * 1024, 1024, "ps")
    return replace(
        AccessStream.of_arrays("a", line, rng.random(N) < 0.2, 50, clock=clock),
        lines_per_record=4,
        request_starts=np.array([0, 17, 2999]),
        regions=(Region("kv.layer0", 0, 20), Region("kv.layer\u00e9", 20, 50)),
    )


def records(of: AccessStream) -> tuple[list[int], list[bool]]:
    chunks = list(of.chunks(100))
    return [int(x) for c in chunks for x in c.line], [bool(x) for c in chunks for x in c.is_write]


def test_all_of_a_stream_comes_back(tmp_path: Path) -> None:
    written = stream()
    write_accesses(tmp_path / "a.npz", written)
    found = read_accesses(tmp_path / "a.npz")
    assert records(found) == records(written)
    assert (found.n_pages, found.lines_per_record, found.regions) == (50, 4, written.regions)
    assert found.request_starts is not None
    assert found.request_starts.tolist() == [0, 17, 2999]
    write_accesses(tmp_path / "b.npz", found)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_line_by_line(tmp_path: Path) -> None:
    written = stream()
    by_line = written.by_line()
    line, is_write = records(written)
    assert records(by_line) == ([at + n for at in line for n in range(4)], [w for w in is_write for _ in range(4)])
    assert [chunk.first for chunk in by_line.chunks(100)] == list(range(0, 4 * N, 100))
    assert by_line.request_starts is not None
    assert by_line.request_starts.tolist() == [0, 68, 11996]
    assert by_line.clock is not None
    assert written.clock is not None
    assert by_line.clock.at(np.array([0, 400, 8000])).tolist() == written.clock.at(np.array([0, 100, 2000])).tolist()
    assert by_line.by_line() is by_line
    write_accesses(tmp_path / "a.txt", written)
    assert len((tmp_path / "a.txt").read_text().splitlines()) == 4 * N


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"lines_per_record": np.array(3)}, "lines_per_record is not a power of two"),
        ({"lines_per_record": np.array(64)}, "record 0, of 64 lines, does not end in the page"),
        ({"request_starts": np.array([0, 5, 5])}, "request_starts is not rising numbers of the 3,000 records"),
        ({"request_starts": np.array([0, 3000])}, "request_starts is not rising"),
        ({"region_bounds": np.array([0, 20])}, "region_bounds is not rising pages, first and end of each of 2 regions"),
        ({"region_bounds": np.array([0, 20, 20, 51])}, "of the 50 pages"),
        ({"region_bounds": np.array([0, 20, 10, 50])}, "region_bounds is not rising"),
        ({"region_bounds": None}, "no member 'region_bounds'"),
        ({"region_names": np.frombuffer(b"a\n\xff", np.uint8)}, "region_names is no UTF-8"),
    ],
)
def test_other_members_are_refused(tmp_path: Path, changes: dict[str, Any], cause: str) -> None:
    line = np.arange(1, N + 1, dtype="<u4") % np.uint32(50 * 64) // np.uint32(4) * np.uint32(4)
    line[0] = 4
    members: dict[str, Any] = {
        "line_planes": np.ascontiguousarray(line.view(np.uint8).reshape(N, 4).T),
        "write_bits": np.zeros(N // 8, np.uint8),
        "n": np.array(N),
        "vpn": np.arange(50),
        "lines_per_record": np.array(4),
        "request_starts": np.array([0, 2]),
        "region_names": np.frombuffer(b"a\nb", np.uint8),
        "region_bounds": np.array([0, 20, 20, 50]),
    }
    np.savez(tmp_path / "good.npz", **members)
    assert read_accesses(tmp_path / "good.npz").lines_per_record == 4
    kept = {name: values for name, values in {**members, **changes}.items() if values is not None}
    np.savez(tmp_path / "a.npz", **kept)
    with pytest.raises(WorkloadError, match=cause):
        read_accesses(tmp_path / "a.npz")
