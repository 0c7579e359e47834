"""Access traces as numpy archives: written and read again, byte for byte the same, and every broken one refused."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.core.errors import ConfigError, WorkloadError
from simulator.workload.access_reading import access_formats, read_accesses
from simulator.workload.access_writing import write_npz

N = 2500


def columns() -> dict[str, Any]:
    """The members of a small trace, as the format has them."""
    rng = np.random.default_rng(1)
    line = rng.integers(0, 40 * 64, N).astype("<u4")
    return {
        "line_planes": np.ascontiguousarray(line.view(np.uint8).reshape(N, 4).T),
        "write_bits": np.packbits(rng.random(N) < 0.3),
        "n": np.array(N),
        "vpn": np.arange(40, dtype=np.uint64) + 1000,
        "icount_per_1024": np.array([0, 5000, 9000], np.uint64),
    }


def saved(path: Path, members: dict[str, Any], compression: int = zipfile.ZIP_LZMA) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, values in members.items():
            content = io.BytesIO()
            np.save(content, values, allow_pickle=True)
            archive.writestr(f"{name}.npy", content.getvalue())
    return path


def records(stream: Any, chunk: int = 1 << 20) -> tuple[np.ndarray, np.ndarray]:
    chunks = list(stream.chunks(chunk))
    return np.concatenate([c.line for c in chunks]), np.concatenate([c.is_write for c in chunks])


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_members_are_what_they_say(tmp_path: Path, compression: int) -> None:
    members = columns()
    stream = read_accesses(saved(tmp_path / "a.npz", members, compression))
    line, is_write = records(stream)
    assert line.tolist() == members["line_planes"].T.copy().view("<u4")[:, 0].tolist()
    assert is_write.tolist() == np.unpackbits(members["write_bits"], count=N).astype(bool).tolist()
    assert (stream.name, stream.n_records, stream.n_pages, len(stream.checksum)) == ("a", N, 40, 64)
    assert stream.clock is not None
    assert (stream.clock.samples.tolist(), stream.clock.unit) == ([0, 5000, 9000], "instructions")


def test_planes_stored_record_by_record(tmp_path: Path) -> None:
    members = columns()
    expected = records(read_accesses(saved(tmp_path / "a.npz", members)))[0]
    turned = {**members, "line_planes": np.asfortranarray(members["line_planes"])}
    assert records(read_accesses(saved(tmp_path / "b.npz", turned)))[0].tolist() == expected.tolist()


def test_a_trace_without_a_clock_and_with_one_of_time(tmp_path: Path) -> None:
    members = columns()
    samples = members.pop("icount_per_1024")
    assert read_accesses(saved(tmp_path / "none.npz", members)).clock is None
    clock = read_accesses(saved(tmp_path / "ps.npz", {**members, "time_ps_per_1024": samples + np.uint64(7)})).clock
    assert clock is not None
    assert (clock.unit, clock.samples.tolist()) == ("ps", [0, 5000, 9000])


def test_chunks_of_any_size_hold_the_same(tmp_path: Path) -> None:
    stream = read_accesses(saved(tmp_path / "a.npz", columns()))
    whole = records(stream)
    for size in (1, 63, 1024, N, N + 1):
        line, is_write = records(stream, size)
        assert (line == whole[0]).all()
        assert (is_write == whole[1]).all()


def test_what_is_written_is_read_again_and_has_the_same_bytes(tmp_path: Path) -> None:
    stream = read_accesses(saved(tmp_path / "a.npz", columns()))
    line, is_write = records(stream)
    assert stream.clock is not None
    for name in ("b.npz", "c.npz"):
        write_npz(tmp_path / name, line, is_write, stream.page_address, stream.clock.samples)
    assert (tmp_path / "b.npz").read_bytes() == (tmp_path / "c.npz").read_bytes()
    again = read_accesses(tmp_path / "b.npz")
    assert records(again)[0].tolist() == line.tolist()
    assert records(again)[1].tolist() == is_write.tolist()
    assert again.page_address is not None
    assert again.page_address.tolist() == list(range(1000, 1040))
    assert again.clock is not None
    assert again.clock.samples.tolist() == [0, 5000, 9000]
    with np.load(tmp_path / "b.npz") as archive:
        assert set(archive.files) == set(columns())


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    there = tmp_path / "there.npz"
    there.write_text("mine")
    one = (np.zeros(1, np.uint32), np.zeros(1, np.bool_))
    with pytest.raises(WorkloadError, match="exists already"):
        write_npz(there, *one)
    with pytest.raises(WorkloadError, match="cannot write the trace"):
        write_npz(tmp_path / "none" / "a.npz", *one)
    assert there.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["there.npz"]


class _Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("unpickled",))


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"n": np.array(N + 9)}, "line_planes is not uint8"),
    ({"n": np.array(-1)}, "n is -1"),
    ({"n": np.array(2.0)}, "n is not int64"),
    ({"n": np.array(0)}, "no accesses"),
    ({"vpn": np.zeros(0, np.uint64)}, "no accesses"),
    ({"vpn": np.arange(30, dtype=np.uint64)}, r"record \d+ is of page 3\d, and vpn numbers 30 pages"),
    ({"vpn": np.full(40, -5)}, "negative number -5"),
    ({"vpn": np.full(40, 2**60, np.uint64)}, "above 2"),
    ({"vpn": np.zeros((4, 10), np.uint64)}, "vpn is not uint64"),
    ({"vpn": np.zeros(40)}, "vpn is not uint64"),
    ({"write_bits": np.zeros(3, np.uint8)}, "write_bits is not uint8"),
    ({"line_planes": np.zeros((4, N), np.int32)}, "line_planes is not uint8"),
    ({"line_planes": np.zeros((2, 2, 2), np.uint8)}, "not a row or a table"),
    ({"icount_per_1024": np.array([0, 9000, 5000], np.uint64)}, "time runs backwards.*record 1,024.*record 2,048"),
    ({"icount_per_1024": np.array([0, 9000], np.uint64)}, "icount_per_1024 is not uint64"),
    ({"icount_per_1024": np.array([0, 1, 2**63], np.uint64)}, "above 2"),
    ({"vpn": np.array([_Harm()], object)}, "pickled Python objects"),
]


@pytest.mark.parametrize(("change", "said"), BROKEN)
def test_a_wrong_member(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = saved(tmp_path / "a.npz", {**columns(), **change})
    with pytest.raises(WorkloadError, match=said) as caught:
        read_accesses(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["line_planes", "write_bits", "n", "vpn"])
def test_a_missing_member(tmp_path: Path, name: str) -> None:
    members = columns()
    del members[name]
    with pytest.raises(WorkloadError, match=f"no member '{name}'"):
        read_accesses(saved(tmp_path / "a.npz", members))


@pytest.mark.parametrize("size", [10, 300, 2000, -30])
def test_a_truncated_archive(tmp_path: Path, size: int) -> None:
    path = saved(tmp_path / "a.npz", columns())
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(WorkloadError, match="archive"):
        read_accesses(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_no_flipped_byte_goes_unseen_or_crashes(tmp_path: Path, compression: int) -> None:
    path = saved(tmp_path / "a.npz", columns(), compression)
    content = path.read_bytes()
    expected = records(read_accesses(path))[0].tolist()
    for at in range(0, len(content), max(1, len(content) // 60)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :])
        try:
            found = records(read_accesses(path, "npz"))[0].tolist()
        except WorkloadError:
            continue
        # A flag or a date of the archive says nothing of its members.
        assert found == expected


def test_a_member_that_claims_more_than_it_has(tmp_path: Path) -> None:
    members = columns()
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, values in members.items():
            content = io.BytesIO()
            np.save(content, values)
            whole = content.getvalue()
            archive.writestr(f"{name}.npy", whole[:-100] if name == "line_planes" else whole)
    with pytest.raises(WorkloadError, match=r"line_planes ends early, after 9,900|line_planes ends early"):
        read_accesses(path)


def test_more_pages_than_line_ids_tell_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.npz", columns())
    monkeypatch.setattr("simulator.workload.access_traces.npz.MAX_PAGES", 39)
    with pytest.raises(WorkloadError, match="40 pages, and line ids of 32 bits hold 39"):
        read_accesses(path)


def test_no_such_file_folder_or_format(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "none.npz", "No such file"), (tmp_path, "folder")):
        with pytest.raises(WorkloadError, match=said) as caught:
            read_accesses(path)
        assert caught.value.exit_code == 3
    (tmp_path / "empty.npz").write_bytes(b"")
    with pytest.raises(WorkloadError, match="no accesses"):
        read_accesses(tmp_path / "empty.npz")
    (tmp_path / "junk.bin").write_bytes(pickle.dumps(_Harm))
    with pytest.raises(WorkloadError):
        read_accesses(tmp_path / "junk.bin")
    with pytest.raises(ConfigError, match="npy"):
        read_accesses(tmp_path / "junk.bin", "npy")
    assert "npz" in access_formats()
