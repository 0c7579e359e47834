"""Run records and tables on a terminal of 80 columns, or as plain text where the output is a file or a pipe."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from typing import TextIO

from rich import box
from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from simulator.contracts.results import RunRecord, Table
from simulator.report.layout import (
    MetricGroup,
    TextTable,
    breakdown_tables,
    metric_groups,
    percentile_table,
    plain_table,
    shown_tables,
    told_breakdown,
    told_metrics,
)

_BAR_WIDTH = 12
_BETWEEN = 2  # blanks between columns
_LEAST_NAME = 24
_PLAIN_WIDTH = 100


def console_for(stream: TextIO, width: int | None = None) -> Console:
    """A console that colours a terminal and leaves a pipe or a file plain."""
    if width is None and not stream.isatty():
        width = shutil.get_terminal_size((_PLAIN_WIDTH, 24)).columns
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def print_record(console: Console, record: RunRecord, run_dir: str | None = None) -> None:
    """Print a run: its headlines, metrics, percentiles, breakdowns, notes and where its files are."""
    metrics = told_metrics(record)
    tables = [percentile_table(metrics), *breakdown_tables(told_breakdown(record))]
    blocks: list[RenderableType] = [_title(record)]
    blocks += [_table(table, console) for table in shown_tables(record)]
    if metrics:
        blocks.append(_metrics(metric_groups(metrics)))
    blocks += [_table(table, console) for table in tables if table is not None]
    if record.notes:
        blocks.append(_notes(record.notes))
    _print(console, blocks)
    if run_dir is not None:
        console.print()
        console.print(Text(f"Run directory: {run_dir}"), soft_wrap=True)  # one line, so that it can be copied


def print_table(console: Console, title: str, table: Table) -> None:
    """Print any table of names and numbers under a title."""
    _print(console, [_table(plain_table(title, table), console)])


def _print(console: Console, blocks: Sequence[RenderableType]) -> None:
    with console.capture() as capture:
        for index, block in enumerate(blocks):
            if index:
                console.print()
            console.print(block)
    # rich fills every row with blanks, which a file or a diff should not see.
    for line in capture.get().splitlines():
        console.file.write(line.rstrip() + "\n")


def _title(record: RunRecord) -> RenderableType:
    lines = [Text(f"{record.system}  |  {record.workload}", style="bold cyan")]
    lines += [Text(line, style="bold") for line in record.headlines]
    return Group(*lines)


def _metrics(groups: Sequence[MetricGroup]) -> RenderableType:
    # One width for all groups, so that the numbers stand in one column.
    rows = [row for group in groups for row in group.rows]
    n_label = max((len(row[0]) for row in rows), default=0)
    n_number = max((len(row[1]) for row in rows), default=0)
    blocks: list[RenderableType] = []
    for group in groups:
        blocks.append(Text(group.title, style="bold"))
        for label, value, unit in group.rows:
            line = Text(f"  {label:<{n_label}}  ")
            line.append(f"{value:>{n_number}}", style="bold green")
            line.append(f" {unit}".rstrip(), style="dim")
            blocks.append(line)
    return Group(*blocks)


def _table(table: TextTable, console: Console) -> RenderableType:
    # Words say more than a bar, and 80 columns hold only one of them.
    with_bars = bool(table.shares) and console.is_terminal and all(table.numeric[1:])
    grid = RichTable(
        box=box.SIMPLE_HEAD if console.is_terminal else None,
        show_header=any(table.headers),
        header_style="dim",
        pad_edge=False,
        show_edge=False,
    )
    headers, widths = _headers(table, console.width - (_BAR_WIDTH + 2 if with_bars else 0))
    for header, numeric, width in zip(headers, table.numeric, widths, strict=True):
        # What cannot be broken keeps its width: the names of rows too, unless they are sentences.
        least = None if numeric else min(width, _LEAST_NAME)
        grid.add_column(
            header, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric, min_width=least
        )
    if with_bars:
        grid.add_column("", width=_BAR_WIDTH)
    widest = max(table.shares, default=0.0)
    for index, row in enumerate(table.rows):
        cells: list[RenderableType] = [Text(cell) for cell in row]
        if with_bars:
            cells.append(Bar(widest or 1.0, 0.0, max(0.0, table.shares[index]), color="cyan"))
        grid.add_row(*cells)
    return Group(Text(table.title, style="bold"), grid)


def _headers(table: TextTable, width: int) -> tuple[list[str], list[int]]:
    """The headers, over several lines where the table would be wider than this; and the widths of the cells."""
    cells = [max((len(row[index]) for row in table.rows), default=0) for index in range(len(table.headers))]
    across = [max(len(header), cell) + _BETWEEN for header, cell in zip(table.headers, cells, strict=True)]
    if sum(across) <= width:
        return list(table.headers), cells
    return [_broken(header, cell) for header, cell in zip(table.headers, cells, strict=True)], cells


def _broken(header: str, width: int) -> str:
    """A header in lines as wide as the cells below it, or as its longest word."""
    words = header.split()
    return textwrap.fill(header, max([width, *map(len, words)]), break_long_words=False) if words else header


def _notes(notes: Sequence[str]) -> RenderableType:
    lines: list[RenderableType] = [Text("Notes", style="bold")]
    lines += [Padding(Text(f"* {note}"), (0, 0, 0, 2)) for note in notes]
    return Group(*lines)
