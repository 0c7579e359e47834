"""A run record arranged for reading: groups of metrics, percentiles, breakdowns. Text in rows; no terminal, no colour.

A breakdown named `<what>_by_<axis>[_<unit>]` shares a table with the others of its axis, a column each, with the share
of each part; a map of texts such as `bound_by_operator` is a column too. Any other map is a table of its own: a row
each entry, or where all are statistics (`gemm_mean_frac`, `gemm_n`) a row each family.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from simulator.contracts.results import RunRecord, Scalar, Table
from simulator.report import wording

N_ROWS_SHOWN = 16
_STATISTICS = ("mean", "p50", "p90", "p95", "p99", "p999", "max")
_STATISTIC = re.compile(rf"(?P<base>.+)_(?P<statistic>{'|'.join(_STATISTICS)})$")
_OF_A_FAMILY = re.compile(rf"(?P<base>.+)_(?P<statistic>{'|'.join(_STATISTICS)}|n)(?P<unit>_frac)?$")
_BY = re.compile(r"(?P<what>.+)_by_(?P<axis>[a-z0-9]+)(?P<unit>_.+)?$")
_GROUPS = (
    ("Predictions", re.compile(r"nats(/.+)?$")),
    ("Throughput", re.compile(r".+/(s|h|day)$")),
    ("Energy and power", re.compile(r"([pnumk]?J|kWh)(/.+)?$|[mk]?W$")),
    ("Time", re.compile(r"([pnum]?s|h|cycles)(/.+)?$")),
    ("Use and load", re.compile(r"%$")),
    ("Size and traffic", re.compile(r"bytes|bits|[KMGkmg]i?B$")),
)
_REST = "Counts"
_OF_WORDS = {"perplexity": "Predictions"}  # numbers without a unit that belong to others


@dataclass(frozen=True, slots=True)
class MetricGroup:
    """Metrics of one kind of unit: rows of name, number and unit."""

    title: str
    rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table as text. `numeric` says which columns hold numbers; `shares` is each row's part of the whole, if any."""

    title: str
    headers: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    shares: tuple[float, ...] = ()


def metric_groups(metrics: Mapping[str, int | float]) -> list[MetricGroup]:
    """Metrics grouped by their unit: predictions, throughput, energy, time, use, size, counts; percentiles
    left out."""
    families = _families(metrics)
    grouped: dict[str, list[tuple[str, str, str]]] = {title: [] for title, _ in _GROUPS}
    grouped[_REST] = []
    for name, value in metrics.items():
        if _base(name) in families:
            continue
        named = wording.take_apart(name)
        by_unit = next((title for title, pattern in _GROUPS if pattern.match(named.unit)), _REST)
        title = next((title for word, title in _OF_WORDS.items() if named.words.endswith(word)), by_unit)
        grouped[title].append((named.words, *wording.quantity(value, named.unit)))
    return [MetricGroup(title, tuple(rows)) for title, rows in grouped.items() if rows]


def percentile_table(metrics: Mapping[str, int | float]) -> TextTable | None:
    """The metrics that come as mean and percentiles: a row each, a column per statistic. None where there are none."""
    families = _families(metrics)
    if not families:
        return None
    statistics = [one for one in _STATISTICS if any(f"{base}_{one}" in metrics for base in families)]
    rows = [
        (wording.heading(base), *wording.column([metrics.get(f"{base}_{one}") for one in statistics]))
        for base in families
    ]
    return TextTable("Requests", ("", *statistics), (False, *(True for _ in statistics)), tuple(rows))


def breakdown_tables(breakdown: Mapping[str, Mapping[str, Scalar]]) -> list[TextTable]:
    """The breakdown as tables: one per axis, with what each part takes, its share and what bounds it."""
    by_axis: dict[str, dict[str, Mapping[str, Scalar]]] = {}
    tables = []
    for name, parts in breakdown.items():
        if not parts:
            continue
        if match := _BY.match(name):
            by_axis.setdefault(match["axis"], {})[match["what"] + (match["unit"] or "")] = parts
        else:
            tables.append(_map_table(name, parts))
    return [_axis_table(axis, columns) for axis, columns in by_axis.items()] + tables


def plain_table(title: str, table: Table) -> TextTable:
    """Any table, with its columns' units in brackets."""
    numeric = tuple(_all_numbers(row[index] for row in table.rows) for index in range(len(table.columns)))
    units = [wording.take_apart(column).unit for column in table.columns]
    columns = [_column([row[index] for row in table.rows], unit) for index, unit in enumerate(units)]
    rows = tuple(zip(*columns, strict=True)) if table.rows else ()
    return TextTable(title, tuple(wording.heading(column) for column in table.columns), numeric, rows)


def shown_tables(record: RunRecord) -> list[TextTable]:
    """The tables of a run that a reader is to see."""
    return [plain_table(_capital(wording.heading(name)), record.tables[name]) for name in record.shown_tables]


def told_metrics(record: RunRecord) -> dict[str, int | float]:
    """The metrics that no shown table tells already."""
    return {name: value for name, value in record.metrics.items() if name not in record.in_tables}


def told_breakdown(record: RunRecord) -> dict[str, Mapping[str, Scalar]]:
    """The breakdowns that no shown table tells already."""
    return {name: parts for name, parts in record.breakdown.items() if name not in record.in_tables}


def _base(name: str) -> str | None:
    match = _STATISTIC.match(name)
    return match["base"] if match else None


def _families(metrics: Iterable[str]) -> list[str]:
    bases = [base for name in metrics if (base := _base(name))]
    return [base for base in dict.fromkeys(bases) if bases.count(base) > 1]


def _map_table(name: str, parts: Mapping[str, Scalar]) -> TextTable:
    found = [_OF_A_FAMILY.match(part) for part in parts]
    matches = [match for match in found if match is not None]
    if len(matches) == len(found) and len({match["statistic"] for match in matches}) > 1:
        return _family_table(name, parts, matches)
    values = _column(list(parts.values()), wording.take_apart(name).unit)
    rows = tuple(zip(parts, values, strict=True))
    return TextTable(_capital(wording.heading(name)), ("", ""), (False, _all_numbers(parts.values())), rows)


def _family_table(name: str, parts: Mapping[str, Scalar], matches: Sequence[re.Match[str]]) -> TextTable:
    """Statistics of several families: a row each, the count first."""
    bases = list(dict.fromkeys(match["base"] for match in matches))
    statistics = dict.fromkeys((match["statistic"], match["unit"] or "") for match in matches)
    headers, cells = [""], [bases]
    for statistic, unit in sorted(statistics, key=lambda one: one[0] != "n"):
        named = wording.take_apart(statistic + unit)
        headers.append("rows" if statistic == "n" else wording.heading(statistic + unit))
        cells.append(_column([parts.get(f"{base}_{statistic}{unit}") for base in bases], named.unit))
    rows = tuple(zip(*cells, strict=True))
    return TextTable(_capital(wording.heading(name)), tuple(headers), (False, *(True for _ in statistics)), rows)


def _axis_table(axis: str, columns: Mapping[str, Mapping[str, Scalar]]) -> TextTable:
    numbers = {name: parts for name, parts in columns.items() if _all_numbers(parts.values())}
    texts = {name: parts for name, parts in columns.items() if name not in numbers}
    order = list(dict.fromkeys(part for parts in columns.values() for part in parts))
    leading = next(iter(numbers.values()), {})
    order.sort(key=lambda part: -float(leading.get(part, 0)))  # stable: equal parts stay in the run's own order
    shown, folded = order, list[str]()
    if len(order) > N_ROWS_SHOWN:
        shown, folded = order[: N_ROWS_SHOWN - 1], order[N_ROWS_SHOWN - 1 :]
    groups = [(part, [part]) for part in shown] + ([(f"{len(folded)} others", folded)] if folded else [])

    headers, numeric, cells = [axis], [False], [[label for label, _ in groups]]
    shares: list[float] = []
    for name, parts in numbers.items():
        values = [_total(parts, members) for _, members in groups]
        whole = sum(values)
        part_shares = [value / whole if whole else 0.0 for value in values]
        headers += [wording.heading(name), "share"]
        numeric += [True, True]
        cells += [_column(values, wording.take_apart(name).unit), [f"{share * 100:.1f}%" for share in part_shares]]
        shares = shares or part_shares
    for name, parts in texts.items():
        headers.append(_text_header(name))
        numeric.append(False)
        cells.append([str(parts.get(members[0], "")) if len(members) == 1 else "" for _, members in groups])
    rows = tuple(zip(*cells, strict=True))
    return TextTable(f"By {axis}", tuple(headers), tuple(numeric), rows, tuple(shares))


def _total(parts: Mapping[str, Scalar], members: Iterable[str]) -> float:
    values = [parts[member] for member in members if member in parts]
    return sum(value for value in values if not isinstance(value, str))


def _column(values: Sequence[Scalar | None], unit: str) -> list[str]:
    if unit == "%":
        values = [value if value is None or isinstance(value, str) else value * 100 for value in values]
    return wording.column(values)


def _text_header(name: str) -> str:
    return "bound by" if name == "bound" else wording.heading(name)


def _all_numbers(values: Iterable[Scalar | None]) -> bool:
    return all(not isinstance(value, str) for value in values)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
