"""The CSV that grows row by row beside its final name, and takes that name when it is whole."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from .errors import MeasuringError
from .rows import Mode, Row, text_of


class MeasuredTable:
    """Rows of one mode, written to `OUT.part` as they come; `finish` renames it to OUT.

    resume: take over the rows of an earlier run, from OUT.part or from OUT; without it an earlier file is refused.
    force: write over an earlier file.  writes: whether this process, of several that measure together, is the one that
    writes.
    """

    def __init__(
        self, out: Path, mode: Mode, *, resume: bool = False, force: bool = False, writes: bool = True
    ) -> None:
        self.out = out
        self.part = out.with_name(out.name + ".part")
        self.mode = mode
        self._writes = writes
        self._file: TextIO | None = None
        earlier = next((path for path in (self.part, out) if path.exists()), None)
        if earlier is not None and not (resume or force):
            raise MeasuringError(f"{earlier} holds an earlier run: --resume goes on with it, --force starts over")
        self._rows = _whole_rows(earlier, mode) if earlier is not None and resume else []
        self._done = {mode.key(row) for row in self._rows}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> Sequence[Row]:
        """Every row so far, those of the earlier run first."""
        return tuple(self._rows)

    def has(self, row: Row) -> bool:
        """Whether this shape was measured already."""
        return self.mode.key(row) in self._done

    def add(self, row: Row) -> None:
        """Write one measured row, so that it stays whatever happens next."""
        if self._writes:
            file = self._file or self._start()
            file.write(self._line(row))
            file.flush()
        self._rows.append(row)
        self._done.add(self.mode.key(row))

    def finish(self) -> None:
        """Give the whole table its final name."""
        if not self._writes:
            return
        if self._file is None:
            self._start()
        self.close()
        self.part.replace(self.out)

    def close(self) -> None:
        """Stop writing; what was measured stays in OUT.part."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def _start(self) -> TextIO:
        self.out.parent.mkdir(parents=True, exist_ok=True)
        # Written anew even on --resume: a line that was cut short is gone then, and nothing is appended to it.
        fresh = self.part.with_name(self.part.name + ".tmp")
        fresh.write_text(",".join(self.mode.columns) + "\n" + "".join(map(self._line, self._rows)), encoding="utf-8")
        fresh.replace(self.part)
        self._file = self.part.open("a", encoding="utf-8")
        return self._file

    def _line(self, row: Row) -> str:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow([text_of(row.get(column, "")) for column in self.mode.columns])
        return line.getvalue()


def read_rows(path: Path, mode: Mode) -> list[Row]:
    """The rows of a file of this mode as text, empty cells left out; raises MeasuringError for other columns."""
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            if tuple(reader.fieldnames or ()) != mode.columns:
                raise MeasuringError(f"{path}:1: not the columns of {mode.name}: {','.join(mode.columns)}")
            return [{column: cell for column, cell in cells.items() if cell} for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MeasuringError(f"{path}: {error}") from error


def _whole_rows(path: Path, mode: Mode) -> list[Row]:
    """The rows of an earlier run; a last line without its end was cut short and is measured again."""
    text = path.read_text(encoding="utf-8")
    if not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]
    reader = csv.DictReader(io.StringIO(text))
    if tuple(reader.fieldnames or ()) != mode.columns:
        if not text:
            return []
        raise MeasuringError(f"{path}:1: not the columns of {mode.name}, so it cannot be resumed: --force starts over")
    return [{column: cell for column, cell in cells.items() if cell} for cells in reader]
