"""The System protocol: what a file in `simulator/systems` offers to run, replay and serving."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from simulator.contracts.results import StepResult
from simulator.workload.batch import Batch


class System(Protocol):
    """A machine that runs language-model steps (workload kind `llm`)."""

    workload_kinds: frozenset[str]

    def step(self, batch: Batch) -> StepResult:
        """Time, energy, traffic and bounds of one step."""
        ...

    def step_key(self, batch: Batch) -> Hashable:
        """Which batches cost the same: batches with equal keys have equal results of `step`."""
        ...
