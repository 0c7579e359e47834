"""Tasks and what each waits for: the form in which a system hands its step to the scheduler, and what it gets back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, overload

import numpy as np

from simulator.core.errors import ModelFault

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_RESOURCE = -1
"""Resource index of a task that only waits, in `TaskColumns.resource` and in the scheduler's kernel."""

NO_COPY = -1
"""Copy of a task that stands outside every repeated block, in `TaskColumns.copy`."""

_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work: which operator, on which resource, for how long, after which other tasks (indices).

    `resource` may be "" for a task that only waits (a latency that nobody else contends for).
    """

    operator: str
    resource: str
    duration_ps: int
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class TaskColumns:
    """The tasks of a graph as columns, in declaration order.

    `operator` int32[n] indexes `operators`; `resource` int32[n] indexes `resources` and is NO_RESOURCE for a task that
    only waits; `duration_ps` int64[n]; task i waits for the tasks `after[after_offsets[i]:after_offsets[i + 1]]`
    (int32[m], int64[n + 1]). `copy` int32[n] says which copy of a repeated block a task belongs to, counted from 0 over
    the whole graph; NO_COPY for tasks outside.
    """

    operators: tuple[str, ...]
    resources: tuple[str, ...]
    operator: NDArray[np.int32]
    resource: NDArray[np.int32]
    duration_ps: NDArray[np.int64]
    after_offsets: NDArray[np.int64]
    after: NDArray[np.int32]
    copy: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.duration_ps)

    def operator_name(self, index: int) -> str:
        """The operator that task `index` belongs to."""
        return self.operators[int(self.operator[index])]

    def resource_name(self, index: int) -> str:
        """The resource of task `index`, "" where it only waits."""
        resource = int(self.resource[index])
        return "" if resource == NO_RESOURCE else self.resources[resource]

    def after_of(self, index: int) -> tuple[int, ...]:
        """The tasks that task `index` waits for."""
        return tuple(self.after[self.after_offsets[index] : self.after_offsets[index + 1]].tolist())


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """A run of consecutive tasks as columns; `n_after` int64[k] counts the predecessors of each task."""

    operator: NDArray[np.int32]
    resource: NDArray[np.int32]
    duration_ps: NDArray[np.int64]
    n_after: NDArray[np.int64]
    after: NDArray[np.int32]
    copy: NDArray[np.int32]


class TaskGraph:
    """Tasks of one step in declaration order, with the edges between them.

    A resource serves one task at a time, in the order in which tasks become ready (ties: declaration order). A block of
    tasks that repeats, layer after layer, is declared once as a graph and laid end to end with `add_repeated`.
    """

    __slots__ = (
        "_after",
        "_blocks",
        "_durations",
        "_n_closed",
        "_n_copies",
        "_operator_ids",
        "_operators",
        "_resource_ids",
        "_resources",
    )

    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        self._operator_ids: dict[str, int] = {}
        self._resource_ids: dict[str, int] = {"": NO_RESOURCE}
        self._blocks: list[_Block] = []
        self._n_closed = 0
        self._n_copies = 0
        self._operators: list[int] = []
        self._resources: list[int] = []
        self._durations: list[int] = []
        self._after: list[tuple[int, ...]] = []
        for task in tasks:
            self.add(task.operator, task.resource, task.duration_ps, task.after)

    @classmethod
    def repeated(cls, template: TaskGraph, n: int, entries: Iterable[int], exits: Iterable[int]) -> TaskGraph:
        """A graph of `n` copies of `template`, one after the other, as `add_repeated` lays them."""
        graph = cls()
        graph.add_repeated(template, n, entries=entries, exits=exits)
        return graph

    def __len__(self) -> int:
        return self._n_closed + len(self._durations)

    def add(self, operator: str, resource: str, duration_ps: int, after: Iterable[int] = ()) -> int:
        """Append a task and return its index. `after` may name tasks that are declared later."""
        self._operators.append(self._operator_ids.setdefault(operator, len(self._operator_ids)))
        self._resources.append(self._resource_ids.setdefault(resource, len(self._resource_ids) - 1))
        self._durations.append(duration_ps)
        self._after.append(tuple(after))
        return len(self) - 1

    def add_repeated(
        self, template: TaskGraph, n: int, *, entries: Iterable[int], exits: Iterable[int], after: Iterable[int] = ()
    ) -> tuple[int, ...]:
        """Append `n` copies of `template`, chained, and return the indices of the last copy's exit tasks.

        `entries` and `exits` are indices within the template. The entry tasks of the first copy also wait for `after`
        (indices in this graph), those of each later copy for the exit tasks of the copy before. With n = 0 nothing is
        added and `after` comes back. Task i of copy k is number k * len(template) + i of what is added. Costs a few
        array operations, whatever `n` is.
        """
        block, entries, exits = template.columns(), tuple(entries), tuple(exits)
        for name, indices in (("entries", entries), ("exits", exits)):
            if not all(0 <= index < len(block) for index in indices):
                raise ModelFault(f"{name} tasks {indices} are outside the repeated block, which has {len(block)} tasks")
        before = tuple(after)
        if n <= 0:
            return before
        self._close_block()
        first, length = len(self), len(block)
        # Predecessors outside a copy are written relative to the copy's own first task, as those inside it are.
        self._lay_copies(block, 1, entries, tuple(index - first for index in before))
        if n > 1:
            self._lay_copies(block, n - 1, entries, tuple(index - length for index in exits))
        return tuple(first + (n - 1) * length + index for index in exits)

    def columns(self) -> TaskColumns:
        """All tasks as columns, for the scheduler."""
        self._close_block()
        blocks = self._blocks
        offsets = np.zeros(len(self) + 1, np.int64)
        np.cumsum(_joined([block.n_after for block in blocks], np.int64), out=offsets[1:])
        return TaskColumns(
            operators=tuple(self._operator_ids),
            resources=tuple(self._resource_ids)[1:],
            operator=_joined([block.operator for block in blocks], np.int32),
            resource=_joined([block.resource for block in blocks], np.int32),
            duration_ps=_joined([block.duration_ps for block in blocks], np.int64),
            after_offsets=offsets,
            after=_joined([block.after for block in blocks], np.int32),
            copy=_joined([block.copy for block in blocks], np.int32),
        )

    @property
    def tasks(self) -> list[Task]:
        """Every task as an object: for reading and for tests, as it costs a microsecond a task."""
        columns = self.columns()
        return [
            Task(columns.operator_name(index), columns.resource_name(index), duration, columns.after_of(index))
            for index, duration in enumerate(columns.duration_ps.tolist())
        ]

    def _close_block(self) -> None:
        """Turn the tasks that were added one by one into a block."""
        if not self._durations:
            return
        durations = np.array(self._durations)
        if durations.dtype != np.int64:
            raise ModelFault(
                "task durations are whole picoseconds within 64 bits", remedy="round where cycles become time"
            )
        block = _Block(
            operator=np.array(self._operators, np.int32),
            resource=np.array(self._resources, np.int32),
            duration_ps=durations,
            n_after=np.array([len(after) for after in self._after], np.int64),
            after=np.array([index for after in self._after for index in after], np.int32),
            copy=np.full(len(durations), NO_COPY, np.int32),
        )
        self._operators, self._resources, self._durations, self._after = [], [], [], []
        self._append(block)

    def _append(self, block: _Block) -> None:
        self._blocks.append(block)
        self._n_closed += len(block.duration_ps)

    def _lay_copies(self, block: TaskColumns, n: int, entries: tuple[int, ...], outside: tuple[int, ...]) -> None:
        """Append `n` copies of `block`; their entry tasks also wait for `outside`, counted from a copy's start."""
        operator_ids = np.array(
            [self._operator_ids.setdefault(name, len(self._operator_ids)) for name in block.operators], np.int32
        )
        resource_ids = np.array(
            # The last row is where NO_RESOURCE, -1, points.
            [self._resource_ids.setdefault(name, len(self._resource_ids) - 1) for name in (*block.resources, "")],
            np.int32,
        )
        n_after = np.diff(block.after_offsets)
        n_after[list(entries)] += len(outside)
        where = np.repeat(block.after_offsets[1:][list(entries)], len(outside))
        after = np.insert(block.after, where, outside * len(entries))
        first_of_copy = len(self) + np.arange(n, dtype=np.int32) * len(block)
        self._append(
            _Block(
                operator=np.tile(operator_ids[block.operator], n),
                resource=np.tile(resource_ids[block.resource], n),
                duration_ps=np.tile(block.duration_ps, n),
                n_after=np.tile(n_after, n),
                after=(first_of_copy[:, None] + after).ravel(),
                copy=np.repeat(np.arange(self._n_copies, self._n_copies + n, dtype=np.int32), len(block)),
            )
        )
        self._n_copies += n


@dataclass(frozen=True, slots=True)
class Span:
    """When a task ran: start and end in ps, and whether it lies on the critical path."""

    operator: str
    resource: str
    start_ps: int
    end_ps: int
    critical: bool


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """What `schedule(graph)` gives back: when each task ran, the makespan, and the tasks that determined it.

    `start_ps` and `end_ps` are int64[n] in task order. `critical_path` are task indices in the order in which they ran:
    the first starts at 0, each next one starts when the one before ends, the last ends at the makespan.
    """

    tasks: TaskColumns
    start_ps: NDArray[np.int64]
    end_ps: NDArray[np.int64]
    makespan_ps: int
    critical_path: tuple[int, ...]

    @property
    def spans(self) -> Sequence[Span]:
        """A span per task, in task order, each built when it is looked at."""
        return _SpanView(self)

    def resource_busy_ps(self) -> dict[str, int]:
        """How long each resource worked; tasks that only wait belong to none."""
        tasks = self.tasks
        on_resource = tasks.resource != NO_RESOURCE
        return _sums_by_name(tasks.resources, tasks.resource[on_resource], tasks.duration_ps[on_resource])

    def operator_ps(self) -> dict[str, int]:
        """The summed durations of each operator's tasks, overlapped or not."""
        return _sums_by_name(self.tasks.operators, self.tasks.operator, self.tasks.duration_ps)

    def operator_elapsed_ps(self) -> dict[str, int]:
        """How long each operator ran: the time in which any of its tasks did, once where several overlap."""
        tasks = self.tasks
        order = np.lexsort((self.start_ps, tasks.operator))
        which = tasks.operator[order]
        # Operators one after the other on one axis, so that a single running maximum serves all of them.
        begin = self.start_ps[order] + which.astype(np.int64) * (self.makespan_ps + 1)
        end = begin + (self.end_ps - self.start_ps)[order]
        covered = np.maximum.accumulate(np.concatenate([np.zeros(1, np.int64), end[:-1]]))
        return _sums_by_name(tasks.operators, which, np.maximum(0, end - np.maximum(begin, covered)))

    def critical_operator_ps(self) -> dict[str, int]:
        """Each operator's part of the critical path; the parts add up to the makespan."""
        path = list(self.critical_path)
        return _sums_by_name(self.tasks.operators, self.tasks.operator[path], self.tasks.duration_ps[path])

    def critical_resource_ps(self) -> dict[str, int]:
        """Each resource's part of the critical path, "" for tasks that only wait; the parts add up to the makespan."""
        path = list(self.critical_path)
        names = (*self.tasks.resources, "")
        return _sums_by_name(names, self.tasks.resource[path] % len(names), self.tasks.duration_ps[path])


class _SpanView(Sequence[Span]):
    """The spans of a schedule as a sequence over its arrays."""

    __slots__ = ("_critical", "_schedule")

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._critical = frozenset(schedule.critical_path)

    def __len__(self) -> int:
        return len(self._schedule.start_ps)

    @overload
    def __getitem__(self, index: int) -> Span: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Span]: ...
    def __getitem__(self, index: int | slice) -> Span | Sequence[Span]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        schedule = self._schedule
        return Span(
            schedule.tasks.operator_name(position),
            schedule.tasks.resource_name(position),
            int(schedule.start_ps[position]),
            int(schedule.end_ps[position]),
            position in self._critical,
        )


def _joined(parts: list[NDArray[_Number]], dtype: type[_Number]) -> NDArray[_Number]:
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _sums_by_name(names: tuple[str, ...], which: NDArray[np.int32], amounts: NDArray[np.int64]) -> dict[str, int]:
    """Sums of `amounts` by name, in the order of `names`, those that occur nowhere left out."""
    sums = np.zeros(len(names), np.int64)
    counts = np.zeros(len(names), np.int64)
    np.add.at(sums, which, amounts)
    np.add.at(counts, which, 1)
    return {name: total for name, total, count in zip(names, sums.tolist(), counts.tolist(), strict=True) if count}
