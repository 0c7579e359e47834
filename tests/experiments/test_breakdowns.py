"""What bounds an operator over many steps is the constraint that it spends most time under."""

from __future__ import annotations

from simulator.contracts.results import Bound, StepResult, StepSummary
from simulator.contracts.tasks import TaskGraph
from simulator.core.energy import EnergyLedger
from simulator.devices.scheduling import schedule
from simulator.experiments.breakdowns import summary_breakdown


def _step(ps: int, bound: Bound) -> StepResult:
    graph = TaskGraph()
    graph.add("qkv", "r", ps)
    return StepResult(ps, ps, 1, schedule(graph), EnergyLedger(), 0.0, bounds={"qkv": bound})


def test_many_short_steps_outweigh_a_long_one() -> None:
    long = _step(100, Bound("compute", 1.0, 1.0, "of the time"))
    short = [_step(30 + n, Bound("products", 0.5 + n / 100, 1.0, "of the columns")) for n in range(5)]
    weighted = [(StepSummary.of(step), 1.0) for step in (long, *short)]
    assert summary_breakdown(weighted, long, "").breakdown["bound_by_operator"] == {"qkv": "products (54%)"}
    assert summary_breakdown(weighted[:3], long, "").breakdown["bound_by_operator"] == {"qkv": "compute (100%)"}
