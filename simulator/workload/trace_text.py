"""Reading trace files line by line, with errors that name file, line and column."""

from __future__ import annotations

import csv
import decimal
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn, TextIO

from simulator.core.errors import Position, WorkloadError

MAX_TOKENS = 2**31 - 1
MAX_TIME_PS = 10**24
_WHOLE = re.compile(r"\d+(\.0*)?", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


@dataclass(slots=True)
class Rows:
    """What a reader found, in the order of the file; arrivals in picoseconds from any origin.

    `first_line` is the line of row 0, every row having one (0 where rows are not lines of a file). `blocks` holds the
    prefix blocks of each row (`block_tokens` tokens a block), or stays None where the format has none.
    """

    arrival_ps: list[int] = field(default_factory=list)
    prompt_tokens: list[int] = field(default_factory=list)
    output_tokens: list[int] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    blocks: list[list[int]] | None = None
    block_tokens: int = 0
    first_line: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, row: int, arrival_ps: int, prompt_tokens: int, output_tokens: int) -> None:
        """Append one request; `row` is its number in the file, from 0."""
        self.ids.append(row)
        self.arrival_ps.append(arrival_ps)
        self.prompt_tokens.append(prompt_tokens)
        self.output_tokens.append(output_tokens)


@dataclass(frozen=True, slots=True)
class TraceHead:
    """What a format is recognised by: names in a folder, columns of a header, or keys of a first JSON record."""

    files: frozenset[str] = frozenset()
    columns: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()


class TraceFile:
    """One text file of a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def error(self, line: int, message: str, remedy: str, column: int = 0) -> WorkloadError:
        """The error at a line (and column) of this file."""
        return WorkloadError(message, where=Position(str(self.path), line, column), remedy=remedy)

    def checksum(self) -> str:
        """sha256 of the file's bytes."""
        try:
            with self.path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise self._unreadable(error) from None

    def head(self) -> TraceHead:
        """The names in a folder; of a file the first line, as a header or as a JSON record."""
        try:
            if self.path.is_dir():
                return TraceHead(files=frozenset(path.name for path in self.path.iterdir()))
            if self.path.exists() and not self.path.is_file():
                raise WorkloadError("not a regular file", where=str(self.path), remedy="name a file that has an end")
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from None
        for line, text in self._lines():
            if text.lstrip().startswith("{"):
                return TraceHead(keys=frozenset(self._record(line, text)))
            try:
                columns = next(csv.reader([text]), [])
            except csv.Error as error:
                raise self.error(line, f"not comma-separated values: {error}", "mend the header") from None
            return TraceHead(columns=frozenset(column.strip() for column in columns))
        raise self._empty()

    def json_lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Line number and object of every line; fractions arrive as Decimal. An empty line is an error."""
        line = 0
        for line, text in self._lines():
            if not text.strip():
                raise self._empty_line(line)
            yield line, self._record(line, text)
        if line == 0:
            raise self._empty()

    def csv_table(self, names: Sequence[str]) -> CsvTable:
        """The rows below a header that must have the columns `names`."""
        return CsvTable(self, self.csv_rows(), names)

    def csv_rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and fields of every line. An empty line is an error."""
        with self._open() as stream:
            reader = csv.reader(stream)
            line = 1
            try:
                for row in reader:
                    if not row or (len(row) == 1 and not row[0].strip()):
                        raise self._empty_line(line)
                    if reader.line_num > line:
                        raise self.error(line, "a quoted field runs over the end of the line", "close the quote")
                    yield line, row
                    line = reader.line_num + 1
            except csv.Error as error:
                raise self.error(line, f"not comma-separated values: {error}", "mend the line") from None
            except UnicodeDecodeError:
                raise self._not_utf8() from None
            except OSError as error:
                raise self._unreadable(error) from None
        if line == 1:
            raise self._empty()

    def _lines(self) -> Iterator[tuple[int, str]]:
        with self._open() as stream:
            try:
                yield from enumerate(stream, start=1)
            except UnicodeDecodeError:
                raise self._not_utf8() from None
            except OSError as error:
                raise self._unreadable(error) from None

    def _open(self) -> TextIO:
        try:
            return self.path.open(encoding="utf-8-sig", newline="")
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from None

    def _record(self, line: int, text: str) -> dict[str, Any]:
        try:
            record = json.loads(text.rstrip(), parse_float=Decimal, parse_constant=_refuse_constant)
        except json.JSONDecodeError as error:
            raise self.error(line, f"not JSON: {error.msg}", "mend the line, or delete it", error.colno) from None
        except (ValueError, ArithmeticError, RecursionError):
            raise self.error(line, "not JSON that can be read", "mend the line, or delete it") from None
        if not isinstance(record, dict):
            raise self.error(line, "the line holds no JSON object", "write one object {...} per line")
        return record

    def _empty(self) -> WorkloadError:
        return WorkloadError(
            "the trace is empty", where=str(self.path), remedy="give a trace with at least one request"
        )

    def _empty_line(self, line: int) -> WorkloadError:
        return self.error(line, "the line is empty", "delete it")

    def _unreadable(self, error: OSError | ValueError) -> WorkloadError:
        cause = error.strerror if isinstance(error, OSError) else str(error)
        return WorkloadError(f"cannot read the trace: {cause}", where=str(self.path), remedy="give the path of a trace")

    def _not_utf8(self) -> WorkloadError:
        with self.path.open("rb") as stream:
            for line, raw in enumerate(stream, start=1):
                try:
                    raw.decode("utf-8")
                except UnicodeDecodeError as error:
                    return self.error(line, "the line is not UTF-8 text", "save the trace as UTF-8", error.start + 1)
        return WorkloadError("the trace is not UTF-8 text", where=str(self.path), remedy="save the trace as UTF-8")


class CsvTable:
    """Rows under a header; fields are read by the column's name, in any order of columns. Other columns are ignored."""

    def __init__(self, file: TraceFile, rows: Iterator[tuple[int, list[str]]], names: Sequence[str]) -> None:
        self._file = file
        self._rows = rows
        _, header = next(rows)
        columns = [column.strip() for column in header]
        missing = [name for name in names if name not in columns]
        if missing:
            raise file.error(
                1, f"the header has no column {missing[0]!r}", f"the columns {', '.join(names)} are needed"
            )
        doubled = [name for name in names if columns.count(name) > 1]
        if doubled:
            raise file.error(1, f"the header has the column {doubled[0]!r} twice", "rename one of the two")
        self._n_columns = len(columns)
        self._index = {name: columns.index(name) for name in names}

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        for line, row in self._rows:
            if len(row) != self._n_columns:
                raise self._file.error(
                    line, f"{len(row)} fields under {self._n_columns} columns", "mend the line, or delete it"
                )
            yield line, row

    def text(self, row: list[str], name: str) -> str:
        """The text of one field."""
        return row[self._index[name]].strip()

    def tokens(self, line: int, row: list[str], name: str, least: int = 1) -> int:
        """A field that counts tokens, at least `least`."""
        text = row[self._index[name]]
        if text.isdigit() and text.isascii() and len(text) < 10:
            count = int(text)
        else:
            text = text.strip()
            count = int(text.split(".")[0]) if len(text) < 20 and _WHOLE.fullmatch(text) else -1
        if not least <= count <= MAX_TOKENS:
            raise self.error(line, row, name, f"{name} is {_shown(text)}", _tokens_remedy(least))
        return count

    def time_ps(self, line: int, row: list[str], name: str) -> int:
        """A field that holds seconds, as picoseconds."""
        text = self.text(row, name)
        time_ps = decimal_ps(text, 10**12) if _DECIMAL.fullmatch(text) else None
        if time_ps is None:
            raise self.error(line, row, name, f"{name} is {_shown(text)}", "give seconds, 0 or more")
        return time_ps

    def error(self, line: int, row: list[str], name: str, message: str, remedy: str) -> WorkloadError:
        """The error at a field."""
        column = 1 + sum(len(field) + 1 for field in row[: self._index[name]])
        return self._file.error(line, message, remedy, column)


class JsonRecord:
    """One record of a JSON-lines trace, with errors that name its line and key."""

    def __init__(self, file: TraceFile, line: int, content: Mapping[str, Any]) -> None:
        self.line = line
        self.content = content
        self._file = file

    def tokens(self, key: str, least: int = 1) -> int:
        """A count of tokens, at least `least`."""
        value = self.value(key)
        if isinstance(value, Decimal) and abs(value) <= MAX_TOKENS and value == int(value):
            value = int(value)
        if type(value) is not int or not least <= value <= MAX_TOKENS:
            raise self.error(f"{key} is {_shown(value)}", _tokens_remedy(least))
        return value

    def time_ps(self, key: str, unit_ps: int) -> int:
        """A time, given in units of `unit_ps`, as picoseconds."""
        value = self.value(key)
        time_ps = decimal_ps(value, unit_ps) if type(value) in (int, Decimal) else None
        if time_ps is None:
            raise self.error(f"{key} is {_shown(value)}", "give a number, 0 or more")
        return time_ps

    def blocks(self, key: str, prompt_tokens: int, block_tokens: int) -> list[int]:
        """Names of the prompt's blocks; none where the record has no such key."""
        names = self.content.get(key)
        if names is None:
            return []
        if not isinstance(names, list) or not all(type(name) is int and -(2**63) <= name < 2**63 for name in names):
            raise self.error(f"{key} is no list of 64-bit whole numbers", "give one number per block of the prompt")
        most = -(-prompt_tokens // block_tokens)
        if len(names) > most:
            raise self.error(
                f"{key} names {len(names)} blocks, and a prompt of {prompt_tokens} tokens has {most}",
                f"a block is {block_tokens} tokens",
            )
        return names

    def error(self, message: str, remedy: str) -> WorkloadError:
        """The error at this record."""
        return self._file.error(self.line, message, remedy)

    def value(self, key: str) -> Any:
        """The value of a key that must be there."""
        if key not in self.content:
            raise self.error(f"the record has no {key!r}", "mend the line, or delete it")
        return self.content[key]


def decimal_ps(value: str | int | Decimal, unit_ps: int) -> int | None:
    """A number of units as whole picoseconds (nearest, ties to even); None unless it is finite and 0 or more."""
    try:
        number = Decimal(value)
        if not number.is_finite() or (number.is_signed() and number != 0) or number.adjusted() > 24:
            return None
        with decimal.localcontext(prec=60):
            time_ps = int((number * unit_ps).to_integral_value(decimal.ROUND_HALF_EVEN))
    except ArithmeticError:
        return None
    return time_ps if time_ps <= MAX_TIME_PS else None


def _tokens_remedy(least: int) -> str:
    return f"give a whole number of tokens, at least {least}; or delete the line"


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
