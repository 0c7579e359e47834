"""Line ids in a numpy archive (.npz): byte planes of uint32 line ids, write bits, page numbers and a sampled clock.

Members: `line_planes` uint8 (4, n), least significant first; `write_bits`, numpy.packbits of the is-write flag; `n`;
`vpn` uint64 (pages,), the number (address / 4 KiB) of each page id; `icount_per_1024`, retired instructions at record
0, 1024, 2048 and so on, or `time_ps_per_1024`, picoseconds: one of the two, or neither where there is no clock. Where
records are of several lines each, or the trace has requests or regions: `lines_per_record`; `request_starts` uint64,
first records of requests; `region_names` uint8, names as UTF-8 on lines of their own, and `region_bounds` uint64, of
each one its first page and the one after its last, page ids.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError
from simulator.workload.access_file import AccessFile, AccessHead
from simulator.workload.access_pages import MAX_PAGES, RECORDS_PER_SAMPLE
from simulator.workload.accesses import LINES_PER_PAGE, AccessStream, Clock, ClockUnit, Region

MAX_PAGE_NUMBER = (1 << 52) - 1
CLOCKS: dict[str, ClockUnit] = {"icount_per_1024": "instructions", "time_ps_per_1024": "ps"}
RECORD_LINES = (1, 2, 4, 8, 16, 32, 64)
_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_BLOCK_BYTES = 1 << 20
_CHECK_RECORDS = 1 << 20
_PAGE_SHIFT = LINES_PER_PAGE.bit_length() - 1
_RECORD_AGAIN = "record or copy the trace again"


def matches(head: AccessHead) -> bool:
    """Whether the file is a zip archive."""
    return head.start.startswith(_MAGIC)


def read(file: AccessFile) -> AccessStream:
    """The stream of the archive; nothing in it is unpickled."""
    with file.open() as stream, _refused(file), zipfile.ZipFile(stream) as archive:
        members = _Members(file, archive)
        n_records = members.count("n")
        vpn = members.column("vpn", None)
        if not n_records or not len(vpn):
            raise file.empty()
        if len(vpn) > MAX_PAGES:
            raise file.error(f"{len(vpn):,} pages, and line ids of 32 bits hold {MAX_PAGES:,}", "cut the trace")
        if int(vpn.max()) > MAX_PAGE_NUMBER:
            raise file.error(f"vpn holds {int(vpn.max())}, above 2^52 - 1", "write addresses / 4096 into vpn")
        line = members.lines(n_records)
        is_write = np.unpackbits(members.octets("write_bits", -(-n_records // 8)), count=n_records).view(np.bool_)
        clock = members.clock(n_records)
        lines_per_record = members.lines_per_record()
        request_starts = members.request_starts(n_records)
        regions = members.regions(len(vpn))
    _check_pages(file, line, len(vpn), lines_per_record)
    found = AccessStream.of_arrays("", line, is_write, len(vpn), clock=clock, page_address=vpn)
    return replace(found, lines_per_record=lines_per_record, request_starts=request_starts, regions=regions)


class _Members:
    """The arrays of the archive, each checked against what it must be before its bytes are read."""

    def __init__(self, file: AccessFile, archive: zipfile.ZipFile) -> None:
        self._file = file
        self._archive = archive
        self._names = {name.removesuffix(".npy") for name in archive.namelist()}

    def lines(self, n_records: int) -> NDArray[np.uint32]:
        """The line ids, uint32[n], put together plane by plane."""
        with self._open("line_planes") as member:
            shape, by_record, dtype = self._header("line_planes", member)
            self._expect("line_planes", dtype == np.uint8 and shape == (4, n_records), f"uint8 (4, {n_records})")
            of_record = np.empty((n_records, 4), np.uint8)
            if by_record:
                self._fill("line_planes", member, of_record.reshape(-1))
            else:
                for plane in range(4):
                    self._fill("line_planes", member, of_record[:, plane])
            self._at_end("line_planes", member)
        return of_record.reshape(-1).view("<u4").astype(np.uint32, copy=False)

    def octets(self, name: str, n_bytes: int) -> NDArray[np.uint8]:
        """A column of so many bytes."""
        with self._open(name) as member:
            shape, _, dtype = self._header(name, member)
            self._expect(name, dtype == np.uint8 and shape == (n_bytes,), f"uint8 ({n_bytes},)")
            values = np.empty(n_bytes, np.uint8)
            self._fill(name, member, values)
            self._at_end(name, member)
        return values

    def column(self, name: str, lengths: tuple[int, ...] | None) -> NDArray[np.uint64]:
        """A column of whole numbers, none negative, of one of `lengths` (None: of any)."""
        with self._open(name) as member:
            shape, _, dtype = self._header(name, member)
            wanted = "(pages,)" if lengths is None else f"({lengths[0]},)"
            fits = len(shape) == 1 and (lengths is None or shape[0] in lengths)
            self._expect(name, dtype.kind in "ui" and fits, f"uint64 {wanted}")
            raw = np.empty(shape[0] * dtype.itemsize, np.uint8)
            self._fill(name, member, raw)
            self._at_end(name, member)
        values = raw.view(dtype)
        if dtype.kind == "i" and len(values) and int(values.min()) < 0:
            raise self._file.error(f"{name} holds the negative number {int(values.min())}", "write it unsigned")
        return values.astype(np.uint64)

    def count(self, name: str) -> int:
        """A single whole number."""
        with self._open(name) as member:
            shape, _, dtype = self._header(name, member)
            self._expect(name, dtype.kind in "ui" and shape in ((), (1,)), "int64 ()")
            raw = np.empty(dtype.itemsize, np.uint8)
            self._fill(name, member, raw)
            self._at_end(name, member)
        value = int(raw.view(dtype)[0])
        if value < 0:
            raise self._file.error(f"{name} is {value}", "write the number of records into n")
        return value

    def clock(self, n_records: int) -> Clock | None:
        """The clock, from 0; None where the archive has none."""
        name = next((name for name in CLOCKS if name in self._names), None)
        if name is None:
            return None
        n_samples = -(-n_records // RECORDS_PER_SAMPLE)
        # One more, at or behind the end of the records, is taken as well.
        samples = self.column(name, (n_samples, n_samples + 1))
        falls = np.flatnonzero(samples[1:] < samples[:-1])
        if len(falls):
            at = int(falls[0])
            raise self._file.error(
                f"time runs backwards: {name} is {int(samples[at])} at record {at * RECORDS_PER_SAMPLE:,} and "
                f"{int(samples[at + 1])} at record {(at + 1) * RECORDS_PER_SAMPLE:,}",
                "put the records in order",
            )
        if int(samples[-1]) >= 1 << 63:
            raise self._file.error(f"{name} holds {int(samples[-1])}, above 2^63 - 1", "count from the first record")
        return Clock((samples - samples[0]).astype(np.int64), RECORDS_PER_SAMPLE, CLOCKS[name])

    def lines_per_record(self) -> int:
        """Consecutive lines of a page that each record stands for."""
        if "lines_per_record" not in self._names:
            return 1
        found = self.count("lines_per_record")
        self._expect("lines_per_record", found in RECORD_LINES, "a power of two from 1 to 64")
        return found

    def request_starts(self, n_records: int) -> NDArray[np.int64] | None:
        """First records of requests, rising; None where the trace has none."""
        if "request_starts" not in self._names:
            return None
        starts = self.column("request_starts", None)
        rises = bool((starts[1:] > starts[:-1]).all()) and (not len(starts) or int(starts[-1]) < n_records)
        self._expect("request_starts", rises, f"rising numbers of the {n_records:,} records")
        return starts.astype(np.int64)

    def regions(self, n_pages: int) -> tuple[Region, ...]:
        """Ranges of pages by name; none where the trace has none."""
        if "region_names" not in self._names:
            return ()
        bounds = self.column("region_bounds", None)
        names = self._text("region_names").split("\n")
        inside = not len(bounds) or (bool((bounds[1:] >= bounds[:-1]).all()) and int(bounds[-1]) <= n_pages)
        wanted = f"rising pages, first and end of each of {len(names)} regions of the {n_pages:,} pages"
        self._expect("region_bounds", inside and len(bounds) == 2 * len(names), wanted)
        pages = bounds.astype(np.int64).reshape(-1, 2).tolist()
        return tuple(Region(name, first, end) for name, (first, end) in zip(names, pages, strict=True))

    def _text(self, name: str) -> str:
        """A member that is UTF-8, byte by byte."""
        with self._open(name) as member:
            shape, _, _ = self._header(name, member)
        octets = self.octets(name, int(np.prod(shape)))
        try:
            return octets.tobytes().decode("utf-8")
        except UnicodeDecodeError:
            raise self._file.error(f"{name} is no UTF-8", "write the names as UTF-8, one a line") from None

    def _open(self, name: str) -> IO[bytes]:
        if name not in self._names:
            raise self._file.error(
                f"the archive has no member {name!r}",
                "members line_planes, write_bits, n and vpn are needed; docs/traces.md tells what they hold",
            )
        return self._archive.open(f"{name}.npy" if f"{name}.npy" in self._archive.namelist() else name)

    def _header(self, name: str, member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
        """Shape, whether it is stored column by column, and type."""
        try:
            version = np.lib.format.read_magic(member)
            reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, by_column, dtype = reader(member)
        except ValueError as error:
            raise self._file.error(f"{name} is no numpy array: {error}", _RECORD_AGAIN) from None
        if dtype.hasobject:
            raise self._file.error(f"{name} holds pickled Python objects, which are not read", "write plain numbers")
        self._expect(name, len(shape) < 3, "a row or a table")
        return shape, bool(by_column), dtype

    def _expect(self, name: str, holds: bool, wanted: str) -> None:
        if not holds:
            raise self._file.error(f"{name} is not {wanted}", "docs/traces.md tells what each member holds")

    def _fill(self, name: str, member: IO[bytes], into: NDArray[np.uint8]) -> None:
        """Fill a column from the member's next bytes."""
        first = 0
        while first < len(into):
            block = member.read(min(_BLOCK_BYTES, len(into) - first))
            if not block:
                raise self._file.error(f"{name} ends early, after {first:,} of {len(into):,} bytes", _RECORD_AGAIN)
            into[first : first + len(block)] = np.frombuffer(block, np.uint8)
            first += len(block)

    def _at_end(self, name: str, member: IO[bytes]) -> None:
        # Reading on at the end is also what has the checksum of the archive looked at.
        if member.read(1):
            raise self._file.error(f"{name} has more bytes than its shape says", _RECORD_AGAIN)


@contextmanager
def _refused(file: AccessFile) -> Iterator[None]:
    """What a broken archive makes its readers raise, as an error of the trace."""
    try:
        yield
    except WorkloadError:
        raise
    except EOFError:
        raise file.error("the archive ends early", _RECORD_AGAIN) from None
    except (zipfile.BadZipFile, lzma.LZMAError, zlib.error, RuntimeError) as error:
        raise file.error(f"the archive is broken: {error}", _RECORD_AGAIN) from None
    except MemoryError:
        raise file.error("the archive says it holds more than this machine's memory", _RECORD_AGAIN) from None
    except (OSError, ValueError, OverflowError) as error:
        raise file.error(f"the archive cannot be read: {error}", _RECORD_AGAIN) from None


def _check_pages(file: AccessFile, line: NDArray[np.uint32], n_pages: int, lines_per_record: int) -> None:
    """Refuse a line of a page that has no number, and a record that goes on in another page."""
    for first in range(0, len(line), _CHECK_RECORDS):
        if lines_per_record > 1:
            beyond = line[first : first + _CHECK_RECORDS] % LINES_PER_PAGE > LINES_PER_PAGE - lines_per_record
            if beyond.any():
                at = int(np.argmax(beyond))
                raise file.error(
                    f"record {first + at:,}, of {lines_per_record} lines, does not end in the page that it begins in",
                    "let records begin at multiples of their length",
                )
        page = line[first : first + _CHECK_RECORDS] >> np.uint32(_PAGE_SHIFT)
        if int(page.max()) >= n_pages:
            at = int(np.argmax(page >= n_pages))
            raise file.error(
                f"record {first + at:,} is of page {int(page[at]):,}, and vpn numbers {n_pages:,} pages",
                "a line id is its page's place in vpn x 64 + the line within the page",
            )
