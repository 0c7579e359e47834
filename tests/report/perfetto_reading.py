"""Perfetto traces read back with the `perfetto` package's own protobuf definitions."""

from __future__ import annotations

from dataclasses import dataclass, field

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

CLEARED, NEEDS_STATE = 1, 2


@dataclass
class ReadSlice:
    """A slice as a reader shows it; times in ns. `depth` counts the slices around it."""

    track: tuple[str, str]
    name: str
    start_ns: int
    end_ns: int
    depth: int
    arguments: dict[str, int | str]
    parents: tuple[str, ...]


@dataclass
class ReadTrace:
    """Everything of a trace: slices in the order of their beginnings, counters by track, tracks in their order."""

    slices: list[ReadSlice] = field(default_factory=list)
    counters: dict[tuple[str, str], list[tuple[int, int]]] = field(default_factory=dict)
    tracks: list[tuple[str, str]] = field(default_factory=list)
    units: dict[tuple[str, str], str] = field(default_factory=dict)

    def on(self, track: str) -> list[ReadSlice]:
        """The slices of the tracks of this name."""
        return [one for one in self.slices if one.track[1] == track]


def read_perfetto(content: bytes) -> ReadTrace:
    """Read a trace as its user interface does: a stack of open slices per track, times that never go back."""
    trace = Trace()
    trace.ParseFromString(content)
    read = ReadTrace()
    processes: dict[int, str] = {}
    tracks: dict[int, tuple[str, str]] = {}
    names: dict[int, str] = {}
    keys: dict[int, str] = {}
    texts: dict[int, str] = {}
    open_slices: dict[int, list[ReadSlice]] = {}
    latest: dict[int, int] = {}
    for number, packet in enumerate(trace.packet):
        assert packet.trusted_packet_sequence_id == 1
        if packet.HasField("interned_data"):
            assert number == 0, "state that comes later than what needs it"
            assert packet.sequence_flags & CLEARED
            names.update((entry.iid, entry.name) for entry in packet.interned_data.event_names)
            keys.update((entry.iid, entry.name) for entry in packet.interned_data.debug_annotation_names)
            values = packet.interned_data.debug_annotation_string_values
            texts.update((entry.iid, entry.str.decode()) for entry in values)
        if packet.HasField("track_descriptor"):
            descriptor = packet.track_descriptor
            if descriptor.HasField("process"):
                processes[descriptor.uuid] = descriptor.process.process_name
                continue
            assert descriptor.uuid not in tracks
            tracks[descriptor.uuid] = (processes[descriptor.parent_uuid], descriptor.name)
            if descriptor.HasField("counter"):
                read.counters[tracks[descriptor.uuid]] = []
                read.units[tracks[descriptor.uuid]] = descriptor.counter.unit_name
            else:
                read.tracks.append(tracks[descriptor.uuid])
        if not packet.HasField("track_event"):
            continue
        event, time_ns = packet.track_event, packet.timestamp
        track = event.track_uuid
        assert time_ns >= latest.get(track, 0), "time goes back"
        latest[track] = time_ns
        if event.type == TrackEvent.TYPE_COUNTER:
            read.counters[tracks[track]].append((time_ns, event.counter_value))
        elif event.type == TrackEvent.TYPE_SLICE_END:
            open_slices[track].pop().end_ns = time_ns
        else:
            assert packet.sequence_flags & NEEDS_STATE
            around = open_slices.setdefault(track, [])
            arguments: dict[str, int | str] = {}
            for annotation in event.debug_annotations:
                key = keys[annotation.name_iid]
                told = annotation.WhichOneof("value")
                arguments[key] = annotation.int_value if told == "int_value" else texts[annotation.string_value_iid]
            parents = tuple(one.name for one in around)
            one = ReadSlice(
                tracks[track], names[event.name_iid], time_ns, time_ns, len(around), arguments, parents
            )  # fmt: skip
            read.slices.append(one)
            if event.type == TrackEvent.TYPE_SLICE_BEGIN:
                around.append(one)
            else:
                assert event.type == TrackEvent.TYPE_INSTANT
    assert not any(open_slices.values()), "slices that never end"
    return read
