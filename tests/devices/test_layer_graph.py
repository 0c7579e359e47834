"""A layer on a processor and stacks: how long its tasks take together, against bounds that hold for any schedule."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.devices.layer_graph import AttentionChain, LayerWork, Piece, layer_template, whole_step
from simulator.devices.scheduling import schedule

RESOURCES = ("gpu", "pim", "link", "nvlink")
durations = st.integers(0, 10**7)


@st.composite
def pieces(draw: st.DrawFn, name: str) -> Piece:
    return Piece(name, draw(st.sampled_from(RESOURCES)), float(draw(durations)))


@st.composite
def chains(draw: st.DrawFn) -> AttentionChain:
    """A chain whose pieces take turns on any resources."""

    def some(name: str) -> tuple[Piece, ...]:
        return tuple(draw(pieces(f"{name}{i}")) for i in range(draw(st.integers(1, 3))))

    return AttentionChain(some("before"), some("middle"), some("after"))


@st.composite
def works(draw: st.DrawFn, *, chained: bool | None = None) -> LayerWork:
    """A layer with or without a chain, and stages of one or two pieces."""

    def stages(name: str, least: int) -> tuple[tuple[Piece, ...], ...]:
        return tuple(
            tuple(draw(pieces(f"{name}{i}.{j}")) for j in range(draw(st.integers(1, 2))))
            for i in range(draw(st.integers(least, 3)))
        )

    has_chain = draw(st.booleans()) if chained is None else chained
    return LayerWork(draw(chains()) if has_chain else None, stages("first", 0 if has_chain else 1), stages("rest", 0))


def makespan(work: LayerWork, n_layers: int = 1, n_parts: int = 4, *, head_pipeline: bool = True) -> int:
    return schedule(whole_step(work, n_layers, n_parts, head_pipeline=head_pipeline)).makespan_ps


def slack(work: LayerWork, n_layers: int, n_parts: int) -> int:
    """What rounding pieces to whole ps can move."""
    return n_layers * len(work.pieces) * n_parts + 1


def loads(work: LayerWork) -> dict[str, float]:
    """Work of a layer on each resource."""
    found: dict[str, float] = {}
    for piece in work.pieces:
        found[piece.resource] = found.get(piece.resource, 0.0) + piece.time_ps
    return found


@given(works(), st.integers(1, 3), st.integers(1, 12), st.booleans())
@settings(max_examples=150, deadline=None)
def test_between_the_busiest_resource_and_all_in_a_row(
    work: LayerWork, n_layers: int, n_parts: int, head_pipeline: bool
) -> None:
    took = makespan(work, n_layers, n_parts, head_pipeline=head_pipeline)
    room = slack(work, n_layers, n_parts)
    assert took >= n_layers * max(loads(work).values()) - room
    assert took <= n_layers * sum(loads(work).values()) + room


@given(works(), st.integers(1, 4), st.integers(1, 8))
@settings(max_examples=80, deadline=None)
def test_layers_follow_one_another(work: LayerWork, n_layers: int, n_parts: int) -> None:
    assert makespan(work, n_layers, n_parts) == n_layers * makespan(work, 1, n_parts)


@given(chains())
@settings(max_examples=80, deadline=None)
def test_one_part_is_a_row(chain: AttentionChain) -> None:
    work = LayerWork(chain, (), ())
    total = sum(piece.part(1) for piece in chain.pieces)
    for head_pipeline in (True, False):
        assert makespan(work, 1, 1, head_pipeline=head_pipeline) == total


@given(works(), st.integers(1, 12), st.booleans())
@settings(max_examples=80, deadline=None)
def test_all_work_is_there(work: LayerWork, n_parts: int, head_pipeline: bool) -> None:
    graph, entries, exits = layer_template(work, n_parts, head_pipeline=head_pipeline)
    done: dict[str, int] = {}
    for task in graph.tasks:
        done[task.operator] = done.get(task.operator, 0) + task.duration_ps
    assert set(done) == {piece.operator for piece in work.pieces}
    for piece in work.pieces:
        assert done[piece.operator] == pytest.approx(piece.time_ps, abs=n_parts)
    assert entries
    assert exits


@given(works(), st.integers(1, 8))
@settings(max_examples=80, deadline=None)
def test_pieces_side_by_side_have_no_order(work: LayerWork, n_parts: int) -> None:
    """Pieces of a stage on different resources may be stated in any order."""

    def turned(stages: tuple[tuple[Piece, ...], ...]) -> tuple[tuple[Piece, ...], ...]:
        return tuple(
            stage[::-1] if len({piece.resource for piece in stage}) == len(stage) else stage for stage in stages
        )

    other = LayerWork(work.chain, work.first, turned(work.rest))
    assert makespan(other, 1, n_parts) == makespan(work, 1, n_parts)


def chain_of(before: float, link: float, attention: float, after: float) -> LayerWork:
    """A layer with a chain alone: projections on the processor, attention on stacks behind a link each way."""
    return LayerWork(
        AttentionChain(
            (Piece("qkv", "gpu", before),),
            (Piece("in", "link", link), Piece("attention", "pim", attention), Piece("out", "link", link / 3)),
            (Piece("projection", "gpu", after),),
        ),
        (),
        (),
    )


times = st.integers(1000, 10**8).map(float)


@given(times, times, times, times, st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_a_head_pipeline_never_slows_a_layer(
    before: float, link: float, attention: float, after: float, n: int
) -> None:
    work = chain_of(before, link, attention, after)
    assert makespan(work, 1, n) <= makespan(work, 1, n, head_pipeline=False) + slack(work, 1, n)


def test_a_head_pipeline_hides_what_is_shorter() -> None:
    """Long attention hides projections but for the first and the last head's, and long projections hide attention."""
    n = 10
    long_attention = chain_of(200.0, 0.0, 1000.0, 100.0)
    assert makespan(long_attention, 1, n) == 200 // n + 1000 + 100 // n
    assert makespan(long_attention, 1, n, head_pipeline=False) == 1300
    long_projections = chain_of(2000.0, 0.0, 100.0, 1000.0)
    assert makespan(long_projections, 1, n) == 3000
    short_link = chain_of(200.0, 30.0, 1000.0, 100.0)
    assert makespan(short_link, 1, n, head_pipeline=False) == 200 + 3 + 1000 + 1 + 100


def test_prompts_attend_beside_decodes() -> None:
    work = LayerWork(
        chain_of(100.0, 0.0, 1000.0, 50.0).chain, ((Piece("score", "gpu", 700.0),),), ((Piece("ffn", "gpu", 10.0),),)
    )
    assert makespan(work, 1, 1) == 1160
    longer = LayerWork(work.chain, ((Piece("score", "gpu", 2000.0),),), work.rest)
    # The processor is busy with projections and prompts in turn; attention is hidden behind them.
    assert makespan(longer, 1, 1) == 2160


def test_two_devices_share_a_stage() -> None:
    work = LayerWork(
        None, ((Piece("qkv", "gpu", 5.0),),), ((Piece("ffn", "gpu", 30.0), Piece("ffn_pim", "pim", 40.0)),)
    )
    assert makespan(work, 3) == 3 * 45
