"""A whole query, one token, a part of a block, or one step of a batch: runs whose lengths the configuration states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.contracts.results import RunRecord, Scalar, Series, StepResult
from simulator.contracts.system import BatchesRequests, HoldsQueries, RunsAttention, TwoAccountings
from simulator.core.errors import ConfigError, WorkloadError
from simulator.experiments.llm_batched import run_batched_query
from simulator.experiments.llm_records import (
    PS_PER_S,
    batch_of_step,
    checked_room,
    checked_scope,
    llm_record,
    needed_context,
    on_machine,
    said_power,
    with_draft,
)
from simulator.experiments.settings import Settings
from simulator.experiments.timelines import query_timeline, step_timeline
from simulator.workload.batch import Batch

# Sampled contexts are simulated one by one, in time that grows with their length: minutes at this sum of positions.
MAX_SAMPLED_POSITIONS = 1 << 28
MAX_BATCH_TASKS = 1 << 21
DEFAULT_STEP = 128  # short queries are rounded up to it, as the published sampling does


def run_part(settings: Settings, *, timeline: bool = False) -> RunRecord:
    """One token, one block or a part of one (`workload.scope`) at `workload.context`."""
    system = settings.system()
    scope = checked_scope(settings)
    context = needed_context(settings)
    if isinstance(system, RunsAttention):
        note, step = None, _attention(settings, system, context)
    else:
        note, step = checked_room(system, 1, context), system.part(scope, context)
    metrics: dict[str, int | float] = dict(step.metrics)
    if scope in ("token", "block"):
        metrics["token_latency_ms"] = step.latency_ps / 1e9
        metrics["throughput_tokens_per_s"] = PS_PER_S / step.interval_ps
        metrics["energy_mj_per_token"] = step.energy.total_pj / 1e9
    else:
        metrics["time_us"] = step.latency_ps / 1e6
        metrics["energy_mj"] = step.energy.total_pj / 1e9
    metrics["power_w"] = step.power_w
    comparison: dict[str, Scalar] = {}
    if scope in ("token", "block") and isinstance(system, TwoAccountings):
        other = system.other_accounting()
        theirs = other.part(scope, context)
        values = {
            "token_latency_ms": theirs.latency_ps / 1e9,
            "throughput_tokens_per_s": PS_PER_S / theirs.interval_ps,
            "energy_mj_per_token": theirs.energy.total_pj / 1e9,
            "power_w": theirs.power_w,
        }
        comparison = {"accounting": other.accounting.name, **values}
    subject = settings.model.name
    if isinstance(system, RunsAttention):
        subject = f"one stack, one layer, {_heads_in_words(settings, system)}"
    headline = f"{subject}, {scope} at context {context:,}: {_cycles(step)}"
    if scope in ("token", "block"):
        headline += (
            f"; a token takes {step.latency_ps / 1e9:,.3f} ms, {metrics['throughput_tokens_per_s']:,.1f} tokens/s"
        )
    record = llm_record(settings, scope, metrics, [(step, 1.0)], (headline,), note, comparison)
    if timeline:
        what = "token" if scope in ("token", "block") else scope
        record.timeline = step_timeline(record.system, f"{what} at context {context:,}", step)
    return record


def _heads(settings: Settings, system: RunsAttention) -> tuple[int, int, int]:
    """Heads on one stack, as many as the workload says or the machine would put there; their elements, and bytes of
    an element."""
    workload, model = settings.workload, settings.model
    n_heads = workload.heads_per_stack or system.heads_per_stack(workload.batch)
    return n_heads, workload.head_dim or model.head_dim, max(1, model.kv_bits // 8)


def _heads_in_words(settings: Settings, system: RunsAttention) -> str:
    """The heads on one stack."""
    n_heads, head_dim, n_bytes = _heads(settings, system)
    unit = "byte" if n_bytes == 1 else "bytes"
    return f"{n_heads:,} heads of {head_dim} x {n_bytes} {unit}"


def _attention(settings: Settings, system: RunsAttention, context: int) -> StepResult:
    """One layer's attention on one stack."""
    return system.attention(context, *_heads(settings, system))


def run_step(settings: Settings, *, timeline: bool = False) -> RunRecord:
    """One step of a batch (`workload.phase`, `batch`, `context`)."""
    workload = settings.workload
    if workload.scope not in ("query", "token"):
        raise ConfigError(
            f"workload.phase asks for one step, workload.scope for `{workload.scope}`",
            where=settings.tree.position("workload.phase"),
            remedy="set one of the two",
        )
    context, is_prefill = needed_context(settings), workload.phase == "prefill"
    system = settings.system(workload.context_step if is_prefill else 1)
    if isinstance(system, BatchesRequests):
        system = settings.system()
    elif is_prefill:
        # Prompts go through token by token: their contexts are sampled.
        check_sampling(context, workload.context_step)
    if isinstance(system, HoldsQueries):
        _check_size(settings, system.n_slots, context)
    note = checked_room(system, workload.batch, context)
    batch = batch_of_step(settings, system)
    # A pipeline's `step` is a token among others; here the batch has the machine to itself.
    step = system.alone(batch) if isinstance(system, HoldsQueries) else with_draft(settings, system).step(batch)
    metrics: dict[str, int | float] = {
        **step.metrics,
        "step_time_ms": step.latency_ps / 1e9,
        "throughput_tokens_per_s": batch.new_tokens / (step.latency_ps / PS_PER_S),
        "energy_mj_per_token": step.energy.total_pj / 1e9 / batch.new_tokens,
        "power_w": step.energy.total_pj / step.latency_ps,
    }
    headline = (
        f"{settings.model.name}{on_machine(system)}, one {workload.phase} step of {workload.batch} x {context:,} "
        f"positions: {metrics['step_time_ms']:,.3f} ms, {metrics['throughput_tokens_per_s']:,.1f} tokens/s"
    )
    record = llm_record(settings, workload.phase or "", metrics, step.made_of or [(step, 1.0)], (headline,), note)
    if timeline:
        label = f"{workload.phase} of {workload.batch} x {context:,} positions"
        record.timeline = step_timeline(record.system, label, step)
    return record


def _check_size(settings: Settings, n_slots: int, context: int) -> None:
    """Refuse a step of a pipeline that would be built of more tasks than memory and patience hold."""
    workload = settings.workload
    n_tasks = workload.batch * (context if workload.phase == "prefill" else 1) * (n_slots if workload.batch > 1 else 1)
    if n_tasks > MAX_BATCH_TASKS:
        raise WorkloadError(
            f"a step of {n_tasks:,} pieces of work (tokens times stages), at most {MAX_BATCH_TASKS:,} are simulated",
            where="workload.batch",
            remedy="simulate a smaller batch",
        )


@dataclass(frozen=True, slots=True)
class Phase:
    """The sampled steps of a phase and how many tokens each stands for."""

    steps: Sequence[StepResult]
    tokens: Sequence[float]

    @property
    def n_tokens(self) -> float:
        """Tokens of the phase."""
        return sum(self.tokens)

    def mean(self, value: Callable[[StepResult], float]) -> float:
        """Mean over the sampled contexts, each counting once."""
        return sum(value(step) for step in self.steps) / len(self.steps)

    def total(self, value: Callable[[StepResult], float]) -> float:
        """Sum over tokens."""
        return sum(value(step) * n for step, n in zip(self.steps, self.tokens, strict=True))

    def runs(self, first: int) -> list[tuple[int, int, StepResult]]:
        """(first context, tokens, step of one of them) of each sampled step, where the phase begins at `first`."""
        runs = []
        for step, n in zip(self.steps, self.tokens, strict=True):
            runs.append((first, int(n), step))
            first += int(n)
        return runs

    def __add__(self, other: Phase) -> Phase:
        return Phase([*self.steps, *other.steps], [*self.tokens, *other.tokens])


def run_query(settings: Settings, *, timeline: bool = False) -> RunRecord:
    """One query after another in every slot: prompt and output tokens at contexts 1 to prompt + output, sampled.

    A machine that takes batches runs a batch of equal queries instead.
    """
    workload = settings.workload
    system = settings.system(workload.context_step)
    if isinstance(system, BatchesRequests):
        return run_batched_query(settings, timeline=timeline)
    prompt, total = workload.prompt_tokens, workload.prompt_tokens + workload.output_tokens
    context_step = workload.context_step
    check_sampling(total, context_step)
    n_slots = system.step(Batch.decode(total)).n_slots
    note = checked_room(system, n_slots, total)
    mean = system.accounting.mean if isinstance(system, TwoAccountings) else "time"
    prefill, decode = _phases(system, prompt, total, context_step)
    both = prefill + decode
    comparison: dict[str, Scalar] = {}
    if isinstance(system, TwoAccountings):
        other = system.other_accounting()
        theirs = sum(_phases(other, prompt, total, context_step), Phase([], []))
        comparison = {"accounting": other.accounting.name, **_rates(theirs, other.accounting.mean)}
    metrics: dict[str, int | float] = {}
    for name, phase in (("prefill_", prefill), ("decode_", decode), ("", both)):
        metrics.update({name + key: value for key, value in _rates(phase, mean).items()})
    metrics["query_latency_s"] = both.total(lambda step: step.latency_ps) / PS_PER_S
    metrics["prefill_latency_s"] = prefill.total(lambda step: step.latency_ps) / PS_PER_S
    metrics["decode_latency_s"] = decode.total(lambda step: step.latency_ps) / PS_PER_S
    metrics["token_latency_ms"] = metrics["query_latency_s"] * 1e3 / both.n_tokens
    metrics["queries_in_flight"] = n_slots
    headline = (
        f"{settings.model.name}, {prompt:,} in + {workload.output_tokens:,} out, {n_slots} queries in flight: "
        f"{metrics['throughput_tokens_per_s']:,.1f} tokens/s, a query in {metrics['query_latency_s']:,.2f} s, "
        f"{metrics['energy_mj_per_token']:,.1f} mJ a token at {said_power(metrics['power_w'])}"
    )
    weighted = list(zip(both.steps, both.tokens, strict=True))
    record = llm_record(settings, "query", metrics, weighted, (headline,), note, comparison)
    record.series = _by_context(both)
    if timeline:
        phases = (("prefill", prefill.runs(1)), ("decode", decode.runs(prompt + 1)))
        record.timeline = query_timeline(record.system, [(name, runs) for name, runs in phases if runs])
    return record


def _by_context(query: Phase) -> dict[str, Series]:
    """What a token costs at each sampled context; a sample stands for the contexts up to its own."""
    contexts = np.cumsum(query.tokens)
    curves: dict[str, list[float]] = {
        "token_latency_ms": [step.latency_ps / 1e9 for step in query.steps],
        "throughput_tokens_per_s": [PS_PER_S / step.interval_ps for step in query.steps],
        "energy_mj_per_token": [step.energy.total_pj / 1e9 for step in query.steps],
    }
    return {name: Series.of("context_tokens", contexts, values) for name, values in curves.items()}


def check_sampling(n_positions: int, context_step: int) -> None:
    """Refuse, before the first step, a run that would sample so many contexts that it takes hours."""
    if context_step > max(n_positions, DEFAULT_STEP):
        raise WorkloadError(
            f"contexts are sampled {context_step:,} apart, and end at {n_positions:,}: none of them would be right",
            where="workload.context_step",
            remedy=f"sample them at most {n_positions:,} apart",
        )
    n_samples = -(-n_positions // context_step)
    if n_samples * n_positions // 2 > MAX_SAMPLED_POSITIONS:
        least = -(-n_positions * n_positions // (2 * MAX_SAMPLED_POSITIONS))
        raise WorkloadError(
            f"contexts up to {n_positions:,}, sampled {context_step:,} apart, are {n_samples:,} long simulations",
            where="workload.context_step",
            remedy=f"sample them further apart: workload.context_step={1 << (least - 1).bit_length()}, say",
        )


def _phases(system: Any, prompt: int, total: int, context_step: int) -> tuple[Phase, Phase]:
    """Prefill and decode of a query."""
    return _phase(system, 1, prompt, context_step), _phase(system, prompt + 1, total, context_step)


def _phase(system: Any, first: int, last: int, context_step: int) -> Phase:
    """Steps at the contexts first..last, grouped by the system's own key; each stands for the tokens of its group."""
    steps, tokens = [], []
    start = first
    while start <= last:
        end = min(last, -(-start // context_step) * context_step)
        steps.append(system.step(Batch.decode(start)))
        tokens.append(float(end - start + 1))
        start = end + 1
    return Phase(steps, tokens)


def _rates(phase: Phase, mean: str) -> dict[str, float]:
    """Throughput, energy per token and power of a phase: means over its contexts (published), or sums over sums."""
    if mean == "contexts":
        return {
            "throughput_tokens_per_s": phase.mean(lambda step: PS_PER_S / step.interval_ps),
            "energy_mj_per_token": phase.mean(lambda step: step.energy.total_pj) / 1e9,
            "power_w": phase.mean(lambda step: step.power_w),
        }
    time_ps = phase.total(lambda step: step.interval_ps)
    energy_pj = phase.total(lambda step: step.energy.total_pj)
    return {
        "throughput_tokens_per_s": phase.n_tokens / (time_ps / PS_PER_S),
        "energy_mj_per_token": energy_pj / phase.n_tokens / 1e9,
        "power_w": energy_pj / time_ps,
    }


def _cycles(step: StepResult) -> str:
    cycles = step.metrics.get("device_cycles")
    return f"{step.latency_ps / 1e6:,.1f} us" if cycles is None else f"{cycles:,} device cycles"
