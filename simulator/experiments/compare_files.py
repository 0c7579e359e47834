"""A comparison as the object of `--json`, as text of 80 columns, and as a directory with tables and a picture."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from simulator.contracts.results import Scalar, Table
from simulator.experiments.compare import Comparison, Entry, ratio
from simulator.report.printing import show_table
from simulator.report.records import csv_text, json_text
from simulator.report.run_directory import RunTarget, default_run_path, run_target, whole_directory
from simulator.report.waterfall import Waterfall, waterfall_steps, write_waterfalls
from simulator.report.wording import heading, number, take_apart

_OTHERS_IN_A_TABLE = 2
_N_OPERATORS_SHOWN = 16
_STATISTIC = re.compile(r".+_(mean|p50|p90|p95|p99|p999|max)$")


def comparison_object(found: Comparison, run_dir: str | None) -> dict[str, Any]:
    """The object of `--json`: of each entry its results and their ratios to the first's."""
    first = found.entries[0]
    return {
        "system": first.system,
        "workload": first.workload,
        "metrics": first.metrics,
        "breakdown": {},
        "run_dir": run_dir,
        "entries": [
            {
                "label": entry.label,
                "name": entry.name,
                "origin": entry.origin,
                "system": entry.system,
                "workload": entry.workload,
                "source_hash": entry.source,
                "metrics": entry.metrics,
                "ratios": {
                    name: ratio(entry.metrics.get(name), first.metrics.get(name)) for name in found.metric_names
                },
                "operators_ms": entry.operators_ms,
                "operator_differences_ms": {
                    name: entry.operators_ms.get(name, 0.0) - first.operators_ms.get(name, 0.0)
                    for name in found.operator_names
                },
                "bound_by_operator": entry.bounds,
                f"energy_{entry.energy_unit or 'mj'}": entry.energy,
            }
            for entry in found.entries
        ],
        "notes": list(found.notes),
    }


def comparison_text(stream: TextIO, found: Comparison, run_dir: str | None) -> None:
    """Print a comparison: who is who, metrics with ratios, distributions, operators."""
    first, *others = found.entries
    stream.write(f"{first.workload}: {len(found.entries)} side by side, ratios to A\n\n")
    for entry in found.entries:
        stream.write(f"  {entry.label}  {entry.name} ({entry.system}, {entry.origin})\n")
    scalars = [name for name in found.metric_names if not _STATISTIC.fullmatch(name)]
    statistics = [name for name in found.metric_names if _STATISTIC.fullmatch(name)]
    for start in range(0, len(others), _OTHERS_IN_A_TABLE):
        columns = others[start : start + _OTHERS_IN_A_TABLE]
        for title, names in (("Metrics", scalars), ("Distributions", statistics)):
            if names:
                stream.write("\n")
                show_table(stream, title, _metric_table(names, first, columns), as_json=False)
        if any(entry.operators_ms for entry in found.entries):
            stream.write("\n")
            title = "Operators, most different first"
            show_table(stream, title, _operator_table(found, first, columns), as_json=False)
    if found.notes:
        stream.write("\nNotes\n" + "".join(f"  * {note}\n" for note in found.notes))
    if run_dir is not None:
        stream.write(f"\nTables and pictures: {run_dir}\n")


def comparison_target(found: Sequence[str], options: Sequence[str], out: str | None) -> RunTarget:
    """Where a comparison goes: `out`, or a directory in results/ named after what is compared. Raises ConfigError."""
    names = [Path(name).name or "run" for name in found]
    digest = hashlib.sha256("\0".join([*found, "", *options]).encode()).hexdigest()
    stem = "-".join(Path(name).stem[:24] if name.endswith(".yaml") else name[:24] for name in names[:3])
    return run_target(out, default_run_path("compare", stem, digest))


def write_comparison(found: Comparison, target: RunTarget) -> Path:
    """Write summary.json, metrics.csv, operators.csv and the waterfall; all of them or none. Raises ConfigError."""
    every = list(_panels(found))
    # Totals that are equal need no picture, unless there is no other.
    panels = [panel for panel in every if panel.steps] or every[:1]
    with whole_directory(target) as folder:
        (folder / "summary.json").write_text(json_text(comparison_object(found, target.name)), encoding="utf-8")
        (folder / "metrics.csv").write_text(csv_text(_all_metrics(found)), encoding="utf-8")
        if found.operator_names:
            (folder / "operators.csv").write_text(csv_text(_all_operators(found)), encoding="utf-8")
        if panels:
            write_waterfalls(panels, folder / "waterfall")
    return Path(target.name)


def _metric_table(names: Sequence[str], first: Entry, others: Sequence[Entry]) -> Table:
    columns = ["metric", first.label]
    for entry in others:
        columns += [entry.label, f"{entry.label}/{first.label}"]
    rows: list[tuple[Scalar | None, ...]] = []
    for name in names:
        ours = first.metrics.get(name)
        row: list[Scalar | None] = [_heading(name), _shown(name, ours)]
        for entry in others:
            value = entry.metrics.get(name)
            row += [_shown(name, value), _ratio_text(ratio(value, ours))]
        rows.append(tuple(row))
    return Table(tuple(columns), _right_aligned(rows))


def _operator_table(found: Comparison, first: Entry, others: Sequence[Entry]) -> Table:
    narrow = len(others) == 1  # two others and their ratios would not fit into 80 columns
    columns = ["operator", f"{first.label} (ms)"]
    for entry in others:
        columns += [f"{entry.label} (ms)", "difference"] + ([f"{entry.label}/{first.label}"] if narrow else [])
    rows: list[tuple[Scalar | None, ...]] = []
    shown = found.operator_names[:_N_OPERATORS_SHOWN]
    rest = found.operator_names[_N_OPERATORS_SHOWN:]
    groups = [(name, (name,)) for name in shown] + ([(f"{len(rest)} others", rest)] if rest else [])
    for label, members in groups:
        ours = _time_ms(first, members)
        row: list[Scalar | None] = [label, _time_text(ours)]
        for entry in others:
            theirs = _time_ms(entry, members)
            # Machines of different kinds have few operators in common: what one lacks has no difference.
            both = (theirs, ours) if theirs is not None and ours is not None else None
            row += [_time_text(theirs), _difference(both[0] - both[1]) if both else "-"]
            row += [_ratio_text(ratio(*both)) if both else "-"] if narrow else []
        rows.append(tuple(row))
    return Table(tuple(columns), _right_aligned(rows))


def _time_ms(entry: Entry, operators: Sequence[str]) -> float | None:
    """Time of some operators together; None where the entry has none of them."""
    found = [entry.operators_ms[name] for name in operators if name in entry.operators_ms]
    return sum(found) if found else None


def _time_text(time_ms: float | None) -> str:
    return "-" if time_ms is None else f"{time_ms:,.3f}"


def _right_aligned(rows: Sequence[tuple[Scalar | None, ...]]) -> list[tuple[Scalar | None, ...]]:
    """Cells of text that holds numbers, filled with blanks on the left to one width a column."""
    if not rows:
        return []
    widths = [max(len(str(row[index])) for row in rows) for index in range(len(rows[0]))]
    return [
        (row[0], *(str(cell).rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))) for row in rows
    ]


def _shown(name: str, value: float | None) -> str:
    if value is not None and take_apart(name).unit == "%":
        return f"{value * 100:.2f}"
    return number(value)


def _heading(name: str) -> str:
    """A metric's name with its unit, that of a statistic too: `ttft_ms_p50` is "TTFT p50 (ms)"."""
    match = _STATISTIC.fullmatch(name)
    if match is None:
        return heading(name)
    base = take_apart(name.removesuffix(f"_{match[1]}"))
    return f"{base.words} {match[1]}" + (f" ({base.unit})" if base.unit else "")


def _difference(value: float) -> str:
    return "0" if abs(value) < 0.0005 else f"{value:+,.3f}"


def _ratio_text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _all_metrics(found: Comparison) -> Table:
    first = found.entries[0]
    rows = [
        (
            entry.label,
            entry.name,
            name,
            entry.metrics.get(name),
            ratio(entry.metrics.get(name), first.metrics.get(name)),
        )
        for name in found.metric_names
        for entry in found.entries
    ]
    return Table(("label", "name", "metric", "value", "ratio_to_first"), rows)


def _all_operators(found: Comparison) -> Table:
    first = found.entries[0]
    rows = []
    for name in found.operator_names:
        ours = first.operators_ms.get(name)
        for entry in found.entries:
            theirs = entry.operators_ms.get(name)
            difference = (theirs or 0.0) - (ours or 0.0)
            rows.append(
                (entry.label, entry.name, name, theirs, difference, ratio(theirs, ours), entry.bounds.get(name))
            )
    return Table(("label", "name", "operator", "time_ms", "difference_ms", "ratio_to_first", "bound"), rows)


def _panels(found: Comparison) -> Iterator[Waterfall]:
    """From the first to each other one: latency by operator, energy by component."""
    first, *others = found.entries
    for entry in others:
        ends = f"{first.label} to {entry.label}"
        if first.operators_ms and entry.operators_ms:
            start = sum(first.operators_ms.values()) if first.latency_ms is None else first.latency_ms
            end = sum(entry.operators_ms.values()) if entry.latency_ms is None else entry.latency_ms
            steps = waterfall_steps(start, first.operators_ms, end, entry.operators_ms, "overlap")
            yield Waterfall(f"Time by operator, {ends}", "ms", *_named(first, start), steps, *_named(entry, end))
        if first.energy and entry.energy and first.energy_unit == entry.energy_unit:
            start, end = sum(first.energy.values()), sum(entry.energy.values())
            steps = waterfall_steps(start, first.energy, end, entry.energy, "rest")
            unit = take_apart(f"energy_{first.energy_unit}").unit
            yield Waterfall(f"Energy by component, {ends}", unit, *_named(first, start), steps, *_named(entry, end))


def _named(entry: Entry, total: float) -> tuple[str, float]:
    name = Path(entry.name).name
    return f"{entry.label}: {name if len(name) <= 24 else name[:23] + '…'}", total
