"""List scheduler: when each task of a graph starts, given what it waits for and the resource it needs.

Discrete events in integer picoseconds. A task is ready when all its predecessors ended; a resource serves one task at a
time, in the order (ready time, delta, declaration index). Time alone does not order events once tasks may last zero
picoseconds, so events at one time fall into deltas, as in hardware description languages: what zero-length work that
ended in delta d makes ready at that same time is ready in delta d + 1. The order of events is thus a property of the
graph, not of the code.

Source: list scheduling after R. L. Graham, "Bounds for certain multiprocessing anomalies", 1966, with resources fixed
per task; delta cycles as in IEEE 1666 (SystemC).
"""

import numpy as np
from numba import njit

_INDEX_BITS = 32
_INDEX_MASK = (1 << _INDEX_BITS) - 1


@njit(cache=True)
def _push(times, tags, size, time, tag):
    """Add (time, tag) to the binary heap of `size` entries in `times` and `tags`."""
    hole = size
    while hole > 0:
        parent = (hole - 1) >> 1
        if times[parent] < time or (times[parent] == time and tags[parent] <= tag):
            break
        times[hole] = times[parent]
        tags[hole] = tags[parent]
        hole = parent
    times[hole] = time
    tags[hole] = tag


@njit(cache=True)
def _drop_root(times, tags, size):
    """Take the least entry out of the heap of `size` entries; `size - 1` are left."""
    last = size - 1
    time = times[last]
    tag = tags[last]
    hole = 0
    child = 1
    while child < last:
        right = child + 1
        if right < last and (
            times[right] < times[child] or (times[right] == times[child] and tags[right] < tags[child])
        ):
            child = right
        if time < times[child] or (time == times[child] and tag <= tags[child]):
            break
        times[hole] = times[child]
        tags[hole] = tags[child]
        hole = child
        child = 2 * hole + 1
    times[hole] = time
    tags[hole] = tag


@njit(cache=True)
def _successors(after_offsets, after):
    """The edges turned round: task p is waited for by `successor[first[p]:first[p + 1]]`, in declaration order."""
    n = after_offsets.size - 1
    first = np.zeros(n + 1, np.int64)
    for edge in range(after.size):
        first[after[edge] + 1] += 1
    for task in range(n):
        first[task + 1] += first[task]
    successor = np.empty(after.size, np.int32)
    filled = first[:-1].copy()
    for task in range(n):
        for edge in range(after_offsets[task], after_offsets[task + 1]):
            before = after[edge]
            successor[filled[before]] = task
            filled[before] += 1
    return first, successor


@njit(cache=True)
def list_schedule(resource, n_resources, duration_ps, after_offsets, after, start_ps, end_ps, critical):
    """Start and end of every task, and the task that determined its start.

    resource int32[n] (-1: only waits, contends with nobody), duration_ps int64[n] >= 0, after_offsets int64[n + 1] and
    after int32[m] (predecessors, declared earlier or later); fills start_ps int64[n], end_ps int64[n] and critical
    int32[n]: the predecessor, or else the task served before on the resource, that ended when the task started; -1 if
    it started at 0. Returns the number of tasks scheduled: fewer than n if some wait for each other, and those have
    start -1. O((n + m) log n). Ready keys (time, delta) only grow from one pop to the next, so a task may be granted
    its resource as it is popped.
    """
    n = duration_ps.size
    first, successor = _successors(after_offsets, after)
    waits_for = np.diff(after_offsets)
    ready_ps, ready_delta = np.zeros(n, np.int64), np.zeros(n, np.int64)
    free_ps, free_delta = np.zeros(n_resources, np.int64), np.zeros(n_resources, np.int64)
    served = np.full(n_resources, np.int32(-1))
    heap_ps, heap_tag = np.empty(n, np.int64), np.empty(n, np.int64)
    critical[:] = -1
    start_ps[:] = -1
    size = 0
    for task in range(n):
        if waits_for[task] == 0:
            _push(heap_ps, heap_tag, size, 0, task)
            size += 1
    done = 0
    while size > 0:
        task = heap_tag[0] & _INDEX_MASK
        _drop_root(heap_ps, heap_tag, size)
        size -= 1
        done += 1
        start, delta, unit = ready_ps[task], ready_delta[task], resource[task]
        if unit >= 0:
            if free_ps[unit] > start:
                start, delta = free_ps[unit], free_delta[unit]
                critical[task] = served[unit]
            elif free_ps[unit] == start:
                delta = max(delta, free_delta[unit])
        end = start + duration_ps[task]
        delta = 0 if end > start else delta + 1
        start_ps[task] = start
        end_ps[task] = end
        if unit >= 0:
            free_ps[unit], free_delta[unit], served[unit] = end, delta, task
        for edge in range(first[task], first[task + 1]):
            waiting = successor[edge]
            if end > ready_ps[waiting]:
                ready_ps[waiting], ready_delta[waiting], critical[waiting] = end, delta, task
            elif end == ready_ps[waiting]:
                ready_delta[waiting] = max(ready_delta[waiting], delta)
            waits_for[waiting] -= 1
            if waits_for[waiting] == 0:
                _push(heap_ps, heap_tag, size, ready_ps[waiting], (ready_delta[waiting] << _INDEX_BITS) | waiting)
                size += 1
    return done


@njit(cache=True)
def critical_tasks(end_ps, critical, path):
    """The chain of tasks that determined the makespan, walked back from the first-declared of those that end last.

    end_ps int64[n], critical int32[n] as `list_schedule` fills it; fills path int32[n] in the order in which they ran
    and returns how many there are.
    """
    if end_ps.size == 0:
        return 0
    task = np.argmax(end_ps)
    length = 0
    while task >= 0:
        path[length] = task
        length += 1
        task = critical[task]
    path[:length] = path[:length][::-1].copy()
    return length
