"""A hot-page (or hot-word) tracker by itself: replays memory accesses and tells how well its picks meet the hottest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from simulator.contracts.results import RunRecord
from simulator.core.errors import ConfigError, WorkloadError
from simulator.core.quantities import GigabytesPerSecond, PositiveFloat, PositiveInt
from simulator.devices.hot_page_record import Judged, tracker_record
from simulator.memory.dram.refusal import PartRefusal
from simulator.memory.trackers.accuracy import Accuracy
from simulator.memory.trackers.config import Key, TrackerConfig
from simulator.memory.trackers.tracker import Tracker
from simulator.workload.access_reading import read_accesses
from simulator.workload.accesses import LINE_BYTES, AccessStream
from simulator.workload.synthetic_accesses import SyntheticAccesses

SYNTHETIC = "synthetic"
Arrivals = Literal["unlimited", "trace", "even"]


@dataclass(frozen=True, slots=True, eq=False)
class _Reads:
    """Line ids uint32[n] of what the tracker sees, and when, int64[n] in ps, where that matters."""

    line: NDArray[np.uint32]
    time_ps: NDArray[np.int64] | None


class HotPageTracker:
    """The trackers of one CXL memory controller, fed with a trace of the accesses that reach it.

    Not modelled: what the picks are used for (a system of tiered memory does that), so that a page that is found hot
    goes on being read here.
    Source: M5's HPT and HWT; the figures are those of its golden runs.
    """

    replays_synthetic: ClassVar[bool] = True

    class Config(TrackerConfig):
        """A part such as `hw_configs/parts/hpt.yaml`: the tracker, and how it is fed.

        `key: both` runs a page and a word tracker, the latter with `word_queries` queries for each of the other's.
        `arrivals` says when reads come: `unlimited`, as fast as they are taken, so that none is dropped; by the
        `trace`'s clock, whose instructions take `ipc` of a core at `core_clock`; or `even`, at `read_gb_per_s`. A
        trace is run `repeat` times over. `sweep_n_counters` are further sizes of the same tracker beside its own.
        """

        kind: Literal["hot_page_tracker"] = "hot_page_tracker"
        format: str = "auto"
        track_writes: bool = False
        repeat: PositiveInt = 1
        arrivals: Arrivals = "unlimited"
        core_clock_hz: Annotated[Fraction, Gt(0)] = Fraction(2_100_000_000)
        ipc: PositiveFloat = 1.0
        read_gb_per_s: GigabytesPerSecond = 12.8
        sweep_n_counters: list[PositiveInt] = Field([], max_length=64)
        synthetic: SyntheticAccesses = SyntheticAccesses()

        @model_validator(mode="after")
        def _sizes_can_be_built(self) -> HotPageTracker.Config:
            try:
                if self.sweep_n_counters and self.algorithm not in ("cm", "ss"):
                    raise PartRefusal(
                        ("sweep_n_counters",),
                        f"the algorithm {self.algorithm} has no number of counters",
                        remedy="set algorithm to cm or ss, or sweep_n_counters to []",
                    )
                for n_counters in self.sweep_n_counters:
                    self.sized(n_counters)
            except PartRefusal as refusal:
                refusal.raise_at_place()
            except ValidationError as error:
                reason = error.errors()[0]["msg"]
                PartRefusal(
                    ("sweep_n_counters",), f"of {n_counters:,}: {reason}", remedy="leave it out"
                ).raise_at_place()
            return self

        def sized(self, n_counters: int) -> TrackerConfig:
            """The same tracker with another number of counters. Raises pydantic's error where it cannot be built."""
            return TrackerConfig.model_validate(
                {**{name: getattr(self, name) for name in TrackerConfig.model_fields}, "n_counters": n_counters}
            )

    def __init__(self, config: Config) -> None:
        self.config = config

    def stream(self, trace: str, seed: int) -> AccessStream:
        """The accesses of a trace file, or the `synthetic` ones of a seed. Raises WorkloadError."""
        config = self.config
        if trace == SYNTHETIC:
            stream = config.synthetic.stream(seed)
        else:
            stream = read_accesses(trace, config.format)
        return stream.repeated(config.repeat)

    def replay(self, trace: str, seed: int) -> RunRecord:
        """Feed the trackers with a trace file, or with `synthetic` accesses.

        Raises WorkloadError for a trace that cannot be read, has no reads, or ends before the first query.
        """
        stream = self.stream(trace, seed)
        judged = [Judged(tracker, Accuracy(tracker.config.k)) for tracker in self._trackers()]
        n_reads = 0
        for one in judged:
            _compile(one.tracker)
        for reads in self._reads(stream):
            n_reads += len(reads.line) * stream.lines_per_record
            for one in judged:
                seen = one.tracker.observe_queries(reads.line, reads.time_ps, lines_per_record=stream.lines_per_record)
                one.accuracy.judge(seen.arrived, seen.picks)
        self._check(trace, n_reads, judged)
        return tracker_record(self.config, stream, n_reads, judged)

    def _trackers(self) -> Iterator[Tracker]:
        """The trackers of the part's own size, then those of the sizes that are swept."""
        config = self.config
        keys: tuple[Key, ...] = ("page", "word") if config.key == "both" else (config.key,)
        for n_counters in (config.n_counters, *config.sweep_n_counters):
            sized = config.sized(n_counters)
            for key in keys:
                tracker = Tracker(sized, key)
                if key == "word" and config.word_queries > 1:
                    tracker.set_period(*_shorter(config))
                yield tracker

    def _reads(self, stream: AccessStream) -> Iterator[_Reads]:
        """What the trackers see of a stream, and when."""
        config = self.config
        if config.arrivals == "trace" and stream.clock is None:
            raise ConfigError(
                "reads come by the trace's clock, and the trace has none",
                where="arrivals",
                remedy="set arrivals to even, with read_gb_per_s, or to unlimited",
            )
        n_before = 0
        for chunk in stream.chunks():
            taken = slice(None) if config.track_writes else ~chunk.is_write
            line = chunk.line[taken]
            time_ps: NDArray[np.int64] | None = None
            if config.arrivals == "trace":
                time_ps = self._clock_ps(stream, chunk.first + np.arange(len(chunk), dtype=np.int64)[taken])
            elif config.arrivals == "even":
                time_ps = self._even_ps(n_before + np.arange(len(line), dtype=np.int64), stream.lines_per_record)
            n_before += len(line)
            yield _Reads(line, time_ps)

    def _clock_ps(self, stream: AccessStream, record: NDArray[np.int64]) -> NDArray[np.int64]:
        """Times of records by the trace's clock, int64[n]."""
        assert stream.clock is not None
        at = stream.clock.at(record)
        if stream.clock.unit == "instructions":
            at = at * (1e12 / (float(self.config.core_clock_hz) * self.config.ipc))
        if len(at) and float(at[-1]) >= float(1 << 63):
            raise WorkloadError(
                f"its clock runs for {at[-1] / 1e12:.3g} s, and times in ps reach {(1 << 63) // 10**12} s",
                where=stream.name,
                remedy="set arrivals to even, or repeat the trace fewer times",
            )
        return np.rint(at).astype(np.int64)

    def _even_ps(self, number: NDArray[np.int64], n_lines: int) -> NDArray[np.int64]:
        """Times of reads that come evenly, int64[n]."""
        pitch = Fraction(LINE_BYTES * n_lines * 1000) / Fraction(self.config.read_gb_per_s).limit_denominator(1000)
        return number * pitch.numerator // pitch.denominator

    def _check(self, trace: str, n_reads: int, judged: list[Judged]) -> None:
        """Refuse a trace that no epoch of could be judged."""
        what = "accesses" if self.config.track_writes else "reads"
        where = "synthetic" if trace == SYNTHETIC else trace
        if not n_reads:
            raise WorkloadError(
                f"there are no {what} in it", where=where, remedy="name another trace, or set track_writes to true"
            )
        if any(not one.accuracy.n_epochs for one in judged):
            length = self.config.epoch_reads
            epoch = (
                f"an epoch of {length:,} {what}" if length else f"an epoch of {(self.config.epoch_ps or 0) / 1e9:g} ms"
            )
            raise WorkloadError(
                f"its {n_reads:,} {what} end before {epoch} does, so that nothing is ever picked",
                where=where,
                remedy="make epochs shorter, or set repeat to run the trace several times over",
            )


def _shorter(config: HotPageTracker.Config) -> tuple[int | None, int | None]:
    """The word tracker's period: in reads, or in ps."""
    if config.epoch_reads is not None:
        return max(1, config.epoch_reads // config.word_queries), None
    assert config.epoch_ps is not None
    return None, max(1, config.epoch_ps // config.word_queries)


def _compile(tracker: Tracker) -> None:
    """Run a twin of the tracker on one read, so that compilation does not count as its speed."""
    Tracker(tracker.config, tracker.key).observe(np.zeros(1, np.uint32), np.zeros(1, np.int64))
