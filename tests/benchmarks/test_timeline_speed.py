"""How fast timelines are written, beside the same slices built message by message with the protobuf library."""

from __future__ import annotations

import time

import numpy as np
import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

from simulator.contracts.timeline import Timeline, TimelineDraft
from simulator.report.timeline import perfetto_trace

N_SLICES = 1_000_000
N_BY_HAND = 20_000


def a_timeline(n: int) -> Timeline:
    draft = TimelineDraft()
    tracks = np.array([draft.track("system", f"resource {index}") for index in range(8)])
    names = draft.names(f"operator {index}" for index in range(20))
    row = np.arange(n)
    start_ps = row * 12_345
    draft.add(tracks[row % 8], names[row % 20], start_ps, start_ps + 12_345, {"layer": row % 80})
    return draft.timeline()


def by_hand(timeline: Timeline) -> bytes:
    trace = Trace()
    slices = timeline.slices
    for row in range(len(slices)):
        for kind, time_ps in (
            (TrackEvent.TYPE_SLICE_BEGIN, slices.start_ps),
            (TrackEvent.TYPE_SLICE_END, slices.end_ps),
        ):
            packet = trace.packet.add(timestamp=int(time_ps[row]) // 1000, trusted_packet_sequence_id=1)
            packet.track_event.type = kind
            packet.track_event.track_uuid = int(slices.track[row])
            if kind == TrackEvent.TYPE_SLICE_BEGIN:
                packet.track_event.name_iid = int(slices.name[row])
                packet.track_event.debug_annotations.add(name_iid=1, int_value=int(slices.arguments["layer"][row]))
    return trace.SerializeToString()


@pytest.mark.benchmark
def test_a_million_slices() -> None:
    begun = time.process_time()
    n_bytes = sum(len(piece) for piece in perfetto_trace(a_timeline(N_SLICES)))
    ours_s = time.process_time() - begun
    begun = time.process_time()
    by_hand(a_timeline(N_BY_HAND))
    theirs_s = (time.process_time() - begun) / N_BY_HAND * N_SLICES
    print(f"\n1,000,000 slices: {ours_s:.2f} CPU-s, {n_bytes / 1e6:.0f} MB; with protobuf objects {theirs_s:.2f} CPU-s")
    print(f"ratio of CPU time: {ours_s / theirs_s:.2f}")
