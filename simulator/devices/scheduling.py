"""Schedule a task graph on its resources: spans, makespan, critical path, and who waits for whom where none can run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.contracts.tasks import Schedule, TaskColumns, TaskGraph
from simulator.core.errors import ConfigError, ModelFault
from simulator.kernels.schedule import critical_tasks, list_schedule

# Half of what int64 holds, as the sum is taken in floating point.
_LARGEST_TOTAL_PS = 2**62
_LONGEST_WORK_PS = 2**60
_PS_PER_DAY = 86_400 * 10**12


def check_durations(work: Sequence[tuple[str, float]], where: str) -> None:
    """Refuse work that is too long for `schedule`: rates near nothing, batches without bounds.

    `work` says of each operator how many ps it takes in all. Raises ConfigError at `where` beyond 2^60 ps, which leaves
    room for a few such sums.
    """
    total = sum([ps for _, ps in work])
    if total <= _LONGEST_WORK_PS:
        return
    longest, _ = max(work, key=lambda one: one[1])
    days, most = total / _PS_PER_DAY, _LONGEST_WORK_PS / _PS_PER_DAY
    raise ConfigError(
        f"a step takes {days:,.4g} days, longest in `{longest}`: more than {most:.1f} days are not held",
        where=where,
        remedy=f"use a smaller batch or context, or correct the times and rates below `{where}`",
    )


def schedule(graph: TaskGraph | TaskColumns) -> Schedule:
    """When each task runs if every resource serves one task at a time, in the order in which tasks become ready.

    Ties in ready time go to the task declared first (`simulator.kernels.schedule` says how tasks of zero length order).
    A task never starts before it is ready, and a free resource never waits: this is list scheduling, which is not
    optimal, and in which a shorter task can lengthen the makespan (Graham's anomalies).

    Errors: ModelFault for a negative duration, a predecessor that does not exist, durations beyond 2^62 ps in sum, and
    tasks that wait for each other (the message prints the cycle).
    Not modelled: preemption, priorities, resources that serve several tasks at once.
    """
    tasks = graph.columns() if isinstance(graph, TaskGraph) else graph
    _check(tasks)
    n = len(tasks)
    start_ps, end_ps = np.empty(n, np.int64), np.zeros(n, np.int64)
    critical, path = np.empty(n, np.int32), np.empty(n, np.int32)
    n_done = list_schedule(
        tasks.resource,
        len(tasks.resources),
        tasks.duration_ps,
        tasks.after_offsets,
        tasks.after,
        start_ps,
        end_ps,
        critical,
    )
    if n_done < n:
        raise ModelFault(
            f"{n - n_done} of {n} tasks can never start: {_cycle_in_words(tasks, start_ps < 0)}",
            remedy="remove one of these edges: work cannot wait for its own result",
        )
    length = critical_tasks(end_ps, critical, path)
    makespan_ps = int(end_ps[path[length - 1]]) if length else 0
    return Schedule(tasks, start_ps, end_ps, makespan_ps, tuple(path[:length].tolist()))


def _check(tasks: TaskColumns) -> None:
    """Refuse what the kernel's arithmetic is not meant for."""
    durations, after = tasks.duration_ps, tasks.after
    if durations.size and durations.min() < 0:
        index = int(np.argmin(durations))
        raise ModelFault(
            f"{_task_in_words(tasks, index)} lasts {durations[index]} ps",
            remedy="a duration is zero or more picoseconds",
        )
    if durations.sum(dtype=np.float64) > _LARGEST_TOTAL_PS:
        raise ModelFault(
            f"the tasks last {durations.sum(dtype=np.float64):.3g} ps together, more than 64 bits of time hold"
        )
    if after.size and (after.min() < 0 or after.max() >= len(tasks)):
        edge = int(np.flatnonzero((after < 0) | (after >= len(tasks)))[0])
        index = int(np.searchsorted(tasks.after_offsets, edge, side="right")) - 1
        raise ModelFault(
            f"{_task_in_words(tasks, index)} waits for task {after[edge]}, and there are {len(tasks)} tasks"
        )


def _task_in_words(tasks: TaskColumns, index: int) -> str:
    resource = tasks.resource_name(index)
    return f"task {index} ({tasks.operator_name(index)}{' on ' + resource if resource else ''})"


def _cycle_in_words(tasks: TaskColumns, stuck: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> str:
    """One cycle among the tasks that never started: each waits for another of them, so walking back must meet one."""
    walked: dict[int, int] = {}
    task = int(np.flatnonzero(stuck)[0])
    while task not in walked:
        walked[task] = len(walked)
        task = next(before for before in tasks.after_of(task) if stuck[before])
    cycle = [*list(walked)[walked[task] :], task]
    return " waits for ".join(_task_in_words(tasks, index) for index in cycle)
