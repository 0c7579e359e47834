"""Writing traces of memory accesses: under another name first, so that no half trace is ever left under its own."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ModelFault, WorkloadError
from simulator.workload.access_pages import RECORDS_PER_SAMPLE
from simulator.workload.accesses import LINE_BYTES, LINES_PER_PAGE, PAGE_BYTES, AccessChunk, AccessStream

ENDINGS = (".npz", ".csv", ".txt")
_BLOCK_RECORDS = 1 << 20
_TEXT_RECORDS = 1 << 17
_PS_PER_NS = 1000
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_npz(
    path: str | Path,
    line: NDArray[np.uint32],
    is_write: NDArray[np.bool_],
    page_address: NDArray[np.uint64] | None = None,
    icount_per_1024: NDArray[np.int64] | None = None,
    *,
    time_ps_per_1024: NDArray[np.int64] | None = None,
    extra: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Write the .npz format of `access_traces/npz.py`: the same records give the same bytes.

    `line` uint32[n], `is_write` bool[n]; `page_address` uint64[pages] is the number (address / 4 KiB) of each page,
    by default its id; a clock int64[ceil(n / 1024) or more], in instructions or in picoseconds, may be left out;
    `extra` are further members of the format by name. Raises WorkloadError where the file exists already or cannot be
    written; then nothing is left behind.
    """
    n_records = len(line)
    if not n_records:
        raise WorkloadError("the trace has no accesses", where=str(path), remedy="give at least one access")
    n_pages = (int(line.max()) // LINES_PER_PAGE) + 1
    vpn = np.arange(n_pages, dtype=np.uint64) if page_address is None else page_address.astype("<u8")
    if len(is_write) != n_records or len(vpn) < n_pages:
        raise ModelFault(f"{n_records} lines of {n_pages} pages, {len(is_write)} write flags and {len(vpn)} pages")
    with new_file(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for name, values in (extra or {}).items():
            archive_column(archive, name, values)
        with archive_member(archive, "line_planes", np.dtype(np.uint8), (4, n_records)) as member:
            for plane in range(4):
                for first in range(0, n_records, _BLOCK_RECORDS):
                    block = line[first : first + _BLOCK_RECORDS] >> np.uint32(8 * plane)
                    member.write(block.astype(np.uint8).tobytes())
        archive_column(archive, "write_bits", np.packbits(is_write))
        archive_column(archive, "n", np.array(n_records, "<i8"))
        archive_column(archive, "vpn", vpn.astype("<u8"))
        for name, samples in (("icount_per_1024", icount_per_1024), ("time_ps_per_1024", time_ps_per_1024)):
            if samples is not None:
                # Two samples make a clock of a trace that is shorter than the distance between them.
                n_samples = -(-n_records // RECORDS_PER_SAMPLE)
                if len(samples) < n_samples:
                    raise ModelFault(f"{len(samples)} samples of {name} for {n_records} records")
                archive_column(archive, name, samples[: max(2, n_samples)].astype("<u8"))


def write_accesses(path: str | Path, stream: AccessStream) -> None:
    """Write a stream as its file's ending says: .npz, .csv (address, write and the clock) or .txt (address and R or W).

    Regions and requests are kept in an .npz only; the others have a line a record.
    Raises WorkloadError for another ending, for a file that exists, and for one that cannot be written.
    """
    ending = Path(path).suffix
    if ending not in ENDINGS:
        raise WorkloadError(
            f"a trace of accesses is not written as {ending or 'a file without ending'!r}",
            where=str(path),
            remedy=f"end the name in {', '.join(ENDINGS)}",
        )
    if ending == ".npz":
        _write_archive(path, stream)
        return
    stream = stream.by_line()
    with new_file(path) as file:
        if ending == ".csv":
            file.write(f"address,write{_clock_column(stream)}\n".encode())
        for chunk in stream.chunks(_TEXT_RECORDS):
            rows = _csv_rows(stream, chunk) if ending == ".csv" else _text_rows(stream, chunk)
            file.write("".join(rows).encode())


def _write_archive(path: str | Path, stream: AccessStream) -> None:
    line = np.empty(stream.n_records, np.uint32)
    is_write = np.empty(stream.n_records, np.bool_)
    for chunk in stream.chunks():
        line[chunk.first : chunk.first + len(chunk)] = chunk.line
        is_write[chunk.first : chunk.first + len(chunk)] = chunk.is_write
    instructions, time_ps = None, None
    if stream.clock is not None:
        record = np.arange(0, stream.n_records + RECORDS_PER_SAMPLE, RECORDS_PER_SAMPLE)
        clock = stream.clock
        samples = np.rint(clock.at(record)).astype(np.int64)
        instructions, time_ps = (samples, None) if clock.unit == "instructions" else (None, samples)
    address = stream.page_address
    if address is None:
        address = np.arange(stream.n_pages, dtype=np.uint64)
    write_npz(path, line, is_write, address, instructions, time_ps_per_1024=time_ps, extra=_optional(stream))


def _optional(stream: AccessStream) -> dict[str, NDArray[Any]]:
    """Members that only some streams need."""
    found: dict[str, NDArray[Any]] = {}
    if stream.lines_per_record > 1:
        found["lines_per_record"] = np.array(stream.lines_per_record, "<i8")
    if stream.request_starts is not None:
        found["request_starts"] = stream.request_starts.astype("<u8")
    if stream.regions:
        names = "\n".join(region.name for region in stream.regions)
        found["region_names"] = np.frombuffer(names.encode(), np.uint8)
        bounds = [page for region in stream.regions for page in (region.first, region.end)]
        found["region_bounds"] = np.array(bounds, "<u8")
    return found


def _addresses(stream: AccessStream, chunk: AccessChunk) -> list[int]:
    page, word = np.divmod(chunk.line.astype(np.uint64), np.uint64(LINES_PER_PAGE))
    number = page if stream.page_address is None else stream.page_address[page]
    found: list[int] = (number * np.uint64(PAGE_BYTES) + word * np.uint64(LINE_BYTES)).tolist()
    return found


def _text_rows(stream: AccessStream, chunk: AccessChunk) -> Iterator[str]:
    for address, is_write in zip(_addresses(stream, chunk), chunk.is_write.tolist(), strict=True):
        yield f"{address:#x} {'W' if is_write else 'R'}\n"


def _csv_rows(stream: AccessStream, chunk: AccessChunk) -> Iterator[str]:
    address, is_write = _addresses(stream, chunk), chunk.is_write.tolist()
    if stream.clock is None:
        yield from (f"{at:#x},{write:d}\n" for at, write in zip(address, is_write, strict=True))
        return
    scale = 1 if stream.clock.unit == "instructions" else _PS_PER_NS
    record = np.arange(chunk.first, chunk.first + len(chunk))
    times = (stream.clock.at(record) // scale).astype(np.int64).tolist()
    yield from (f"{at:#x},{write:d},{time}\n" for at, write, time in zip(address, is_write, times, strict=True))


def _clock_column(stream: AccessStream) -> str:
    if stream.clock is None:
        return ""
    return ",instructions" if stream.clock.unit == "instructions" else ",time_ns"


@contextmanager
def new_file(path: str | Path) -> Iterator[IO[bytes]]:
    """A file that gets its name when it is complete. Raises WorkloadError where that name is taken, or unwritable."""
    target = Path(path)
    check_free(target)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as stream:
            yield stream
        check_free(target)
        part.replace(target)
    except OSError as error:
        raise unwritable(target, error) from None
    finally:
        with suppress(OSError):  # of a file system that takes nothing
            part.unlink()


def check_free(target: Path) -> None:
    """Refuse, by a WorkloadError, a name that something has."""
    if target.exists() or target.is_symlink():
        raise WorkloadError("the file exists already", where=str(target), remedy="give another name, or remove it")


def unwritable(target: Path, error: OSError) -> WorkloadError:
    """The error of a trace that the operating system does not take."""
    cause = f"cannot write the trace: {error.strerror or error}"
    return WorkloadError(
        cause, where=str(target), remedy="free the disk, or name a file in a folder that can be written"
    )


def archive_column(archive: zipfile.ZipFile, name: str, values: NDArray[np.generic]) -> None:
    """Write a member of the archive that is held whole."""
    with archive_member(archive, name, values.dtype, values.shape) as member:
        member.write(values.tobytes())


@contextmanager
def archive_member(
    archive: zipfile.ZipFile, name: str, dtype: np.dtype[np.generic], shape: tuple[int, ...]
) -> Iterator[IO[bytes]]:
    """A member of the archive that holds an array, its header written; no time of day goes into it."""
    member = zipfile.ZipInfo(f"{name}.npy", _ZIP_EPOCH)
    member.compress_type = zipfile.ZIP_LZMA
    member.external_attr = 0o644 << 16
    member.create_system = 3
    member.file_size = int(np.prod(shape)) * dtype.itemsize + 1024
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with archive.open(member, "w") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        yield stream
