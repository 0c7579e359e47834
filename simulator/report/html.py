"""A run's report as one HTML file: no script, no font, no picture from anywhere else; plots are inline SVG.

Everything comes from the run's record and manifest. The page forbids itself every request (Content-Security-Policy),
and every name of a configuration or trace is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.contracts.results import RunRecord, Table
from simulator.report import layout, plot_style, wording
from simulator.report.layout import MetricGroup, TextTable
from simulator.report.plots import Plot, cumulative_plot, lines_plot, series_plot

_TEMPLATES = Path(__file__).parent / "templates"
_N_KEY_METRICS = 5
_N_OPERATORS_SHOWN = 60
_OPERATOR_COLUMNS = ("operator", "time_ms", "time_frac", "bound", "achieved", "peak", "unit")


@dataclass(frozen=True, slots=True)
class KeyNumber:
    """One of the numbers to look at first; `interval` is its error bar in words, "" where there is none."""

    words: str
    value: str
    unit: str
    interval: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a whole for a bar: name, share of the whole, colour."""

    name: str
    share: float
    colour: str


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A breakdown as a table, and its larger parts as one bar."""

    title: str
    table: TextTable
    strip: tuple[Part, ...]
    widest: float


@dataclass(frozen=True, slots=True)
class Stack:
    """Rows of a table as bars of one scale: (row's name, its total in words, its parts as shares of the longest)."""

    keys: tuple[tuple[str, str], ...]
    bars: tuple[tuple[str, str, tuple[Part, ...]], ...]


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """An operator: its time and share, what bound it, and how near it came to the peak of that (`reach`, or None)."""

    name: str
    time: str
    share: float
    bound: str
    colour: str
    reach: float | None
    reach_words: str


def report_html(record: RunRecord, manifest: Mapping[str, Any]) -> str:
    """The page of a run. `manifest` is the object of `manifest.json`."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["pieces"] = _pieces
    operators = _operators(record.operators)
    breakdowns, others = _breakdowns(record, with_operators=bool(operators))
    return environment.get_template("report.html.j2").render(
        style=plot_style,
        record=record,
        command=manifest.get("command", ()),
        kinds=manifest.get("parameter_kinds", {}),
        parameters_by_kind=manifest.get("parameters", {}),
        key_numbers=_key_numbers(record),
        breakdowns=breakdowns,
        shown=_shown(record),
        others=others,
        operators=operators,
        operators_left_out=max(0, len(record.operators.rows) - _N_OPERATORS_SHOWN) if record.operators else 0,
        constraints=list({row.bound: row.colour for row in operators if row.bound}.items()),
        percentiles=layout.percentile_table(layout.told_metrics(record)),
        groups=_groups(record),
        plots=_plots(record),
        ranges=_ranges(record.ranges),
        what_ran=_what_ran(manifest),
    )


def _pieces(text: object) -> list[str]:
    """A long name in pieces between which a line may break: after an underscore, a dot or a slash."""
    return re.findall(r"[^_./]*[_./]+|[^_./]+", str(text))


def _key_numbers(record: RunRecord) -> list[KeyNumber]:
    """The metrics that the run calls its key ones, or else the first of every group."""
    names = [name for name in record.key_metrics if name in record.metrics]
    if not names:
        seen: dict[str, str] = {}
        for name in record.metrics:
            seen.setdefault(wording.take_apart(name).unit, name)
        names = list(seen.values())
    return [_key_number(name, record) for name in names[:_N_KEY_METRICS]]


def _key_number(name: str, record: RunRecord) -> KeyNumber:
    named = wording.take_apart(name.removesuffix("_p50"))
    value, unit = wording.quantity(record.metrics[name], named.unit)
    words = named.words + (" (median)" if name.endswith("_p50") else "")
    return KeyNumber(words, value, unit, _interval(name, named.unit, record))


def _interval(name: str, unit: str, record: RunRecord) -> str:
    if name not in record.error_bars:
        return ""
    low, high = (wording.quantity(end, unit)[0] for end in record.error_bars[name])
    return "" if low == high else f"{low} to {high}"


def _groups(record: RunRecord) -> list[tuple[MetricGroup, tuple[str, ...]]]:
    """All metrics by group, and their error bars in words."""
    # The rows of a group stand in the order of the metrics, each of which is in one group.
    intervals: dict[tuple[str, str], str] = {}
    told = layout.told_metrics(record)
    for name in told:
        named = wording.take_apart(name)
        intervals[(named.words, wording.quantity(told[name], named.unit)[1])] = _interval(name, named.unit, record)
    groups = layout.metric_groups(told)
    return [(group, tuple(intervals.get((row[0], row[2]), "") for row in group.rows)) for group in groups]


def _breakdowns(record: RunRecord, *, with_operators: bool) -> tuple[list[Breakdown], list[TextTable]]:
    """Breakdowns of a whole into parts, and all other maps. Operators have a table of their own where there is one."""
    wholes, others = [], []
    for table in layout.breakdown_tables(layout.told_breakdown(record)):
        if not table.shares:
            others.append(table)
        elif not (with_operators and table.headers[0] == "operator"):
            wholes.append(Breakdown(_title(table), table, _strip(table), max(table.shares) or 1.0))
    return wholes, [table for table in others if not (with_operators and table.headers[0] == "operator")]


def _title(table: TextTable) -> str:
    """What is broken down, and by what: "Token energy by component"."""
    what = re.sub(r" \(.*\)$", "", table.headers[1])
    return f"{what[:1].upper()}{what[1:]} by {table.headers[0]}"


def _strip(table: TextTable) -> tuple[Part, ...]:
    """The parts of a whole in their order; what is too small to be seen is one last part."""
    parts = [
        Part(row[0], share, plot_style.COLOURS[index % len(plot_style.COLOURS)])
        for index, (row, share) in enumerate(zip(table.rows, table.shares, strict=True))
    ]
    seen = [part for part in parts[: len(plot_style.COLOURS) - 1] if part.share >= 0.01]
    rest = sum(part.share for part in parts) - sum(part.share for part in seen)
    if rest > 1e-9:
        seen.append(Part("the rest", rest, plot_style.COLOURS[-1]))
    return tuple(seen)


def _operators(table: Table | None) -> list[OperatorRow]:
    """The operators from the longest on; nothing where the run has no table of them with these columns."""
    if table is None or not set(_OPERATOR_COLUMNS) <= set(table.columns):
        return []
    places = [table.columns.index(column) for column in _OPERATOR_COLUMNS]
    cells = [[row[place] for place in places] for row in table.rows]
    cells.sort(key=lambda row: -float(row[2] or 0))
    cells = cells[:_N_OPERATORS_SHOWN]
    times = wording.column([row[1] for row in cells])
    bounds = list(dict.fromkeys(str(row[3]) for row in cells if row[3] is not None))
    colours = {bound: plot_style.COLOURS[index % len(plot_style.COLOURS)] for index, bound in enumerate(bounds)}
    return [_operator_row(row, time, colours) for row, time in zip(cells, times, strict=True)]


def _operator_row(cells: Sequence[Any], time: str, colours: Mapping[str, str]) -> OperatorRow:
    name, _, share, bound, achieved, peak, unit = cells
    if bound is None or not peak:
        return OperatorRow(str(name), time, float(share or 0), str(bound or ""), "", None, "")
    reach = float(achieved) / float(peak)
    words = f"{reach:.0%}"
    words += f" {unit}" if peak == 1 else f": {wording.number(achieved)} of {wording.number(peak)} {unit}"
    return OperatorRow(str(name), time, float(share or 0), str(bound), colours[str(bound)], reach, words)


def _plots(record: RunRecord) -> list[tuple[str, list[Plot]]]:
    """Plots under their headings: distributions, then series by what they are over."""
    sections: dict[str, list[Plot]] = {}
    for name, distribution in record.distributions.items():
        if len(distribution.values):
            plot = cumulative_plot(name, distribution, record.metrics)
            sections.setdefault("Latency distributions", []).append(plot)
    for name, series in record.series.items():
        if len(series.x):
            words = wording.take_apart(series.x_name).words
            plots = sections.setdefault(f"Over {words}", [])
            plots.append(series_plot(name, series, plot_style.COLOURS[len(plots) % len(plot_style.COLOURS)]))
    for name, lines in record.lines.items():
        drawn = {line: series for line, series in lines.items() if len(series.x)}
        if drawn:
            words = wording.take_apart(next(iter(drawn.values())).x_name).words
            sections.setdefault(f"Over {words}", []).append(lines_plot(name, drawn))
    return list(sections.items())


def _shown(record: RunRecord) -> list[tuple[TextTable, Stack | None]]:
    """The tables that a reader is to see, with their bars where they have any."""
    tables = zip(record.shown_tables, layout.shown_tables(record), strict=True)
    return [
        (text, _stack(record.tables[name]) if name in record.stacked_tables and text.rows else None)
        for name, text in tables
    ]


def _stack(table: Table) -> Stack:
    """A bar for each row, its length in proportion to its total."""
    names = [wording.take_apart(column).words for column in table.columns[1:]]
    colours = [plot_style.COLOURS[index % len(plot_style.COLOURS)] for index in range(len(names))]
    values = [[float(value or 0) for value in row[1:]] for row in table.rows]
    totals = [sum(row) for row in values]
    longest = max(totals) or 1.0
    bars = tuple(
        (str(row[0]), words, tuple(map(Part, names, (value / longest for value in own), colours)))
        for row, words, own in zip(table.rows, wording.column(totals), values, strict=True)
    )
    return Stack(tuple(zip(names, colours, strict=True)), bars)


def _ranges(table: Table | None) -> list[tuple[str, str, list[tuple[str, ...]]]]:
    """(parameter, range, rows of a metric with its unit and its values from the low end to the high one)."""
    found: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for parameter, span, metric, *values in table.rows if table else ():
        numbers = [
            value * 100 if isinstance(value, float) and str(metric).endswith("_frac") else value for value in values
        ]
        row = (wording.heading(str(metric)), *wording.column(numbers))
        found.setdefault((str(parameter), str(span)), []).append(row)
    return [(*key, rows) for key, rows in found.items()]


def _what_ran(manifest: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Rows of what it takes to repeat the run."""
    commit = manifest.get("git_commit") or "not run from a clone"
    if manifest.get("git_dirty"):
        commit += ", with uncommitted changes"
    traces = [f"{path}  SHA-256 {checksum}" for path, checksum in manifest.get("trace_checksums", {}).items()]
    versions = ", ".join(f"{name} {version}" for name, version in manifest.get("versions", {}).items())
    host = ", ".join(str(part) for part in manifest.get("host", {}).values())
    rows = [
        ("Configuration", [str(manifest.get("config", ""))]),
        ("Configuration hash", [str(manifest.get("config_hash", ""))]),
        ("Seed", [str(manifest.get("seed", ""))]),
        ("Traces", traces),
        ("Git commit", [commit]),
        ("Source hash", [str(manifest.get("source_hash", ""))]),
        ("Written", [str(manifest.get("written_utc", ""))]),
        ("Versions", [versions]),
        ("Host", [host]),
    ]
    return [(name, values) for name, values in rows if any(values)]
