"""A decoder layer shared by a processor and attention stacks: pieces of work, and which waits for which.

With a head pipeline the projections and attention are cut into as many parts as a GPU has heads: a head's queries
leave as soon as they are there, and its result is projected while other heads still attend. Without one, only the link
is cut. What two devices share is a piece on each.

Source: AttAcc (ASPLOS 2024), head-level pipelining and feed-forward co-processing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.contracts.results import Bound
from simulator.contracts.tasks import TaskGraph


@dataclass(frozen=True, slots=True)
class Piece:
    """Work of one layer: its operator, its resource, how long, and what bounds it."""

    operator: str
    resource: str
    time_ps: float
    bound: Bound | None = None

    def part(self, n: int) -> int:
        """Whole ps of one of `n` equal parts."""
        return round(self.time_ps / n)


Stage = tuple[Piece, ...]
"""Pieces that run at the same time."""


@dataclass(frozen=True, slots=True)
class AttentionChain:
    """What the heads of decodes go through: `before`, the projection to queries, keys and values; `middle`, the link,
    attention on the stacks and the link back; `after`, the projection of the result. Each is done piece by piece."""

    before: tuple[Piece, ...]
    middle: tuple[Piece, ...]
    after: tuple[Piece, ...]

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """All of them."""
        return (*self.before, *self.middle, *self.after)


@dataclass(frozen=True, slots=True)
class LayerWork:
    """A layer: attention's chain, with prompts' attention beside it (`prompts`, on the processor), or, where there is
    none, `first` in its place; then the `rest`, stage by stage."""

    chain: AttentionChain | None
    first: tuple[Stage, ...]
    rest: tuple[Stage, ...]

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """All of the layer's work."""
        chain = self.chain.pieces if self.chain else ()
        return (*chain, *(piece for stage in (*self.first, *self.rest) for piece in stage))


def layer_template(
    work: LayerWork, n_parts: int, *, head_pipeline: bool
) -> tuple[TaskGraph, tuple[int, ...], tuple[int, ...]]:
    """The tasks of a layer, those that it begins with, and those that it ends with."""
    graph = TaskGraph()
    entries: list[int] = []
    last: tuple[int, ...] = ()
    if work.chain is not None:
        last = _chain(graph, work.chain, n_parts, head_pipeline, entries)
    begun = last if work.chain is None else ()
    side = _stages(graph, work.first, begun, entries)
    joined = (*last, *side) if work.chain is not None else side
    end = _stages(graph, work.rest, joined, entries)
    return graph, tuple(entries), end


def whole_step(work: LayerWork, n_layers: int, n_parts: int, *, head_pipeline: bool) -> TaskGraph:
    """`n_layers` such layers, one after the other."""
    template, entries, exits = layer_template(work, n_parts, head_pipeline=head_pipeline)
    return TaskGraph.repeated(template, n_layers, entries, exits)


def _stages(graph: TaskGraph, stages: Sequence[Stage], after: tuple[int, ...], entries: list[int]) -> tuple[int, ...]:
    for stage in stages:
        done = []
        for piece in stage:
            done.append(graph.add(piece.operator, piece.resource, piece.part(1), after))
            if not after:
                entries.append(done[-1])
        after = tuple(done)
    return after


def _chain(
    graph: TaskGraph, chain: AttentionChain, n_parts: int, head_pipeline: bool, entries: list[int]
) -> tuple[int, ...]:
    """Lay the chain in `n_parts`; returns the tasks it ends with. What is not cut joins all parts."""
    lines: list[tuple[int, ...]] = [()] * n_parts
    cuts = ((chain.before, head_pipeline), (chain.middle, True), (chain.after, head_pipeline))
    for pieces, is_cut in cuts:
        for piece in pieces:
            if is_cut:
                tasks = [graph.add(piece.operator, piece.resource, piece.part(n_parts), after) for after in lines]
            else:
                every = tuple(dict.fromkeys(task for after in lines for task in after))
                tasks = [graph.add(piece.operator, piece.resource, piece.part(1), every)] * n_parts
            if not lines[0]:
                entries.extend(dict.fromkeys(tasks))
            lines = [(task,) for task in tasks]
    return tuple(dict.fromkeys(task for (task,) in lines))
