"""Timelines of runs: a step's tasks on resources, a query's sampled tokens, a trace's requests in slots or batches."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simulator.contracts.results import StepResult
from simulator.contracts.tasks import NO_COPY, TaskColumns
from simulator.contracts.timeline import Timeline, TimelineDraft
from simulator.serving.batching_results import BatchingResult
from simulator.serving.results import ServingResult
from simulator.serving.served import Served

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ITERATIONS = 1 << 18
"""Iterations that have a slice each."""

MAX_QUEUE_TRACKS = 128
"""Requests that wait beside this many others have no track of their own; the counter of the queue counts them all."""


def step_timeline(system: str, label: str, step: StepResult) -> Timeline:
    """One step: the critical path first, then a track per resource, each with the step, its layers and operators."""
    draft = TimelineDraft()
    add_step(draft, system, label, step, 0)
    _tell_bounds(draft, step, "")
    return draft.timeline()


def query_timeline(
    system: str, phases: Sequence[tuple[str, Sequence[tuple[int, int, StepResult]]]], what: str = "token"
) -> Timeline:
    """A query from its first step to its last. `phases` are names with (first context, number of steps, one of them).

    The track `query` shows phases and the runs of steps that cost the same; of each run the first step is shown in
    full. `what` a step is says what is counted.
    """
    draft = TimelineDraft()
    track = draft.track(system, "query")
    whole_ps = sum(n * step.latency_ps for _, runs in phases for _, n, step in runs)
    draft.add_one(track, "query", 0, whole_ps)
    at_ps = 0
    for name, runs in phases:
        phase_ps = sum(n * step.latency_ps for _, n, step in runs)
        draft.add_one(track, name, at_ps, at_ps + phase_ps, **{f"{what}s": sum(n for _, n, _ in runs)})
        for context, n, step in runs:
            label = f"contexts {context:,} to {context + n - 1:,}"
            draft.add_one(track, label, at_ps, at_ps + n * step.latency_ps, **{f"{what}s": n})
            add_step(draft, system, f"{what} at context {context:,}", step, at_ps)
            at_ps += n * step.latency_ps
    if phases:
        context, n, step = max((run for _, runs in phases for run in runs), key=lambda run: run[2].latency_ps)
        _tell_bounds(draft, step, f" at context {context + n - 1:,}")
    return draft.timeline()


def add_step(draft: TimelineDraft, system: str, label: str, step: StepResult, at_ps: int) -> None:
    """Append a step that begins at `at_ps`, on its critical path and on every resource: step > layer > operator."""
    schedule = step.schedule
    tasks = schedule.tasks
    path = np.asarray(schedule.critical_path, np.int64)
    rows_by_track = {"critical path": path}
    for index, resource in enumerate(tasks.resources):
        rows = np.flatnonzero(tasks.resource == index)
        rows_by_track[resource] = rows[np.lexsort((rows, schedule.start_ps[rows]))]
    for name, rows in rows_by_track.items():
        track = draft.track(system, name)
        draft.add_one(track, label, at_ps, at_ps + schedule.makespan_ps)
        rows = rows[tasks.duration_ps[rows] > 0]
        start_ps, end_ps = schedule.start_ps[rows] + at_ps, schedule.end_ps[rows] + at_ps
        _add_layers(draft, track, tasks, rows, start_ps, end_ps)
        operators = draft.names(tasks.operators)
        draft.add(track, operators[tasks.operator[rows]], start_ps, end_ps)


def serving_timeline(result: ServingResult) -> Timeline:
    """Requests over time: a track per slot with prefill and decode inside each request, waiting requests above them."""
    draft = TimelineDraft()
    requests = result.requests
    draft.add_counter("requests", "waiting", "requests", *result.queue_lengths())
    draft.add_counter("requests", "slots in use", "slots", *result.in_service())
    names = draft.names(f"request {request}" for request in requests.ids.tolist())
    _add_waiting(draft, result, names)
    slots = np.array([draft.track("slots", f"slot {n}") for n in range(result.n_slots)], np.int32)[result.slot]
    _add_requests(draft, result, names, slots)
    return draft.timeline()


def batching_timeline(result: BatchingResult) -> Timeline:
    """Requests in batches over time: counters, the iterations, each request in a lane with prefill and decode inside.

    Iterations beyond `MAX_ITERATIONS` have no slice of their own; the counter of their tokens has them all.
    """
    draft = TimelineDraft()
    requests, iterations = result.requests, result.iterations
    draft.add_counter("requests", "waiting", "requests", *result.queue_lengths())
    draft.add_counter("requests", "running", "requests", *result.in_service())
    draft.add_counter("engine", "batch tokens", "tokens", *iterations.tokens_over_time())
    shown = slice(0, MAX_ITERATIONS)
    kinds = draft.names(["prompts", "decodes", "prompts and decodes"])
    kind = (iterations.n_prompts > 0) + 2 * (iterations.n_decodes > 0) - 1
    held = {"decodes": iterations.n_decodes, "prompts": iterations.n_prompts, "tokens": iterations.n_tokens}
    draft.add(
        draft.track("engine", "iterations"), kinds[kind[shown]], iterations.start_ps[shown], iterations.end_ps[shown],
        {name: column[shown] for name, column in held.items()},
    )  # fmt: skip
    names = draft.names(f"request {request}" for request in requests.ids.tolist())
    _add_waiting(draft, result, names)
    lane = _lanes(result.start_ps, result.finish_ps, int(result.in_service()[1].max()))
    tracks = np.array([draft.track("running", f"lane {n}") for n in range(int(lane.max()) + 1)], np.int32)[lane]
    _add_requests(draft, result, names, tracks)
    return draft.timeline()


def _add_waiting(draft: TimelineDraft, result: Served, names: NDArray[np.int32]) -> None:
    """Requests that wait, in as few tracks as hold them."""
    arrival_ps = result.requests.arrival_ps
    waits = np.flatnonzero(result.queueing_ps > 0)
    lane = _lanes(arrival_ps[waits], result.start_ps[waits], MAX_QUEUE_TRACKS)
    shown = waits[lane >= 0]
    lanes = np.array([draft.track("queue", f"waiting {n}") for n in range(int(lane.max(initial=-1)) + 1)], np.int32)
    draft.add(lanes[lane[lane >= 0]], names[shown], arrival_ps[shown], result.start_ps[shown])


def _add_requests(draft: TimelineDraft, result: Served, names: NDArray[np.int32], tracks: NDArray[np.int32]) -> None:
    """Each request on its track, from when it left the queue, with prefill and decode inside."""
    requests = result.requests
    told = {"prompt_tokens": requests.prompt_tokens, "output_tokens": requests.output_tokens, "id": requests.ids}
    prefill, decode = draft.names(["prefill", "decode"])
    draft.add(tracks, names, result.start_ps, result.finish_ps, {**told, "queueing_ps": result.queueing_ps})
    draft.add(tracks, prefill, result.start_ps, result.first_token_ps)
    several = np.flatnonzero(result.finish_ps > result.first_token_ps)
    draft.add(tracks[several], decode, result.first_token_ps[several], result.finish_ps[several])


def _add_layers(
    draft: TimelineDraft,
    track: int,
    tasks: TaskColumns,
    rows: NDArray[np.int64],
    start_ps: NDArray[np.int64],
    end_ps: NDArray[np.int64],
) -> None:
    """A slice around every run of tasks that belong to the same copy of a repeated block; these are the layers."""
    copy = tasks.copy[rows]
    changes = np.flatnonzero(np.diff(copy)) + 1
    if not len(rows):
        return
    first, last = np.concatenate(([0], changes)), np.concatenate((changes, [len(rows)])) - 1
    inside = copy[first] != NO_COPY
    first, last = first[inside], last[inside]
    layer = copy[first]
    names = draft.names(f"layer {index}" for index in layer.tolist())
    draft.add(track, names, start_ps[first], end_ps[last])


def _tell_bounds(draft: TimelineDraft, step: StepResult, where: str) -> None:
    for operator, bound in step.bounds.items():
        words = f"{bound.constraint}: {bound.achieved:.4g} of {bound.peak:.4g} {bound.unit}"
        draft.detail(operator, {f"bound{where}": words})


def _lanes(start_ps: NDArray[np.int64], end_ps: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The lowest free lane for each interval, so that none overlap in a lane; -1 where `most` lanes are taken."""
    lane = np.full(len(start_ps), -1, np.int64)
    free = list(range(most))
    taken: list[tuple[int, int]] = []
    starts, ends = start_ps.tolist(), end_ps.tolist()
    for row in np.lexsort((end_ps, start_ps)).tolist():
        while taken and taken[0][0] <= starts[row]:
            heapq.heappush(free, heapq.heappop(taken)[1])
        if free:
            lane[row] = heapq.heappop(free)
            heapq.heappush(taken, (ends[row], int(lane[row])))
    return lane
