"""Memory traces in text: what each format means, and that a wrong row is named by line and column."""

from __future__ import annotations

import gzip
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.errors import ConfigError, WorkloadError
from simulator.memory.dram.traces.reading import AddressSpace, TraceRequests, coordinates, read_trace

SPACE = AddressSpace(
    names=("channel", "rank", "bank_group", "bank", "row", "column"),
    sizes=(2, 1, 4, 4, 1024, 128),
    capacity_bytes=1 << 20,
    tick_ps=Fraction(625, 2),
)


@pytest.fixture
def read(tmp_path: Path):
    def call(content: str | bytes, format_name: str = "auto") -> TraceRequests:
        path = tmp_path / "t.txt"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_trace(path, SPACE, format_name)

    return call


def test_loads_and_stores(read) -> None:
    trace = read("# a comment\nLD 0x40\n\n  ST 128  # another\r\nld 0XfF\n\tStore\t7\nREAD 0")
    assert trace.format == "load_store"
    assert trace.address.tolist() == [64, 128, 255, 7, 0]
    assert trace.is_write.tolist() == [False, True, False, True, False]
    assert trace.place is None
    assert len(trace.arrive_cyc) == 0


def test_vectors(read) -> None:
    trace = read("R 0,0,1,2,3,8\nW 1, 0, 3, 3, 1023, 127\n")
    assert trace.format == "read_write"
    channel, bank, row = coordinates(trace.place, SPACE.sizes)
    assert (channel.tolist(), bank.tolist(), row.tolist()) == ([0, 1], [6, 15], [3, 1023])
    assert (channel.dtype, bank.dtype, row.dtype) == (np.int32, np.int32, np.int64)
    assert len(set(trace.address.tolist())) == 2


def test_csv(read) -> None:
    trace = read("who, Op ,address,TIME_NS\ncpu 1,R,0x40,0\n,w,64,0.3125\nx,RD,0,0.313\ny,write,1,100.\n")
    assert trace.format == "csv"
    assert trace.address.tolist() == [64, 64, 0, 1]
    assert trace.is_write.tolist() == [False, True, False, True]
    # A tick is 312.5 ps: a request comes with the first tick that is not before its time.
    assert trace.arrive_cyc.tolist() == [0, 1, 2, 320]


def test_csv_of_cycles(read) -> None:
    trace = read("cycle,op,address\n3,R,0\n3,W,64\n10,R,0")
    assert trace.arrive_cyc.tolist() == [3, 3, 10]


def test_csv_of_one_long_time(read) -> None:
    trace = read("time_ns,op,address\n3600000000000,R,0\n")  # an hour
    assert trace.arrive_cyc.tolist() == [-(-3600 * 10**12 * 2 // 625)]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, (1 << 20) - 1), st.booleans()), min_size=1, max_size=50))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[bool, int, bool]]) -> None:
    path = tmp_path_factory.mktemp("t") / "t"
    path.write_text("\n".join(f"{'ST' if w else 'LD'} {hex(a) if h else a}" for w, a, h in rows))
    trace = read_trace(path, SPACE)
    assert trace.address.tolist() == [a for _, a, _ in rows]
    assert trace.is_write.tolist() == [w for w, _, _ in rows]


def test_compressed_traces(read) -> None:
    import pyarrow

    text = b"LD 0x40\nST 128\n"
    packed = pyarrow.compress(text, codec="zstd", asbytes=True)
    for content in (text, gzip.compress(text), packed, b"\xef\xbb\xbf" + text):
        assert read(content).address.tolist() == [64, 128]


@pytest.mark.parametrize(
    ("content", "place", "said"),
    [
        ("LD 0x40\nLD\n", "2:3", "ends before its address"),
        ("LD 0x40\nST 0x\n", "2:4", "not a number"),
        ("LD 0x40\nST 12a\n", "2:4", "'12a', not a number"),
        ("LD 0x40\nST -64\n", "2:4", "below 0"),
        ("LD 0x40\nST 64 64\n", "2:7", "more than the 2 fields"),
        ("LD 0x40\n\n  LOD 64\n", "3:3", "'LOD' is no operation"),
        ("LD 99999999999999999999\n", "1:4", "63 bits"),
        ("LD 0xffffffffffffffff\n", "1:4", "63 bits"),
        ("LD 0x40\n# c\nLD 0x100000 # end\n", "3:1", "0x100000 is beyond the 1,048,576 bytes"),
        ("R 0,0,1,2,3\n", "1:12", "ends before its column"),
        ("R 0,0,1,2,3,8,9\n", "1:15", "more than the 7 fields"),
        ("R 0,0,1,2,3,8\nW 0,0,4,0,0,0\n", "2:1", "bank_group 4 of 4"),
        ("W 2,0,0,0,0,0\n", "1:1", "channel 2 of 2"),
        ("op,address\nR,64\n,64\n", "3:1", "the op is missing"),
        ("op,address\nR\n", "2:2", "ends before its address"),
        ("op,address\nR,64,1\n", "2:5", "more than the 2 fields"),
        ("op,address\nX,64\n", "2:1", "no operation"),
        ("op,addr\nR,64\n", "1:1", "no column `address`"),
        ("op,address,op\nR,64,R\n", "1:1", "one name"),
        ("op,address,cycle,time_ns\nR,64,1,1\n", "1:1", "both"),
        ("cycle,op,address\n5,R,0\n\n4,R,0\n", "4:1", "cycle is before"),
        ("time_ns,op,address\n5.5,R,0\n5.4,R,0\n", "3:1", "time_ns is before"),
        ("time_ns,op,address\n1e3,R,0\n", "2:1", "not a number"),
        ("time_ns,op,address\nnan,R,0\n", "2:1", "not a number"),
        ("time_ns,op,address\n-1,R,0\n", "2:1", "below 0"),
        ("time_ns,op,address\n.,R,0\n", "2:1", "not a number"),
        ("op,address\nR,0x100000\n", "2:1", "beyond"),
        ("\x00\x01\x02\n", "1:1", "no operation"),
    ],
)
def test_rows_that_are_refused(read, tmp_path: Path, content: str, place: str, said: str) -> None:
    with pytest.raises(WorkloadError, match=said.replace("(", r"\(")) as caught:
        read(content)
    assert str(caught.value.where) == f"{tmp_path / 't.txt'}:{place}"
    assert caught.value.remedy


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing\n", "   ", "op,address\n", "op,address\n# x\n"])
def test_traces_without_requests_are_refused(read, content: str) -> None:
    with pytest.raises(WorkloadError, match=r"empty|no request"):
        read(content)


@pytest.mark.parametrize(
    "content", [b"\x1f\x8bnot gzip at all", b"\x28\xb5\x2f\xfdnot zstd", gzip.compress(b"LD 1\n" * 99, mtime=0)[:-20]]
)
def test_broken_archives_are_refused(read, content: bytes) -> None:
    with pytest.raises(WorkloadError, match=r"decompress|cannot read"):
        read(content)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(WorkloadError, match="cannot read"):
            read_trace(path, SPACE)


def test_a_format_can_be_demanded(read) -> None:
    assert read("R 64\n").format == "load_store"
    with pytest.raises(WorkloadError, match="ends before its rank"):
        read("R 0\n", "read_write")
    with pytest.raises(ConfigError, match="format"):
        read("R 0\n", "ramulator")


@given(st.binary(max_size=80) | st.text("RWLDSTx0123456789abcdef,.- \t\r\n#op", max_size=80).map(str.encode))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("t") / "t"
    for head in (b"", b"time_ns,op,address\n", b"R 0,0,0,0,0,0\n", b"LD 0x40\n"):
        path.write_bytes(head + content)
        try:
            trace = read_trace(path, SPACE)
        except WorkloadError as error:
            refused = error
        else:
            assert len(trace.address) == len(trace.is_write) > 0
            assert trace.address.min() >= 0
            assert trace.place is not None or trace.address.max() < SPACE.capacity_bytes
            continue
        assert str(refused.where).startswith(str(path))
        assert refused.remedy
