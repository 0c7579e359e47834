"""The steps that a workload consists of, each with how many tokens it stands for: what an explanation adds up."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.contracts.results import StepResult
from simulator.core.errors import ConfigError, WorkloadError
from simulator.experiments.settings import Settings
from simulator.workload.batch import Batch


@dataclass(frozen=True, slots=True)
class WeightedStep:
    """A step at a context, and how many steps of the workload cost the same."""

    context: int
    n: int
    step: StepResult


@dataclass(frozen=True, slots=True)
class Steps:
    """All steps of a workload, run one after another: `what` they are together (query, token, block, ...).

    `tokens` are the steps of single tokens inside a step that is itself built of whole tokens; else the steps.
    """

    what: str
    steps: tuple[WeightedStep, ...]
    tokens: tuple[WeightedStep, ...]

    @property
    def latency_ps(self) -> int:
        """Time of all steps, one after another."""
        return sum(entry.n * entry.step.latency_ps for entry in self.steps)


def workload_steps(settings: Settings) -> Steps:
    """The steps of the workload that the configuration asks for. Raises what the system raises."""
    workload = settings.workload
    if workload.phase is not None:
        return _batch_steps(settings)
    if workload.scope == "query":
        system = settings.system(workload.context_step)
        last = workload.prompt_tokens + workload.output_tokens
        contexts = np.arange(1, last + 1)
        steps = _decode_steps(system, contexts, np.ones_like(contexts))
        return Steps("query", steps, steps)
    context = needed_context(settings)
    step = settings.system().part(checked_scope(settings), context)
    steps = (WeightedStep(context, 1, step),)
    return Steps("token" if workload.scope in ("token", "block") else workload.scope, steps, steps)


def requests_steps(settings: Settings, requests_csv: Path) -> Steps:
    """The tokens that a served trace computed: each request has one token at every context up to its length.

    `requests_csv` is the table of the run. Raises ConfigError where it cannot be read.
    """
    lengths = np.array(sorted(_request_lengths(requests_csv)), np.int64)
    if not len(lengths):
        raise ConfigError("the run served no request", where=str(requests_csv), remedy="run it again")
    contexts = np.arange(1, lengths[-1] + 1)
    n_tokens = len(lengths) - np.searchsorted(lengths, contexts, side="left")
    system = settings.system(settings.workload.context_step)
    steps = _decode_steps(system, contexts, n_tokens)
    return Steps("all tokens of the trace, one after another", steps, steps)


def typical_step(settings: Settings) -> tuple[str, WeightedStep]:
    """One step that stands for the workload, and its name in words: the middle context of a query, else the step."""
    workload = settings.workload
    if workload.phase is not None:
        entry = _batch_steps(settings).steps[0]
        return f"one {workload.phase} step of {workload.batch} x {entry.context:,} positions", entry
    if workload.scope == "query":
        context = (1 + workload.prompt_tokens + workload.output_tokens) // 2
        system = settings.system()
        checked_room(system, 1, context)
        return (
            f"one token at context {context:,}, the middle of the query",
            WeightedStep(context, 1, system.step(Batch.decode(context))),
        )
    context = needed_context(settings)
    system = settings.system()
    checked_room(system, 1, context)
    step = system.part(checked_scope(settings), context)
    return f"one {workload.scope} at context {context:,}", WeightedStep(context, 1, step)


def checked_room(system: Any, n_sequences: int, context: int) -> str | None:
    """What the system says of the memory that sequences need: a note, or nothing. Raises MappingError as it does."""
    check = getattr(system, "check_capacity", None)
    note: str | None = None if check is None else check(n_sequences, context)
    return note


def needed_context(settings: Settings) -> int:
    """The workload's context. Raises ConfigError where it states none."""
    if settings.workload.context is None:
        raise ConfigError(
            "this workload needs a context", where="workload.context", remedy="give --set workload.context=4096, say"
        )
    return settings.workload.context


def checked_scope(settings: Settings) -> str:
    """The part of the model that the workload names. Raises WorkloadError where the system has no such part."""
    scope = settings.workload.scope
    scopes: Sequence[str] = getattr(settings.system_class, "scopes", ())
    if scope not in scopes:
        raise WorkloadError(
            f"system `{settings.tree.get('system.kind')}` has no scope `{scope}`",
            where=settings.tree.position("workload.scope"),
            remedy="choose one of: " + ", ".join(("query", *scopes)),
        )
    return scope


def _batch_steps(settings: Settings) -> Steps:
    """One step of a batch, and where it is built of whole tokens, those."""
    workload = settings.workload
    context, prefill = needed_context(settings), workload.phase == "prefill"
    system = settings.system(workload.context_step if prefill else 1)
    checked_room(system, workload.batch, context)
    batch = (Batch.prefill if prefill else Batch.decode)(context, workload.batch)
    steps = (WeightedStep(context, 1, system.step(batch)),)
    if steps[0].step.bounds:
        return Steps(f"{workload.phase} step", steps, steps)
    contexts = np.arange(1, context + 1) if prefill else np.array([context])
    tokens = _decode_steps(system, contexts, np.full(len(contexts), workload.batch))
    return Steps(f"{workload.phase} step", steps, tokens)


def _decode_steps(system: Any, contexts: Any, n_tokens: Any) -> tuple[WeightedStep, ...]:
    """Steps of one token at ascending contexts, those of an equal `step_key` computed once, at the longest of them."""
    groups: dict[Any, tuple[int, int]] = {}
    for context, n in zip(contexts.tolist(), n_tokens.tolist(), strict=True):
        key = system.step_key(Batch.decode(context))
        groups[key] = (context, groups.get(key, (0, 0))[1] + n)
    return tuple(WeightedStep(context, n, system.step(Batch.decode(context))) for context, n in groups.values())


def _request_lengths(path: Path) -> Iterator[int]:
    """Prompt and output tokens of each request together."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for number, row in enumerate(csv.DictReader(stream), start=2):
                length = int(row["prompt_tokens"]) + int(row["output_tokens"])
                if not 0 < length < 1 << 24:
                    raise ValueError(f"line {number}: a request of {length} tokens")
                yield length
    except OSError as error:
        raise ConfigError(
            f"the run served a trace, and its table cannot be read: {error.strerror or error}",
            where=str(path),
            remedy="run it again",
        ) from error
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ConfigError(
            f"not the table of requests that a run writes ({error})",
            where=str(path),
            remedy="the directory is damaged or was written by another version of the simulator: run it again",
        ) from error
