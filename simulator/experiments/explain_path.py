"""The critical path of a step: which tasks on which resources its latency consists of, repeated layers said once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.contracts.tasks import Schedule
from simulator.core.errors import ModelFault
from simulator.experiments.explain_steps import WeightedStep

Indices = NDArray[np.int64]

WAITING = "waiting"
"""Stands for the resource of tasks that only wait."""

_LONGEST_PERIOD = 4096


@dataclass(frozen=True, slots=True)
class CriticalPart:
    """What one operator on one resource contributes to the latency: time in ps, and in how many tasks."""

    operator: str
    resource: str
    time_ps: int
    n_tasks: int


def critical_parts(steps: Iterable[WeightedStep]) -> tuple[CriticalPart, ...]:
    """The parts of the critical paths of all steps, in the order of the path; their times sum to the steps' latency.

    Raises ModelFault where a path does not sum to its step's latency.
    """
    totals: dict[tuple[str, str], list[int]] = {}
    for entry in steps:
        schedule = entry.step.schedule
        tasks = schedule.tasks
        path = np.array(schedule.critical_path, np.int64)
        durations = tasks.duration_ps[path]
        if int(durations.sum()) != entry.step.latency_ps:
            raise ModelFault(
                f"the critical path at context {entry.context} lasts {int(durations.sum()):,} ps, "
                f"and the step {entry.step.latency_ps:,} ps"
            )
        kinds, first, which = _kinds(schedule, path)
        times, counts = np.zeros(len(kinds), np.int64), np.zeros(len(kinds), np.int64)
        np.add.at(times, which, durations)
        np.add.at(counts, which, 1)
        for index in np.argsort(first).tolist():
            operator, resource = divmod(int(kinds[index]), len(tasks.resources) + 1)
            name = (tasks.operators[operator], (*tasks.resources, WAITING)[resource])
            total = totals.setdefault(name, [0, 0])
            total[0] += int(times[index]) * entry.n
            total[1] += int(counts[index]) * entry.n
    return tuple(
        CriticalPart(operator, resource, time_ps, n_tasks)
        for (operator, resource), (time_ps, n_tasks) in totals.items()
        if time_ps
    )


def path_in_words(schedule: Schedule) -> str:
    """The operators of the critical path in order, a sequence that repeats written once with how often it runs."""
    path = np.array(schedule.critical_path, np.int64)
    path = path[schedule.tasks.duration_ps[path] > 0]
    names = [schedule.tasks.operators[index] for index in schedule.tasks.operator[path].tolist()]
    numbers = schedule.tasks.operator[path]
    words: list[str] = []
    at = 0
    while at < len(numbers):
        period, repeats = _repetition(numbers[at:])
        body = " > ".join(names[at : at + period])
        if repeats > 1:
            body = f"{repeats:,} x ({body})" if period > 1 else f"{repeats:,} x {body}"
        words.append(body)
        at += period * repeats
    return " > ".join(words)


def _kinds(
    schedule: Schedule, path: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Operator and resource of the path's tasks as one number: its values, where each comes first, which each task has.

    The number is operator * (n_resources + 1) + resource, tasks that only wait counting as one more resource.
    """
    tasks = schedule.tasks
    n = len(tasks.resources) + 1
    numbers = tasks.operator[path].astype(np.int64) * n + tasks.resource[path] % n
    kinds, first, which = np.unique(numbers, return_index=True, return_inverse=True)
    return kinds, first, which


def _repetition(numbers: NDArray[np.int32]) -> tuple[int, int]:
    """(period, repeats) of the repetition from the start that covers most, the shortest period among equals."""
    best = (1, 1)
    again = np.flatnonzero(numbers[1 : 1 + _LONGEST_PERIOD] == numbers[0]) + 1
    for period in again.tolist():
        differs = numbers[period:] != numbers[:-period]
        equal = int(np.argmax(differs)) if differs.any() else len(differs)
        repeats = equal // period + 1
        if repeats > 1 and period * repeats > best[0] * best[1]:
            best = (period, repeats)
    return best
