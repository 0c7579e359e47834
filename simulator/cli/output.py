"""What commands print: results on stdout, messages and progress on stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.contracts.results import RunRecord, Table

_LINES_AT_ONCE = 4096


def show_run(record: RunRecord, run_dir: Path | None, *, as_json: bool) -> None:
    """Print a run record, as tables or as the JSON object that `summary.json` holds."""
    if as_json:
        from simulator.report.records import summary_object

        show_object(summary_object(record, run_dir))
        return
    from simulator.report.tables import console_for, print_record

    print_record(console_for(sys.stdout), record, None if run_dir is None else str(run_dir))


def show_table(title: str, table: Table, *, as_json: bool) -> None:
    """Print a table under a title, or as `{title: [row, ...]}`."""
    if as_json:
        from simulator.report.records import table_objects

        show_object({title: table_objects(table)})
        return
    from simulator.report.tables import console_for, print_table

    print_table(console_for(sys.stdout), title, table)


def show_object(content: Mapping[str, Any]) -> None:
    """Print one JSON object."""
    from simulator.report.records import json_text

    sys.stdout.write(json_text(content))


def show_lines(lines: Iterable[str]) -> None:
    """Print lines, many at a time, each ended by one newline."""
    batch: list[str] = []
    for line in lines:
        batch.append(line if line.endswith("\n") else line + "\n")
        if len(batch) == _LINES_AT_ONCE:
            sys.stdout.write("".join(batch))
            batch.clear()
    sys.stdout.write("".join(batch))


def complain(message: str) -> None:
    """Print a message for the user on stderr."""
    with contextlib.suppress(BrokenPipeError):
        print(message, file=sys.stderr, flush=True)


@contextlib.contextmanager
def working(activity: str) -> Iterator[None]:
    """Show on stderr that a long command is at work, when that is a terminal; print nothing otherwise."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(activity):
        yield


def leave_pipe() -> None:
    """After the reader of stdout has gone: let the interpreter's last flush go nowhere instead of failing."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
