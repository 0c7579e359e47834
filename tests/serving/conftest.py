"""What the tests of serving share: a system of one formula, and streams of requests."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np
import pytest

from simulator.contracts.results import StepResult
from simulator.contracts.tasks import Task, TaskGraph
from simulator.core.energy import EnergyLedger
from simulator.devices.scheduling import schedule
from simulator.serving.requests import Requests
from simulator.workload.batch import Batch


class RoundingSystem:
    """A token at context c takes 55 ms and 6.8 us per position, c rounded up to 128; four slots; counts its steps."""

    workload_kinds = frozenset({"llm"})

    def __init__(self) -> None:
        self.asked: list[int] = []

    def step_key(self, batch: Batch) -> Hashable:
        return -(-batch.sequences[0].context // 128)

    def step(self, batch: Batch) -> StepResult:
        (sequence,) = batch.sequences
        assert sequence.new_tokens == 1
        self.asked.append(sequence.context)
        rounded = -(-sequence.context // 128) * 128
        plan = schedule(TaskGraph([Task("token", "pim", 55_000_000_000 + 6_800_000 * rounded)]))
        energy = EnergyLedger({"dram": 2.0 * rounded, "link": 5.0})
        return StepResult(plan.makespan_ps, plan.makespan_ps / 4, 4, plan, energy, power_w=1.0)


@pytest.fixture
def system() -> RoundingSystem:
    return RoundingSystem()


@pytest.fixture
def stream() -> Callable[..., Requests]:
    """Poisson arrivals with lengths spread as in conversations: `stream(n, mean_gap_ps, seed, scale)`."""

    def build(n: int, mean_gap_ps: float, seed: int = 1, scale: float = 1.0) -> Requests:
        rng = np.random.default_rng(seed)
        arrival = np.cumsum(rng.exponential(mean_gap_ps, n)).astype(np.int64)
        prompt = 1 + (rng.lognormal(6.0, 1.0, n) * scale).astype(np.int64)
        output = 1 + (rng.lognormal(4.5, 0.9, n) * scale).astype(np.int64)
        return Requests.of(arrival, prompt, output)

    return build


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Load the scheduler's kernel before the first example of a property is timed."""
    schedule(TaskGraph([Task("token", "pim", 1)]))
