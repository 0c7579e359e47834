"""Timelines written as Perfetto traces and read back with Perfetto's own definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.contracts.timeline import NO_ARGUMENT, Timeline, TimelineDraft
from simulator.report import timeline as writing
from simulator.report.timeline import perfetto_trace
from simulator.report.timeline_columns import Choice, Messages, Numbers, number_field, text_field, varint
from tests.report.perfetto_reading import read_perfetto


def read(timeline: Timeline):
    return read_perfetto(b"".join(perfetto_trace(timeline)))


@st.composite
def nested(draw: st.DrawFn, start: int = 0, length: int = 10**9, depth: int = 3) -> list[tuple[int, int, int]]:
    """(start, end, depth) of slices that nest, outer ones first; siblings may touch."""
    edges = sorted(draw(st.lists(st.integers(start, start + length), min_size=2, max_size=6)))
    found = []
    for first, last in itertools.pairwise(edges):
        if draw(st.booleans()):
            found.append((first, last, 3 - depth))
            if depth > 1 and last > first:
                found += draw(nested(first, last - first, depth - 1))
    return found


@given(st.lists(nested(), min_size=1, max_size=3))
def test_what_nests_is_read_back_nested(tracks: list[list[tuple[int, int, int]]]) -> None:
    draft = TimelineDraft()
    wanted = []
    for index, slices in enumerate(tracks):
        track = draft.track("system", f"track {index}")
        for number, (start, end, depth) in enumerate(slices):
            name = f"slice {index}.{number}"
            draft.add_one(track, name, start, end, number=number)
            wanted.append((f"track {index}", name, start, end - start, number, depth if end > start else None))
    found = read(draft.timeline())
    exact = not any(value % 1000 for slices in tracks for start, end, _ in slices for value in (start, end))
    got = sorted(
        (
            one.track[1],
            one.name,
            one.start_ns * 1000 if exact else one.arguments["start_ps"],
            (one.end_ns - one.start_ns) * 1000 if exact else one.arguments["duration_ps"],
            one.arguments["number"],
            one.depth if one.end_ns > one.start_ns or one.arguments.get("duration_ps") else None,
        )
        for one in found.slices
    )
    # A slice without length is an instant, whose depth depends on what else happens at that time.
    assert [entry[:5] for entry in got] == [entry[:5] for entry in sorted(wanted, key=lambda entry: entry[:2])]
    lasting = {entry[:2]: entry[5] for entry in wanted if entry[3]}
    assert {entry[:2]: entry[5] for entry in got if entry[3]} == lasting


def test_slices_shorter_than_a_nanosecond_nest_and_keep_their_length() -> None:
    draft = TimelineDraft()
    track = draft.track("system", "pim")
    draft.add_one(track, "token", 100, 900)
    draft.add([track] * 2, draft.names(["first", "second"]), [100, 500], [500, 900])
    token, first, second = read(draft.timeline()).slices
    assert (token.name, first.parents, second.parents) == ("token", ("token",), ("token",))
    assert [one.arguments["duration_ps"] for one in (token, first, second)] == [800, 400, 400]


def test_of_equal_slices_the_first_declared_is_the_outer_one() -> None:
    draft = TimelineDraft()
    track = draft.track("system", "pim")
    for name in ("token", "layer", "operator"):
        draft.add_one(track, name, 2000, 5000)
    assert [one.parents for one in read(draft.timeline()).slices] == [(), ("token",), ("token", "layer")]


def test_whole_nanoseconds_need_no_exact_picoseconds() -> None:
    draft = TimelineDraft()
    draft.add_one(draft.track("system", "pim"), "token", 2000, 5000)
    (token,) = read(draft.timeline()).slices
    assert (token.start_ns, token.end_ns, token.arguments) == (2, 5, {})


def test_tracks_counters_details_and_hostile_names() -> None:
    draft = TimelineDraft()
    name = "<b>\x00\udcff名\n"
    draft.add_counter("requests", "waiting", "requests", [0, 7000, 9000], [0, 300, 1])
    draft.add_one(draft.track("system", "b"), name, 0, 1000, tokens=2**40)
    draft.add_one(draft.track("other", "a"), "plain", 0, 1000)
    draft.detail(name, {"bound": "bank: 5 of 10 GB/s"})
    found = read(draft.timeline())
    assert found.tracks == [("system", "b"), ("other", "a")]
    assert found.counters == {("requests", "waiting"): [(0, 0), (7, 300), (9, 1)]}
    assert found.units == {("requests", "waiting"): "requests"}
    hostile, plain = found.slices
    assert hostile.name == "<b>\x00?名\n"
    assert hostile.arguments == {"tokens": 2**40, "bound": "bank: 5 of 10 GB/s"}
    assert plain.arguments == {}, "an argument that another slice has"


def test_an_empty_timeline_is_a_trace_too() -> None:
    assert read(TimelineDraft().timeline()).slices == []


def test_many_slices_are_written_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    draft = TimelineDraft()
    n = 1000
    track = np.array([draft.track("system", f"r{index}") for index in range(7)])
    start = np.arange(n) * 12_345
    draft.add(track[np.arange(n) % 7], draft.names(["op"]), start, start + 12_345, {"row": np.arange(n)})
    whole = b"".join(perfetto_trace(draft.timeline()))
    monkeypatch.setattr(writing, "_CHUNK_EVENTS", 64)
    assert b"".join(perfetto_trace(draft.timeline())) == whole
    found = read_perfetto(whole)
    assert [one.arguments["row"] for one in found.slices] == list(range(n))
    assert sum(one.arguments["duration_ps"] for one in found.slices) == n * 12_345


NUMBERS = st.integers(0, 2**63 - 1)


@given(st.lists(st.tuples(NUMBERS | st.just(NO_ARGUMENT), st.integers(0, 2), NUMBERS, st.booleans()), min_size=1))
def test_columns_are_the_messages_written_one_by_one(rows: list[tuple[int, int, int, bool]]) -> None:
    choices = [b"", number_field(3, 300), text_field(200, "x" * 130)]
    outer, which, inner, there = (np.array(column) for column in zip(*rows, strict=True))
    fields = [Numbers(1, np.where(there, inner, NO_ARGUMENT))]
    whole = Messages(
        1, [Numbers(16, outer), Choice(choices, which), Messages(4, fields, np.array(there, np.bool_))]
    ).encoded()
    by_hand = b""
    for number, choice, value, has in rows:
        content = b"" if number == NO_ARGUMENT else number_field(16, number)
        content += choices[choice]
        if has:
            message = number_field(1, value)
            content += b"\x22" + varint(len(message)) + message
        by_hand += b"\x0a" + varint(len(content)) + content
    assert whole == by_hand
