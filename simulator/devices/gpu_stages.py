"""What the stages of a pipeline of GPUs do in a step, as tasks that wait for each other.

Steps of the same launches differ in durations only: what waits for what is laid once for all of them.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from simulator.contracts.tasks import TaskColumns, TaskGraph
from simulator.devices.gpu_kernels import Kernel
from simulator.devices.gpu_shard import Exchange

N_LAYOUTS_KEPT = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """A launch or an exchange in a stage's work: its name, its kernel, how often it runs in a micro-batch, and whether
    it is of the layers. `exchange` is where the time is the links' and not the GPU's; `n_batches` equal micro-batches
    share the entry."""

    name: str
    kernel: Kernel
    count: int
    place: Literal["before", "layer", "after"]
    exchange: Exchange | None = None
    n_batches: int = 1

    @property
    def total(self) -> int:
        """How often it runs in all micro-batches."""
        return self.count * self.n_batches

    @property
    def busy_total(self) -> int:
        """How often the stage is at work on it: never on what it hands on, which leaves while it works on."""
        return 0 if self.exchange is not None and self.exchange.kind == "send" else self.total


class StageTasks:
    """Lays the tasks of steps of `n_stages` stages."""

    def __init__(self, n_stages: int) -> None:
        self.n_stages = n_stages
        self._layouts: dict[Hashable, TaskColumns] = {}

    def tasks(
        self, stages: list[list[list[Entry]]], order: list[int], times_ps: list[int], floor_ps: int
    ) -> TaskColumns:
        """The tasks of all stages and micro-batches, and of the host where it has a floor.

        `stages` has the entries of each stage for each distinct micro-batch, `order` which of these comes when;
        `times_ps` is an entry's time, in the order of `stages`.
        """
        shape = tuple(tuple(tuple((one.name, one.count) for one in entries) for entries in micro) for micro in stages)
        key = (shape, tuple(order), bool(floor_ps))
        if key not in self._layouts:
            if len(self._layouts) >= N_LAYOUTS_KEPT:
                self._layouts.clear()
            self._layouts[key] = self._laid(stages, order, bool(floor_ps)).columns()
        layout = self._layouts[key]
        durations = np.array([*times_ps, floor_ps], np.int64)
        return replace(layout, duration_ps=durations[layout.duration_ps])

    def _laid(self, stages: list[list[list[Entry]]], order: list[int], has_floor: bool) -> TaskGraph:
        """The graph of a step, each task as long as the number of its entry.

        A stage finishes one micro-batch before it begins the next: taken in turns kernel by kernel, all of them would
        leave a stage together, and no two stages would ever work at once.
        """
        graph, first = TaskGraph(), 0
        handed_on: list[tuple[int, ...]] = [()] * len(order)
        for stage, distinct in enumerate(stages):
            gpu, links = ("gpu", "nvlink") if self.n_stages == 1 else (f"gpu {stage}", f"nvlink {stage}")
            firsts = [first + sum(map(len, distinct[:which])) for which in range(len(distinct))]
            done: tuple[int, ...] = ()
            for number, which in enumerate(order):
                after = (*handed_on[number], *done)
                done, handed_on[number] = _lay(graph, distinct[which], firsts[which], (gpu, links), after)
            first += sum(map(len, distinct))
        if has_floor:
            graph.add("host", "host", first)
        return graph


def stage_sums(stages: list[list[list[Entry]]], times_ps: list[int]) -> tuple[list[int], int]:
    """How long each stage works, and how many kernels a GPU of each stage launches in all."""
    busy_ps, n_launches = [], 0
    rest = iter(times_ps)
    for micro in stages:
        busy_ps.append(0)
        for entries in micro:
            for entry, time_ps in zip(entries, rest, strict=False):
                busy_ps[-1] += time_ps * entry.busy_total
                n_launches += entry.total * (entry.exchange is None)
    return busy_ps, n_launches


def _lay(
    graph: TaskGraph, entries: list[Entry], first: int, resources: tuple[str, str], after: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Lay a stage's entries for one micro-batch, numbered from `first`, on its (GPU, links).

    Returns the tasks after which the stage is free, and those after which the next one may begin.
    """
    layer, done = TaskGraph(), after
    for index, entry in enumerate(entries):
        resource = resources[entry.exchange is not None]
        if entry.place != "layer":
            after = (graph.add(entry.name, resource, first + index, after),)
        else:
            layer.add(entry.name, resource, first + index, (len(layer) - 1,) if len(layer) else ())
            if index + 1 == len(entries) or entries[index + 1].place != "layer":
                after = graph.add_repeated(layer, entry.count, entries=(0,), exits=(len(layer) - 1,), after=after)
        if entry.exchange is None or entry.exchange.kind != "send":
            done = after
    return done, after
