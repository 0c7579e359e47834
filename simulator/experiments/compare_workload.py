"""Whether runs did the same work, and how a configuration is given the workload of another one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from simulator.core.config import load_part
from simulator.core.errors import ConfigError, WorkloadError
from simulator.experiments.explain_subject import StoredRun, Subject
from simulator.experiments.llm_trace import TraceRequest
from simulator.report.provenance import file_checksum

_N_DIFFERENCES_SHOWN = 4


def workload_facts(subject: Subject) -> dict[str, Any]:
    """What makes up a workload, by name: equal facts are the same work.

    Of a served trace these are its content and the arrivals as they came to the machine; the lengths that the workload
    section states play no part there.
    """
    workload = subject.settings.workload.model_dump(exclude={"model", "overrides"})
    model = {f"model.{name}": value for name, value in asdict(subject.settings.model).items()}
    if not subject.has_trace:
        drawn_by = {} if workload["lengths"] is None else {"run.seed": subject.settings.seed}
        return {**model, **workload, **drawn_by, "trace": None}
    assert subject.stored is not None
    metrics = subject.stored.metrics
    return {
        **model,
        "context_step": workload["context_step"],
        "trace": sorted(subject.stored.trace_checksums.values()),
        **{name: metrics.get(name) for name in ("n_requests", "arrival_span_s")},
    }


def check_same_work(first: Subject, other: Subject) -> None:
    """Raise WorkloadError, naming what differs, where two runs did not do the same work."""
    _check_same(workload_facts(first), workload_facts(other), first.name, other.name)


def check_same_run(kind: str, first: StoredRun, other: StoredRun) -> None:
    """Raise WorkloadError, naming what differs, where two runs of a kind were not of the same memory accesses, or not
    of the same text."""
    facts = _text_facts if kind == "accuracy" else _access_facts
    _check_same(facts(first), facts(other), str(first.directory), str(other.directory))


def _access_facts(run: StoredRun) -> dict[str, Any]:
    """What makes up a stream of accesses: the content of its trace, or what the model's run was drawn from."""
    tree = load_part(run.directory / "config.yaml")
    workload = {name: value for name, value in tree.get("workload").items() if name not in ("trace", "format")}
    drawn_by = {} if run.trace_checksums else {"run.seed": run.manifest.get("seed")}
    return {**workload, **drawn_by, "trace": sorted(run.trace_checksums.values())}


def _text_facts(run: StoredRun) -> dict[str, Any]:
    """What makes up a text: the file's content, and where its windows are. Models and formats may differ."""
    workload = load_part(run.directory / "config.yaml").get("workload")
    windows = {name: workload.get(name) for name in ("first_window", "n_windows", "window_tokens")}
    tokens = [checksum for path, checksum in run.trace_checksums.items() if path.endswith(".npy")]
    return {"tokens": tokens, **windows}


def _check_same(ours: Mapping[str, Any], theirs: Mapping[str, Any], first: str, other: str) -> None:
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if not names:
        return
    shown = [
        f"{name} is {_in_words(ours.get(name))} against {_in_words(theirs.get(name))}"
        for name in names[:_N_DIFFERENCES_SHOWN]
    ]
    more = len(names) - len(shown)
    raise WorkloadError(
        "not the same workload: " + ", ".join(shown) + (f", and {more} more differ" if more else ""),
        where=other,
        remedy=f"compare runs of one workload, or give a configuration, which is then run on that of {first}",
    )


def sets_of_workload(first: Subject) -> tuple[str, ...]:
    """The overrides that give another configuration the workload, serving goals and seed of the first."""
    tree = first.settings.tree
    sections = {name: tree.get(name, None) for name in ("workload", "serving")}
    return (
        *(f"{name}={json.dumps(values)}" for name, values in sections.items() if values is not None),
        f"run.seed={first.settings.seed}",
    )


def stored_request(stored: StoredRun) -> TraceRequest:
    """The trace that a run served and how, from its command line.

    Raises WorkloadError where the command line does not say, or the trace is no longer the one that was served.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--trace")
    parser.add_argument("--format", default="auto")
    parser.add_argument("--requests", type=int)
    for name in ("--qps", "--time-scale", "--jitter"):
        parser.add_argument(name, type=float)
    command = stored.manifest.get("command")
    try:
        words = [str(word) for word in command] if isinstance(command, list) else []
        given, _ = parser.parse_known_args(words)
    except (argparse.ArgumentError, SystemExit, ValueError) as error:
        raise _not_said(stored) from error
    if given.trace is None:
        raise _not_said(stored)
    try:
        checksum = file_checksum(given.trace)
    except OSError as error:
        raise WorkloadError(
            f"the trace of the run cannot be read: {error.strerror or error}",
            where=given.trace,
            remedy=f"start the command where {stored.directory} was made, or compare runs only",
        ) from error
    if checksum not in stored.trace_checksums.values():
        raise WorkloadError(
            "the trace is not the one that the run served: its content has changed",
            where=given.trace,
            remedy="run the first one again on it",
        )
    return TraceRequest(given.trace, given.format, given.requests, given.qps, given.time_scale, given.jitter)


def check_sets(sets: tuple[str, ...], workload: str | None, *, any_config: bool, first_is_run: bool) -> None:
    """Refuse overrides that would act on nothing: ConfigError where only runs are compared, WorkloadError where they
    would change the workload, which is the first run's."""
    if (sets or workload is not None) and not any_config:
        raise ConfigError(
            "runs are compared as they are",
            where="--set" if sets else "--workload",
            remedy="give configurations, or run them with these options first",
        )
    if not first_is_run:
        return
    if workload is not None or any(text.split("=")[0].strip().split(".")[0] in ("workload", "run") for text in sets):
        raise WorkloadError(
            "the workload is that of the first, which is a run",
            where="--workload" if workload is not None else "--set",
            remedy="name a configuration first, or leave the option out",
        )


def numbers_of(breakdown: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of one breakdown, texts and missing ones left out."""
    return {
        str(name): float(value)
        for name, value in breakdown.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _in_words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(item)[:12] for item in value) or "none"
    return "none" if value is None else str(value)


def _not_said(stored: StoredRun) -> WorkloadError:
    return WorkloadError(
        "the run does not say how its trace was served",
        where=str(stored.directory / "manifest.json"),
        remedy="run the other configurations on the trace, and compare the runs",
    )
