"""The tables of a sweep, written from its store row by row: CSV and Parquet of the points, failures, times.

The order is the sweep's own and no time stands in them: a sweep that was interrupted and one that was not give the same
bytes.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from simulator.core.errors import ConfigError
from simulator.core.nodes import Where
from simulator.core.spelling import did_you_mean
from simulator.experiments.sweeps.store import ResultStore, StoredPoint

_ROW_GROUP = 8192
_FIRST = "point"


@dataclass(frozen=True, slots=True)
class Columns:
    """The table's columns: what a point sets, then its metrics; `types` has the Parquet type of each."""

    inputs: tuple[str, ...]
    metrics: tuple[str, ...]
    types: dict[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, in order."""
        return (_FIRST, *self.inputs, *self.metrics)


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of a sweep's points, and the failures by exit code and message."""

    n_done: int
    n_failed: int
    failures: dict[str, int]
    first_exit_code: int
    system: str
    workload: str


@dataclass(frozen=True, slots=True)
class TableSource:
    """Where the rows come from: the store, the names of the configurations, the paths that a point sets, and the
    metrics that the sweep file asks for (none: all)."""

    store: ResultStore
    configs: tuple[str, ...]
    paths: tuple[str, ...]
    metrics: tuple[str, ...]

    def rows(self) -> Iterator[tuple[StoredPoint, dict[str, Any]]]:
        """Each point with what it sets, by column."""
        for point in self.store.points():
            yield point, {"config": self.configs[point.config], **dict(zip(self.paths, point.values, strict=True))}

    def survey(self) -> tuple[Columns, Tally]:
        """One pass over all rows: columns with their types, and counts."""
        inputs = (*(("config",) if len(self.configs) > 1 else ()), *self.paths)
        types: dict[str, str] = {_FIRST: "int"}
        metrics: dict[str, None] = dict.fromkeys(self.metrics)
        failures: dict[str, int] = {}
        seen: dict[str, dict[str, None]] = {"system": {}, "workload": {}}
        n_done = n_failed = first_exit_code = 0
        for point, cells in self.rows():
            if point.failed:
                n_failed += 1
                first_exit_code = first_exit_code or point.content["exit_code"]
                cause = f"exit code {point.content['exit_code']}"
                failures[cause] = failures.get(cause, 0) + 1
                continue
            n_done += 1
            if not self.metrics:
                metrics.update(dict.fromkeys(point.content["metrics"]))
            for name, among in seen.items():
                among[point.content[name]] = None
            for name, value in (*cells.items(), *point.content["metrics"].items()):
                types[name] = _joined_type(types.get(name, "null"), value)
        columns = Columns(inputs, tuple(metrics), types)
        texts = {name: _enumerated(list(among)) for name, among in seen.items()}
        return columns, Tally(n_done, n_failed, failures, first_exit_code, texts["system"], texts["workload"])

    def check_metrics(self, columns: Columns, where: Where) -> None:
        """Refuse a metric that no point has. Raises ConfigError with the nearest one."""
        known = set(columns.types) - {_FIRST, "config", *self.paths}
        for name in self.metrics:
            if known and name not in known:
                raise ConfigError(
                    f"no point has a metric `{name}` (all points are recorded and need not run again)",
                    where=where,
                    remedy=did_you_mean(name, known),
                )

    def write(self, folder: Path, columns: Columns) -> None:
        """Write `table.csv`, `table.parquet`, `failed.csv` and `timing.csv`. Raises OSError."""
        with (
            (folder / "table.csv").open("w", encoding="utf-8", newline="") as table,
            (folder / "failed.csv").open("w", encoding="utf-8", newline="") as failed,
            (folder / "timing.csv").open("w", encoding="utf-8", newline="") as timing,
            _ParquetTable(folder / "table.parquet", columns) as parquet,
        ):
            good, bad, times = _writer(table), _writer(failed), _writer(timing)
            good.writerow(columns.names)
            bad.writerow((_FIRST, *columns.inputs, "exit_code", "error"))
            times.writerow((_FIRST, "cpu_s"))
            for point, cells in self.rows():
                inputs = [cells[name] for name in columns.inputs]
                times.writerow((point.ordinal, f"{point.cpu_s:.6f}"))
                if point.failed:
                    bad.writerow((point.ordinal, *inputs, point.content["exit_code"], point.content["error"]))
                    continue
                row = (point.ordinal, *inputs, *(point.content["metrics"].get(name) for name in columns.metrics))
                good.writerow([_cell(value) for value in row])
                parquet.add(row)


class _ParquetTable:
    """A Parquet file that is written a group of rows at a time."""

    def __init__(self, path: Path, columns: Columns) -> None:
        self._path = path
        self._columns = columns
        self._rows: list[Sequence[Any]] = []

    def __enter__(self) -> _ParquetTable:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "text": pa.string(), "null": pa.null()}
        types = self._columns.types
        self._schema = pa.schema([(name, kinds[types.get(name, "null")]) for name in self._columns.names])
        self._writer = pq.ParquetWriter(self._path, self._schema)
        return self

    def add(self, row: Sequence[Any]) -> None:
        """Add a row."""
        self._rows.append(row)
        if len(self._rows) == _ROW_GROUP:
            self._flush()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        names, types = self._columns.names, self._columns.types
        columns = zip(*self._rows, strict=True) if self._rows else ([] for _ in names)
        arrays = [
            pa.array([_typed(value, types.get(name, "null")) for value in column], field.type)
            for name, column, field in zip(names, columns, self._schema, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()


def _writer(stream: TextIO) -> Any:
    return csv.writer(stream, lineterminator="\n")


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, bool) else value


def _typed(value: Any, kind: str) -> Any:
    if value is None or kind in ("int", "bool", "null"):
        return value
    if kind == "float":
        return float(value)
    return value if isinstance(value, str) else json.dumps(value)


def _joined_type(known: str, value: Any) -> str:
    if value is None:
        return known
    kind = {bool: "bool", int: "int", float: "float"}.get(type(value), "text")
    if kind == "int" and not -(2**63) <= value < 2**63:
        kind = "float"
    if known in ("null", kind):
        return kind
    return "float" if {known, kind} == {"int", "float"} else "text"


def _enumerated(names: Iterable[str]) -> str:
    known = sorted(names)
    return ", ".join(known[:3]) + (f" and {len(known) - 3} more" if len(known) > 3 else "")
