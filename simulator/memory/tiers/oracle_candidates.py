"""Plans for the oracle to try: one for each way of counting what a move costs.

The bound counts what the program waits for, which is the least that a move costs anybody. A plan that counts no more
may ask more of the migration thread than it can do in time; one that counts all of the thread's work asks less than
could be done. Where bandwidth is short writes count too, which the model of time leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from simulator.memory.tiers.oracle_plan import PlacementTask, Plan, best_plan
from simulator.memory.tiers.oracle_time import TimeModel, foresee, plan_under_load
from simulator.memory.tiers.platform import MigrationCosts


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Plans that differ, and the time in ps that no policy goes below."""

    plans: list[Plan]
    least_ps: float


def candidate_plans(
    task: PlacementTask,
    costs: MigrationCosts,
    model: TimeModel,
    interval_records: int,
    *,
    bandwidth_is_short: bool,
) -> Candidates:
    """Plans for `task`, its own costs left aside, with moves at multiples of `interval_records`."""
    tasks = [replace(task, promote_cost_ps=promote, demote_cost_ps=demote) for promote, demote in _counted_costs(costs)]
    seen = foresee(tasks[0], model, interval_records)
    plans = [seen.plan]
    for other in tasks[1:]:
        _add(plans, plan_under_load(other, model, interval_records))
    if bandwidth_is_short:
        for one in tasks:
            _add(plans, best_plan(one.with_writes(), model.peak_benefit_ps, interval_records))
    return Candidates(plans, seen.least_ps)


def _counted_costs(costs: MigrationCosts) -> Iterator[tuple[float, float]]:
    """Costs of a promotion and a demotion in ps: first what the program waits for, in no case less."""
    waited = costs.blocking_frac
    promote, demote = costs.promote_ps * waited, costs.demote_ps * waited
    yield promote, demote
    up, down = costs.batch_ps(1, 0), costs.batch_ps(0, 1)
    for share in sorted({waited, (waited + 1) / 3, 1.0}):
        if share >= waited and (up * share, down * share) != (promote, demote):
            yield up * share, down * share


def _add(plans: list[Plan], plan: Plan) -> None:
    """Add a plan that none of those there is."""
    if not any(_same_moves(plan, other) for other in plans):
        plans.append(plan)


def _same_moves(one: Plan, other: Plan) -> bool:
    if not np.array_equal(one.boundaries, other.boundaries):
        return False
    moves = zip((*one.promoted, *one.demoted), (*other.promoted, *other.demoted), strict=True)
    return all(np.array_equal(ours, theirs) for ours, theirs in moves)
