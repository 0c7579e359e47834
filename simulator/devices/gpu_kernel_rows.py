"""Measured (or asked for) kernels of a GPU as CSV: a row each, the columns of `h200_kernels.csv` and of its siblings.

Columns stand in any order and a kind needs only some of them; what a row measured (`t_us`, `power_w`) may be empty.
Columns that nobody knows are carried along.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from simulator.core.errors import Position, WorkloadError
from simulator.core.spelling import did_you_mean
from simulator.memory.dram.traces.text import file_content

GEMM = ("M", "N", "K")
ATTENTION = ("B", "Hq", "Hkv", "D", "L")
NEEDS: dict[str, tuple[str, ...]] = {
    "copy": ("bytes",),
    "read": ("bytes",),
    "gemm": GEMM,
    "attn_decode": ATTENTION,
    "attn_prefill": ATTENTION,
    "attn_prefill_plus_decode": ("M", "B", "L"),
    "rmsnorm": ("M", "N"),
    "silu_mul": ("M", "N"),
    "idle": (),
    "all_reduce": ("bytes", "world"),
    "all_gather": ("bytes", "world"),
    "h2d_pinned": ("bytes",),
    "d2h_pinned": ("bytes",),
    "h2d_pageable": ("bytes",),
    "bidirectional_pinned": ("bytes",),
    "launch_eager_small_kernel": (),
    "launch_graph_small_kernel": (),
    "launch_and_sync": (),
    "host_copy": ("bytes",),
    "host_read": ("bytes",),
    "tp_decode": (),
    "tp_prefill": (),
}
"""The columns that a row of each family of kinds needs."""
MAY_HAVE = {"attn_prefill_plus_decode": ("Hq", "Hkv", "D")}
PROMPTS = {"attn_prefill": "L", "attn_prefill_plus_decode": "M"}
"""The column of a prompt's length: its attention is computed tile by tile."""
MAX_PROMPT = 1 << 24
BACKENDS = {
    "": "",
    "cudnn": "",
    "flash": "fa2",
    "efficient": "fa2",
    "mem_efficient": "fa2",
    "bmm": "matmul",
    "math": "matmul",
    "split_kv": "split_kv",
    "fa2": "fa2",
    "matmul": "matmul",
}
"""Our kernel for the `backend` column; "" is what the part replays where nothing is said. PyTorch's memory-efficient
kernel leaves keys unsplit, as FlashAttention-2 does."""
PREDICTED = ("predicted_t_us", "predicted_power_w", "roof", "error_frac", "power_error_frac")
"""Columns that a replay adds; a file that has them already was written by one."""

MAX_SIZE = 1 << 44
MAX_WORLD = 4096
_FORMAT = re.compile(r"gemm_(?P<format>.+?)(_g128)?")
_HOST = re.compile(r"(host_copy|host_read)(_\d+_threads)?")
_WHOLE = re.compile(r"\d+(\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?|[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class KernelRow:
    """One kernel: its kind as written, the family of kinds that this belongs to, sizes by column, and what was measured
    (NaN where nothing was).

    `number_format` is that of a GEMM, None for the part's 16-bit one; `backend` one of the values of BACKENDS.
    """

    kind: str
    family: str
    sizes: Mapping[str, int]
    number_format: str | None = None
    backend: str = ""
    t_us: float = math.nan
    power_w: float = math.nan
    line: int = 0


@dataclass(frozen=True, slots=True)
class KernelFile:
    """A file of kernels: its name, its columns (those of PREDICTED left out), the cells below them as written, and the
    rows that they mean."""

    name: str
    columns: tuple[str, ...]
    cells: Sequence[Sequence[str]] = field(repr=False)
    rows: Sequence[KernelRow] = field(repr=False)


def read_kernels(path: str, formats: Collection[str]) -> KernelFile:
    """The kernels of a CSV file, plain, gzip or zstd, for a GPU that multiplies in `formats`.

    Raises WorkloadError, at file:line:column, for what cannot be read: missing or doubled columns, ragged rows, unknown
    kinds, formats and back ends, sizes that are no whole numbers above 0, heads that key-value heads do not divide,
    prompts beyond MAX_PROMPT, times and powers that are not above 0.
    """
    return _Reader(str(path), formats).file()


class _Reader:
    """One file while it is read."""

    def __init__(self, name: str, formats: Collection[str]) -> None:
        self.name = name
        self.formats = formats
        try:
            self.lines = file_content(name).decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise WorkloadError(f"it is not UTF-8: {error}", where=name, remedy="save it as UTF-8") from None
        self.at: dict[str, int] = {}
        self.families: dict[str, tuple[str, str | None]] = {}
        self.line = 0
        self.cells: list[str] = []

    def file(self) -> KernelFile:
        """The whole of it."""
        header_line, lines = self._header()
        kept = [place for column, place in self.at.items() if column not in PREDICTED]
        cells, rows = [], []
        reader = csv.reader(lines, strict=True)
        n_columns, before = len(self.at), 0
        while True:
            try:
                written = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                self.line = header_line + reader.line_num
                raise self._error(f"this is no line of a CSV file: {error}", "correct it") from None
            self.line, before = header_line + before + 1, reader.line_num
            if not any(map(str.strip, written)):
                continue
            if self.line != header_line + reader.line_num:
                raise self._error("a quoted field runs over the end of the line", "close the quote")
            if len(written) != n_columns:
                raise self._error(f"{len(written)} cells under {n_columns} columns", "give one cell for each column")
            self.cells = written
            rows.append(self._row())
            cells.append([written[place] for place in kept])
        if not rows:
            raise WorkloadError("there are no kernels below the header", where=self.name, remedy="add a row for each")
        return KernelFile(self.name, tuple(column for column in self.at if column not in PREDICTED), cells, rows)

    def _header(self) -> tuple[int, list[str]]:
        """The header's line, and the lines below it."""
        first = next((place for place, line in enumerate(self.lines) if line.strip()), None)
        if first is None:
            raise WorkloadError("the file is empty", where=self.name, remedy="begin with a line kind,M,N,K,t_us, say")
        self.line = first + 1
        try:
            columns = [column.strip() for column in next(csv.reader([self.lines[first]], strict=True))]
        except csv.Error as error:
            raise self._error(f"this is no line of a CSV file: {error}", "correct it") from None
        for place, column in enumerate(columns):
            if column in self.at:
                raise self._error(f"a second column `{column}`", "name each column differently", place)
            self.at[column] = place
        if "kind" not in self.at:
            steps = {"model", "phase"} <= set(columns)
            remedy = "whole steps are run with `sim run`" if steps else did_you_mean("kind", columns)
            raise self._error("the column `kind` is missing", remedy if steps or "?" in remedy else "add it")
        return self.line, self.lines[first + 1 :]

    def _row(self) -> KernelRow:
        kind = self.cells[self.at["kind"]].strip()
        found = self.families.get(kind)
        if found is None:
            found = self.families[kind] = self._family(kind)
        family, number_format = found
        sizes = {column: self._size(column) for column in NEEDS[family]}
        sizes |= {column: self._size(column) for column in MAY_HAVE.get(family, ()) if self._text(column)}
        if ("Hq" in sizes) != ("Hkv" in sizes):
            raise self._error("one of `Hq` and `Hkv` is empty", "give both, or neither", self.at["kind"])
        if family in PROMPTS and sizes[PROMPTS[family]] > MAX_PROMPT:
            column = PROMPTS[family]
            raise self._error(f"a prompt of {sizes[column]}", f"give at most {MAX_PROMPT}", self.at[column])
        if sizes.get("Hq", 0) % sizes.get("Hkv", 1):
            raise self._error(
                f"{sizes['Hkv']} key-value heads do not divide {sizes['Hq']} heads",
                "give Hq as a multiple of Hkv",
                self.at["Hkv"],
            )
        if sizes.get("world", 2) < 2 or sizes.get("world", 2) > MAX_WORLD:
            raise self._error(f"{sizes['world']} GPUs", f"give a world of 2 to {MAX_WORLD} GPUs", self.at["world"])
        backend = self._backend() if family.startswith("attn_") else ""
        t_us, power_w = self._measured("t_us"), self._measured("power_w", may_be_nan=True)
        return KernelRow(kind, family, sizes, number_format, backend, t_us, power_w, self.line)

    def _family(self, kind: str) -> tuple[str, str | None]:
        """Family and number format of a kind, whose columns must be there."""
        number_format = None
        if kind in NEEDS:
            family = kind
        elif host := _HOST.fullmatch(kind):
            family = host[1]
        elif matrix := _FORMAT.fullmatch(kind):
            family, number_format = "gemm", matrix["format"]
            if number_format not in self.formats:
                raise self._error(
                    f"the part multiplies in no format {number_format!r}",
                    did_you_mean(number_format, self.formats),
                    self.at["kind"],
                )
        else:
            known = (*NEEDS, *(f"gemm_{one}" for one in self.formats))
            raise self._error(f"there is no kind {kind!r} of kernel", did_you_mean(kind, known), self.at["kind"])
        for column in NEEDS[family]:
            if column not in self.at:
                needed = ", ".join(NEEDS[family])
                near = next((one for one in self.at if one.casefold() == column.casefold()), None)
                raise WorkloadError(
                    f"the column `{column}` is missing: rows of kind {kind}, such as line {self.line}, need {needed}",
                    where=Position(self.name, 1),
                    remedy=f"rename `{near}`" if near else "add it",
                )
        return family, number_format

    def _text(self, column: str) -> str:
        place = self.at.get(column)
        return "" if place is None else self.cells[place].strip()

    def _size(self, column: str) -> int:
        text = self.cells[self.at[column]].strip()
        if text.isdigit() and text.isascii() and len(text) < 16:
            value = int(text)
        elif _WHOLE.fullmatch(text):
            value = int(text.partition(".")[0])
        else:
            kind = self._text("kind")
            cause = f"`{column}` is {text!r}, not a whole number above 0" if text else f"`{column}` is empty"
            raise self._error(cause, f"rows of kind {kind} need a whole number above 0 there", self.at[column])
        if not 0 < value <= MAX_SIZE:
            raise self._error(f"`{column}` is {text}", f"give a whole number from 1 to {MAX_SIZE}", self.at[column])
        return value

    def _measured(self, column: str, *, may_be_nan: bool = False) -> float:
        text = self._text(column)
        if not text:
            return math.nan
        if not _NUMBER.fullmatch(text):
            raise self._error(f"`{column}` is {text!r}, not a number", "give a number or nothing", self.at[column])
        value = float(text)
        if may_be_nan and math.isnan(value):
            return value
        if not 0 < value < math.inf:
            raise self._error(f"`{column}` is {text}, not a finite number above 0", "leave it empty", self.at[column])
        return value

    def _backend(self) -> str:
        text = self._text("backend")
        if text.casefold() not in BACKENDS:
            raise self._error(
                f"there is no attention back end {text!r}",
                did_you_mean(text, [one for one in BACKENDS if one]),
                self.at["backend"],
            )
        return BACKENDS[text.casefold()]

    def _error(self, cause: str, remedy: str, place: int | None = None) -> WorkloadError:
        """A refusal at this line, and at the cell of that number where one is given."""
        column = 0 if place is None else _start_of(self.lines[self.line - 1], place)
        return WorkloadError(cause, where=Position(self.name, self.line, column), remedy=remedy)


def _start_of(line: str, place: int) -> int:
    """The 1-based column where a cell of a line begins."""
    seen, quoted = 0, False
    for at, character in enumerate(line):
        if seen == place:
            return at + 1
        quoted ^= character == '"'
        seen += character == "," and not quoted
    return len(line) + 1
