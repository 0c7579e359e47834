"""Results: what a system says of one step, and what a run hands to the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from simulator.contracts.tasks import Schedule
from simulator.core.energy import EnergyLedger

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
    `metrics` and `breakdown` hold what only this system has, by name with unit; `notes` what a reader must know.
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


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns; every column name carries its unit."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Scalar | None]]


@dataclass(slots=True)
class RunRecord:
    """Everything that one run gives to the report: nothing is computed from it later by another formula.

    `metrics` are scalars by name with unit, `breakdown` maps by name; `headlines` are the sentences printed first,
    `notes` what a reader must know (assumed parameters, missing bytes).
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
