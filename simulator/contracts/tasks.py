"""Tasks and what each waits for: the form in which a system hands its step to the scheduler."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work: which operator, on which resource, for how long, after which other tasks (indices).

    `resource` may be "" for a task that only waits (a latency that nobody else contends for).
    """

    operator: str
    resource: str
    duration_ps: int
    after: tuple[int, ...] = ()


@dataclass(slots=True)
class TaskGraph:
    """Tasks of one step in declaration order, with the edges between them.

    A resource serves one task at a time, in the order in which tasks become ready (ties: declaration order).
    """

    tasks: list[Task] = field(default_factory=list)

    def add(self, operator: str, resource: str, duration_ps: int, after: Iterable[int] = ()) -> int:
        """Append a task and return its index."""
        self.tasks.append(Task(operator, resource, duration_ps, tuple(after)))
        return len(self.tasks) - 1


@dataclass(frozen=True, slots=True)
class Span:
    """When a task ran: start and end in ps, and whether it lies on the critical path."""

    operator: str
    resource: str
    start_ps: int
    end_ps: int
    critical: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """What `schedule(tasks)` gives back: a span per task, in task order, the makespan and the critical path (task indices)."""

    spans: Sequence[Span]
    makespan_ps: int
    critical_path: tuple[int, ...]
