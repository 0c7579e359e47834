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
    """What the heads of decodes go through: the projection to queries, keys and values, the link, attention on the
    stacks, the link back, the projection of the result. All but the attention may be absent."""

    before: Piece | None
    link_in: Piece | None
    attention: Piece
    link_out: Piece | None
    after: Piece | None

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Those that are there."""
        every = (self.before, self.link_in, self.attention, self.link_out, self.after)
        return tuple(piece for piece in every if piece is not None)


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
    """Lay the chain in `n_parts`; returns the tasks it ends with."""
    n_work = n_parts if head_pipeline else 1
    heads: list[tuple[int, ...]] = [()] * n_parts
    if chain.before is not None:
        first = chain.before
        made = [graph.add(first.operator, first.resource, first.part(n_work)) for _ in range(n_work)]
        entries.extend(made)
        heads = [(made[part if head_pipeline else 0],) for part in range(n_parts)]
    for piece in (chain.link_in, chain.attention, chain.link_out):
        if piece is not None:
            is_first = not heads[0]
            heads = [(graph.add(piece.operator, piece.resource, piece.part(n_parts), after),) for after in heads]
            if is_first:
                entries.extend(task for (task,) in heads)
    if chain.after is None:
        return tuple(task for (task,) in heads)
    after_piece = chain.after
    if not head_pipeline:
        return (graph.add(after_piece.operator, after_piece.resource, after_piece.part(1), [t for (t,) in heads]),)
    return tuple(graph.add(after_piece.operator, after_piece.resource, after_piece.part(n_parts), one) for one in heads)
