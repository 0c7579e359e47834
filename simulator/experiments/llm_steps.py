"""Runs of the workload kind `llm` without a trace: a whole query, one token, a part of a block, or one step of a
batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.contracts.results import RunRecord, Scalar, Series, StepResult, Table
from simulator.core.errors import ConfigError, WorkloadError
from simulator.experiments.breakdowns import mean_breakdown
from simulator.experiments.settings import Settings
from simulator.experiments.timelines import query_timeline, step_timeline
from simulator.workload.batch import Batch

PS_PER_S = 1e12
# What a reader looks at first, as far as the run has it.
KEY_METRICS = ("throughput_tokens_per_s", "query_latency_s", "step_time_ms", "token_latency_ms", "time_us",
               "energy_mj_per_token", "energy_mj", "power_w", "device_cycles")  # fmt: skip
N_KEY_METRICS = 5
# Sampled contexts are simulated one by one, in time that grows with their length: minutes at this sum of positions.
MAX_SAMPLED_POSITIONS = 1 << 28
MAX_BATCH_TASKS = 1 << 21
DEFAULT_STEP = 128  # short queries are rounded up to it, as the published sampling does


def run_llm(settings: Settings, *, timeline: bool = False) -> RunRecord:
    """The record of the workload that the configuration asks for, with a timeline if that is asked for too."""
    workload = settings.workload
    if workload.phase is not None:
        return run_step(settings, timeline=timeline)
    if workload.scope == "query":
        return run_query(settings, timeline=timeline)
    return run_part(settings, timeline=timeline)


def run_part(settings: Settings, *, timeline: bool = False) -> RunRecord:
    """One token, one block or a part of one (`workload.scope`) at `workload.context`."""
    workload, system = settings.workload, settings.system()
    scope = workload.scope
    if scope not in system.scopes:
        raise WorkloadError(
            f"system `{settings.tree.get('system.kind')}` has no scope `{scope}`",
            where=settings.tree.position("workload.scope"),
            remedy="choose one of: " + ", ".join(("query", *system.scopes)),
        )
    context = _context(settings)
    note = system.check_capacity(1, context)
    step = system.part(scope, context)
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
    if scope in ("token", "block") and hasattr(system, "other_accounting"):
        other = system.other_accounting()
        theirs = other.part(scope, context)
        values = {
            "token_latency_ms": theirs.latency_ps / 1e9,
            "throughput_tokens_per_s": PS_PER_S / theirs.interval_ps,
            "energy_mj_per_token": theirs.energy.total_pj / 1e9,
            "power_w": theirs.power_w,
        }
        comparison = {"accounting": other.accounting.name, **values}
    headline = f"{settings.model.name}, {scope} at context {context:,}: {_cycles(step)}"
    if scope in ("token", "block"):
        headline += (
            f"; a token takes {step.latency_ps / 1e9:,.3f} ms, {metrics['throughput_tokens_per_s']:,.1f} tokens/s"
        )
    record = _record(settings, scope, metrics, [(step, 1.0)], (headline,), note, comparison)
    if timeline:
        what = "token" if scope in ("token", "block") else scope
        record.timeline = step_timeline(record.system, f"{what} at context {context:,}", step)
    return record


def run_step(settings: Settings, *, timeline: bool = False) -> RunRecord:
    """One step of a batch (`workload.phase`, `batch`, `context`)."""
    workload = settings.workload
    if workload.scope not in ("query", "token"):
        raise ConfigError(
            f"workload.phase asks for one step, workload.scope for `{workload.scope}`",
            where=settings.tree.position("workload.phase"),
            remedy="set one of the two",
        )
    context = _context(settings)
    is_prefill = workload.phase == "prefill"
    context_step = workload.context_step if is_prefill else 1
    if is_prefill:
        check_sampling(context, context_step)
    system = settings.system(context_step)
    n_tasks = (
        workload.batch * (context if is_prefill else 1) * (getattr(system, "n_slots", 1) if workload.batch > 1 else 1)
    )
    if n_tasks > MAX_BATCH_TASKS:
        raise WorkloadError(
            f"a step of {n_tasks:,} pieces of work (tokens times stages), at most {MAX_BATCH_TASKS:,} are simulated",
            where="workload.batch",
            remedy="simulate a smaller batch",
        )
    note = system.check_capacity(workload.batch, context)
    make: Callable[[int, int], Batch] = Batch.prefill if workload.phase == "prefill" else Batch.decode
    batch = make(context, workload.batch)
    # A pipeline's `step` is a token among others; here the batch has the machine to itself.
    step = getattr(system, "alone", system.step)(batch)
    metrics: dict[str, int | float] = {
        **step.metrics,
        "step_time_ms": step.latency_ps / 1e9,
        "throughput_tokens_per_s": batch.new_tokens / (step.latency_ps / PS_PER_S),
        "energy_mj_per_token": step.energy.total_pj / 1e9 / batch.new_tokens,
        "power_w": step.energy.total_pj / step.latency_ps,
    }
    headline = (
        f"{settings.model.name}, one {workload.phase} step of {workload.batch} x {context:,} positions: "
        f"{metrics['step_time_ms']:,.3f} ms, {metrics['throughput_tokens_per_s']:,.1f} tokens/s"
    )
    record = _record(settings, workload.phase or "", metrics, step.made_of or [(step, 1.0)], (headline,), note)
    if timeline:
        label = f"{workload.phase} of {workload.batch} x {context:,} positions"
        record.timeline = step_timeline(record.system, label, step)
    return record


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
    """One query after another in every slot: prompt and output tokens at contexts 1 to prompt + output, sampled."""
    workload = settings.workload
    prompt, total = workload.prompt_tokens, workload.prompt_tokens + workload.output_tokens
    context_step = workload.context_step
    check_sampling(total, context_step)
    system = settings.system(context_step)
    n_slots = system.step(Batch.decode(total)).n_slots
    note = system.check_capacity(n_slots, total)
    mean = system.accounting.mean if hasattr(system, "accounting") else "time"
    prefill, decode = _phases(system, prompt, total, context_step)
    both = prefill + decode
    comparison: dict[str, Scalar] = {}
    if hasattr(system, "other_accounting"):
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
        f"{metrics['energy_mj_per_token']:,.1f} mJ a token at {metrics['power_w']:,.0f} W"
    )
    weighted = list(zip(both.steps, both.tokens, strict=True))
    record = _record(settings, "query", metrics, weighted, (headline,), note, comparison)
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


def _context(settings: Settings) -> int:
    if settings.workload.context is None:
        raise ConfigError(
            "this workload needs a context", where="workload.context", remedy="give --set workload.context=4096, say"
        )
    return settings.workload.context


def _cycles(step: StepResult) -> str:
    cycles = step.metrics.get("device_cycles")
    return f"{step.latency_ps / 1e6:,.1f} us" if cycles is None else f"{cycles:,} device cycles"


def _record(
    settings: Settings,
    what: str,
    metrics: dict[str, int | float],
    weighted: Sequence[tuple[StepResult, float]],
    headlines: tuple[str, ...],
    note: str | None,
    comparison: dict[str, Scalar] | None = None,
) -> RunRecord:
    """A record with the breakdown per token by resource, operator, component and bound, over weighted steps."""
    # The means are over tokens, but for a part of a block, and for a step that is not made of tokens.
    is_mean = what in ("query", "token", "block") or len(weighted) > 1 or weighted[0][1] != 1.0
    parts = mean_breakdown(weighted, "token_" if is_mean else "")
    breakdown = dict(parts.breakdown)
    breakdown.update(parts.longest.breakdown)
    if comparison:
        breakdown["other_accounting"] = comparison
    workload = settings.workload
    context = workload.prompt_tokens + workload.output_tokens if what == "query" else workload.context or 0
    unused = None
    if what == "query" and (workload.context is not None or workload.batch != 1):
        unused = "workload.context and workload.batch belong to a step or a part; a query has neither"
    told = (note, unused, settings.context_note(context), _in_words(comparison, metrics), *parts.longest.notes)
    return RunRecord(
        system=str(settings.tree.get("system.kind")),
        workload=f"{settings.model.name}-{what}",
        metrics=metrics,
        breakdown=breakdown,
        headlines=headlines,
        notes=tuple(text for text in told if text),
        operators=parts.operators,
        spans=Table.of_spans(parts.longest.schedule),
        key_metrics=tuple(name for name in KEY_METRICS if name in metrics)[:N_KEY_METRICS],
    )


def _in_words(comparison: dict[str, Scalar] | None, metrics: dict[str, int | float]) -> str | None:
    """By how much the other accounting of the same machine differs."""
    if not comparison:
        return None
    parts = []
    for name, words, unit in (
        ("throughput_tokens_per_s", "throughput", "tokens/s"),
        ("energy_mj_per_token", "energy", "mJ/token"),
        ("power_w", "power", "W"),
    ):
        value = float(comparison[name])
        parts.append(f"{words} {value:,.1f} {unit} ({value / metrics[name] - 1:+.1%})")
    return f"{comparison['accounting']} accounting of the same machine, its refresh as it is, gives " + ", ".join(parts)
