"""A processor with DDR and CXL memory, a hot-page tracker in the CXL controller, and policies that move pages.

Everything starts in CXL memory; DDR holds a share of the footprint. Each policy of the configuration runs the same
stream; the oracle, which knows the stream, is what they are measured by.

Source: M5 (ASPLOS 2025) for the machine and its policy; what is assumed of the processor stands in the configuration.
Not modelled: caches, several programs, huge pages, writes in the tracker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt, Le
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from simulator.contracts.accesses import NO_MIGRATION, AccessRun, PolicyRun
from simulator.core.binding import bind
from simulator.core.config import ConfigTree
from simulator.core.errors import ConfigError, WorkloadError
from simulator.core.quantities import (
    Frac,
    GigabytesPerSecond,
    Hertz,
    PositiveBytes,
    PositiveFloat,
    PositiveInt,
    Ps,
)
from simulator.core.registry import load_kind
from simulator.core.spelling import did_you_mean
from simulator.devices.hot_page_tracker import HotPageTracker
from simulator.devices.tier_memory import TierMemory
from simulator.memory.tiers.latency_curve import LatencyCurve
from simulator.memory.tiers.machine import TieredMachine
from simulator.memory.tiers.oracle_candidates import candidate_plans
from simulator.memory.tiers.oracle_plan import PlacementTask, Plan
from simulator.memory.tiers.oracle_time import TimeModel
from simulator.memory.tiers.platform import MigrationCosts, Platform
from simulator.memory.tiers.policies.no_migration import NoMigration
from simulator.memory.tiers.policies.oracle import Oracle
from simulator.memory.tiers.policy import Policy
from simulator.memory.tiers.region_reads import RegionReads
from simulator.memory.trackers.tracker import Tracker
from simulator.workload.accesses import CHUNK_RECORDS, LINES_PER_PAGE, PAGE_BYTES, AccessStream

POLICIES = "simulator.memory.tiers.policies"
_PS_PER_S = 1e12
_BYTES_PER_PS = 1e-3  # of 1 GB/s
# The oracle plans and retries so often at least in a run, however short, and counts writes from such a wait on.
_LEAST_INTERVALS = 256
_LEAST_RETRIES = 1000
_SHORT_FRAC = 0.01
_MOST_PS = 1e30


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProcessorConfig(_Section):
    """The program's own work between its accesses: `ipc` instructions a clock, and `mlp` line reads in flight while it
    waits for memory; `stream_mlp` where it reads several lines in a row, as far as there are so many."""

    clock_hz: Hertz
    ipc: PositiveFloat
    mlp: PositiveFloat
    stream_mlp: PositiveFloat = 16.0
    instructions_per_record: PositiveFloat = 100.0

    def lines_in_flight(self, lines_per_record: int) -> float:
        """Line reads in flight in a stream whose records are so many consecutive lines."""
        return max(self.mlp, min(lines_per_record, self.stream_mlp))


class MigrationConfig(_Section):
    """What moving a page takes; see `memory.tiers.machine.MigrationCosts`."""

    promote_ps: Ps
    demote_ps: Ps
    shootdown_ps: Ps
    copy_gb_per_s: GigabytesPerSecond
    blocking_frac: Frac
    queue_pages: PositiveInt

    def costs(self) -> MigrationCosts:
        """As the machine takes them."""
        return MigrationCosts(
            self.promote_ps,
            self.demote_ps,
            self.shootdown_ps,
            self.copy_gb_per_s * _BYTES_PER_PS,
            self.blocking_frac,
            self.queue_pages,
        )


class TieredMemory:
    """DDR and CXL memory under a stream of accesses."""

    workload_kinds = frozenset({"accesses"})

    class Config(BaseModel):
        """The `system` section of a configuration such as `hw_configs/m5.yaml`.

        `policy` names one of `policies`, or all. With `periods` scaled, the policies' times and sizes shrink as the
        footprint does against `made_for_bytes`. `migrate: false` lets policies identify only.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        policy: str = "all"
        capacity_frac: Annotated[float, Gt(0), Le(1)]
        capacity_bytes: PositiveBytes | None = None
        ddr: TierMemory.Config
        cxl: TierMemory.Config
        processor: ProcessorConfig
        quantum_records: PositiveInt = 64
        fault_ps: Ps
        migration: MigrationConfig
        migrate: bool = True
        periods: Literal["published", "scaled"] = "published"
        made_for_bytes: PositiveBytes
        page_tracker: HotPageTracker.Config
        word_tracker: HotPageTracker.Config
        policies: dict[str, ConfigTree]

    def __init__(self, config: Config) -> None:
        self.config = config
        self.names = self._names()
        self._policies = {name: _bound_policy(config.policies[name]) for name in self.names}

    def run_accesses(self, stream: AccessStream, seed: int) -> AccessRun:
        """Run a stream under every policy that the configuration names. Raises WorkloadError for an empty one."""
        if not stream.n_records:
            raise WorkloadError("the trace holds no accesses", where=stream.name, remedy="give one that does")
        n_ddr_pages = self.n_ddr_pages(stream)
        platform = self._platform(n_ddr_pages, stream.lines_per_record)
        none = self._run(stream, NO_MIGRATION, NoMigration(NoMigration.Config()), platform, seed)
        runs = {}
        for name in self.names:
            policy_class, config = self._policies[name]
            if policy_class is NoMigration:
                runs[name] = replace(none, policy=name)
            elif policy_class is not Oracle:
                runs[name] = self._run(stream, name, policy_class(self._sized(config, stream)), platform, seed)
        others = [none, *runs.values()]
        for name in self.names:
            policy_class, config = self._policies[name]
            if policy_class is Oracle:
                runs[name] = self._foresee(stream, name, config, others, platform, seed)
        return AccessRun(
            [runs[name] for name in self.names], none, page_reads(stream), n_ddr_pages, tuple(self._notes(stream))
        )

    def n_ddr_pages(self, stream: AccessStream) -> int:
        """Pages that DDR holds of a stream's footprint."""
        config = self.config
        if config.capacity_bytes is not None:
            return min(stream.n_pages, config.capacity_bytes // PAGE_BYTES)
        return int(stream.n_pages * config.capacity_frac)

    @cached_property
    def curves(self) -> tuple[LatencyCurve, LatencyCurve]:
        """Latency under load of DDR and of CXL memory."""
        return TierMemory(self.config.ddr).curve(), TierMemory(self.config.cxl).curve()

    def _names(self) -> tuple[str, ...]:
        config = self.config
        if not config.policies:
            raise ConfigError("there are no policies", where="system.policies", remedy="give one, such as no_migration")
        if config.policy == "all":
            return tuple(config.policies)
        if config.policy not in config.policies:
            raise ConfigError(
                f"there is no policy `{config.policy}`",
                where="system.policy",
                remedy=did_you_mean(config.policy, ["all", *config.policies], noun="the policies"),
            )
        return (config.policy,)

    def _platform(self, n_ddr_pages: int, lines_per_record: int) -> Platform:
        config = self.config
        ddr, cxl = self.curves
        return Platform(
            ddr=ddr.table(),
            cxl=cxl.table(),
            mlp=config.processor.lines_in_flight(lines_per_record),
            fault_ps=config.fault_ps,
            n_ddr_pages=n_ddr_pages,
            quantum_records=config.quantum_records,
            migration=config.migration.costs(),
        )

    def _sized(self, config: Any, stream: AccessStream) -> Any:
        """A policy's configuration for the stream's footprint, where periods are scaled."""
        if self.config.periods == "published":
            return config
        return config.scaled(stream.footprint_bytes / self.config.made_for_bytes)

    def _foresee(
        self,
        stream: AccessStream,
        name: str,
        config: Oracle.Config,
        others: Sequence[PolicyRun],
        platform: Platform,
        seed: int,
    ) -> PolicyRun:
        """The best of what perfect foresight finds: plans, to leave everything where it is (the first of `others`), and
        to do as another policy does."""
        none = others[0]
        config = config.model_copy(update={"retry_ps": min(config.retry_ps, max(1, none.time_ps // _LEAST_RETRIES))})
        plans, least_ps = self._plans(stream, config, none, platform)
        runs = [self._run(stream, name, Oracle(config, plan), platform, seed) for plan in plans]
        best = min([replace(none, policy=name), *runs], key=lambda run: run.time_ps)
        ahead = min(others, key=lambda run: run.time_ps)
        if ahead.time_ps < best.time_ps:
            best = replace(
                ahead, policy=name, notes=(f"no plan that it found is better than what {ahead.policy} does",)
            )
        return replace(best, bound_ps=least_ps)

    def _plans(
        self, stream: AccessStream, config: Oracle.Config, none: PolicyRun, platform: Platform
    ) -> tuple[list[Plan], int]:
        """Plans for the oracle to try, and the time that no policy goes below."""
        quantum = self.config.quantum_records
        interval = min(config.interval_records, stream.n_records // _LEAST_INTERVALS)
        interval = max(1, interval // quantum) * quantum
        compute_ps = np.concatenate([chunk[-1] for chunk in self.quanta(stream)])
        model = TimeModel(compute_ps, platform.ddr, platform.cxl, platform.mlp, quantum)
        is_short = none.cxl_writes > 0 and none.spent_ps["bandwidth"] > _SHORT_FRAC * none.time_ps
        found = candidate_plans(
            self._task(stream, platform), platform.migration, model, interval, bandwidth_is_short=is_short
        )
        return found.plans, max(0, int(found.least_ps), int(compute_ps.sum()) - len(compute_ps))

    def _task(self, stream: AccessStream, platform: Platform) -> PlacementTask:
        """What is to be placed."""

        def one_pass() -> Iterator[tuple[NDArray[np.uint32], NDArray[np.bool_]]]:
            return ((chunk.line, chunk.is_write) for chunk in stream.chunks())

        return PlacementTask(
            stream_pass=one_pass,
            n_records=stream.n_records,
            n_pages=stream.n_pages,
            capacity=platform.n_ddr_pages,
            promote_cost_ps=platform.migration.promote_ps,
            demote_cost_ps=platform.migration.demote_ps,
            lines_per_record=stream.lines_per_record,
        )

    def _run(self, stream: AccessStream, name: str, policy: Policy, platform: Platform, seed: int) -> PolicyRun:
        machine = self._machine(stream, policy, platform, seed)
        for first, line, is_write, compute_ps in self.quanta(stream):
            machine.feed(first, line, is_write, compute_ps)
        machine.finish()
        return _outcome(name, policy.name, machine)

    def _machine(self, stream: AccessStream, policy: Policy, platform: Platform, seed: int) -> TieredMachine:
        config = self.config
        starts = stream.request_starts
        return TieredMachine(
            platform,
            stream.n_pages,
            policy,
            n_records=stream.n_records,
            lines_per_record=stream.lines_per_record,
            seed=seed,
            moves=config.migrate,
            tracker_pages=Tracker(config.page_tracker, "page") if getattr(policy, "uses_pages", False) else None,
            tracker_words=Tracker(config.word_tracker, "word") if getattr(policy, "uses_words", False) else None,
            request_starts=starts if starts is not None else np.zeros(0, np.int64),
            region_reads=_region_reads(stream) if stream.regions else None,
        )

    def quanta(self, stream: AccessStream) -> Iterator[tuple[int, NDArray[Any], NDArray[Any], NDArray[np.float64]]]:
        """The stream in chunks of whole quanta: first record, lines, writes, and the program's own work in each quantum
        in ps."""
        quantum = self.config.quantum_records
        for chunk in stream.chunks(max(1, CHUNK_RECORDS // quantum) * quantum):
            edges = np.minimum(np.arange(0, len(chunk) + quantum, quantum), len(chunk)) + chunk.first
            yield chunk.first, chunk.line, chunk.is_write, np.diff(self._clock_ps(stream, edges))

    def _clock_ps(self, stream: AccessStream, record: NDArray[np.int64]) -> NDArray[np.float64]:
        """The program's own time, without waiting for memory, at records."""
        processor = self.config.processor
        ps_per_instruction = _PS_PER_S / (processor.clock_hz * processor.ipc)
        if stream.clock is None:
            return record.astype(np.float64) * (processor.instructions_per_record * ps_per_instruction)
        passed = stream.clock.at(record)
        if stream.clock.unit == "ps":
            return passed
        # More than a float holds, if anybody asks for it, is more than the machine's clock holds, and is refused there.
        return np.minimum(passed, _MOST_PS / max(ps_per_instruction, 1.0)) * ps_per_instruction

    def _notes(self, stream: AccessStream) -> Iterator[str]:
        config = self.config
        yield from stream.notes
        waited, in_flight = config.migration.blocking_frac, config.processor.lines_in_flight(stream.lines_per_record)
        yield (
            f"the program waits for {waited:.0%} of a move by the migration thread and for all of one within a fault, "
            f"and has {in_flight:g} line reads in flight: what decides most here "
            "(system.migration.blocking_frac, system.processor)"
        )
        if stream.lines_per_record > 1:
            yield f"an access is {stream.lines_per_record} lines in a row"
        if stream.clock is None:
            yield (
                f"the trace has no clock: {config.processor.instructions_per_record:g} instructions "
                "are assumed before each access"
            )


def page_reads(stream: AccessStream) -> NDArray[np.int64]:
    """Line reads of each page, int64[n_pages]."""
    counts = np.zeros(stream.n_pages, np.int64)
    for chunk in stream.chunks():
        pages = chunk.line[~chunk.is_write] // LINES_PER_PAGE
        counts += np.bincount(pages, minlength=stream.n_pages)
    return counts * stream.lines_per_record


def _region_reads(stream: AccessStream) -> RegionReads:
    """What counts reads by kind of region, which is the first word of a region's name."""
    names = [region.name.split(".")[0] for region in stream.regions]
    kinds = list(dict.fromkeys(names))
    kind_of_page = np.zeros(stream.n_pages, np.uint8)
    for region, name in zip(stream.regions, names, strict=True):
        kind_of_page[region.first : region.end] = kinds.index(name)
    return RegionReads(kinds, kind_of_page, stream.lines_per_record)


def _bound_policy(tree: ConfigTree) -> tuple[Any, Any]:
    """A policy's class and its configuration."""
    kind = tree.get("kind", None)
    if not isinstance(kind, str):
        raise ConfigError("the policy has no kind", where=tree.position(), remedy="write `kind: m5`, say")
    policy_class = load_kind(POLICIES, kind, where=tree.position("kind"))
    return policy_class, bind(tree, policy_class.Config)


def _outcome(name: str, kind: str, machine: TieredMachine) -> PolicyRun:
    counters, spent = machine.counters(), machine.spent
    begun = machine.request_begin_ps
    picked = np.flatnonzero(machine.pick_order >= 0)
    return PolicyRun(
        policy=name,
        kind=kind,
        time_ps=machine.now_ps,
        spent_ps={
            "compute": spent.compute_ps,
            "DDR": spent.ddr_ps,
            "CXL": spent.cxl_ps,
            "bandwidth": spent.bandwidth_ps,
            "hint faults": spent.fault_ps,
            "migration": spent.migration_ps,
            "identification": spent.identification_ps,
        },
        ddr_reads=counters.ddr_reads,
        ddr_writes=counters.ddr_writes,
        cxl_reads=counters.cxl_reads,
        cxl_writes=counters.cxl_writes,
        n_promoted=machine.n_promoted,
        n_demoted=machine.n_demoted,
        n_faults=machine.n_faults,
        n_refused=machine.n_refused,
        picked=picked[np.argsort(machine.pick_order[picked])],
        request_ps=np.diff(np.append(begun, machine.now_ps)) if len(begun) else begun,
        region_reads=machine.region_reads.served() if machine.region_reads is not None else {},
        sample_record=np.asarray(machine.sample_records[1:], np.int64),
        sample_ps=np.asarray(machine.sample_ps[1:], np.int64),
        ddr_read_frac=np.asarray(machine.sample_ddr_frac[1:]),
    )
