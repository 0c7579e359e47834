"""Results on a stream: as tables for a person, or as one JSON object for a program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO

from simulator.contracts.results import RunRecord, Table
from simulator.report.records import json_text, summary_object, table_objects

_LINES_AT_ONCE = 4096


def show_run(stream: TextIO, record: RunRecord, run_dir: str | Path | None, *, as_json: bool) -> None:
    """Print a run record, as tables or as the JSON object that `summary.json` holds."""
    if as_json:
        show_object(stream, summary_object(record, run_dir))
        return
    from simulator.report.tables import console_for, print_record

    print_record(console_for(stream), record, None if run_dir is None else str(run_dir))


def show_table(stream: TextIO, title: str, table: Table, *, as_json: bool) -> None:
    """Print a table under a title, or as the object `{title: [row, ...]}`."""
    if as_json:
        show_object(stream, {title: table_objects(table)})
        return
    from simulator.report.tables import console_for, print_table

    print_table(console_for(stream), title, table)


def show_object(stream: TextIO, content: Mapping[str, Any]) -> None:
    """Print one JSON object."""
    stream.write(json_text(content))


def show_lines(stream: TextIO, lines: Iterable[str]) -> None:
    """Print lines, many at a time, each ended by one newline."""
    batch: list[str] = []
    for line in lines:
        batch.append(line if line.endswith("\n") else line + "\n")
        if len(batch) == _LINES_AT_ONCE:
            stream.write("".join(batch))
            batch.clear()
    stream.write("".join(batch))


def table_of(rows: Sequence[Any]) -> Table:
    """Records of one dataclass as a table: a row each, a column per field."""
    columns = tuple(field.name for field in fields(rows[0])) if rows else ()
    return Table(columns, [tuple(getattr(row, column) for column in columns) for row in rows])
