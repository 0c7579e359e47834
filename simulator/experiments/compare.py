"""`sim compare`: runs and configurations side by side on one workload."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.contracts.results import RunRecord
from simulator.core.errors import ConfigError, WorkloadError
from simulator.experiments.compare_workload import (
    check_same_run,
    check_same_work,
    check_sets,
    numbers_of,
    sets_of_workload,
    stored_request,
)
from simulator.experiments.explain_subject import (
    StoredRun,
    Subject,
    is_replay,
    is_run_of,
    open_subject,
    read_run,
)
from simulator.experiments.run import PlannedRun
from simulator.experiments.run_kinds import LlmRun
from simulator.report.provenance import source_hash

_OPERATORS = re.compile(r"(?:.*_)?time_by_operator_(?P<unit>[a-z]+)")
_ENERGY = re.compile(r"(?:.*_)?energy_by_(?P<axis>component|part)_(?P<unit>[a-z]+)")
# What a step takes, in the order in which a run states it, with the unit that the operators' times come in.
_LATENCIES = {"token_latency_ms": 1.0, "step_time_ms": 1.0, "time_us": 1e-3}
_STORED_KINDS = {"accesses": "memory accesses", "accuracy": "a model's accuracy"}
_LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Entry:
    """One of what is compared: a letter for it, what the user named, and its results.

    `metrics` are scalars by name with unit; `operators_ms` the time of each operator; `energy` by component, in the
    unit `energy_unit`; `latency_ms` what they belong to (None where the run states none). `origin` says whether it was
    read from a run directory or simulated now, `source` is the hash of the simulator that computed it.
    """

    label: str
    name: str
    origin: str
    system: str
    workload: str
    metrics: dict[str, float | None]
    operators_ms: dict[str, float]
    energy: dict[str, float]
    energy_unit: str
    latency_ms: float | None
    bounds: dict[str, str]
    source: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Entries on one workload, the first being what the others are compared with; `notes` what a reader must know."""

    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Every metric that one of the entries has, in their order."""
        return tuple(dict.fromkeys(name for entry in self.entries for name in entry.metrics))

    @property
    def operator_names(self) -> tuple[str, ...]:
        """Every operator, those whose times differ most first, equal ones by their time."""

        def rank(name: str) -> tuple[float, float]:
            times = [entry.operators_ms.get(name, 0.0) for entry in self.entries]
            return (-max(abs(time - times[0]) for time in times), -max(times))

        return tuple(sorted({name: 0 for entry in self.entries for name in entry.operators_ms}, key=rank))


def ratio(value: float | None, first: float | None) -> float | None:
    """`value` over `first`: exactly 1 where they are equal, None where one is missing or the first is zero."""
    if value is None or first is None:
        return None
    if value == first:
        return 1.0
    return value / first if first and math.isfinite(value / first) else None


def compare(
    targets: Sequence[str],
    sets: Sequence[str] = (),
    *,
    workload: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Compare run directories and configurations; configurations are run on the workload of the first.

    `sets` and `workload` change the configurations. `progress` is called with (done, all).

    Raises ConfigError for fewer than two targets and options that act on nothing, WorkloadError for runs of different
    workloads, and what reading and running them raises.
    """
    if not 2 <= len(targets) <= len(_LABELS):
        raise ConfigError(
            f"{len(targets)} to compare, and it takes 2 to {len(_LABELS)}",
            where="RUN_OR_CONFIG",
            remedy="name runs or configurations, such as two directories in results/",
        )
    are_runs = [Path(target).is_dir() for target in targets]
    are_replays = [is_run and is_replay(Path(target)) for is_run, target in zip(are_runs, targets, strict=True)]
    if any(are_replays):
        check_sets(tuple(sets), workload, any_config=False, first_is_run=True)
        return _compare_replays(targets, are_replays)
    for kind in _STORED_KINDS:
        are_of_kind = [
            is_run and is_run_of(Path(target), kind) for is_run, target in zip(are_runs, targets, strict=True)
        ]
        if any(are_of_kind):
            check_sets(tuple(sets), workload, any_config=False, first_is_run=True)
            return _compare_stored(targets, kind, are_of_kind)
    check_sets(tuple(sets), workload, any_config=not all(are_runs), first_is_run=are_runs[0])
    first = open_subject(targets[0], () if are_runs[0] else sets, workload=None if are_runs[0] else workload)
    subjects = [first, *(_opened(target, first, sets) for target in targets[1:])]
    for subject in subjects[1:]:
        if subject.stored is not None:
            check_same_work(first, subject)
    entries = []
    for number, (label, subject) in enumerate(zip(_LABELS, subjects, strict=False)):
        if progress is not None:
            progress(number, len(subjects))
        entries.append(_entry(label, subject, first))
    return Comparison(tuple(entries), tuple(_notes(entries)))


def _compare_replays(targets: Sequence[str], are_replays: Sequence[bool]) -> Comparison:
    """Replays side by side: the same trace files, or traffic of one name and number of requests."""
    if not all(are_replays):
        raise ConfigError(
            "a replay is compared with replays alone",
            where=next(target for target, is_one in zip(targets, are_replays, strict=True) if not is_one),
            remedy="name run directories that `sim replay` wrote",
        )
    runs = [read_run(Path(target)) for target in targets]
    first = _replayed(runs[0])
    for run in runs[1:]:
        if (other := _replayed(run)) != first:
            raise WorkloadError(
                f"not the same traffic: {_traffic_in_words(other)}, against {_traffic_in_words(first)}",
                where=str(run.directory),
                remedy="compare replays of one trace",
            )
    entries = [
        _from(label, target, "replay", run.summary, run.metrics, run.manifest["source_hash"])
        for label, target, run in zip(_LABELS, targets, runs, strict=False)
    ]
    return Comparison(tuple(entries), tuple(_notes(entries)))


def _compare_stored(targets: Sequence[str], kind: str, are_of_kind: Sequence[bool]) -> Comparison:
    """Runs of one kind side by side, on whatever machines: of the same memory accesses, or of the same text."""
    if not all(are_of_kind):
        what = _STORED_KINDS[kind]
        raise ConfigError(
            f"a run of {what} is compared with such runs alone",
            where=next(target for target, is_one in zip(targets, are_of_kind, strict=True) if not is_one),
            remedy="run the configuration, and name the run's directory",
        )
    runs = [read_run(Path(target)) for target in targets]
    for run in runs[1:]:
        check_same_run(kind, runs[0], run)
    entries = [
        _from(label, target, "run", run.summary, run.metrics, run.manifest["source_hash"])
        for label, target, run in zip(_LABELS, targets, runs, strict=False)
    ]
    return Comparison(tuple(entries), tuple(_notes(entries)))


def _replayed(run: StoredRun) -> tuple[str, object, object, tuple[str, ...]]:
    """What a replay replayed: name, number of requests, seed, checksums of trace files."""
    traffic = (run.summary["workload"], run.metrics.get("requests"), run.manifest.get("seed"))
    if checksums := tuple(sorted(run.trace_checksums.values())):
        return "", traffic[1], None, checksums
    return (*traffic, ())


def _traffic_in_words(replayed: tuple[str, object, object, tuple[str, ...]]) -> str:
    name, n_requests, seed, checksums = replayed
    what = f"a trace file of checksum {checksums[0][:8]}" if checksums else f"{name} of seed {seed}"
    return what if n_requests is None else f"{what} with {n_requests} requests"  # a kernel file has rows


def _opened(target: str, first: Subject, sets: Sequence[str]) -> Subject:
    if Path(target).is_dir():
        return open_subject(target)
    return open_subject(target, (*sets, *sets_of_workload(first)))


def _entry(label: str, subject: Subject, first: Subject) -> Entry:
    """Read a run's results, or simulate a configuration."""
    if subject.stored is not None:
        stored = subject.stored
        content: Mapping[str, Any] = stored.summary
        return _from(label, subject.name, "run", content, stored.metrics, stored.manifest["source_hash"])
    request = stored_request(_stored(first)) if first.has_trace else None
    record, _ = PlannedRun(subject.name, LlmRun(subject.settings, request)).perform()
    return _from(label, subject.name, "simulated now", _summary(record), _known(record.metrics), source_hash())


def _from(
    label: str,
    name: str,
    origin: str,
    summary: Mapping[str, Any],
    metrics: Mapping[str, float | None],
    source: str,
) -> Entry:
    breakdown: Mapping[str, Any] = summary["breakdown"]
    operators: dict[str, float] = {}
    energy: dict[str, float] = {}
    energy_unit = ""
    for key, parts in breakdown.items():
        if not isinstance(parts, dict):
            continue
        if (match := _OPERATORS.fullmatch(key)) and not operators and match["unit"] == "ms":
            operators = numbers_of(parts)
        elif (match := _ENERGY.fullmatch(key)) and (not energy or match["axis"] == "component"):
            energy, energy_unit = numbers_of(parts), match["unit"]
    latency = next(
        (value * factor for key, factor in _LATENCIES.items() if (value := metrics.get(key)) is not None), None
    )
    bounds = breakdown.get("bound_by_operator")
    return Entry(
        label=label,
        name=name,
        origin=origin,
        system=summary["system"],
        workload=summary["workload"],
        metrics=dict(metrics),
        operators_ms=operators,
        energy=energy,
        energy_unit=energy_unit,
        latency_ms=latency,
        bounds={key: str(value) for key, value in bounds.items()} if isinstance(bounds, dict) else {},
        source=source,
    )


def _summary(record: RunRecord) -> dict[str, Any]:
    return {"system": record.system, "workload": record.workload, "breakdown": record.breakdown}


def _known(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Metrics with None for a missing number, as summary.json has it."""
    return {name: None if math.isnan(value) else value for name, value in metrics.items()}


def _stored(subject: Subject) -> StoredRun:
    assert subject.stored is not None, "a subject with a trace is a run"
    return subject.stored


def _notes(entries: Sequence[Entry]) -> list[str]:
    notes = []
    sources: dict[str, list[str]] = {}
    for entry in entries:
        sources.setdefault(entry.source, []).append(entry.label)
    if len(sources) > 1:
        groups = " | ".join(", ".join(labels) for labels in sources.values())
        notes.append(f"computed by different versions of the simulator's source: {groups}")
    has_operators = any(entry.operators_ms for entry in entries)
    if has_operators and not all(entry.operators_ms for entry in entries):
        without = ", ".join(entry.label for entry in entries if not entry.operators_ms)
        notes.append(f"no times by operator are compared: {without} states none")
    return notes
