"""The list scheduler's kernel at the level of its arrays; tests/devices compares it with a simulation in simpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.kernels.schedule import critical_tasks, list_schedule

Int64s = NDArray[np.int64]


def run(resource: list[int], duration_ps: list[int], after: list[list[int]]) -> tuple[int, Int64s, Int64s, list[int]]:
    """How many tasks were scheduled, their start and end, and the critical predecessors."""
    n = len(resource)
    offsets = np.concatenate(([0], np.cumsum([len(before) for before in after], dtype=np.int64))).astype(np.int64)
    flat = np.array([index for before in after for index in before], np.int32)
    start, end, critical = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int32)
    n_resources = max(resource, default=-1) + 1
    done = list_schedule(
        np.array(resource, np.int32), n_resources, np.array(duration_ps, np.int64), offsets, flat, start, end, critical
    )
    return done, start, end, critical.tolist()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=60))
def test_one_resource_serves_by_ready_time_then_index(jobs: list[tuple[int, int]]) -> None:
    """Job i becomes ready after a wait of its own: what the heap must do is sort."""
    n = len(jobs)
    done, start, _, _ = run(
        [-1] * n + [0] * n, [wait for wait, _ in jobs] + [work for _, work in jobs], [[]] * n + [[i] for i in range(n)]
    )
    assert done == 2 * n
    free = 0
    for i in sorted(range(n), key=lambda i: (jobs[i][0], i)):
        free = max(free, jobs[i][0])
        assert start[n + i] == free
        free += jobs[i][1]


def test_a_long_chain_adds_up() -> None:
    n = 50_000
    done, start, end, critical = run(
        [i % 3 for i in range(n)], [i % 7 for i in range(n)], [[], *([i] for i in range(n - 1))]
    )
    assert done == n
    assert end[-1] == sum(i % 7 for i in range(n))
    assert (start[1:] == end[:-1]).all()
    path = np.empty(n, np.int32)
    length = critical_tasks(end, np.array(critical, np.int32), path)
    assert end[path[length - 1]] == end[-1]


def test_tasks_that_wait_for_each_other_are_left_out() -> None:
    done, start, end, _ = run([0, 0, 0, -1], [1, 2, 3, 4], [[1], [0], [], [1]])
    assert done == 1
    assert start.tolist() == [-1, -1, 0, -1]
    assert end[2] == 3


def test_a_predecessor_named_twice_counts_once() -> None:
    done, start, _, _ = run([0, 0], [4, 1], [[], [0, 0]])
    assert done == 2
    assert start.tolist() == [0, 4]


@pytest.mark.parametrize(("busy", "expected"), [(5, 1), (9, 0)])
def test_critical_is_whatever_ended_last(busy: int, expected: int) -> None:
    """Task 2 follows task 1, which ends at 7, on the resource that task 0 holds for `busy`."""
    _, start, _, critical = run([0, -1, 0], [busy, 7, 1], [[], [], [1]])
    assert start[2] == max(busy, 7)
    assert critical == [-1, -1, expected]


def test_no_tasks() -> None:
    done, _, end, _ = run([], [], [])
    assert done == 0
    assert critical_tasks(end, np.empty(0, np.int32), np.empty(0, np.int32)) == 0
