"""How long a stream takes at the very least on two tiers of memory, whatever is moved when.

The gain of moves (`oracle_bound`) is in reads that DDR serves, each worth the same; time under load is not like that:
the more a tier serves, the slower it is. But the time of a quantum is a convex function of its reads on DDR
(`kernels.placement_time`), so that it lies above its tangent, wherever that is drawn, and a sum of tangents is a number
of reads again, each worth its quantum's slope:

    time of any schedule >= sum of the tangents' times without DDR - what can be gained at their slopes.

Tangents are drawn where the plan works, which makes the bound as sharp as the plan is good. Latencies are replaced by
the greatest convex function below them, and writes, migration's copies and shootdowns are left out of the load: all of
them could only add time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.memory.tiers.oracle_bound import gain_bound
from simulator.memory.tiers.oracle_plan import PlacementTask, Plan, best_plan
from simulator.memory.tiers.pages import LINE_BYTES

Floats: TypeAlias = NDArray[np.float64]

_ROUNDING_FRAC = 1e-9
_UNEVEN_FRAC = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class TimeModel:
    """What a quantum of `quantum_records` records takes: the program's own work `compute_ps` float64[n_quanta], latency
    tables of both tiers, float64[k, 2] of rising (bytes/ps, ps), and line reads in flight `mlp`."""

    compute_ps: Floats
    ddr: Floats
    cxl: Floats
    mlp: float
    quantum_records: int

    @property
    def idle_benefit_ps(self) -> float:
        """What a line read saves in DDR when nothing loads either tier."""
        return float(self.cxl[0, 1] - self.ddr[0, 1]) / self.mlp

    @property
    def peak_benefit_ps(self) -> float:
        """What a line saves in DDR, read or written, when both tiers move as much as they can."""
        return LINE_BYTES * float(1 / self.cxl[-1, 0] - 1 / self.ddr[-1, 0])


@dataclass(frozen=True, slots=True, eq=False)
class Foresight:
    """The plan, the time that it takes as far as the bound's model goes (no writes), and what no policy goes below."""

    plan: Plan
    plan_ps: float
    least_ps: float


def foresee(task: PlacementTask, model: TimeModel, interval_records: int) -> Foresight:
    """A plan with moves at multiples of `interval_records` (itself one of the quantum), and the least time there is.

    `least_ps` allows for a rounding of 1 ps in each quantum.
    """
    first = _timed(task, model, best_plan(task, model.idle_benefit_ps, interval_records))
    least = _idle_least_ps(task, model, first)
    if _is_even(first, model):
        return first.foresight(least)
    best = _faster(first, task, model, interval_records)
    return best.foresight(max(least, _least_ps(task, model, best)))


def plan_under_load(task: PlacementTask, model: TimeModel, interval_records: int) -> Plan:
    """The plan of `foresee`. First every read is worth what it saves on idle tiers; where load makes that uneven, what
    it saves there under the first plan, and the faster plan is taken."""
    first = _timed(task, model, best_plan(task, model.idle_benefit_ps, interval_records))
    return first.plan if _is_even(first, model) else _faster(first, task, model, interval_records).plan


@dataclass(frozen=True, slots=True, eq=False)
class _Timed:
    """A plan with its line reads, float64[n_quanta] in all and on DDR, and its tangents: times and slopes per read."""

    plan: Plan
    reads: Floats
    ddr_reads: Floats
    time_ps: Floats
    benefit: Floats
    moves_ps: float
    quantum_records: int

    @property
    def total_ps(self) -> float:
        """Its time, in the model without writes."""
        return float(self.time_ps.sum()) + self.moves_ps

    def foresight(self, least_ps: float) -> Foresight:
        """With the least time of any policy, rounding allowed for."""
        return Foresight(self.plan, self.total_ps, least_ps * (1 - _ROUNDING_FRAC) - len(self.reads))

    def benefit_by_interval(self, interval_records: int) -> Floats:
        """What a read saves in each interval, on average over its quanta."""
        interval = np.arange(len(self.reads)) * self.quantum_records // interval_records
        worth = np.bincount(interval, self.reads * self.benefit)
        return worth / np.maximum(np.bincount(interval, self.reads), 1.0)


def _is_even(timed: _Timed, model: TimeModel) -> bool:
    """Whether a read is worth the same in all quanta."""
    idle = model.idle_benefit_ps
    return float(np.abs(timed.benefit - idle).max(initial=0.0)) <= _UNEVEN_FRAC * abs(idle)


def _faster(first: _Timed, task: PlacementTask, model: TimeModel, interval_records: int) -> _Timed:
    """The faster of a plan and of one made for what reads are worth under it."""
    second = _timed(task, model, best_plan(task, first.benefit_by_interval(interval_records), interval_records))
    return min(first, second, key=lambda timed: timed.total_ps)


def _timed(task: PlacementTask, model: TimeModel, plan: Plan) -> _Timed:
    from simulator.kernels.placement_time import quantum_tangents

    reads, ddr_reads = _reads_by_quantum(task, plan, model.quantum_records)
    time, benefit = np.empty((2, len(reads)))
    peaks = np.array([model.ddr[-1, 0], model.cxl[-1, 0]])
    tables = convex_below(model.ddr), convex_below(model.cxl)
    quantum_tangents(model.compute_ps, reads, ddr_reads, *tables, model.mlp, peaks, time, benefit)
    moves = plan.n_promotions * task.promote_cost_ps + plan.n_demotions * task.demote_cost_ps
    return _Timed(plan, reads, ddr_reads, time, benefit, moves, model.quantum_records)


def _reads_by_quantum(task: PlacementTask, plan: Plan, quantum_records: int) -> tuple[Floats, Floats]:
    """Line reads in each quantum, in all and of pages that the plan has in DDR then."""
    from simulator.kernels.placement_time import count_reads_by_quantum

    reads, ddr_reads = np.zeros((2, -(-task.n_records // quantum_records)))
    on_ddr = np.zeros(task.n_pages, np.bool_)
    step = 0
    for record, line, is_write in task.chunks():
        begin, end = record, record + len(line)
        while begin < end:
            while step < len(plan.boundaries) and plan.boundaries[step] <= begin:
                on_ddr[plan.demoted[step]] = False
                on_ddr[plan.promoted[step]] = True
                step += 1
            stop = min(end, int(plan.boundaries[step])) if step < len(plan.boundaries) else end
            part = slice(begin - record, stop - record)
            count_reads_by_quantum(line[part], is_write[part], begin, quantum_records, on_ddr, reads, ddr_reads)
            begin = stop
    return reads * task.lines_per_record, ddr_reads * task.lines_per_record


def _idle_least_ps(task: PlacementTask, model: TimeModel, timed: _Timed) -> float:
    """The bound with both tiers idle throughout."""
    all_in_cxl = float(model.compute_ps.sum()) + float(timed.reads.sum()) * float(model.cxl[0, 1]) / model.mlp
    return all_in_cxl - gain_bound(task, model.idle_benefit_ps, model.quantum_records, timed.plan)


def _least_ps(task: PlacementTask, model: TimeModel, timed: _Timed) -> float:
    """The bound by tangents where the plan works."""
    gained = float(timed.benefit @ timed.ddr_reads)
    reached = gained - timed.moves_ps
    bound = gain_bound(task, timed.benefit, model.quantum_records, timed.plan, reached_ps=reached)
    return float(timed.time_ps.sum()) + gained - bound


def convex_below(table: Floats) -> Floats:
    """The greatest convex function below a latency table, float64[k, 2], that is flat before its first point."""
    points = [(0.0, float(table[0, 1])), *((float(u), float(latency)) for u, latency in table if u > 0)]
    hull: list[tuple[float, float]] = []
    for u, latency in points:
        while len(hull) > 1 and _is_above(hull[-2], hull[-1], (u, latency)):
            hull.pop()
        hull.append((u, latency))
    return np.array(hull)


def _is_above(left: tuple[float, float], middle: tuple[float, float], right: tuple[float, float]) -> bool:
    """Whether the middle point lies on or above the line from the left to the right one."""
    rise, run = right[1] - left[1], right[0] - left[0]
    return (middle[1] - left[1]) * run >= rise * (middle[0] - left[0])
