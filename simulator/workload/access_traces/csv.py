"""Columns under a header: `address`, `write` or `op`, and `time_ns` or `instructions`; others are passed over.

Addresses are decimal, or 0x and hexadecimal; `write` is 0 or 1, `op` R or W (each takes the other's words; without
either all are reads); times are whole numbers that never fall. Fields stand between commas, without quotes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.workload.access_file import AccessFile, AccessHead
from simulator.workload.access_pages import AccessRecords, ClockSamples
from simulator.workload.access_text import Positions, TextBlock, addresses, decimals, flags, text_blocks
from simulator.workload.accesses import AccessStream, ClockUnit

_COMMA, _NEWLINE = ord(","), ord("\n")
_BLANKS = (ord(" "), ord("\t"), ord("\r"))
_PS_PER_NS = 1000
# Column, what one of it is on the clock, and the clock's unit.
_CLOCKS: dict[str, tuple[int, ClockUnit]] = {"time_ns": (_PS_PER_NS, "ps"), "instructions": (1, "instructions")}


def matches(head: AccessHead) -> bool:
    """Whether the header has an address."""
    return "address" in _names(next(iter(head.lines()), ""))


def read(file: AccessFile) -> AccessStream:
    """All accesses of the file."""
    records, clock = AccessRecords(file), ClockSamples()
    header: _Header | None = None
    times: _Times | None = None
    for block in text_blocks(file):
        first = 0
        if header is None:
            header = _Header.of(file, block.line_text(0))
            times = _Times(header.clock) if header.clock else None
            first = 1
        fields = _Fields.of(block, header, first)
        address = addresses(block, *fields.column("address"))
        is_write = np.zeros(len(address), np.bool_)
        if header.flag is not None:
            is_write = flags(block, *fields.column(header.flag))
        if times is not None:
            clock.add(times.of(block, *fields.column(times.name)))
        records.add(address, is_write)
    if header is None:
        raise file.empty()
    notes = [] if header.flag else ["no column `write` or `op`: all accesses are taken for reads"]
    # Without a record there is no first sample either: `stream` raises.
    has_clock = header.clock is not None and clock.n_records
    return records.stream(clock.clock(_CLOCKS[header.clock or ""][1]) if has_clock else None, notes)


@dataclass(frozen=True, slots=True)
class _Header:
    """The columns in order, and those that say read or write and when, where there are any."""

    names: tuple[str, ...]
    flag: str | None
    clock: str | None

    @classmethod
    def of(cls, file: AccessFile, line: str) -> _Header:
        names = _names(line)
        flag = _one_of(file, names, ("write", "op"))
        clock = _one_of(file, names, tuple(_CLOCKS))
        if "address" not in names:
            raise file.error("the header has no column 'address'", "the first line names the columns", 1)
        for name in ("address", flag, clock):
            if name is not None and names.count(name) > 1:
                raise file.error(f"the header has the column {name!r} twice", "rename one of the two", 1)
        return cls(names, flag, clock)


def _names(line: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in line.split(","))


def _one_of(file: AccessFile, names: Sequence[str], choices: tuple[str, ...]) -> str | None:
    found = [name for name in choices if name in names]
    if len(found) > 1:
        raise file.error(f"the header has both {found[0]!r} and {found[1]!r}", "rename or drop one of them", 1)
    return found[0] if found else None


@dataclass(frozen=True, slots=True, eq=False)
class _Fields:
    """Where the fields of a block start and end, [line, column]."""

    block: TextBlock
    names: tuple[str, ...]
    start: Positions
    end: Positions

    @classmethod
    def of(cls, block: TextBlock, header: _Header, first_line: int) -> _Fields:
        """The fields of the lines from `first_line` of the block on. Raises WorkloadError for a line of too many."""
        n_columns = len(header.names)
        ends = block.end[first_line:]
        begin = int(block.start[first_line]) if len(ends) else 0
        raw = block.raw[: ends[-1] + 1 if len(ends) else 0]
        end = np.flatnonzero((raw[begin:] == _COMMA) | (raw[begin:] == _NEWLINE)) + begin
        is_last = raw[end] == _NEWLINE
        n_fields = np.diff(np.flatnonzero(is_last), prepend=-1)
        wrong = np.flatnonzero(n_fields != n_columns)
        if len(wrong):
            line = int(wrong[0]) + first_line
            if not block.line_text(line).strip():
                raise block.error(int(block.start[line]), "the line is empty", "delete it")
            at = int(block.end[line]) - 1
            said = f"{int(n_fields[wrong[0]])} fields under {n_columns} columns"
            raise block.error(at, said, "mend the line, or delete it")
        start = np.concatenate((np.array([begin], np.intp), end[:-1] + 1))[: len(end)]
        shape = (len(ends), n_columns)
        return cls(block, header.names, start.reshape(shape), end.reshape(shape))

    def column(self, name: str) -> tuple[Positions, Positions]:
        """The fields of one column, without the blanks around them."""
        at = self.names.index(name)
        start, end = self.start[:, at].copy(), self.end[:, at].copy()
        raw = self.block.raw
        while (blank := (start < end) & np.isin(raw[start], _BLANKS)).any():
            start += blank
        while (blank := (start < end) & np.isin(raw[end - 1], _BLANKS)).any():
            end -= blank
        return start, end


class _Times:
    """The clock's column, as whole steps of the clock, which must not fall from block to block either."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._scale = _CLOCKS[name][0]
        self._first: int | None = None
        self._last = 0

    def of(self, block: TextBlock, start: Positions, end: Positions) -> NDArray[np.int64]:
        """Times since the first record. Raises WorkloadError where one is before that of the line above."""
        value = decimals(block, start, end, self.name)
        if not len(value):
            return value.astype(np.int64)
        if self._first is None:
            self._first = self._last = int(value[0])
        before = np.concatenate((np.array([self._last], np.uint64), value[:-1]))
        falls = np.flatnonzero(value < before)
        if len(falls):
            at = int(falls[0])
            said = f"time runs backwards: {self.name} {int(value[at])} after {int(before[at])}"
            raise block.error(int(start[at]), said, "put the accesses in order of time")
        self._last = int(value[-1])
        if (self._last - self._first) * self._scale >= 1 << 63:
            raise block.error(int(start[-1]), f"{self.name} {self._last} is too far from the first", "cut the trace")
        return (value - np.uint64(self._first)).astype(np.int64) * self._scale
