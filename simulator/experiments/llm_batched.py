"""A whole query on a machine that takes batches: a batch of equal queries, their prompts in one step, then decodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.contracts.results import RunRecord, Scalar, Series, StepResult
from simulator.contracts.system import ChargesContexts, LimitsBatches, TwoAccountings
from simulator.core.errors import ConfigError, MappingError, WorkloadError
from simulator.experiments.llm_records import (
    PS_PER_S,
    checked_room,
    llm_record,
    on_machine,
    said_power,
    said_time,
    system_tables,
    with_draft,
)
from simulator.experiments.settings import Settings
from simulator.experiments.timelines import query_timeline
from simulator.workload.batch import Batch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int64s = NDArray[np.int64]

MAX_SAMPLED_STEPS = 1 << 14
"""Decode steps that a query may sample: all are kept, each with its spans."""


N_COMPARED = 32
"""Contexts at which a query is computed again under the other accounting."""


@dataclass(frozen=True, slots=True)
class DecodeSteps:
    """`n` decode steps in a row, at contexts from `first` to `context`, that are all charged as `step` at the last, and
    give each query `n_tokens` together."""

    first: int
    context: int
    n: int
    n_tokens: int
    step: StepResult


@dataclass(frozen=True, slots=True)
class BatchedQuery:
    """The steps of `n_queries` equal queries that run together: one that takes all prompts, and gives each query its
    first token, then one for each further token, or with speculation for several of them."""

    n_queries: int
    prompt_tokens: int
    output_tokens: int
    prefill: StepResult
    decode: tuple[DecodeSteps, ...]

    @property
    def prefill_ps(self) -> int:
        """Time to the first token."""
        return self.prefill.latency_ps

    @property
    def decode_ps(self) -> int:
        """Time of all further tokens."""
        return sum(run.n * run.step.latency_ps for run in self.decode)

    @property
    def n_steps(self) -> int:
        """Steps after the first."""
        return sum(run.n for run in self.decode)

    @property
    def decode_pj(self) -> float:
        """Energy of all further tokens."""
        return sum(run.n * run.step.energy.total_pj for run in self.decode)


def batched_query(settings: Settings, system: Any) -> BatchedQuery:
    """Compute the steps of a query, decodes at contexts `context_step` apart: each is charged as the longest context of
    its group, so never less than it costs.

    Raises WorkloadError for more samples than are simulated, ConfigError for sampled acceptance, and what the system
    raises.
    """
    workload, speculation = settings.workload, settings.speculation
    prompt = workload.prompt_tokens
    n_samples = -(-workload.output_tokens // workload.context_step)
    if n_samples > MAX_SAMPLED_STEPS:
        least = -(-workload.output_tokens // MAX_SAMPLED_STEPS)
        raise WorkloadError(
            f"a query of {n_samples:,} sampled decode steps, at most {MAX_SAMPLED_STEPS:,} are simulated",
            where="workload.context_step",
            remedy=f"sample contexts further apart: workload.context_step={1 << (least - 1).bit_length()}, say",
        )
    if speculation.length > 1 and speculation.acceptance < 1 and speculation.model == "sampled":
        raise ConfigError(
            "queries whose accepted tokens are drawn do not stay equal",
            where="serving.acceptance_model",
            remedy="use acceptance_model=expected, or draw lengths too: workload.lengths=dolly_creative_writing, say",
        )
    course = speculation.course(workload.output_tokens)
    contexts = _charged(system, prompt, prompt + course.given_before + course.new)
    system = with_draft(settings, system)
    decode = tuple(
        DecodeSteps(
            first=int(contexts[begin]),
            context=int(contexts[end - 1]),
            n=end - begin,
            n_tokens=int(course.given[begin:end].sum()),
            step=system.step(Batch.decode(int(contexts[end - 1]), workload.batch, int(course.new[begin]))),
        )
        for begin, end in _groups(contexts, course.new, workload.context_step)
    )
    prefill = system.step(Batch.prefill(prompt, workload.batch))
    return BatchedQuery(workload.batch, prompt, workload.output_tokens, prefill, decode)


def run_batched_query(settings: Settings, *, timeline: bool = False) -> RunRecord:
    """The record of `workload.batch` equal queries that start together and have the machine to themselves.

    Tokens are prompt and output tokens together, as on machines that take a query token by token; the rates of the
    decode phase count the tokens that its steps give.
    """
    workload, system = settings.workload, settings.system()
    note = checked_room(system, workload.batch, workload.prompt_tokens + workload.output_tokens)
    query = batched_query(settings, system)
    n_tokens = query.prompt_tokens + query.output_tokens
    metrics = _metrics(query)
    headline = (
        f"{settings.model.name}{on_machine(system)}, {query.prompt_tokens:,} in + {query.output_tokens:,} out, a batch "
        f"of {query.n_queries:,}: {metrics['throughput_tokens_per_s']:,.1f} tokens/s, first token after "
        f"{said_time(metrics['ttft_ms'])}, all after {metrics['query_latency_s']:,.2f} s, "
        f"{metrics['energy_mj_per_token']:,.1f} mJ a token at {said_power(metrics['power_w'])}"
    )
    weighted = [(query.prefill, 1.0), *((run.step, float(run.n)) for run in query.decode)]
    per = (float(n_tokens), float(n_tokens * query.n_queries))
    if isinstance(system, LimitsBatches):
        metrics["max_batch"] = system.batch_limit(query.prompt_tokens + query.output_tokens)
    other = _other_accounting(settings, system)
    record = llm_record(settings, "query", metrics, weighted, (headline,), note, other, per=per)
    record.tables.update(system_tables(system))
    if words := settings.speculation.in_words:
        record.notes = (*record.notes, words)
    record.series = _by_context(query)
    if timeline:
        phases = [("prefill", [(query.prompt_tokens, 1, query.prefill)])]
        if query.decode:
            phases.append(("decode", [(run.first, run.n, run.step) for run in query.decode]))
        record.timeline = query_timeline(record.system, phases, what="step")
    return record


def _charged(system: Any, prompt: int, contexts: Int64s) -> Int64s:
    """The contexts at which the machine's accounting charges the decodes of a query: their own, but for some."""
    if not isinstance(system, ChargesContexts):
        return contexts
    return np.array([system.charged_context(prompt, context) for context in contexts.tolist()], np.int64)


def _groups(contexts: Int64s, new_tokens: Int64s, context_step: int) -> Iterator[tuple[int, int]]:
    """(first, end) step of each group that is charged alike: of equal new tokens, contexts up to the same multiple of
    `context_step`."""
    if not len(contexts):
        return
    levels = -(-contexts // context_step)
    cuts = np.flatnonzero((np.diff(levels) != 0) | (np.diff(new_tokens) != 0)) + 1
    yield from pairwise([0, *cuts.tolist(), len(contexts)])


def _other_accounting(settings: Settings, system: Any) -> dict[str, Scalar]:
    """What the machine's other accounting gives of the same query, where it has two: at `N_COMPARED` contexts.

    Nothing where the other accounting has no place for the model, such as heads that GPUs share unequally."""
    if not isinstance(system, TwoAccountings):
        return {}
    workload = settings.workload
    apart = max(workload.context_step, -(-workload.output_tokens // N_COMPARED))
    sampled = replace(settings, workload=workload.model_copy(update={"context_step": apart}))
    try:
        other = system.other_accounting()
        metrics = _metrics(batched_query(sampled, other))
    except MappingError:
        return {}
    shown = ("throughput_tokens_per_s", "energy_mj_per_token", "power_w", "decode_ms_per_step", "energy_mj_per_step")
    return {"accounting": other.accounting.name, **{name: metrics[name] for name in shown if name in metrics}}


def _metrics(query: BatchedQuery) -> dict[str, int | float]:
    n, prompt, output = query.n_queries, query.prompt_tokens, query.output_tokens
    prefill_pj, decode_pj = query.prefill.energy.total_pj, query.decode_pj
    total_ps, total_pj = query.prefill_ps + query.decode_ps, prefill_pj + decode_pj
    phases = [
        ("prefill_", n * prompt, query.prefill_ps, prefill_pj),
        ("decode_", n * (output - 1), query.decode_ps, decode_pj),
        ("", n * (prompt + output), total_ps, total_pj),
    ]
    metrics: dict[str, int | float] = {}
    for name, n_tokens, time_ps, energy_pj in phases:
        if n_tokens:
            metrics[f"{name}throughput_tokens_per_s"] = n_tokens / (time_ps / PS_PER_S)
            metrics[f"{name}energy_mj_per_token"] = energy_pj / n_tokens / 1e9
            metrics[f"{name}power_w"] = energy_pj / time_ps
    metrics["query_latency_s"] = total_ps / PS_PER_S
    metrics["prefill_latency_s"] = query.prefill_ps / PS_PER_S
    metrics["decode_latency_s"] = query.decode_ps / PS_PER_S
    metrics["ttft_ms"] = query.prefill_ps / 1e9
    metrics["prefill_ms"] = query.prefill_ps / 1e9
    if output > 1:
        metrics["tpot_ms"] = query.decode_ps / (output - 1) / 1e9
        metrics["decode_ms_per_step"] = query.decode_ps / query.n_steps / 1e9
        metrics["energy_mj_per_step"] = decode_pj / query.n_steps / 1e9
    metrics["token_latency_ms"] = total_ps / (prompt + output) / 1e9
    metrics["queries_in_flight"] = n
    return metrics


def _by_context(query: BatchedQuery) -> dict[str, Series]:
    """What a decode step costs at each sampled context; a sample stands for the contexts up to its own."""
    if len(query.decode) < 2:  # a single point is no curve
        return {}
    contexts = [run.context for run in query.decode]
    steps = [run.step for run in query.decode]
    given = [run.n_tokens / run.n for run in query.decode]  # tokens of a query that one step gives
    curves: dict[str, list[float]] = {
        "step_time_ms": [step.latency_ps / 1e9 for step in steps],
        "decode_throughput_tokens_per_s": [
            query.n_queries * PS_PER_S / step.latency_ps * n for step, n in zip(steps, given, strict=True)
        ],
        "decode_energy_mj_per_token": [
            step.energy.total_pj / 1e9 / query.n_queries / n for step, n in zip(steps, given, strict=True)
        ],
    }
    return {name: Series.of("context_tokens", contexts, values) for name, values in curves.items()}
