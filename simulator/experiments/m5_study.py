"""What the figures and the validation of M5 compute on traces of memory accesses; each thing once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from simulator.contracts.accesses import AccessRun
from simulator.core.binding import bind
from simulator.core.config import load_config
from simulator.core.registry import load_kind
from simulator.experiments.access_settings import bound_access_settings, with_trace
from simulator.experiments.access_traces import AccessSummary
from simulator.experiments.identification import Identified, WindowReads, identify
from simulator.experiments.memory_traces import MemoryTraces, memory_traces
from simulator.memory.trackers.accuracy import Accuracy
from simulator.memory.trackers.config import TrackerConfig
from simulator.memory.trackers.tracker import Tracker
from simulator.systems.tiered_memory import POLICIES, MigrationConfig, TieredMemory
from simulator.workload.access_reading import read_accesses
from simulator.workload.accesses import AccessStream
from simulator.workload.catalog import data_directory
from simulator.workload.interleaved_accesses import interleaved

CONFIG = "m5.yaml"
SEED = 1
RECORDS = 1_000_000  # of a trace that policies run over: the first ones
SPARSITY_WINDOW = 262_144
PICK_WINDOW_READS = 262_144
PICKS_FRAC = 0.01  # of the footprint: the picks that count in a window
COPIED_RECORDS = 500_000  # of a trace whose copies are laid side by side: the first ones
SETS: Mapping[str, Any] = {"system.periods": "scaled", "system.quantum_records": 256}
"""How policies are run: periods and sizes as much smaller as the footprint is."""

EVERY_POLICY = ("no_migration", "on_touch", "anb", "damon", "m5_hpt", "m5_hwt", "m5_both", "m5_stop", "oracle")
PLAIN_POLICIES = ("no_migration", "on_touch", "anb", "damon", "m5_hpt", "m5_stop", "oracle")
CPU_DRIVEN = ("anb", "damon")


@dataclass(frozen=True, slots=True)
class Identifier:
    """A policy that only identifies: its name in words, the configuration's policy, and what is changed of it."""

    name: str
    policy: str
    changed: Mapping[str, int] = field(default_factory=dict)


IDENTIFIERS = {
    "anb": Identifier("ANB", "anb"),
    "damon": Identifier("DAMON", "damon"),
    "damon_coarse": Identifier("DAMON, 20 regions", "damon", {"n_max_regions": 20}),
    "m5_hpt": Identifier("M5's Manager", "m5_hpt"),
    "m5_slowest": Identifier("Manager, 42 ms", "m5_hpt", {"first_period_cyc": 16_777_215}),
}
"""With coarse regions DAMON has as many pages in one as on the paper's footprint; M5's slowest period lets a single
thread read about as much in it as the testbed's twenty do in the default one."""


@dataclass(frozen=True, slots=True)
class TrackerCase:
    """A tracker as the golden table names it."""

    algorithm: str
    n_counters: int
    k: int
    epoch_reads: int
    key: str = "page"

    def config(self) -> TrackerConfig:
        """The tracker's configuration; algorithms without counters have as many as by default."""
        return TrackerConfig.model_validate(
            {
                "algorithm": self.algorithm,
                "key": self.key,
                "k": self.k,
                "epoch_reads": self.epoch_reads,
                **({"n_counters": self.n_counters} if self.n_counters else {}),
            }
        )


@dataclass(frozen=True, slots=True)
class Score:
    """How a tracker's picks met the hottest keys, as the golden table has it."""

    ratio_epoch: float
    ratio_union: float
    topk_hit: float
    distinct_picked: int
    epochs: int
    total_reads: int


@dataclass(frozen=True, slots=True)
class TierCase:
    """A machine that policies run on: the share that DDR holds, what a page's move takes, and how much of it blocks."""

    capacity_frac: float = 0.375
    move_us: float = 54.0
    blocking_frac: float = 0.1
    policies: tuple[str, ...] = PLAIN_POLICIES

    def sets(self) -> dict[str, Any]:
        """The overrides that make the machine."""
        move = f"{self.move_us:g} us"
        return {
            **SETS,
            "system.capacity_frac": self.capacity_frac,
            "system.migration.promote": move,
            "system.migration.demote": move,
            "system.migration.blocking_frac": self.blocking_frac,
        }


@dataclass(slots=True)
class M5Study:
    """Trackers, policies and statistics on every trace; what was computed is kept.

    Policies run over the first `records` of a trace, copies are made of its first `copied_records`.
    """

    traces: MemoryTraces = field(default_factory=memory_traces)
    records: int = RECORDS
    copied_records: int = COPIED_RECORDS
    _kept: dict[Any, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the traces."""
        return tuple(self.traces.files)

    @property
    def promote_ns(self) -> float:
        """What the configuration has a page's move take."""
        tree = load_config(data_directory("hw_configs") / CONFIG)
        return float(bind(tree.at("system.migration"), MigrationConfig).promote_ps / 1000)

    def stream(self, trace: str) -> AccessStream:
        """A whole trace."""
        key = ("stream", trace)
        if key not in self._kept:
            self._kept[key] = read_accesses(self.traces.files[trace])
        return cast(AccessStream, self._kept[key])

    def part(self, trace: str) -> AccessStream:
        """The first records of a trace, or all where there are fewer."""
        key = ("part", trace)
        if key not in self._kept:
            stream = self.stream(trace)
            self._kept[key] = stream.head(min(self.records, stream.n_records))
        return cast(AccessStream, self._kept[key])

    def score(self, trace: str, case: TrackerCase) -> Score | None:
        """How well a tracker does on a trace; None where the trace is shorter than one epoch."""
        key = (trace, case)
        if key not in self._kept:
            line = self._read_lines(trace)
            self._kept[key] = _score(line, case) if len(line) >= case.epoch_reads else None
        return cast("Score | None", self._kept[key])

    def mean_ratio(self, case: TrackerCase) -> float | None:
        """The mean of ratios by epoch over all traces that are long enough."""
        scores = [self.score(trace, case) for trace in self.names]
        found = [score.ratio_epoch for score in scores if score is not None]
        return float(np.mean(found)) if found else None

    def copies_ratio(self, trace: str, n_copies: int, case: TrackerCase) -> float:
        """The ratio by epoch of a tracker on so many copies of a trace's first records; every copy has as many reads
        in an epoch as one copy alone would."""
        key = ("copies", trace, n_copies, case)
        if key not in self._kept:
            stream = self.stream(trace)
            many = interleaved(stream.head(min(self.copied_records, stream.n_records)), n_copies)
            tracker, accuracy = Tracker(case.config()), Accuracy(case.k)
            for chunk in many.chunks():
                seen = tracker.observe_queries(chunk.line[~chunk.is_write])
                accuracy.judge(seen.arrived, seen.picks)
            self._kept[key] = accuracy.ratio_epoch
        return float(self._kept[key])

    def summary(self, trace: str) -> AccessSummary:
        """Footprint, mix and sparsity of a whole trace."""
        key = ("summary", trace)
        if key not in self._kept:
            self._kept[key] = AccessSummary.of(self.stream(trace), (SPARSITY_WINDOW,))
        return cast(AccessSummary, self._kept[key])

    def run(self, trace: str, case: TierCase) -> AccessRun:
        """A trace's first records under the policies of a machine."""
        key = ("run", trace, case)
        if key not in self._kept:
            system = self._system(trace, case)
            kept = {name: system.config.policies[name] for name in case.policies}
            chosen = TieredMemory(system.config.model_copy(update={"policies": kept}))
            self._kept[key] = chosen.run_accesses(self.part(trace), SEED)
        return cast(AccessRun, self._kept[key])

    def identified(self, trace: str, name: str, picks_frac: float = PICKS_FRAC) -> Identified:
        """What one of `IDENTIFIERS` picks on a whole trace."""
        key = ("identified", trace, name, picks_frac)
        if key not in self._kept:
            system, stream = self._system(trace, TierCase()), self.stream(trace)
            chosen = IDENTIFIERS[name]
            tree = system.config.policies[chosen.policy]
            policy_class = load_kind(POLICIES, str(tree.get("kind")))
            config = bind(tree, policy_class.Config)
            sized = config.scaled(stream.footprint_bytes / system.config.made_for_bytes).model_copy(
                update=chosen.changed
            )
            counts = self._window_reads(trace)
            self._kept[key] = identify(system, stream, policy_class(sized), SEED, counts, picks_frac)
        return cast(Identified, self._kept[key])

    def _system(self, trace: str, case: TierCase) -> TieredMemory:
        sets = {"workload.repeat": 1, **case.sets()}
        tree = load_config(data_directory("hw_configs") / CONFIG, sets)
        tree = with_trace(tree, str(self.traces.files[trace]), "auto")
        return cast(TieredMemory, bound_access_settings(tree, CONFIG).system())

    def _window_reads(self, trace: str) -> WindowReads:
        key = ("windows", trace)
        if key not in self._kept:
            self._kept[key] = WindowReads.of(self.stream(trace), PICK_WINDOW_READS)
        return cast(WindowReads, self._kept[key])

    def _read_lines(self, trace: str) -> NDArray[np.uint32]:
        """Lines of all reads of a trace, uint32[reads]."""
        key = ("reads", trace)
        if key not in self._kept:
            chunks = [chunk.line[~chunk.is_write] for chunk in self.stream(trace).chunks()]
            self._kept[key] = np.concatenate(chunks)
        return cast("NDArray[np.uint32]", self._kept[key])


def speedups(run: AccessRun) -> dict[str, float]:
    """Times as fast as without migration, by policy."""
    times = {one.policy: one.time_ps for one in run.runs}
    return {policy: times["no_migration"] / time_ps for policy, time_ps in times.items()}


def _score(line: NDArray[np.uint32], case: TrackerCase) -> Score:
    tracker, accuracy = Tracker(case.config()), Accuracy(case.k)
    seen = tracker.observe_queries(line)
    accuracy.judge(seen.arrived, seen.picks)
    return Score(
        accuracy.ratio_epoch,
        accuracy.ratio_union,
        accuracy.topk_hit,
        accuracy.distinct_picked,
        accuracy.n_epochs,
        len(line),
    )
