"""A machine of one formula that takes batches, and streams of requests and rules to serve on it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

import numpy as np
from hypothesis import strategies as st

from simulator.contracts.results import StepResult
from simulator.contracts.tasks import Task, TaskGraph
from simulator.core.energy import BackgroundPower, EnergyLedger
from simulator.devices.scheduling import schedule
from simulator.serving.batching_rules import BatchingRules
from simulator.serving.requests import Requests
from simulator.workload.batch import Batch, Sequence


def latency_ps(sequences: list[Sequence]) -> int:
    return 100 + sum(10 * sequence.new_tokens + sequence.context for sequence in sequences)


class BatchMachine:
    """A step takes 100 ps, 10 for each new token and 1 for each position attended to, and as much energy, half of it in
    the background. It counts the steps that it is asked for."""

    takes_batches: Literal[True] = True

    def __init__(self, context_step: int | None = None) -> None:
        self.context_step = context_step
        self.asked: list[Batch] = []

    def _seen(self, batch: Batch) -> Batch:
        return batch if self.context_step is None else batch.levelled(self.context_step)

    def step_key(self, batch: Batch) -> Hashable:
        return self._seen(batch)

    def step(self, batch: Batch) -> StepResult:
        self.asked.append(batch)
        ps = latency_ps([sequence for sequence, count in self._seen(batch).runs for _ in range(count)])
        plan = schedule(TaskGraph([Task("step", "machine", ps)]))
        energy = EnergyLedger({"work": ps / 2}, (BackgroundPower("rest", "on", 500.0, float(ps)),))
        return StepResult(ps, ps, 1, plan, energy, 1.0)


@st.composite
def streams(draw: st.DrawFn) -> Requests:
    n = draw(st.integers(1, 14))

    def column(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=n, max_size=n))

    scale = draw(st.sampled_from([1, 100, 1000]))
    return Requests.of(
        np.array(column(0, 6)) * scale, column(1, 6), column(1, 6), draw(st.permutations(list(range(n))))
    )


rule_sets = st.builds(
    BatchingRules, st.integers(1, 5), st.integers(1, 12), st.sampled_from(["mixed", "separate"])
)  # fmt: skip
