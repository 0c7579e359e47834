"""Lists of matrix products as CSV: a row each, with columns M, N and K (M x K times K x N), in any order.

`name` (or `layer`) names a row and `count` says how often it comes; other columns are ignored. Letters may be small or
large. Rows that begin with # are comments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import Position, WorkloadError
from simulator.workload.trace_text import TraceFile

SIZES = ("M", "N", "K")
MAX_SIZE = 1 << 30
MAX_PRODUCTS = 1 << 56
MAX_COUNT = 1 << 30
_NAMES = ("name", "layer")
_EXAMPLE = "begin with a line M,N,K and give one product a line, such as 128,4096,4096"
_SHOWN = 40

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class GemmList:
    """Products of M x K and K x N matrices: m, n, k and how often each comes, int64[n_gemms], all above 0.

    `file` is where they were read, `line` int64[n_gemms] the line of each.
    """

    file: str
    names: tuple[str, ...]
    m: Ints
    n: Ints
    k: Ints
    count: Ints
    line: Ints

    def __len__(self) -> int:
        return len(self.m)

    def position(self, at: int) -> Position:
        """Where one of them stands."""
        return Position(self.file, int(self.line[at]))


def read_gemms(path: str | Path) -> GemmList:
    """The products of a CSV file.

    Raises WorkloadError, at file:line:column, for a file that is empty or no CSV, a missing or doubled column, ragged
    and empty rows, sizes that are no whole numbers from 1 to MAX_SIZE, and products of more than MAX_PRODUCTS
    multiplications.
    """
    file = TraceFile(Path(path))
    rows = _without_comments(file.csv_rows())
    header_line, header = next(rows, (0, []))
    if not header_line:
        raise WorkloadError("the list is empty", where=str(path), remedy=_EXAMPLE)
    columns = _Columns(file, header_line, header)
    found = [columns.product(line, row) for line, row in rows]
    if not found:
        raise WorkloadError("there are no products below the header", where=str(path), remedy=_EXAMPLE)
    names, numbers = [one[0] for one in found], np.array([one[1] for one in found], np.int64)
    return GemmList(str(path), tuple(names), *numbers.T.copy())


def _without_comments(rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    return (entry for entry in rows if not entry[1][0].lstrip().startswith("#"))


class _Columns:
    """Where the columns of one file stand."""

    def __init__(self, file: TraceFile, line: int, header: list[str]) -> None:
        self.file = file
        self.n_columns = len(header)
        self.at: dict[str, int] = {}
        for place, written in enumerate(header):
            column = written.strip().casefold()
            column = "name" if column in _NAMES else column
            if column and column in self.at:
                cause = f"a second column `{written.strip()}`"
                raise file.error(line, cause, "name each column differently", _start(header, place))
            self.at[column] = place
        missing = [size for size in SIZES if size.casefold() not in self.at]
        if missing:
            have = ", ".join(filter(None, map(str.strip, header)))
            raise file.error(
                line,
                f"the header has no column {missing[0]!r}: it has {have}",
                f"the columns {', '.join(SIZES)} are needed",
            )
        self.sizes = [(size, self.at[size.casefold()]) for size in SIZES]

    def product(self, line: int, row: list[str]) -> tuple[str, tuple[int, int, int, int, int]]:
        """Name, M, N, K, count and line of a row."""
        if len(row) != self.n_columns:
            raise self.file.error(
                line, f"{len(row)} fields under {self.n_columns} columns", "give one field for each column"
            )
        m, n, k = (self._whole(line, row, size, place, MAX_SIZE) for size, place in self.sizes)
        if m * n * k > MAX_PRODUCTS:
            cause = f"{m} x {n} x {k} are {m * n * k:,} multiplications"
            raise self.file.error(line, cause, f"at most {MAX_PRODUCTS:,} are counted: split the product")
        count = self._whole(line, row, "count", self.at["count"], MAX_COUNT) if "count" in self.at else 1
        name = row[self.at["name"]].strip() if "name" in self.at else ""
        return name or f"{m}x{n}x{k}", (m, n, k, count, line)

    def _whole(self, line: int, row: list[str], column: str, place: int, most: int) -> int:
        text = row[place].strip()
        if text.isdigit() and text.isascii() and len(text) <= len(str(most)) and 0 < int(text) <= most:
            return int(text)
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        cause = f"{column} is {shown!r}" if text else f"{column} is empty"
        raise self.file.error(line, cause, f"give a whole number from 1 to {most}", _start(row, place))


def _start(row: list[str], place: int) -> int:
    return 1 + sum(len(field) + 1 for field in row[:place])
