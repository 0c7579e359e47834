"""The steps that a workload consists of, each with how many tokens it stands for: what an explanation adds up."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from simulator.contracts.results import StepResult
from simulator.contracts.system import BatchesRequests, ChargesContexts
from simulator.core.errors import ConfigError
from simulator.experiments.llm_batched import batched_query
from simulator.experiments.llm_lengths import drawn, drawn_requests, drawn_rules
from simulator.experiments.llm_records import batch_of_step, checked_room, checked_scope, needed_context, with_draft
from simulator.experiments.settings import Settings
from simulator.experiments.trace_batches import batched, typical_steps
from simulator.experiments.trace_words import checked_server
from simulator.serving.batching_rules import BatchingRules
from simulator.serving.requests import Requests
from simulator.workload.batch import Batch

MOST_STEPS = 256
"""Steps of a batched trace that are explained, each with its spans: the others are like one of them."""


@dataclass(frozen=True, slots=True)
class WeightedStep:
    """A step at a context (None: at many), and how many steps of the workload cost the same."""

    context: int | None
    n: int
    step: StepResult


@dataclass(frozen=True, slots=True)
class Steps:
    """All steps of a workload, run one after another: `what` they are together (query, token, block, ...).

    `tokens` are the steps of single tokens inside a step that is itself built of whole tokens; else the steps.
    `n_in_batch` is how many sequences run in a step on a machine that takes batches, `notes` what a reader must know.
    """

    what: str
    steps: tuple[WeightedStep, ...]
    tokens: tuple[WeightedStep, ...]
    n_in_batch: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def latency_ps(self) -> int:
        """Time of all steps, one after another."""
        return sum(entry.n * entry.step.latency_ps for entry in self.steps)


def workload_steps(settings: Settings) -> Steps:
    """The steps of the workload that the configuration asks for. Raises what the system raises."""
    workload = settings.workload
    if workload.lengths is not None:
        return _drawn_steps(settings)
    if workload.phase is not None:
        return _batch_steps(settings)
    if workload.scope == "query":
        system = settings.system(workload.context_step)
        if isinstance(system, BatchesRequests):
            return _query_steps(settings)
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

    On a machine that takes batches they are the iterations of serving the same requests again. `requests_csv` is the
    table of the run. Raises ConfigError where it cannot be read, and what the system raises.
    """
    requests = _stored_requests(requests_csv)
    system = settings.system(settings.workload.context_step)
    if isinstance(system, BatchesRequests):
        return _iteration_steps(settings, system, requests, "requests.csv")
    return _token_steps(system, requests, "requests.csv")


def _drawn_steps(settings: Settings) -> Steps:
    """The steps of the requests that are drawn from a length set."""
    requests = drawn_requests(drawn(settings))
    system = settings.system(settings.workload.context_step)
    if isinstance(system, BatchesRequests):
        return _iteration_steps(settings, system, requests, "the requests drawn", drawn_rules(settings))
    return _token_steps(system, requests, "the requests drawn")


def _token_steps(system: Any, requests: Requests, named: str) -> Steps:
    """One token at every context up to its length for each request."""
    lengths = np.sort(requests.total_tokens)
    contexts = np.arange(1, lengths[-1] + 1)
    n_tokens = len(lengths) - np.searchsorted(lengths, contexts, side="left")
    steps = _decode_steps(system, contexts, n_tokens)
    notes = (f"the tokens are those of {named}; queueing and waiting are not in the times below",)
    return Steps("all tokens of the trace, one after another", steps, steps, notes=notes)


def mean_decode_context(requests_csv: Path) -> int:
    """The mean context of the tokens that follow a request's first, over a run's table; of its prompts, if none do.

    Raises ConfigError where the table cannot be read.
    """
    requests = _stored_requests(requests_csv)
    prompt, n = requests.prompt_tokens, requests.output_tokens - 1
    if not n.any():
        return max(1, round(float(prompt.mean())))
    return round(float(np.average(prompt + (n + 1) / 2, weights=n)))


def _query_steps(settings: Settings) -> Steps:
    """The steps of a batch of queries: their prompts in one, then decodes."""
    query = batched_query(settings, settings.system())
    steps = (
        WeightedStep(None, 1, query.prefill),  # all prompts at once: no context among those of the decodes
        *(WeightedStep(run.context, run.n, run.step) for run in query.decode),
    )
    return Steps("query" if query.n_queries == 1 else f"{query.n_queries:,} queries", steps, steps, query.n_queries)


def _iteration_steps(
    settings: Settings, system: Any, requests: Requests, named: str, rules: BatchingRules | None = None
) -> Steps:
    """The iterations in which an engine serves requests, at most `MOST_STEPS` of them standing for all."""
    checked_server(settings, system)
    result = batched(settings, system, requests, rules)
    chosen = typical_steps(result.iterations, MOST_STEPS)
    steps = tuple(WeightedStep(None, n, result.costs.system.step(result.costs.batches[step])) for step, n in chosen)
    n_distinct = len(result.costs.batches)
    notes = [f"the iterations are those of serving {named} again; queueing and idle time are not in these times"]
    if len(steps) < n_distinct:
        notes.append(f"{len(steps):,} steps stand for the {n_distinct:,} different ones of the trace")
    n_in_batch = round(float(result.iterations.n_sequences.mean()))
    return Steps("all iterations of the trace", steps, steps, n_in_batch, tuple(notes))


def typical_step(settings: Settings) -> tuple[str, WeightedStep]:
    """One step that stands for the workload, and its name in words: the middle context of a query, else the step."""
    workload = settings.workload
    if workload.lengths is not None:
        settings = _mean_of_drawn(settings)
        workload = settings.workload
    if workload.phase is not None:
        entry = _batch_steps(settings).steps[0]
        return f"one {workload.phase} step of {workload.batch} x {entry.context:,} positions", entry
    if workload.scope == "query":
        system = settings.system()
        if isinstance(system, BatchesRequests):
            return _middle_of_query(settings, system)
        context = (1 + workload.prompt_tokens + workload.output_tokens) // 2
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


def _mean_of_drawn(settings: Settings) -> Settings:
    """The query of the mean lengths of those that are drawn."""
    trace = drawn(settings)
    mean = {
        name: max(1, round(float(column.mean())))
        for name, column in (("prompt_tokens", trace.prompt_tokens), ("output_tokens", trace.output_tokens))
    }
    return replace(settings, workload=settings.workload.model_copy(update={"lengths": None, **mean}))


def _middle_of_query(settings: Settings, system: BatchesRequests) -> tuple[str, WeightedStep]:
    """The decode step in the middle of a batch's outputs, or their prefill where a query has one output token."""
    workload = settings.workload
    n, prompt = workload.batch, workload.prompt_tokens
    checked_room(system, n, prompt + workload.output_tokens)
    if workload.output_tokens == 1:
        return f"one prefill step of {n} x {prompt:,} positions", WeightedStep(
            prompt, 1, system.step(Batch.prefill(prompt, n))
        )
    context = max(prompt + workload.output_tokens // 2, settings.speculation.length + 1)
    if isinstance(system, ChargesContexts):
        context = system.charged_context(prompt, context)
    return (
        f"one decode step of {n} x {context:,} positions, the middle of the query",
        WeightedStep(
            context, 1, with_draft(settings, system).step(Batch.decode(context, n, settings.speculation.length))
        ),
    )


def _batch_steps(settings: Settings) -> Steps:
    """One step of a batch, and where it is built of whole tokens, those."""
    workload = settings.workload
    context, prefill = needed_context(settings), workload.phase == "prefill"
    system = settings.system(workload.context_step if prefill else 1)
    takes_batches = isinstance(system, BatchesRequests)
    if takes_batches:
        system = settings.system()
    checked_room(system, workload.batch, context)
    batch = batch_of_step(settings, system)
    steps = (WeightedStep(context, 1, with_draft(settings, system).step(batch)),)
    if takes_batches:
        return Steps(f"{workload.phase} step", steps, steps, workload.batch)
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


def _stored_requests(path: Path) -> Requests:
    """The requests of a run, from its table."""
    rows: list[tuple[int, int, int, int]] = []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for number, row in enumerate(csv.DictReader(stream), start=2):
                prompt, output = int(row["prompt_tokens"]), int(row["output_tokens"])
                arrival_ps = round(float(row["arrival_ms"]) * 1e9)
                if prompt < 1 or output < 1 or prompt + output >= 1 << 24 or not 0 <= arrival_ps < 1 << 63:
                    raise ValueError(f"line {number}: a request of {prompt} and {output} tokens at {arrival_ps} ps")
                rows.append((arrival_ps, prompt, output, int(row["id"]) % (1 << 63)))
    except OSError as error:
        raise ConfigError(
            f"the run served a trace, and its table cannot be read: {error.strerror or error}",
            where=str(path),
            remedy="run it again",
        ) from error
    except (ValueError, KeyError, TypeError, OverflowError, csv.Error) as error:
        raise ConfigError(
            f"not the table of requests that a run writes ({error})",
            where=str(path),
            remedy="the directory is damaged or was written by another version of the simulator: run it again",
        ) from error
    if not rows:
        raise ConfigError("the run served no request", where=str(path), remedy="run it again")
    table = np.array(rows, np.int64)
    return Requests.of(table[:, 0], table[:, 1], table[:, 2], table[:, 3])
