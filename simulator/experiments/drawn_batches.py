"""One batch of requests drawn from a length set, run to its end: what a machine takes for it, from some of its passes.

All requests start together; a sequence leaves when it is done, so that passes have ever fewer of them. Which sequences
take part in a pass, and with which contexts, is the same on every machine, so that machines are compared on the same
passes. Passes are cut into equal stretches, and the one in the middle of a stretch stands for all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from simulator.contracts.results import StepResult
from simulator.contracts.system import PlacesWork
from simulator.serving.speculation import Speculation
from simulator.workload.batch import Batch
from simulator.workload.batch import Sequence as OneSequence
from simulator.workload.requests import RequestTrace


@dataclass(frozen=True, slots=True)
class Drawn:
    """A batch to run: the model, the length set, how many requests, and how many tokens of each a pass verifies."""

    model: str
    lengths: str
    batch: int
    speculation: int


@dataclass(frozen=True, slots=True)
class DrawnBatch:
    """The step that takes all prompts, the passes after it, each with how many it stands for, and the tokens that all
    passes give."""

    prompts: Batch
    passes: tuple[tuple[Batch, int], ...]
    n_tokens: int

    @classmethod
    def of(cls, trace: RequestTrace, speculation: Speculation, n_samples: int) -> DrawnBatch:
        """From requests, `n_samples` of whose passes (all, where there are no more) are simulated."""
        prompts = trace.prompt_tokens.tolist()
        courses = [
            speculation.course(output, request)
            for output, request in zip(trace.output_tokens.tolist(), trace.ids.tolist(), strict=True)
        ]
        before = [course.given_before for course in courses]
        n_passes = max(len(course) for course in courses)
        passes = []
        for first, end in _stretches(n_passes, n_samples):
            middle = (first + end - 1) // 2
            several = tuple(
                (int(course.new[middle]), prompt + int(given[middle] + course.new[middle]))
                for prompt, course, given in zip(prompts, courses, before, strict=True)
                if middle < len(course)
            )
            passes.append((Batch.verifying(several), end - first))
        together = Batch.of_runs((OneSequence(prompt, prompt), 1) for prompt in prompts)
        return cls(together, tuple(passes), sum(int(course.given.sum()) for course in courses))


@dataclass(frozen=True, slots=True)
class DrawnTimes:
    """What a machine takes for a batch: time and energy of its prompts and of all `n_passes`, which give `n_tokens`;
    the passes' operators by themselves, whatever runs beside them, by the resource that they run on."""

    prefill_ps: int
    decode_ps: int
    prefill_pj: float
    decode_pj: float
    n_tokens: int
    n_passes: int
    busy_ps: dict[str, int]

    @property
    def total_ps(self) -> int:
        """Time of the whole batch."""
        return self.prefill_ps + self.decode_ps

    @property
    def total_pj(self) -> float:
        """Energy of the whole batch."""
        return self.prefill_pj + self.decode_pj

    @property
    def tokens_per_s(self) -> float:
        """Tokens of all passes over the time of the whole batch."""
        return self.n_tokens / (self.total_ps * 1e-12)


def drawn_times(system: Any, batch: DrawnBatch) -> DrawnTimes:
    """A batch on a machine; moves of work between its units are counted where it names them."""
    prefill = system.step(batch.prompts)
    steps = [(system.step(one), n) for one, n in batch.passes]
    moves_ps = 0
    if isinstance(system, PlacesWork):
        places = [system.placement(one) for one in (batch.prompts, *(one for one, _ in batch.passes))]
        moves_ps = system.switch_ps * sum(one != other for one, other in pairwise(places))
    return DrawnTimes(
        prefill_ps=prefill.latency_ps,
        decode_ps=sum(step.latency_ps * n for step, n in steps) + moves_ps,
        prefill_pj=prefill.energy.total_pj,
        decode_pj=sum(step.energy.total_pj * n for step, n in steps),
        n_tokens=batch.n_tokens,
        n_passes=sum(n for _, n in batch.passes),
        busy_ps=_busy_ps(steps),
    )


def _busy_ps(steps: Sequence[tuple[StepResult, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for step, n in steps:
        tasks = step.schedule.tasks
        sums = np.bincount(tasks.resource, weights=tasks.duration_ps, minlength=len(tasks.resources))
        for name, busy in zip(tasks.resources, sums.tolist(), strict=True):
            found[name] = found.get(name, 0) + round(busy) * n
    return found


def _stretches(n: int, n_samples: int) -> list[tuple[int, int]]:
    """`n` passes in as many equal stretches: (first, end) of each."""
    cuts = [n * index // min(n, n_samples) for index in range(min(n, n_samples) + 1)]
    return list(pairwise(cuts))
