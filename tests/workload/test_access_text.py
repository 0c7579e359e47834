"""Access traces as text: what each format holds, every bad line by file, line and column, and files of any packing."""

from __future__ import annotations

import gzip
import lzma
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.errors import WorkloadError
from simulator.workload import access_text
from simulator.workload.access_file import AccessFile
from simulator.workload.access_reading import access_format_of, read_accesses
from simulator.workload.accesses import AccessStream

PAGE = 4096


def written(tmp_path: Path, text: str | bytes, name: str = "a.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def addresses(stream: AccessStream) -> list[tuple[int, bool]]:
    """Address of the line and is-write of every record."""
    assert stream.page_address is not None
    chunks = list(stream.chunks(7))
    line = np.concatenate([chunk.line for chunk in chunks]).astype(np.uint64)
    is_write = np.concatenate([chunk.is_write for chunk in chunks])
    page = stream.page_address[line >> np.uint64(6)]
    address = page * np.uint64(PAGE) + (line & np.uint64(63)) * np.uint64(64)
    return list(zip(address.tolist(), is_write.tolist(), strict=True))


def ticks(stream: AccessStream, *records: int) -> list[float]:
    assert stream.clock is not None
    return stream.clock.at(np.array(records)).tolist()


TEXT = """# comment
0x1000 R
0X1040\tw   # another
LD 8192
st,0x2080

0xFFFFFFFFFFFFFFFF,Write
0000000000000000000000004096 read
18446744073709551615
"""


def test_plain_addresses(tmp_path: Path) -> None:
    stream = read_accesses(written(tmp_path, TEXT))
    top = 2**64 - 64
    expected = [(4096, 0), (4160, 1), (8192, 0), (8320, 1), (top, 1), (4096, 0), (top, 0)]
    assert addresses(stream) == [(address, bool(write)) for address, write in expected]
    assert stream.page_address is not None
    assert stream.page_address.tolist() == [1, 2, 2**52 - 1]  # in order of first appearance
    assert stream.notes == ("1 of 7 lines do not say whether it reads or writes: taken for reads",)
    assert (stream.name, stream.clock) == ("a", None)


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_ends_of_lines_and_a_mark_of_utf_8(tmp_path: Path, end: str, start: bytes) -> None:
    text = start + ("0x40" + (end or "\n") + "0x80" + end).encode()
    assert [address for address, _ in addresses(read_accesses(written(tmp_path, text)))] == [64, 128]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_packed_text(tmp_path: Path, pack: Any) -> None:
    stream = read_accesses(written(tmp_path, pack(TEXT.encode()), "a.txt.gz"))
    assert (stream.n_records, stream.name) == (7, "a")
    for size in (0.5, 0.9):
        whole = pack(TEXT.encode())
        with pytest.raises(WorkloadError, match="compressed file") as caught:
            read_accesses(written(tmp_path, whole[: int(size * len(whole))]), "text")
        assert caught.value.exit_code == 3


def test_a_broken_packed_file(tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(bytes(random.Random(1).randbytes(5000))))
    whole[2000] ^= 0xFF
    with pytest.raises(WorkloadError):
        read_accesses(written(tmp_path, bytes(whole)), "text")


BAD_TEXT = [
    ("0x40 R\n0x8z W\n", 2, 1, "'0x8z' is no address"),
    ("0x40 R\nR -64\n", 2, 3, "the address -64 is negative"),
    ("-64\n", 1, 1, "the address -64 is negative"),
    ("0x40 R\n0x80 X\n", 2, 6, "'X' is no operation"),
    ("0x40 R\n0x80 READWRITE\n", 2, 6, "is no operation"),
    ("0x40 R\n\n0x80 R 8\n", 3, 8, "more than an address and an operation"),
    ("0x40\n0x10000000000000000\n", 2, 1, "the address 0x10000000000000000 is above"),
    ("64\n18446744073709551616\n", 2, 1, "above 2"),
    ("64\n99999999999999999999\n", 2, 1, "above 2"),
    ("64\n123456789012345678901234567890\n", 2, 1, "above 2"),
    ("64\n0000000000000000000000_1\n", 2, 1, "no address"),
    ("64\n0xg00000000000000000\n", 2, 1, "no address"),
    ("64\n1.5\n", 2, 1, "'1.5' is no address"),
    ("64\n0x\n", 2, 1, "'0x' is no address"),
    ("64\nR\n", 2, 1, "'R' is no address"),
    ("64\n64 R\n\x80\n", 3, 1, "is no address"),
    ("64\n0x40 \x00\n", 2, 6, "zero byte"),
    ("64\n1e5\n", 2, 1, "no address"),
]


@pytest.mark.parametrize(("text", "line", "column", "said"), BAD_TEXT)
def test_a_bad_line_of_text(tmp_path: Path, text: str, line: int, column: int, said: str) -> None:
    refused(written(tmp_path, text), "text", line, column, said)


def refused(path: Path, form: str, line: int, column: int, said: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        read_accesses(path, form)
    place = ":".join(str(part) for part in (path, line, column) if part)
    assert str(caught.value).startswith(f"{place}: "), str(caught.value)
    assert said in str(caught.value)
    assert caught.value.remedy
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("form", ["text", "lackey", "damon", "csv"])
def test_nothing_junk_and_endless_lines(tmp_path: Path, form: str) -> None:
    empty = {"csv": "address\n", "damon": "# nothing\n", "lackey": "==1== none\n", "text": "# none\n\n"}
    for text in ("", "\n", empty[form]):
        with pytest.raises(WorkloadError):
            read_accesses(written(tmp_path, text), form)
    for junk in (random.Random(2).randbytes(9000), b"\xff" * 70_000, b"7" * 3_000_000):
        with pytest.raises(WorkloadError):
            read_accesses(written(tmp_path, junk), form)


LACKEY = """==5== Lackey, an example Valgrind tool
==5==
I  04000000,3
 L 1fff000768,8
I  04000003,3
 S 1fff00077c,8
I  04000006,3
 M 0000000040,4
I  04000009,3
==5== Counted 0 calls to main()
 L 1040,130
"""


def test_lackey(tmp_path: Path) -> None:
    stream = read_accesses(written(tmp_path, LACKEY))
    stack = 0x1FFF000740
    expected = [(stack, 0), (stack, 1), (stack + 64, 1), (64, 0), (64, 1), (0x1040, 0), (0x1080, 0), (0x10C0, 0)]
    assert addresses(stream) == [(address, bool(write)) for address, write in expected]
    assert stream.clock is not None
    assert stream.clock.unit == "instructions"
    assert ticks(stream, 0, 7) == pytest.approx([0, 3], abs=0.01)  # instruction 1 to instruction 4
    assert "before any cache" in stream.notes[0]


BAD_LACKEY = [
    (" L 40,8\nhello\n", 2, 1, "no line of lackey"),
    (" L 40,8\n L 4g,8\n", 2, 4, "'4g' is no address"),
    (" L 40,8\n L 40\n", 2, 4, "no address and size"),
    (" L 40\n L 40,8\n", 1, 4, "no address and size"),
    (" L 40,8\n S 40,0\n", 2, 7, "an access of 0 bytes"),
    (" L 40,8\n S 40,99999\n", 2, 7, "an access of 99999 bytes"),
    (" L ffffffffffffffff,2\n", 1, 21, "an access of 2 bytes"),
    (" L 40,x\n", 1, 7, "'x' is no size"),
    (" L 10000000000000000,8\n", 1, 4, "above 2"),
    ("I\n", 1, 1, "no line of lackey"),
]


@pytest.mark.parametrize(("text", "line", "column", "said"), BAD_LACKEY)
def test_a_bad_line_of_lackey(tmp_path: Path, text: str, line: int, column: int, said: str) -> None:
    refused(written(tmp_path, text), "lackey", line, column, said)


CSV = """thread, address ,write,time_ns,note
1,0x1000,0,5000,first
1, 8192 ,1,5010,
2,0x1040,0,5010,x
"""


def test_csv(tmp_path: Path) -> None:
    stream = read_accesses(written(tmp_path, CSV))
    assert addresses(stream) == [(4096, False), (8192, True), (4160, False)]
    assert stream.clock is not None
    assert stream.clock.unit == "ps"
    assert ticks(stream, 0, 2) == pytest.approx([0, 10_000], abs=1)
    ops = "op,address,instructions\nR,64,0\nST,128,7\n"
    stream = read_accesses(written(tmp_path, ops))
    assert addresses(stream) == [(64, False), (128, True)]
    assert stream.clock is not None
    assert stream.clock.unit == "instructions"
    bare = read_accesses(written(tmp_path, "address\n64\n"))
    assert bare.clock is None
    assert "taken for reads" in bare.notes[0]


BAD_CSV = [
    ("address,write\n64,0\n64\n", 3, 2, "1 fields under 2 columns"),
    ("address,write\n64,0,5\n", 2, 6, "3 fields under 2 columns"),
    ("address,write\n64,0\n\n64,1\n", 3, 1, "the line is empty"),
    ("address,write\n64,2\n", 2, 4, "'2' is no operation"),
    ("address,write\n64,\n", 2, 4, "is no operation"),
    ("address,write\n-1,0\n", 2, 1, "negative"),
    ("address,write\n,0\n", 2, 1, "is no address"),
    ("write,address\n0, 0x1g\n", 2, 4, "'0x1g' is no address"),
    ("address,time_ns\n64,5\n64,4\n", 3, 4, "time runs backwards: time_ns 4 after 5"),
    ("address,time_ns\n64,5\n64,1.5\n", 3, 4, "'1.5' is no time_ns"),
    ("address,time_ns\n64,0\n64,10000000000000000\n", 3, 4, "too far from the first"),
    ("address,instructions\n64,5\n64,4\n", 3, 4, "time runs backwards"),
    ("adress,write\n64,0\n", 1, 0, "no column 'address'"),
    ("address,address\n64,0\n", 1, 0, "the column 'address' twice"),
    ("address,write,op\n64,0,R\n", 1, 0, "both 'write' and 'op'"),
    ("address,time_ns,instructions\n64,0,0\n", 1, 0, "both 'time_ns' and 'instructions'"),
]


@pytest.mark.parametrize(("text", "line", "column", "said"), BAD_CSV)
def test_a_bad_line_of_csv(tmp_path: Path, text: str, line: int, column: int, said: str) -> None:
    refused(written(tmp_path, text), "csv", line, column, said)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (TEXT, "text"),
        ("0x40\n", "text"),
        ("1234\n", "text"),
        (LACKEY, "lackey"),
        (CSV, "csv"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", None),
        ("{}\n", None),
        ("hello\n", None),
    ],
)
def test_formats_are_told_by_their_content(tmp_path: Path, text: str, form: str | None) -> None:
    assert access_format_of(written(tmp_path, text)) == form


def test_an_unknown_file_names_the_formats(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="no known format") as caught:
        read_accesses(written(tmp_path, "hello\n"))
    assert "lackey" in (caught.value.remedy or "")


@pytest.mark.parametrize("form", ["text", "lackey", "csv"])
def test_blocks_of_any_size_hold_the_same(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    rows = [(rng.randrange(2 ** rng.choice([8, 20, 47, 64])), rng.random() < 0.4) for _ in range(1500)]
    clock = sorted(rng.randrange(10**6) for _ in rows)
    lines = {
        "text": [f"{address:#x} {'W' if write else 'R'}" for address, write in rows],
        "lackey": [f"I  0400,1\n {'S' if write else 'L'} {address & ~7:08x},8" for address, write in rows],
        "csv": ["address,write,instructions"]
        + [f"{address},{int(write)},{time}" for (address, write), time in zip(rows, clock, strict=True)],
    }[form]
    path = written(tmp_path, "\n".join(lines) + "\n")
    whole = read_accesses(path, form)
    assert addresses(whole) == [(address & ~63, write) for address, write in rows]
    blocks = access_text.text_blocks
    for n_bytes in (200, 20_000):
        module = f"simulator.workload.access_traces.{form}.text_blocks"
        monkeypatch.setattr(module, lambda file, n_bytes=n_bytes: blocks(file, n_bytes))
        again = read_accesses(path, form)
        assert addresses(again) == addresses(whole)
        assert ticks(again, 0, 1024, 1499) == ticks(whole, 0, 1024, 1499) if whole.clock else again.clock is None


def test_more_pages_than_line_ids_tell_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "0x1000\n0x2000\n0x3000\n")
    monkeypatch.setattr("simulator.workload.access_pages.MAX_PAGES", 3)
    assert read_accesses(path).n_pages == 3
    monkeypatch.setattr("simulator.workload.access_pages.MAX_PAGES", 2)
    with pytest.raises(WorkloadError, match="more than 2 pages"):
        read_accesses(path)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_any_number_is_read_as_it_is_written(rows: list[tuple[int, bool, bool]]) -> None:
    text = "".join(f"{a:#x}\n" if is_hex else f"{'000' if zeros else ''}{a}\n" for a, is_hex, zeros in rows)
    block = access_text._block(AccessFile(Path("a")), text.encode(), 1)
    assert access_text.addresses(block, *block.words()).tolist() == [address for address, _, _ in rows]
