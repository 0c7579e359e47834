"""Results: what a system says of one step, and what a run hands to the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.contracts.tasks import Schedule
from simulator.contracts.timeline import Timeline
from simulator.core.energy import EnergyLedger

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Scalar = int | float | str


@dataclass(frozen=True, slots=True)
class OpCost:
    """Time, energy and traffic of one operator on one device."""

    time_ps: int
    dram_read_bytes: int = 0
    dram_write_bytes: int = 0
    energy_pj: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bound:
    """What limited an operator: the constraint in words, and achieved against peak in `unit`."""

    constraint: str
    achieved: float
    peak: float
    unit: str


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step of a system. A pipeline has all three of latency, interval and slots; elsewhere interval is the latency.

    `latency_ps` is the schedule's makespan; `interval_ps` the time between completions at full occupancy; `n_slots` how
    many sequences are in flight. `energy` is that of the step (of one token, where a step is one token) and `power_w`
    the power at full occupancy, both as the system accounts for them. `traffic_bytes` by link; `bounds` by operator;
    `metrics` and `breakdown` hold what only this system has, by name with unit; `notes` what a reader must know;
    `made_of` the steps, with their numbers, that a step of many tokens consists of, where its breakdown is theirs.
    `operators_overlap` says that an operator's tasks are parts of one operation, on array and memory at once, say: its
    time counts once.
    """

    latency_ps: int
    interval_ps: float
    n_slots: int
    schedule: Schedule
    energy: EnergyLedger
    power_w: float
    traffic_bytes: dict[str, int] = field(default_factory=dict)
    bounds: dict[str, Bound] = field(default_factory=dict)
    metrics: dict[str, int | float] = field(default_factory=dict)
    breakdown: dict[str, dict[str, Scalar]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    made_of: tuple[tuple[StepResult, float], ...] = ()
    operators_overlap: bool = False


@dataclass(frozen=True, slots=True)
class StepSummary:
    """What remains of a step where thousands are kept: its latency, busy time in ps by resource and by operator, its
    energy and its bounds; not its spans."""

    latency_ps: int
    resource_ps: dict[str, int]
    operator_ps: dict[str, int]
    energy: EnergyLedger
    bounds: dict[str, Bound]

    @classmethod
    def of(cls, step: StepResult) -> StepSummary:
        """The summary of a step."""
        schedule = step.schedule
        by_operator = schedule.operator_elapsed_ps() if step.operators_overlap else schedule.operator_ps()
        return cls(step.latency_ps, schedule.resource_busy_ps(), by_operator, step.energy, step.bounds)


class _SpanRows(Sequence[Sequence[Scalar | None]]):
    """The spans of a schedule as rows."""

    def __init__(self, schedule: Schedule) -> None:
        self._spans = schedule.spans

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        span = self._spans[index]
        return span.operator, span.resource, span.start_ps, span.end_ps, int(span.critical)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns; every column name carries its unit."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Scalar | None]]

    @classmethod
    def of_spans(cls, schedule: Schedule) -> Table:
        """When each task of a schedule ran, in task order; rows are made when they are asked for."""
        return cls(("operator", "resource", "start_ps", "end_ps", "critical"), _SpanRows(schedule))


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """How often each value occurs: `values` float64[k] in rising order, `counts` int64[k] >= 1."""

    values: NDArray[np.float64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, values: ArrayLike, counts: ArrayLike | None = None, *, scale: float = 1.0) -> Distribution:
        """The distribution of `values` times `scale`, each occurring once or `counts` times; NaN is left out."""
        every = np.asarray(values, np.float64) * scale
        times = np.ones(every.shape, np.int64) if counts is None else np.asarray(counts, np.int64)
        kept = (times > 0) & ~np.isnan(every)
        distinct, which = np.unique(every[kept], return_inverse=True)
        total = np.zeros(len(distinct), np.int64)
        np.add.at(total, which, times[kept])
        return cls(distinct, total)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A quantity over another: `y` float64[n] at `x` float64[n], which rises and is named, with its unit, by `x_name`.

    A `stepped` one keeps each value until the next x; else it is sampled at the points.
    """

    x_name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    stepped: bool = False

    @classmethod
    def of(cls, x_name: str, x: ArrayLike, y: ArrayLike, *, scale_x: float = 1.0, stepped: bool = False) -> Series:
        """A series from anything that numpy reads as numbers, its x times `scale_x`."""
        return cls(x_name, np.asarray(x, np.float64) * scale_x, np.asarray(y, np.float64), stepped)


@dataclass(slots=True)
class RunRecord:
    """Everything that one run gives to the report: nothing is computed from it later by another formula.

    `metrics` are scalars by name with unit, `key_metrics` the names of those to look at first, `breakdown` maps by
    name; `headlines` are the sentences printed first, `notes` what a reader must know (assumed parameters, missing
    bytes). `distributions` and `series` are what plots show, by name with unit. `error_bars` is the least and the
    largest value of a metric over the stated ranges of parameters, `ranges` what each of them does. `timeline` is
    there when it was asked for. `tables` are written as they are, each as `<name>.csv`; those in `shown_tables` are
    also printed and stand in the report, and those of them in `stacked_tables` are also drawn: a bar for each row, of
    parts that its columns after the first one are. `in_tables` names metrics and breakdowns that such a table tells
    already: files hold them, a reader is spared them. `lines` are series of one quantity that are drawn in one plot, by
    the quantity's name with unit and then by what each line is of.
    """

    system: str
    workload: str
    metrics: dict[str, int | float]
    breakdown: dict[str, dict[str, Scalar]] = field(default_factory=dict)
    headlines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    operators: Table | None = None
    requests: Table | None = None
    spans: Table | None = None
    key_metrics: tuple[str, ...] = ()
    distributions: dict[str, Distribution] = field(default_factory=dict, repr=False)
    series: dict[str, Series] = field(default_factory=dict, repr=False)
    error_bars: dict[str, tuple[float, float]] = field(default_factory=dict)
    ranges: Table | None = None
    timeline: Timeline | None = None
    tables: dict[str, Table] = field(default_factory=dict, repr=False)
    shown_tables: tuple[str, ...] = ()
    stacked_tables: tuple[str, ...] = ()
    in_tables: frozenset[str] = frozenset()
    lines: dict[str, dict[str, Series]] = field(default_factory=dict, repr=False)
