"""Lists of transfers as CSV: who sends how much to whom, and when.

Columns in any order: `source`, `destinations` (separated by blanks; `all` is every other device), `bytes`, and if
wanted `name` and a start with its unit (`start_us`, `start_ns`, `start_ps` ...; else 0).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from simulator.core.errors import Position, WorkloadError
from simulator.core.spelling import did_you_mean
from simulator.core.units import TIME, Unit, convert, parse_number, split_suffix, unit
from simulator.devices.link_transfers import Transfer

_REQUIRED = ("source", "destinations", "bytes")
_KNOWN = (*_REQUIRED, "name", "start_us")
_MAX = 1 << 50  # bytes and picoseconds: sums of many still fit into 64 bits


def read_transfers(path: str | Path, devices: Sequence[str]) -> list[Transfer]:
    """The transfers of a CSV file between these devices, in its order.

    Raises WorkloadError, at file:line, for a file that cannot be read, missing or unknown columns, a device that does
    not exist, numbers that are none or negative, doubled names, and a file without transfers.
    """
    file = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkloadError(f"it cannot be read: {error}", where=file, remedy="name a CSV file in UTF-8") from None
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise WorkloadError("there are no transfers", where=file, remedy=f"begin with a line {','.join(_KNOWN)}")
    first = Position(file, lines[0][0])
    header = _cells(lines[0][1], first)
    start = _checked_header(header, first)
    transfers: list[Transfer] = []
    names: set[str] = set()
    for number, line in lines[1:]:
        where = Position(file, number)
        cells = _cells(line, where)
        if len(cells) != len(header):
            raise WorkloadError(
                f"{len(cells)} cells under {len(header)} columns", where=where, remedy="give one cell for each column"
            )
        reader = _Row(dict(zip(header, cells, strict=True)), where, devices)
        transfers.append(reader.transfer(f"transfer {len(transfers)}", start))
        if transfers[-1].name in names:
            raise reader.error(f"a second transfer `{transfers[-1].name}`", "name each transfer differently")
        names.add(transfers[-1].name)
    if not transfers:
        raise WorkloadError("there are no transfers below the header", where=file, remedy="add a line for each")
    return transfers


def _cells(line: str, where: Position) -> list[str]:
    """The cells of one line."""
    try:
        return [cell.strip() for cell in next(csv.reader([line], strict=True))]
    except csv.Error as error:
        raise WorkloadError(f"this is no line of a CSV file: {error}", where=where, remedy="correct it") from None


def _checked_header(header: Sequence[str], where: Position) -> tuple[str, Unit] | None:
    """The column of starts and its unit, if there is one."""
    found: tuple[str, Unit] | None = None
    for name in header:
        stem, measure = split_suffix(name)
        if stem == "start" and measure is not None and measure.dimension == TIME and found is None:
            found = (name, measure)
        elif name not in (*_REQUIRED, "name") or header.count(name) > 1:
            what = "twice" if header.count(name) > 1 else "not known"
            raise WorkloadError(f"the column `{name}` is {what}", where=where, remedy=did_you_mean(name, _KNOWN))
    for name in _REQUIRED:
        if name not in header:
            raise WorkloadError(
                f"the column `{name}` is missing", where=where, remedy=f"columns are {', '.join(_KNOWN)}"
            )
    return found


class _Row:
    """One line of the file."""

    def __init__(self, cells: dict[str, str], where: Position, devices: Sequence[str]) -> None:
        self.cells = cells
        self.where = where
        self.devices = devices

    def error(self, cause: str, remedy: str) -> WorkloadError:
        """A refusal at this line."""
        return WorkloadError(cause, where=self.where, remedy=remedy)

    def transfer(self, default_name: str, start: tuple[str, Unit] | None) -> Transfer:
        """The transfer that the line says."""
        source = self.cells["source"]
        named = self.cells["destinations"].split()
        destinations = [one for one in self.devices if one != source] if named == ["all"] else named
        for end in (source, *destinations):
            if end not in self.devices:
                raise self.error(f"there is no device `{end}`", did_you_mean(end, self.devices))
        if source in destinations or not destinations or len(set(destinations)) < len(destinations):
            raise self.error(f"`{source}` sends to {' '.join(destinations) or 'nobody'}", "name each other device once")
        start_ps = 0 if start is None else self._number(start[0], start[1])
        name = self.cells.get("name") or default_name
        return Transfer(name, source, tuple(destinations), self._number("bytes", None), start_ps)

    def _number(self, column: str, measure: Unit | None) -> int:
        """A whole number of bytes, or of picoseconds."""
        value = parse_number(self.cells[column])
        if value is not None and measure is not None:
            value = convert(value, measure, unit("ps"))
        if value is None or value.denominator != 1 or not 0 <= value <= _MAX:
            what = "whole picoseconds" if measure is not None else "a whole number"
            raise self.error(f"`{column}` is {self.cells[column]!r}, not {what} from 0 to {_MAX}", "correct it")
        return int(value)
