"""Records that come piece by piece: the file is the one that is written at once, and it is whole or not there."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError
from simulator.workload import access_spool
from simulator.workload.access_reading import read_accesses
from simulator.workload.access_spool import AccessSpool

Records = tuple[NDArray[np.uint64], NDArray[np.bool_], NDArray[np.int64]]


def records(n: int) -> Records:
    rng = np.random.default_rng(n)
    return (
        rng.integers(0, 5000, n).astype(np.uint64) + np.uint64(1 << 40),
        rng.random(n) < 0.4,
        7 + np.cumsum(rng.integers(0, 9, n)),
    )


def spooled(path: Path, columns: Records, pieces: list[int]) -> int:
    with AccessSpool(path) as spool:
        first = 0
        for length in [*pieces, len(columns[0])]:
            spool.add(*(column[first : first + length] for column in columns))
            first += length
        return spool.finish()


@pytest.mark.parametrize("n", [1, 7, 1024, 1025, 5000])
def test_what_is_read_back_is_what_was_added_however_it_was_cut(tmp_path: Path, n: int) -> None:
    line, is_write, instructions = records(n)
    sizes = [
        spooled(tmp_path / "a.npz", (line, is_write, instructions), []),
        spooled(tmp_path / "b.npz", (line, is_write, instructions), [0, 1, 3, n // 3, 1]),
    ]
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sizes == [(tmp_path / "a.npz").stat().st_size] * 2
    stream = read_accesses(tmp_path / "b.npz")
    chunk = next(stream.chunks())
    assert stream.page_address is not None
    assert stream.clock is not None
    address = stream.page_address[chunk.line // 64] * np.uint64(64) + chunk.line % 64
    np.testing.assert_array_equal(address, line)
    np.testing.assert_array_equal(chunk.is_write, is_write)
    at = np.arange(0, n, 1024)
    np.testing.assert_array_equal(stream.clock.at(at), instructions[at] - instructions[0])


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(access_spool, "archive_column", fail)
    with pytest.raises((WorkloadError, KeyboardInterrupt)) as caught:
        spooled(tmp_path / "a.npz", records(2000), [])
    assert isinstance(caught.value, KeyboardInterrupt) or "No space left" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_nor_left_by_who_does_not_finish(tmp_path: Path) -> None:
    taken = tmp_path / "taken.npz"
    taken.write_text("mine")
    with pytest.raises(WorkloadError, match="exists already"):
        AccessSpool(taken)
    with AccessSpool(tmp_path / "a.npz") as spool:
        spool.add(*records(10))
    assert [path.name for path in tmp_path.iterdir()] == ["taken.npz"]
    with pytest.raises(WorkloadError, match="No such file"), AccessSpool(tmp_path / "nowhere" / "a.npz"):
        pass
