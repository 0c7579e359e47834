"""The text of a memory trace: read whole, decompressed, and refused by line and column where a row is wrong."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import Position, WorkloadError
from simulator.kernels import dram_trace_rows as kernel

_GZIP, _ZSTD, _BOM = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xef\xbb\xbf"
READS, WRITES = ("r", "rd", "read", "ld", "load"), ("w", "wr", "write", "st", "store")
_SHOWN = 40
_PLAIN_CLASSES = {" ": kernel.BLANK, "\t": kernel.BLANK, "\r": kernel.BLANK, "\n": kernel.LINE_END, "#": kernel.COMMENT}


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of a trace: `is_write` bool[n] and the numbers of each row, int64[n] per column of numbers."""

    is_write: NDArray[np.bool_]
    columns: tuple[NDArray[np.int64], ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a row is written: the role of each field with its name, and what stands between fields.

    `separator` is one character, given once between two fields; without it blanks and `also_between` are.
    """

    names: tuple[str, ...]
    roles: tuple[int, ...]
    separator: str = ""
    also_between: str = ""

    def classes(self) -> NDArray[np.uint8]:
        """The class of each byte."""
        classes = np.full(256, kernel.ORDINARY, np.uint8)
        for character, kind in _PLAIN_CLASSES.items():
            classes[ord(character)] = kind
        blanks = " \t" if not self.separator else ""
        for character in self.separator + self.also_between + blanks:
            classes[ord(character)] = kernel.SEPARATOR
        return classes


class TraceText:
    """The bytes of a trace file. Raises WorkloadError where it cannot be read or holds nothing."""

    def __init__(self, path: str | Path) -> None:
        self.name = str(path)
        self.content = file_content(path)
        if not self.content.strip():
            raise WorkloadError("the trace is empty", where=self.name, remedy="write one request a line, e.g. LD 0x40")

    @property
    def bytes(self) -> NDArray[np.uint8]:
        """The text as uint8[n]."""
        return np.frombuffer(self.content, np.uint8)

    def first_line(self) -> tuple[str, int, int]:
        """The first line that is neither blank nor a comment, where it begins and where the next line begins."""
        start = len(_BOM) if self.content.startswith(_BOM) else 0
        while start < len(self.content):
            end = self.content.find(b"\n", start)
            after = len(self.content) if end < 0 else end + 1
            line = self.content[start:after].decode("utf-8", errors="replace").partition("#")[0].strip()
            if line:
                return line, start, after
            start = after
        raise WorkloadError("the trace holds no request", where=self.name, remedy="write one request a line")

    def position(self, offset: int) -> Position:
        """Line and column of a byte."""
        before = self.content[:offset]
        return Position(self.name, before.count(b"\n") + 1, offset - (before.rfind(b"\n") + 1) + 1)

    def row_position(self, row: int, start: int) -> Position:
        """Where row `row` begins, of the rows from byte `start` on."""
        seen = -1
        for offset, line in _lines(self.content, start):
            seen += bool(line.partition(b"#")[0].strip())
            if seen == row:
                return self.position(offset + len(line) - len(line.lstrip()))
        return Position(self.name)

    def field_at(self, offset: int) -> str:
        """The word that begins at a byte, for a message."""
        line = self.content[offset : offset + 4 * _SHOWN].partition(b"\n")[0].decode("utf-8", errors="replace")
        word = line.replace(",", " ").split(" ")[0].strip()
        return word if len(word) <= _SHOWN else word[:_SHOWN] + "..."


def read_rows(text: TraceText, layout: Layout, start: int, example: str) -> Rows:
    """All rows from byte `start` on.

    Raises WorkloadError, at line and column, for the first row that is not written as `layout` says; `example` is a row
    that is.
    """
    content = text.bytes
    room = int(np.count_nonzero(content[start:] == ord("\n"))) + 1
    n_columns = sum(role in (kernel.WHOLE, kernel.TIME) for role in layout.roles)
    is_write = np.zeros(room, np.bool_)
    columns = np.empty((n_columns, room), np.int64)
    words = np.array([_packed(word) for word in (*READS, *WRITES)], np.uint64)
    word_is_write = np.arange(len(words)) >= len(READS)
    n_rows, problem, at, field = kernel.read_rows(
        content, start, layout.classes(), bool(layout.separator), np.array(layout.roles, np.int64), words,
        word_is_write, is_write, columns,
    )  # fmt: skip
    if problem != kernel.DONE:
        raise _refused(text, layout, problem, at, field, example)
    if n_rows == 0:
        raise WorkloadError(
            "the trace holds no request", where=text.name, remedy=f"write one request a line: {example}"
        )
    return Rows(is_write[:n_rows], tuple(columns[:, :n_rows]))


def _refused(text: TraceText, layout: Layout, problem: int, at: int, field: int, example: str) -> WorkloadError:
    name = layout.names[field] if field < len(layout.names) else ""
    written = text.field_at(at)
    ends = text.content[at : at + 1] in (b"", b"\n", b"\r", b"#")
    causes: Mapping[int, str] = {
        kernel.MISSING_FIELD: f"the row ends before its {name}" if ends else f"the {name} is missing",
        kernel.SURPLUS_FIELD: f"{written!r} is more than the {len(layout.names)} fields of a row",
        kernel.UNKNOWN_OPERATION: f"{written!r} is no operation",
        kernel.NO_NUMBER: f"the {name} is {written!r}, not a number",
        kernel.NEGATIVE: f"the {name} is {written}, below 0",
        kernel.TOO_LARGE: f"the {name} is {written}, more than 63 bits hold",
    }
    remedies = {
        kernel.UNKNOWN_OPERATION: f"write one of {', '.join(word.upper() for word in (*READS, *WRITES))}",
        kernel.NO_NUMBER: "write decimal digits, or 0x and hexadecimal digits",
    }
    return WorkloadError(
        causes[problem], where=text.position(at), remedy=remedies.get(problem, f"write a row like: {example}")
    )


def _packed(word: str) -> int:
    return int.from_bytes(word.encode(), "big")


def _lines(content: bytes, start: int) -> Sequence[tuple[int, bytes]]:
    found, at = [], start
    for line in content[start:].split(b"\n"):
        found.append((at, line))
        at += len(line) + 1
    return found


def file_content(path: str | Path) -> bytes:
    """The bytes of a file, decompressed where it is gzip or zstd. Raises WorkloadError where it cannot be read."""
    try:
        content = Path(path).read_bytes()
        if content.startswith(_GZIP):
            return gzip.decompress(content)
        if content.startswith(_ZSTD):
            import pyarrow

            with pyarrow.input_stream(pyarrow.BufferReader(content), compression="zstd") as stream:
                return bytes(stream.read())
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise WorkloadError(
            f"cannot decompress the file: {error}",
            where=str(path),
            remedy="compress it again, or give it as plain text",
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise WorkloadError(f"cannot read the file: {reason}", where=str(path), remedy="name a readable file") from None
    return content
