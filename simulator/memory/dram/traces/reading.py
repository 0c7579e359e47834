"""Reading a memory trace: load and store addresses, vectors of coordinates, or CSV with a header."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ConfigError, WorkloadError
from simulator.core.spelling import did_you_mean
from simulator.kernels import dram_trace_rows as kernel
from simulator.memory.dram.traces.text import READS, WRITES, Layout, TraceText, read_rows

TraceFormat = Literal["auto", "load_store", "read_write", "csv"]

NO_CYCLES = np.empty(0, np.int64)
_FS_PER_PS = 1000
_LOAD_STORE = Layout(("operation", "address"), (kernel.OPERATION, kernel.WHOLE))
_CSV_ROLES = {
    "op": kernel.OPERATION,
    "address": kernel.WHOLE,
    "cycle": kernel.WHOLE,
    "time_ns": kernel.TIME,
}
_CSV_FIELDS = {"op": "R", "address": "0x40", "cycle": "12", "time_ns": "12.5"}
_CSV_EXAMPLE = "a header such as time_ns,op,address and rows such as 12.5,R,0x40"


@dataclass(frozen=True, slots=True)
class AddressSpace:
    """What a trace may address: names and sizes of the coordinates, channel first and column last, bytes in all, and
    the length of a tick in ps."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    capacity_bytes: int
    tick_ps: Fraction


@dataclass(frozen=True, slots=True, eq=False)
class TraceRequests:
    """Requests of a trace in its order.

    `address` int64[n]: bytes, or, of a trace of vectors, a number that only the same coordinates share. `place`
    int64[k, n] are the coordinates of such a trace; `arrive_cyc` int64[n], rising, where the trace tells times.
    """

    format: str
    address: NDArray[np.int64]
    is_write: NDArray[np.bool_]
    place: NDArray[np.int64] | None = None
    arrive_cyc: NDArray[np.int64] = field(default_factory=lambda: NO_CYCLES)


def read_trace(path: str | Path, space: AddressSpace, format_name: str = "auto") -> TraceRequests:
    """The requests of a trace file, plain, gzip or zstd.

    `format_name` is one of load_store (`LD 0x40`), read_write (`R 0,0,1,2,3,8`), csv, or auto. Raises WorkloadError,
    with file, line and column, for rows that are malformed, out of order, or outside the memory; ConfigError for an
    unknown format.
    """
    if format_name not in get_args(TraceFormat):
        raise ConfigError(
            f"trace format {format_name!r} is not known",
            where="format",
            remedy=did_you_mean(format_name, get_args(TraceFormat), noun="one of"),
        )
    text = TraceText(path)
    line, start, after = text.first_line()
    chosen = _format_of(line) if format_name == "auto" else format_name
    if chosen == "csv":
        return _read_csv(text, line, start, after, space)
    if chosen == "read_write":
        return _read_vectors(text, start, space)
    rows = read_rows(text, _LOAD_STORE, start, "LD 0x1f40")
    _check_addresses(text, rows.columns[0], start, space)
    return TraceRequests("load_store", rows.columns[0], rows.is_write)


def _format_of(line: str) -> str:
    """By the first line: a header, an operation before several numbers, or an operation before one."""
    words = line.replace(",", " ").split()
    if not words or words[0].lower() not in (*READS, *WRITES):
        return "csv" if "," in line or line.lower() in _CSV_ROLES else "load_store"
    return "read_write" if "," in line else "load_store"


def _read_vectors(text: TraceText, start: int, space: AddressSpace) -> TraceRequests:
    names = ("operation", *space.names)
    layout = Layout(names, (kernel.OPERATION, *(kernel.WHOLE for _ in space.names)), also_between=",")
    rows = read_rows(text, layout, start, f"R 0,...,0 with {', '.join(space.names)}")
    address = np.zeros(len(rows.is_write), np.int64)
    for name, size, column in zip(space.names, space.sizes, rows.columns, strict=True):
        beyond = column >= size
        if beyond.any():
            row = int(beyond.argmax())
            raise WorkloadError(
                f"{name} {column[row]} of {size}, which are counted from 0",
                where=text.row_position(row, start),
                remedy="check the order of the coordinates: " + ", ".join(space.names),
            )
        address = address * size + column
    return TraceRequests("read_write", address, rows.is_write, np.stack(rows.columns))


def _read_csv(text: TraceText, header: str, start: int, after: int, space: AddressSpace) -> TraceRequests:
    names = tuple(name.strip().lower() for name in header.split(","))
    place = text.position(start)
    for wanted in ("op", "address"):
        if wanted not in names:
            raise WorkloadError(f"the header has no column `{wanted}`", where=place, remedy=f"write {_CSV_EXAMPLE}")
    if len(set(names)) < len(names):
        raise WorkloadError("two columns have one name", where=place, remedy="keep one of them")
    if {"cycle", "time_ns"} <= set(names):
        raise WorkloadError("both `cycle` and `time_ns` tell the time", where=place, remedy="keep one of the two")
    layout = Layout(names, tuple(_CSV_ROLES.get(name, kernel.IGNORED) for name in names), separator=",")
    rows = read_rows(text, layout, after, ",".join(_CSV_FIELDS.get(name, name) for name in names))
    numbers = [name for name in names if name in ("address", "cycle", "time_ns")]
    columns = dict(zip(numbers, rows.columns, strict=True))
    _check_addresses(text, columns["address"], after, space)
    arrive = NO_CYCLES
    for name in ("cycle", "time_ns"):
        if name in columns:
            _check_rising(text, columns[name], name, after)
            arrive = columns[name] if name == "cycle" else _cycles(columns[name], space.tick_ps)
    return TraceRequests("csv", columns["address"], rows.is_write, arrive_cyc=arrive)


def _cycles(time_fs: NDArray[np.int64], tick_ps: Fraction) -> NDArray[np.int64]:
    """The first tick that is not before each time."""
    tick_fs = tick_ps * _FS_PER_PS
    if tick_fs.denominator == 1:
        return -(-time_fs // int(tick_fs))
    whole, part = time_fs // tick_fs.numerator, time_fs % tick_fs.numerator
    return whole * tick_fs.denominator - (-(part * tick_fs.denominator) // tick_fs.numerator)


def _check_rising(text: TraceText, times: NDArray[np.int64], name: str, start: int) -> None:
    falls = np.flatnonzero(times[1:] < times[:-1])
    if len(falls):
        row = int(falls[0]) + 1
        raise WorkloadError(
            f"the {name} is before that of the row above",
            where=text.row_position(row, start),
            remedy=f"sort the rows by {name}",
        )


def _check_addresses(text: TraceText, address: NDArray[np.int64], start: int, space: AddressSpace) -> None:
    beyond = address >= space.capacity_bytes
    if beyond.any():
        row = int(beyond.argmax())
        raise WorkloadError(
            f"address {int(address[row]):#x} is beyond the {space.capacity_bytes:,} bytes of the memory",
            where=text.row_position(row, start),
            remedy="use a larger organisation, more ranks or channels, or subtract the trace's base address",
        )


def coordinates(
    place: NDArray[np.int64], sizes: tuple[int, ...]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Channel, flat bank and row of vectors int64[k, n] whose first coordinate is the channel and last the column."""
    bank = np.zeros(place.shape[1], np.int64)
    for size, column in zip(sizes[1:-2], place[1:-2], strict=True):
        bank = bank * size + column
    return place[0].astype(np.int32), bank.astype(np.int32), place[-2]
