"""A timeline as a Perfetto trace: one track per resource, slices nested, opened by https://ui.perfetto.dev.

Perfetto counts time in whole nanoseconds. Every begin and end is rounded down to one, which keeps order and nesting;
where some are not whole, every slice says its exact `start_ps` and `duration_ps` among its arguments. A slice without
length becomes an instant.

Source: Perfetto's published protobuf definitions (trace_packet, track_event, track_descriptor, interned_data and
debug_annotation).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from simulator.contracts.timeline import NO_ARGUMENT, Counter, Slices, Timeline, Track
from simulator.report.timeline_columns import (
    Choice,
    Field,
    Messages,
    Numbers,
    bytes_field,
    number_field,
    text_field,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

PS_PER_NS = 1000
_CHUNK_EVENTS = 1 << 18  # bounds the memory of what is being encoded

# Field numbers of the messages that are written.
_PACKET, _TIMESTAMP, _SEQUENCE, _FLAGS, _FIRST = 1, 8, 10, 13, 87
_EVENT, _INTERNED, _DESCRIPTOR = 11, 12, 60
_TYPE, _TRACK_UUID, _NAME_ID, _ANNOTATION, _COUNTER_VALUE = 9, 11, 10, 4, 30
_UUID, _TRACK_NAME, _PROCESS, _PARENT, _COUNTER, _ORDERING, _RANK = 1, 2, 3, 5, 8, 11, 12
_PID, _PROCESS_NAME, _UNIT_NAME = 1, 6, 6
_INTERNED_EVENT_NAME, _INTERNED_ANNOTATION_NAME, _INTERNED_TEXT = 2, 3, 29
_ANNOTATION_NAME_ID, _ANNOTATION_INT, _ANNOTATION_TEXT_ID = 1, 4, 17
_SLICE_BEGIN, _SLICE_END, _INSTANT, _COUNTER_EVENT = 1, 2, 3, 4
_CLEARED, _NEEDS_STATE = 1, 2
_EXPLICIT_ORDER = 3

_SAME_SEQUENCE = number_field(_SEQUENCE, 1)


def perfetto_trace(timeline: Timeline) -> Iterator[bytes]:
    """The bytes of a Perfetto trace in pieces: first names and tracks, then every event in order of time."""
    uuids: dict[Track, int] = {}
    yield _interned(timeline)
    yield b"".join(_descriptors(timeline, uuids))
    track_uuid = np.array([uuids[track] for track in timeline.tracks], np.int64)
    yield from _slice_events(timeline, track_uuid)
    for counter in timeline.counters:
        yield _counter_events(counter, uuids[counter.track])


def _interned(timeline: Timeline) -> bytes:
    """The packet that gives every name its number, counted from 1."""
    annotations = _annotation_ids(timeline)
    names = [
        bytes_field(_INTERNED_EVENT_NAME, number_field(1, number) + text_field(2, name))
        for number, name in enumerate(timeline.names, start=1)
    ]
    names += [
        bytes_field(_INTERNED_ANNOTATION_NAME, number_field(1, number) + text_field(2, name))
        for name, number in annotations.items()
    ]
    names += [
        bytes_field(_INTERNED_TEXT, number_field(1, number) + text_field(2, text))
        for text, number in _text_ids(timeline).items()
    ]
    packet = _SAME_SEQUENCE + number_field(_FLAGS, _CLEARED) + number_field(_FIRST, 1)
    return bytes_field(_PACKET, packet + bytes_field(_INTERNED, b"".join(names)))


def _annotation_ids(timeline: Timeline) -> dict[str, int]:
    keys = ["start_ps", "duration_ps", *timeline.slices.arguments]
    keys += [key for words in timeline.details.values() for key in words]
    return {key: number for number, key in enumerate(dict.fromkeys(keys), start=1)}


def _text_ids(timeline: Timeline) -> dict[str, int]:
    texts = dict.fromkeys(text for words in timeline.details.values() for text in words.values())
    return {text: number for number, text in enumerate(texts, start=1)}


def _descriptors(timeline: Timeline, uuids: dict[Track, int]) -> Iterator[bytes]:
    """A process per group of tracks, its tracks in their order below it; fills `uuids`."""
    counters = {counter.track: counter for counter in timeline.counters}
    groups: dict[str, int] = {}
    for rank, track in enumerate((*counters, *timeline.tracks)):
        if track.group not in groups:
            groups[track.group] = len(groups) + 1
            process = number_field(_PID, groups[track.group]) + text_field(_PROCESS_NAME, track.group)
            yield _descriptor(
                number_field(_UUID, groups[track.group])
                + bytes_field(_PROCESS, process)
                + number_field(_ORDERING, _EXPLICIT_ORDER)
            )
        uuids[track] = (1 << 32) + rank
        content = (
            number_field(_UUID, uuids[track])
            + number_field(_PARENT, groups[track.group])
            + text_field(_TRACK_NAME, track.name)
            + number_field(_RANK, rank)
        )
        if track in counters:
            content += bytes_field(_COUNTER, text_field(_UNIT_NAME, counters[track].unit))
        yield _descriptor(content)


def _descriptor(content: bytes) -> bytes:
    return bytes_field(_PACKET, _SAME_SEQUENCE + bytes_field(_DESCRIPTOR, content))


def _slice_events(timeline: Timeline, track_uuid: NDArray[np.int64]) -> Iterator[bytes]:
    slices = timeline.slices
    if not len(slices):
        return
    which, kind = _events_in_order(slices)
    annotations = _annotation_ids(timeline)
    words = _detail_bytes(timeline, annotations)
    inexact = bool(((slices.start_ps % PS_PER_NS) | (slices.end_ps % PS_PER_NS)).any())
    for first in range(0, len(which), _CHUNK_EVENTS):
        row, kinds = which[first : first + _CHUNK_EVENTS], kind[first : first + _CHUNK_EVENTS]
        ends = kinds == _SLICE_END
        time_ps = np.where(ends, slices.end_ps[row], slices.start_ps[row])
        told = {name: np.where(ends, NO_ARGUMENT, column[row]) for name, column in slices.arguments.items()}
        if inexact:
            told["start_ps"] = np.where(ends, NO_ARGUMENT, slices.start_ps[row])
            told["duration_ps"] = np.where(ends, NO_ARGUMENT, slices.end_ps[row] - slices.start_ps[row])
        fields: list[Field] = [
            Numbers(_TYPE, kinds),
            Numbers(_TRACK_UUID, track_uuid[slices.track[row]]),
            Numbers(_NAME_ID, np.where(ends, -1, slices.name[row] + 1)),
            *(_annotation(annotations[name], values) for name, values in told.items()),
        ]
        if any(words):
            fields.append(Choice([*words, b""], np.where(ends, len(words), slices.name[row])))
        yield _packets(time_ps, fields)


def _events_in_order(slices: Slices) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(row, type) of every event in order of time; at one time ends come before begins, inner ends before outer ones.

    The order is that of exact picoseconds, so that events which share a nanosecond still nest.
    """
    # Outer before inner: earlier start, then later end, then earlier declaration (the sort is stable).
    outer_first = np.lexsort((-slices.end_ps, slices.start_ps))
    start_ps, end_ps = slices.start_ps[outer_first], slices.end_ps[outer_first]
    depth = np.arange(len(slices))
    lasting = end_ps > start_ps
    time_ps = np.concatenate((start_ps, end_ps[lasting]))
    kind = np.concatenate((np.where(lasting, _SLICE_BEGIN, _INSTANT), np.full(int(lasting.sum()), _SLICE_END)))
    tie = np.concatenate((depth, -1 - depth[lasting]))  # ends: negative, the innermost first
    order = np.lexsort((tie, time_ps))
    which = np.concatenate((outer_first, outer_first[lasting]))
    return which[order], kind[order]


def _detail_bytes(timeline: Timeline, annotations: Mapping[str, int]) -> list[bytes]:
    """By slice name, the annotations that are the same for every slice of that name."""
    texts = _text_ids(timeline)
    return [
        b"".join(
            bytes_field(
                _ANNOTATION,
                number_field(_ANNOTATION_NAME_ID, annotations[key]) + number_field(_ANNOTATION_TEXT_ID, texts[text]),
            )
            for key, text in timeline.details.get(name, {}).items()
        )
        for name in timeline.names
    ]


def _annotation(number: int, values: NDArray[np.int64]) -> Messages:
    there = values >= 0
    fields = (Numbers(_ANNOTATION_NAME_ID, np.where(there, number, -1)), Numbers(_ANNOTATION_INT, values))
    return Messages(_ANNOTATION, fields, there)


def _counter_events(counter: Counter, uuid: int) -> bytes:
    n = len(counter.time_ps)
    if not n:
        return b""
    fields: list[Field] = [
        Numbers(_TYPE, np.full(n, _COUNTER_EVENT)),
        Numbers(_TRACK_UUID, np.full(n, uuid)),
        Numbers(_COUNTER_VALUE, counter.value),
    ]
    return _packets(counter.time_ps, fields)


def _packets(time_ps: NDArray[np.int64], event: list[Field]) -> bytes:
    """A packet per event at the nanosecond into which its time falls."""
    same = Choice([_SAME_SEQUENCE + number_field(_FLAGS, _NEEDS_STATE)], np.zeros(len(time_ps), np.int64))
    return Messages(_PACKET, [Numbers(_TIMESTAMP, time_ps // PS_PER_NS), same, Messages(_EVENT, event)]).encoded()
