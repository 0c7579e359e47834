"""Run records as files: the summary object, CSV tables and JSON, with full precision and never a NaN."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from simulator.contracts.results import RunRecord, Table
from simulator.core.errors import ModelFault

JsonObject = dict[str, Any]


def summary_object(record: RunRecord, run_dir: str | Path | None) -> JsonObject:
    """The object of `--json` and of `summary.json`: system, workload, metrics, breakdown and run directory.

    A missing number (NaN: a percentile of nothing) becomes null; an infinite one raises ModelFault.
    """
    return {
        "system": record.system,
        "workload": record.workload,
        "metrics": {name: _finite(value, name) for name, value in record.metrics.items()},
        "breakdown": {
            name: {part: _finite(value, f"{name}.{part}") for part, value in parts.items()}
            for name, parts in record.breakdown.items()
        },
        "run_dir": None if run_dir is None else str(run_dir),
    }


def table_objects(table: Table) -> list[JsonObject]:
    """A table as one object per row, for `--json`."""
    return [
        {column: _finite(value, column) for column, value in zip(table.columns, row, strict=True)} for row in table.rows
    ]


def json_text(content: Mapping[str, Any] | Sequence[Any]) -> str:
    """JSON with floats to their last digit; a NaN or an infinity that got this far raises ValueError."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=plain_value) + "\n"


def csv_text(table: Table) -> str:
    """A table as CSV: a header, floats to their last digit, integers as integers, a missing number as an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(_cells(table))
    return text.getvalue()


def plain_value(value: Any) -> Any:
    """A number of numpy's as Python's own, and a path or position as text."""
    item = getattr(value, "item", None)
    return item() if callable(item) else str(value)


def _cells(table: Table) -> Iterable[list[Any]]:
    n_columns = len(table.columns)
    for number, row in enumerate(table.rows, start=1):
        if len(row) != n_columns:
            raise ModelFault(f"row {number} of a table has {len(row)} cells under {n_columns} columns")
        yield [_finite(value, column) for column, value in zip(table.columns, row, strict=True)]


def _finite(value: Any, name: str) -> Any:
    if type(value) is int or type(value) is str or value is None:
        return value
    if not isinstance(value, bool | int | str):
        value = value if type(value) is float else plain_value(value)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if math.isinf(value):
            raise ModelFault(f"{name} is infinite", remedy="report the command and its configuration")
    return value
