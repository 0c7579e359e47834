"""Error bars: what the stated ranges of a configuration's parameters do to the metrics of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from simulator.contracts.results import RunRecord, Scalar, Table
from simulator.core.parameters import Parameter

RANGE_COLUMNS = ("parameter", "range", "metric", "at_low_end", "as_configured", "at_high_end")

Metrics = Mapping[str, int | float]


@dataclass(frozen=True, slots=True)
class ErrorBars:
    """`bars`: the least and the largest value of every metric. `ranges`: a row per parameter that states a range."""

    bars: dict[str, tuple[float, float]]
    ranges: Table


def error_bars(
    record: RunRecord, parameters: Iterable[Parameter], metrics_with: Callable[[str, Any], Metrics]
) -> ErrorBars:
    """Set every parameter that states a range to either end of it, one at a time, and add up what that changes.

    `metrics_with(path, value)` runs the same thing with one parameter changed. A metric's bar reaches down by the sum
    of what each parameter lowers it by at most, and up likewise. The table shows the key metrics at either end.
    Not modelled: parameters that change together, and extremes inside a range.
    """
    shown = [name for name in record.key_metrics if name in record.metrics] or list(record.metrics)[:5]
    low, high = dict.fromkeys(record.metrics, 0.0), dict.fromkeys(record.metrics, 0.0)
    rows: list[tuple[Scalar | None, ...]] = []
    for parameter in parameters:
        if parameter.range is None:
            continue
        ends = [metrics_with(parameter.path, end) for end in parameter.range]
        for name, value in record.metrics.items():
            changes = [end[name] - value for end in ends if math.isfinite(end.get(name, math.nan) - value)]
            low[name] += min(0.0, *changes) if changes else 0.0
            high[name] += max(0.0, *changes) if changes else 0.0
        span = f"{parameter.range[0]} to {parameter.range[1]}"
        rows += [
            (parameter.path, span, name, ends[0].get(name), record.metrics[name], ends[1].get(name)) for name in shown
        ]
    bars = {name: (value + low[name], value + high[name]) for name, value in record.metrics.items()} if rows else {}
    return ErrorBars(bars, Table(RANGE_COLUMNS, rows))
