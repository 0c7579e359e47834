"""The scheduler against its simpy twin, and what must hold of any schedule."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
import simpy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.contracts.tasks import Schedule, Task, TaskGraph
from simulator.core.errors import ModelFault
from simulator.devices.scheduling import schedule

# simpy runs events of one time by priority, then in the order of their making: ends first (1), then one look at who may
# start.
_AFTER_THE_ENDS = 2


def simulate(tasks: Sequence[Task]) -> list[tuple[int, int]]:
    """The twin, written from the rules alone: start and end of every task, found by letting time pass."""
    return _Machine(tasks).run()


class _Machine:
    def __init__(self, tasks: Sequence[Task]) -> None:
        self.env = simpy.Environment()
        self.tasks = tasks
        self.missing = [len(task.after) for task in tasks]
        self.spans = [(-1, -1)] * len(tasks)
        self.busy: set[str] = set()
        self.waiting: list[
            tuple[int, int, int]
        ] = []  # (time it became ready, which look that was before, declaration index)
        self.look_planned = False
        self.n_looks = 0

    def run(self) -> list[tuple[int, int]]:
        for index in range(len(self.tasks)):
            if self.missing[index] == 0:
                self.becomes_ready(index)
        self.env.run()
        return self.spans

    def becomes_ready(self, index: int) -> None:
        self.waiting.append((self.env.now, self.n_looks, index))
        self.plan_look()

    def plan_look(self) -> None:
        if not self.look_planned:
            self.look_planned = True
            event = self.env.event()
            event._ok, event._value = True, None
            event.callbacks.append(lambda _: self.look())
            self.env.schedule(event, priority=_AFTER_THE_ENDS)

    def look(self) -> None:
        """Whoever is ready and finds its resource free starts, the longest ready first."""
        self.look_planned = False
        self.n_looks += 1
        for entries in sorted(self.waiting):
            resource = self.tasks[entries[2]].resource
            if resource not in self.busy:
                self.waiting.remove(entries)
                if resource:
                    self.busy.add(resource)
                self.env.process(self.work(entries[2]))

    def work(self, index: int) -> Iterator[simpy.Event]:
        task, start = self.tasks[index], self.env.now
        yield self.env.timeout(task.duration_ps)
        self.spans[index] = (start, self.env.now)
        self.busy.discard(task.resource)
        self.plan_look()
        for later, other in enumerate(self.tasks):
            for before in other.after:
                if before == index:
                    self.missing[later] -= 1
                    if self.missing[later] == 0:
                        self.becomes_ready(later)


@st.composite
def graphs(draw: st.DrawFn, max_tasks: int = 24, max_duration: int = 4) -> list[Task]:
    """Acyclic graphs in any declaration order; short durations, zero among them, so that ties abound."""
    n = draw(st.integers(0, max_tasks))
    order = draw(st.permutations(range(n)))
    place = {task: position for position, task in enumerate(order)}
    tasks = []
    for index in range(n):
        earlier = [other for other in range(n) if place[other] < place[index]]
        after = draw(st.lists(st.sampled_from(earlier), max_size=3)) if earlier else []
        resource = draw(st.sampled_from(["", "pim", "pnm", "cxl"]))
        tasks.append(Task(f"op{index % 5}", resource, draw(st.integers(0, max_duration)), tuple(after)))
    return tasks


def times(plan: Schedule) -> list[tuple[int, int]]:
    return list(zip(plan.start_ps.tolist(), plan.end_ps.tolist(), strict=True))


@settings(max_examples=300, deadline=None)
@given(graphs())
def test_equals_the_simpy_twin(tasks: list[Task]) -> None:
    assert times(schedule(TaskGraph(tasks))) == simulate(tasks)


@settings(max_examples=150, deadline=None)
@given(graphs(max_duration=50))
def test_what_holds_of_every_schedule(tasks: list[Task]) -> None:
    plan = schedule(TaskGraph(tasks))
    by_resource: dict[str, list[int]] = defaultdict(list)
    for index in sorted(range(len(tasks)), key=lambda i: (plan.start_ps[i], plan.end_ps[i])):
        by_resource[tasks[index].resource].append(index)
    for index, task in enumerate(tasks):
        assert plan.end_ps[index] - plan.start_ps[index] == task.duration_ps
        assert plan.start_ps[index] >= max((plan.end_ps[before] for before in task.after), default=0)
    for resource, indices in by_resource.items():
        if resource:
            assert all(plan.end_ps[first] <= plan.start_ps[second] for first, second in pairwise(indices))
            assert plan.makespan_ps >= sum(tasks[index].duration_ps for index in indices)
    assert plan.makespan_ps >= longest_chain(tasks)
    assert plan.makespan_ps == max((span.end_ps for span in plan.spans), default=0)


def longest_chain(tasks: list[Task]) -> int:
    """The time that the tasks take where nobody contends."""

    @cache
    def ends(index: int) -> int:
        return tasks[index].duration_ps + max(map(ends, tasks[index].after), default=0)

    return max(map(ends, range(len(tasks))), default=0)


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_critical_path_is_a_chain_from_zero_to_the_makespan(tasks: list[Task]) -> None:
    plan = schedule(TaskGraph(tasks))
    path = plan.critical_path
    for before, after in pairwise(path):
        assert plan.end_ps[before] == plan.start_ps[after]
        assert before in tasks[after].after or tasks[before].resource == tasks[after].resource != ""
    if path:
        assert plan.start_ps[path[0]] == 0
        assert plan.end_ps[path[-1]] == plan.makespan_ps
    assert sum(plan.critical_operator_ps().values()) == sum(plan.critical_resource_ps().values()) == plan.makespan_ps
    assert [index for index, span in enumerate(plan.spans) if span.critical] == sorted(path)


@settings(max_examples=50, deadline=None)
@given(graphs(max_tasks=16))
def test_an_operator_runs_while_any_of_its_tasks_does(tasks: list[Task]) -> None:
    plan = schedule(TaskGraph(tasks))
    running: dict[str, set[int]] = {task.operator: set() for task in tasks}
    for span in plan.spans:
        running[span.operator].update(range(span.start_ps, span.end_ps))
    assert plan.operator_elapsed_ps() == {name: len(moments) for name, moments in running.items()}


@settings(max_examples=100, deadline=None)
@given(graphs(max_tasks=16), st.integers(0, 10**6), st.data())
def test_declaration_order_is_irrelevant_without_ties(tasks: list[Task], seed: int, draw: st.DataObject) -> None:
    # Every task first waits a time of its own, so that no two become ready together.
    n, rng = len(tasks), random.Random(seed)
    waits = [Task("wait", "", rng.randrange(10**9), task.after) for task in tasks]
    tasks = [Task(task.operator, task.resource, rng.randrange(10**9), (n + i,)) for i, task in enumerate(tasks)] + waits
    plan = times(schedule(TaskGraph(tasks)))
    assume(len({plan[n + i][1] for i in range(n)}) == n)
    order = draw.draw(st.permutations(range(2 * n)))
    place = {index: position for position, index in enumerate(order)}
    shuffled = [replace(tasks[index], after=tuple(place[before] for before in tasks[index].after)) for index in order]
    other = times(schedule(TaskGraph(shuffled)))
    assert plan == [other[place[index]] for index in range(2 * n)]


def test_ties_go_to_the_task_declared_first() -> None:
    graph = TaskGraph([Task("b", "pim", 5), Task("a", "pim", 3)])
    assert times(schedule(graph)) == [(0, 5), (5, 8)]


def test_zero_length_work_orders_by_delta_not_by_index() -> None:
    # "late" is ready at 0 only after "instant" ended at 0: "early", ready at 0 from the start, goes first.
    graph = TaskGraph([Task("late", "pim", 2, (1,)), Task("instant", "", 0), Task("early", "pim", 3)])
    assert times(schedule(graph)) == [(3, 5), (0, 0), (0, 3)]


def test_longest_ready_goes_first_whatever_its_index() -> None:
    graph = TaskGraph(
        [Task("later", "pim", 1, (2,)), Task("sooner", "pim", 1, (3,)), Task("d9", "", 9), Task("d8", "", 8)]
    )
    graph.add("holds", "pim", 20)
    assert times(schedule(graph))[:2] == [(21, 22), (20, 21)]


def test_removing_an_edge_lets_work_overlap() -> None:
    chained = TaskGraph([Task("pim", "pim", 10), Task("pnm", "pnm", 7, (0,))])
    beside = TaskGraph([Task("pim", "pim", 10), Task("pnm", "pnm", 7)])
    assert schedule(chained).makespan_ps == 17
    assert schedule(beside).makespan_ps == 10


def test_sums_by_resource_and_operator() -> None:
    plan = schedule(
        TaskGraph([Task("a", "pim", 4), Task("b", "pim", 6, (0,)), Task("a", "", 2, (0,)), Task("b", "cxl", 0)])
    )
    assert plan.resource_busy_ps() == {"pim": 10, "cxl": 0}
    assert plan.operator_ps() == {"a": 6, "b": 6}
    assert plan.operator_elapsed_ps() == {"a": 6, "b": 6}
    assert plan.critical_operator_ps() == {"a": 4, "b": 6}
    assert plan.critical_resource_ps() == {"pim": 10}
    assert [span.operator for span in plan.spans[1:3]] == ["b", "a"]
    assert plan.spans[-1].resource == "cxl"


def test_no_tasks_take_no_time() -> None:
    plan = schedule(TaskGraph())
    assert (plan.makespan_ps, plan.critical_path, list(plan.spans), plan.operator_ps()) == (0, (), [], {})
    assert plan.operator_elapsed_ps() == {}


def test_cycle_is_named() -> None:
    graph = TaskGraph(
        [Task("free", "pim", 1), Task("norm", "pnm", 1, (3,)), Task("fc", "pim", 1, (1,)), Task("sum", "", 1, (2,))]
    )
    with pytest.raises(ModelFault, match="3 of 4 tasks can never start") as fault:
        schedule(graph)
    assert "task 1 (norm on pnm) waits for task 3 (sum) waits for task 2 (fc on pim) waits for task 1" in str(
        fault.value
    )


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (Task("fc", "pim", -1), "task 1 (fc on pim) lasts -1 ps"),
        (Task("fc", "pim", 1, (7,)), "task 1 (fc on pim) waits for task 7, and there are 2 tasks"),
        (Task("fc", "pim", 1, (-1,)), "waits for task -1"),
        (Task("fc", "pim", 2**62 + 2**40), "more than 64 bits of time hold"),
        (Task("fc", "pim", 1.5), "whole picoseconds"),  # type: ignore[arg-type]
        (Task("fc", "pim", 1, (1,)), "task 1 (fc on pim) waits for task 1 (fc on pim)"),
    ],
)
def test_what_no_machine_can_do_is_refused(task: Task, words: str) -> None:
    with pytest.raises(ModelFault) as fault:
        schedule(TaskGraph([Task("first", "pim", 1), task]))
    assert words in str(fault.value)


@settings(max_examples=100, deadline=None)
@given(graphs(max_tasks=8), st.integers(0, 4), st.data())
def test_repeated_block_equals_the_same_tasks_declared_one_by_one(
    tasks: list[Task], n: int, draw: st.DataObject
) -> None:
    indices = st.lists(st.integers(0, len(tasks) - 1), max_size=3, unique=True) if tasks else st.just([])
    entries, exits = draw.draw(indices), draw.draw(indices)
    graph, plain = TaskGraph(), TaskGraph()
    for target in (graph, plain):
        target.add("embedding", "host", 3)
    last = graph.add_repeated(TaskGraph(tasks), n, entries=entries, exits=exits, after=(0,))
    waits: tuple[int, ...] = (0,)
    for _ in range(n):
        base = len(plain)
        for index, task in enumerate(tasks):
            inside = tuple(before + base for before in task.after)
            plain.add(task.operator, task.resource, task.duration_ps, inside + (waits if index in entries else ()))
        waits = tuple(index + base for index in exits)
    assert last == waits
    for target in (graph, plain):
        target.add("head", "pim", 2, waits)
    assert graph.tasks == plain.tasks
    assert times(schedule(graph)) == times(schedule(plain))


def test_repeated_keeps_the_resources_of_a_graph_that_knows_others() -> None:
    block = TaskGraph([Task("fc", "pim", 4), Task("wait", "", 1, (0,))])
    chain = TaskGraph.repeated(block, 3, entries=(0,), exits=(1,))
    assert schedule(chain).makespan_ps == 15
    graph = TaskGraph([Task("norm", "pnm", 1)])
    graph.add_repeated(block, 2, entries=(0,), exits=(1,), after=(0,))
    assert [task.resource for task in graph.tasks] == ["pnm", "pim", "", "pim", ""]


def test_repeated_refuses_ends_outside_the_block() -> None:
    with pytest.raises(ModelFault, match="exits tasks"):
        TaskGraph.repeated(TaskGraph([Task("fc", "pim", 4)]), 2, entries=(0,), exits=(1,))
