"""Where time and energy of steps go: by resource, by operator with what bounds it, by component."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simulator.contracts.results import Bound, Scalar, StepResult, StepSummary, Table

_RESOURCES = {"pim": "PIM", "pnm": "PNM", "cxl": "CXL", "host": "host"}


@dataclass(frozen=True, slots=True)
class MeanBreakdown:
    """Means over weighted steps: maps by name with unit, the operators as a table, and the step that took longest.

    The bound of an operator is the constraint that it spends the most time under, in figures of the step that has, over
    all its repeats, most of that time.
    """

    breakdown: dict[str, dict[str, Scalar]]
    operators: Table
    longest: StepResult


def mean_breakdown(
    weighted: Sequence[tuple[StepResult, float]],
    prefix: str,
    *,
    dynamic_only: bool = False,
    per: tuple[float, float] | None = None,
) -> MeanBreakdown:
    """The breakdown of the mean step over (step, weight); `prefix` begins the names of what is a mean over tokens.

    With `dynamic_only` the energy leaves out what flows in the background, for runs that account for it elsewhere.
    `per` is what the sums of time and of energy are divided by, where that is not the sum of the weights.
    """
    longest = max(weighted, key=lambda entry: entry[0].latency_ps)[0]
    summaries = [(StepSummary.of(step), factor) for step, factor in weighted]
    return summary_breakdown(summaries, longest, prefix, dynamic_only=dynamic_only, per=per)


def summary_breakdown(
    weighted: Sequence[tuple[StepSummary, float]],
    longest: StepResult,
    prefix: str,
    *,
    dynamic_only: bool = False,
    per: tuple[float, float] | None = None,
) -> MeanBreakdown:
    """As `mean_breakdown`, of steps of which only summaries are left; `longest` is the one that took longest."""
    weight = sum(factor for _, factor in weighted)
    per_time, per_energy = per or (weight, weight)
    by_resource: dict[str, float] = {}
    by_operator: dict[str, float] = {}
    by_component: dict[str, float] = {}
    shown: dict[tuple[str, str], Bound] = {}
    most_ps: dict[tuple[str, str], float] = {}
    bound_ps: dict[tuple[str, str], float] = {}
    for step, factor in weighted:
        time_share, energy_share = factor / per_time / 1e9, factor / per_energy / 1e9
        energy = step.energy.dynamic_pj if dynamic_only else step.energy.by_component()
        _add(by_resource, ((_RESOURCES.get(name, name), ps) for name, ps in step.resource_ps.items()), time_share)
        _add(by_operator, ((name, ps) for name, ps in step.operator_ps.items() if ps), time_share)
        for name, ps in step.operator_ps.items():
            if ps and name in step.bounds:
                key = (name, step.bounds[name].constraint)
                bound_ps[key] = bound_ps.get(key, 0.0) + ps * factor
                if ps * factor > most_ps.get(key, 0.0):
                    shown[key], most_ps[key] = step.bounds[name], ps * factor
        _add(by_component, energy.items(), energy_share)
    # Least first, so that of an operator's constraints the one with most time stays.
    bounds = {name: shown[name, constraint] for name, constraint in sorted(bound_ps, key=bound_ps.__getitem__)}
    bounds = {name: bounds[name] for name in by_operator if name in bounds}
    breakdown: dict[str, dict[str, Scalar]] = {
        f"{prefix}time_by_resource_ms": dict(by_resource),
        f"{prefix}time_by_operator_ms": dict(by_operator),
        "bound_by_operator": {
            name: f"{bound.constraint} ({bound.achieved / bound.peak:.0%})" for name, bound in bounds.items()
        },
        f"{prefix}energy_by_component_mj": dict(by_component),
    }
    return MeanBreakdown(breakdown, _operator_table(by_operator, bounds), longest)


def _add(sums: dict[str, float], amounts: Iterable[tuple[str, float]], share: float) -> None:
    for name, amount in amounts:
        sums[name] = sums.get(name, 0.0) + amount * share


def _operator_table(by_operator: dict[str, float], bounds: dict[str, Bound]) -> Table:
    total = sum(by_operator.values())
    rows = []
    for name, time_ms in by_operator.items():
        bound = bounds.get(name)
        limit = (bound.constraint, bound.achieved, bound.peak, bound.unit) if bound else (None, None, None, None)
        rows.append((name, time_ms, time_ms / total, *limit))
    return Table(("operator", "time_ms", "time_frac", "bound", "achieved", "peak", "unit"), rows)
