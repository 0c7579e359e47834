"""`sim explain`: why a run takes the time that it takes, operator by operator, and what its parameters do to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from simulator.contracts.system import ChecksCapacity
from simulator.core.errors import ConfigError, ModelFault
from simulator.core.spelling import did_you_mean
from simulator.experiments.explain_operators import OperatorShare, operator_shares
from simulator.experiments.explain_path import CriticalPart, critical_parts, path_in_words
from simulator.experiments.explain_steps import Steps, mean_decode_context, requests_steps, workload_steps
from simulator.experiments.explain_subject import Subject, differing_metrics, edited_config, open_subject
from simulator.experiments.llm_records import checked_room
from simulator.experiments.llm_workload import run_llm
from simulator.experiments.sensitivity import Sensitivity, sensitivity_of
from simulator.experiments.settings import Sets, Settings

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a workload takes the time that it takes.

    `what` the workload is (query, token, ...), run as `n_steps` steps one after another that take `latency_ps` together
    and, where the machine is full of `n_in_flight` of them, end `interval_ps` apart in the mean. The parts `critical`
    sum to `latency_ps`. `path` writes the critical path of the longest step in words, `limits` says what holds for the
    whole machine, `notes` what a reader must know.
    """

    system: str
    workload: str
    what: str
    run_dir: str | None
    n_steps: int
    n_in_flight: int
    latency_ps: int
    interval_ps: float
    operators: tuple[OperatorShare, ...]
    critical: tuple[CriticalPart, ...]
    path: str
    limits: tuple[str, ...]
    notes: tuple[str, ...]
    sensitivity: Sensitivity | None = field(default=None)


def explain(
    target: str | Path,
    sets: Sets = (),
    *,
    operator: str | None = None,
    sensitivity_frac: float | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Explain a run directory or a configuration; `sets` change its configuration first.

    `operator` leaves only that operator; `sensitivity_frac` (0.1: ten per cent) also changes every numeric parameter
    up and down, one at a time, and calls `progress` with (done, all). Raises ConfigError for an unknown operator, and
    what `open_subject` and the system raise.
    """
    subject = open_subject(target, sets)
    explained = explain_subject(subject)
    if operator is not None:
        explained = _only(explained, operator)
    if sensitivity_frac is not None:
        settings = typical_settings(subject)
        explained = replace(explained, sensitivity=sensitivity_of(settings, sensitivity_frac, progress))
    return explained


def explain_subject(subject: Subject) -> Explanation:
    """The explanation of an opened run or configuration, without sensitivity."""
    settings, stored = subject.settings, subject.stored
    if stored is not None and subject.has_trace:
        steps = requests_steps(settings, stored.directory / "requests.csv")
    else:
        steps = workload_steps(settings)
    notes = [*steps.notes, *_agreement(subject)]
    critical = critical_parts(steps.steps)
    if sum(part.time_ps for part in critical) != steps.latency_ps:
        raise ModelFault("the parts of the critical path do not sum to the latency")
    tokens_critical = critical if steps.tokens is steps.steps else critical_parts(steps.tokens)
    tokens_ps = sum(entry.n * entry.step.latency_ps for entry in steps.tokens)
    if steps.tokens is not steps.steps:
        notes.append("the step is built of whole tokens: shares by operator are those of its tokens, one after another")
    n_steps = sum(entry.n for entry in steps.steps)
    longest = max(steps.tokens, key=lambda entry: entry.step.latency_ps).step
    return Explanation(
        system=str(settings.tree.get("system.kind")),
        workload=_workload_name(settings, subject),
        what=steps.what,
        run_dir=str(stored.directory) if stored is not None else None,
        n_steps=n_steps,
        n_in_flight=steps.n_in_batch or longest.n_slots,
        latency_ps=steps.latency_ps,
        interval_ps=sum(entry.n * entry.step.interval_ps for entry in steps.steps) / n_steps,
        operators=operator_shares(settings, steps.tokens, tokens_critical, tokens_ps),
        critical=critical,
        path=path_in_words(longest.schedule),
        limits=tuple(_limits(settings, subject, steps)),
        notes=tuple(dict.fromkeys([*notes, *longest.notes])),
    )


def typical_settings(subject: Subject) -> Settings:
    """The settings whose typical step stands for a subject: of requests served in batches the mean decode step, else
    its own settings."""
    settings, stored = subject.settings, subject.stored
    n_mean = stored.metrics.get("batch_sequences_mean") if stored is not None and subject.has_trace else None
    if n_mean is None or stored is None:
        return settings
    context = mean_decode_context(stored.directory / "requests.csv")
    update = {"phase": "decode", "batch": max(1, round(n_mean)), "context": context}
    return replace(settings, workload=settings.workload.model_copy(update=update))


def _workload_name(settings: Settings, subject: Subject) -> str:
    if subject.stored is not None and subject.has_trace:
        return str(subject.stored.summary["workload"])
    workload = settings.workload
    return f"{settings.model.name}-{workload.lengths or workload.phase or workload.scope}"


def _only(explained: Explanation, operator: str) -> Explanation:
    chosen = tuple(share for share in explained.operators if share.operator == operator)
    if not chosen:
        names = [share.operator for share in explained.operators]
        raise ConfigError(
            f"no operator `{operator}` takes time here", where="--operator", remedy=did_you_mean(operator, names)
        )
    return replace(explained, operators=chosen)


def _limits(settings: Settings, subject: Subject, steps: Steps) -> list[str]:
    """What holds for the machine as a whole: its busiest resource, how many are in flight, room, and queueing."""
    found = []
    busy: dict[str, int] = {}
    for entry in steps.tokens:
        for name, busy_ps in entry.step.schedule.resource_busy_ps().items():
            busy[name] = busy.get(name, 0) + busy_ps * entry.n
    total = sum(entry.n * entry.step.latency_ps for entry in steps.tokens)
    ranked = sorted(busy.items(), key=lambda item: -item[1])
    if ranked and total:
        found.append(
            "resources, busy part of the latency: " + ", ".join(f"{name} {time / total:.1%}" for name, time in ranked)
        )
    step = steps.tokens[0].step
    if steps.n_in_batch is None and step.n_slots > 1:
        n_tokens = sum(entry.n for entry in steps.tokens)
        interval_ps = sum(entry.n * entry.step.interval_ps for entry in steps.tokens) / n_tokens
        found.append(
            f"{step.n_slots} tokens are in flight, one in each stage: a full machine completes one every "
            f"{interval_ps / 1e6:,.1f} us"
        )
    found += _room(settings, subject, steps.n_in_batch or step.n_slots)
    if subject.stored is not None and subject.has_trace and not subject.changed:
        metrics = subject.stored.metrics
        offered, used = metrics.get("offered_load_frac"), metrics.get("slot_utilisation_frac")
        if offered is not None and used is not None:
            bound = "requests wait for free slots" if offered > 1 else "the slots suffice"
            found.append(f"offered load is {offered:.2f} of what the slots serve, {used:.0%} of them busy: {bound}")
        found += _batching(metrics)
    return found


def _batching(metrics: Mapping[str, int | float | None]) -> list[str]:
    """How busy and how full an engine was that batches requests, from the metrics of its run; nothing of another."""
    names = ("busy_frac", "batch_sequences_mean", "batch_sequences_max", "queue_length_mean")
    busy, mean, most, waiting = (metrics.get(name) for name in names)
    if busy is None or mean is None or most is None or waiting is None:
        return []
    return [
        f"busy for {busy:.0%} of the time, with {mean:,.1f} sequences in the mean batch, {most:,.0f} in the fullest; "
        f"{waiting:,.1f} requests wait in the mean"
    ]


def _room(settings: Settings, subject: Subject, n_slots: int) -> list[str]:
    """Whether memory holds all queries in flight. Raises MappingError where the system does."""
    workload = settings.workload
    if subject.has_trace or workload.lengths is not None or workload.phase is not None:
        return []
    system = settings.system(workload.context_step)
    if workload.scope == "query":
        n, context = n_slots, workload.prompt_tokens + workload.output_tokens
    else:
        n, context = 1, workload.context or 1
    if not isinstance(system, ChecksCapacity):
        return []
    note = checked_room(system, n, context)
    return ["capacity: " + (note or f"{n} queries of {context:,} positions fit")]


def _agreement(subject: Subject) -> list[str]:
    """Whether a run is still what its configuration gives. Raises ConfigError where only the summary can be wrong."""
    stored = subject.stored
    if stored is None:
        return []
    if subject.changed:
        return ["--set changes the run's configuration: what follows is not the stored run"]
    edited, changed = edited_config(subject), stored.source_changed
    notes = []
    if edited:
        notes.append("config.yaml has been edited since the run: what follows is what it says now")
    if changed:
        notes.append(f"the simulator's source has changed since this run ({stored.version_in_words})")
    if subject.has_trace:
        return notes
    different = differing_metrics(stored.metrics, run_llm(subject.settings).metrics)
    if not different:
        return [*notes, "simulated again, config.yaml gives the metrics of summary.json"]
    name, (theirs, ours) = next(iter(different.items()))
    text = f"`{name}` is {_or_missing(theirs)} in summary.json and {_or_missing(ours)} when simulated again"
    if not edited and not changed:
        raise ConfigError(
            text,
            where=str(stored.directory / "summary.json"),
            remedy="the file was changed after the run, or the run is damaged: run it again",
        )
    more = f", and {len(different) - 1} more metrics differ" if len(different) > 1 else ""
    return [*notes, f"{text}{more}: what follows explains the new result"]


def _or_missing(value: float | None) -> str:
    return "missing" if value is None else f"{value:,.6g}"
