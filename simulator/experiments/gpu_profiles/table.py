"""The text of a published profile: comma-separated values with or without a header, errors with file and line."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from simulator.core.errors import Position, WorkloadError

_COUNT = re.compile(r"[0-9]{1,13}")


class ProfileLine:
    """One line of a profile; fields by the column's name."""

    __slots__ = ("_fields", "_index", "_path", "line")

    def __init__(self, path: Path, line: int, fields: Sequence[str], index: dict[str, int]) -> None:
        self._path = path
        self._fields = fields
        self._index = index
        self.line = line

    def text(self, name: str) -> str:
        """The field as it stands, without spaces around it."""
        return self._fields[self._index[name]].strip()

    def count(self, name: str, *, least: int = 0) -> int:
        """A whole number, `least` or more."""
        text = self.text(name)
        if not _COUNT.fullmatch(text) or int(text) < least:
            raise self.error(f"{name} is {text!r}, not a whole number of at least {least}")
        return int(text)

    def positive(self, name: str, *, unit: str = "") -> float:
        """A finite number above zero; `unit` is what the field may and must end with."""
        number = self.number(name, unit=unit)
        if number <= 0:
            raise self.error(f"{name} is {self.text(name)!r}, not above zero")
        return number

    def number(self, name: str, *, unit: str = "") -> float:
        """A finite number, zero or more, in front of `unit`."""
        text = self.text(name)
        if not text.endswith(unit):
            raise self.error(f"{name} is {text!r}, which does not end with {unit!r}")
        try:
            number = float(text[: len(text) - len(unit)])
        except ValueError:
            raise self.error(f"{name} is {text!r}, not a number") from None
        if not math.isfinite(number) or number < 0:
            raise self.error(f"{name} is {text!r}, not a finite number of at least zero")
        return number

    def choice(self, name: str, values: Sequence[str]) -> str:
        """One of `values`."""
        text = self.text(name)
        if text not in values:
            raise self.error(f"{name} is {text!r}, none of {', '.join(values)}")
        return text

    def error(self, message: str) -> WorkloadError:
        """The error at this line."""
        return WorkloadError(
            message, where=Position(str(self._path), self.line), remedy="take the file as published, or mend the line"
        )


def table(path: Path, columns: Sequence[str]) -> Iterator[ProfileLine]:
    """The lines under a header that must have `columns`; other columns are ignored.

    Raises WorkloadError where the file cannot be read, has no line, lacks a column or has a line of another length.
    """
    lines = _lines(path)
    _, header = next(lines)
    names = [name.strip() for name in header]
    for name in columns:
        if names.count(name) != 1:
            raise WorkloadError(
                f"the header has the column {name!r} {names.count(name)} times, not once",
                where=Position(str(path), 1),
                remedy=f"the columns {', '.join(columns)} are needed",
            )
    yield from _same_length(path, lines, len(names), {name: names.index(name) for name in columns})


def headerless(path: Path, columns: Sequence[str]) -> Iterator[ProfileLine]:
    """The lines of a file without a header, their fields named `columns` in order. Errors as `table`."""
    yield from _same_length(path, _lines(path), len(columns), {name: index for index, name in enumerate(columns)})


def _same_length(
    path: Path, lines: Iterator[tuple[int, list[str]]], n_columns: int, index: dict[str, int]
) -> Iterator[ProfileLine]:
    empty = True
    for number, fields in lines:
        empty = False
        line = ProfileLine(path, number, fields, index)
        if len(fields) != n_columns:
            raise line.error(f"the line has {len(fields)} fields, not {n_columns}")
        yield line
    if empty:
        raise WorkloadError("the profile has no measurement", where=str(path), remedy="take the file as published")


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    line = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for line, fields in enumerate(csv.reader(stream, strict=True), start=1):
                yield line, fields
    except OSError as error:
        raise WorkloadError(
            f"cannot read the profile: {error.strerror}", where=str(path), remedy="give the folder as published"
        ) from None
    except UnicodeDecodeError:
        raise WorkloadError("the profile is not UTF-8 text", where=str(path), remedy="save it as UTF-8") from None
    except csv.Error as error:
        raise WorkloadError(
            f"not comma-separated values: {error}", where=Position(str(path), line + 1), remedy="mend the line"
        ) from None
    if line == 0:
        raise WorkloadError("the profile is empty", where=str(path), remedy="take the file as published")
