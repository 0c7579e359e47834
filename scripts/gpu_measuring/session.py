"""Measures the planned rows one after the other and keeps every one that came out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from .errors import RowSkipped
from .rows import Row, text_of, title
from .table import MeasuredTable


class Bench(Protocol):
    """What measures one row; raises RowSkipped where the card cannot."""

    def measure(self, row: Row) -> Row:
        """The row with its results."""
        ...

    def recover(self) -> None:
        """Free what a row left behind; raises MeasuringError where the card no longer answers."""
        ...


@dataclass(slots=True)
class Outcome:
    """How a run of the plan went; `skipped` names each row that was left out and why."""

    n_measured: int = 0
    n_resumed: int = 0
    interrupted: bool = False
    skipped: list[dict[str, str]] = field(default_factory=list)


def measure_all(plan: list[Row], bench: Bench, table: MeasuredTable, *, say: Callable[[str], None]) -> Outcome:
    """Measure what the table does not have yet; Ctrl-C ends it early and keeps the rows so far."""
    outcome = Outcome()
    try:
        for number, row in enumerate(plan, start=1):
            name = title(table.mode, row)
            if table.has(row):
                outcome.n_resumed += 1
                continue
            try:
                measured = bench.measure(row)
            except RowSkipped as reason:
                outcome.skipped.append({"row": name, "reason": str(reason)})
                print(f"warning: {name} skipped: {reason}", file=sys.stderr)
                bench.recover()
                continue
            table.add(measured)
            outcome.n_measured += 1
            say(f"[{number}/{len(plan)}] {name}: {_results(measured, table)}")
    except KeyboardInterrupt:
        outcome.interrupted = True
    finally:
        table.close()
    if not outcome.interrupted:
        table.finish()
    return outcome


def _results(row: Row, table: MeasuredTable) -> str:
    shown = []
    for column in table.mode.results:
        value = row.get(column, "")
        if value != "":
            shown.append(f"{column}={value:.4g}" if isinstance(value, float) else f"{column}={text_of(value)}")
    return " ".join(shown)
