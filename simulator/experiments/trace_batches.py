"""Runs of a request trace on a machine that takes batches: the engine, its record, and the steps that it took."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.contracts.results import RunRecord, Scalar, Series, Table
from simulator.contracts.system import HasRemarks
from simulator.experiments.breakdowns import summary_breakdown
from simulator.experiments.llm_records import on_machine, system_tables
from simulator.experiments.settings import Settings
from simulator.experiments.timelines import batching_timeline
from simulator.experiments.trace_words import (
    kv_capacity,
    latency_distributions,
    objective,
    queue_series,
    seconds_in_words,
    served_notes,
    stream_in_words,
)
from simulator.serving.batching import BatchingEngine
from simulator.serving.batching_results import BatchingResult, Iterations
from simulator.serving.batching_rules import BatchingRules
from simulator.serving.requests import Requests

KEY_METRICS = ("throughput_tokens_per_s", "ttft_ms_p50", "tpot_ms_p50", "batch_sequences_mean", "energy_mj_per_token")
MAX_LISTED = 20_000
"""Iterations up to which a run writes a row for each."""
_S_PER_PS = 1e-12


def batched(settings: Settings, system: Any, requests: Requests, rules: BatchingRules | None = None) -> BatchingResult:
    """Serve requests in batches as the `serving` section says, or by other rules."""
    rules = rules or settings.serving.rules
    engine = BatchingEngine(system, rules, kv_capacity(system), system.idle_power_w, settings.speculation)
    return engine.run(requests)


def serve_in_batches(
    settings: Settings,
    system: Any,
    requests: Requests,
    workload: str,
    timeline: bool,
    rules: BatchingRules | None = None,
) -> RunRecord:
    """The record of requests that an engine batches, as the `serving` section says or by other rules."""
    result = batched(settings, system, requests, rules)
    slo_metrics, slo_words = objective(settings, result)
    metrics = {**result.metrics(), **slo_metrics}
    iterations = result.iterations
    headline = (
        f"{stream_in_words(result)}{on_machine(system)}: the machine is busy for {result.busy_frac:.0%} of "
        f"{seconds_in_words(result.makespan_ps / 1e12)}, {len(iterations):,} iterations of "
        f"{metrics['batch_sequences_mean']:,.1f} sequences in the mean, "
        f"{metrics['output_tokens_per_s']:,.0f} output tokens/s"
    )
    longest = result.costs.longest
    assert longest is not None, "an engine that served requests has taken steps"
    weighted = list(zip(result.costs.summaries, result.step_counts().astype(float).tolist(), strict=True))
    parts = summary_breakdown(weighted, longest, "iteration_")
    table, table_note = _iterations(result)
    notes = [f"in the longest iteration: {note}" for note in longest.notes]
    if words := settings.speculation.in_words:
        notes.append(words)
    if isinstance(system, HasRemarks):
        notes.extend(system.remarks)
    energy: dict[str, Scalar] = {"iterations": float(iterations.energy_pj.sum()) / 1e12, "idle": result.idle_pj / 1e12}
    return RunRecord(
        system=str(settings.tree.get("system.kind")),
        workload=workload,
        metrics=metrics,
        breakdown={"energy_by_part_j": energy, "time_by_kind_s": _time_by_kind(result), **parts.breakdown},
        headlines=(headline, slo_words),
        notes=(*served_notes(settings, result), *notes, *table_note),
        requests=result.table(),
        operators=parts.operators,
        key_metrics=KEY_METRICS,
        distributions=latency_distributions(result),
        series=_series(result),
        timeline=batching_timeline(result) if timeline else None,
        tables={**table, **system_tables(system)},
    )


def _iterations(result: BatchingResult) -> tuple[dict[str, Table], tuple[str, ...]]:
    """The table of iterations, or the note that there are too many of them."""
    n = len(result.iterations)
    if n > MAX_LISTED:
        return {}, (f"iterations.csv is written for up to {MAX_LISTED:,} iterations, not for {n:,}",)
    return {"iterations": result.iteration_table()}, ()


def _time_by_kind(result: BatchingResult) -> dict[str, Scalar]:
    """Time of iterations by what they held, and of the rest."""
    iterations = result.iterations
    took_ps = iterations.took_ps
    prompts, decodes = iterations.n_prompts > 0, iterations.n_decodes > 0
    kinds = {"decodes": decodes & ~prompts, "prompts": prompts & ~decodes, "prompts and decodes": prompts & decodes}
    found: dict[str, Scalar] = {name: float(took_ps[chosen].sum()) * _S_PER_PS for name, chosen in kinds.items()}
    return {**found, "idle": result.idle_ps * _S_PER_PS}


def _series(result: BatchingResult) -> dict[str, Series]:
    """Waiting and running requests and tokens of the batch over time."""
    levels = {"running_requests": result.in_service(), "batch_tokens": result.iterations.tokens_over_time()}
    return {
        "queue_length_requests": queue_series(result),
        **{
            name: Series.of("time_s", times, level, scale_x=_S_PER_PS, stepped=True)
            for name, (times, level) in levels.items()
        },
    }


def typical_steps(iterations: Iterations, most: int) -> list[tuple[int, int]]:
    """At most `most` steps that stand for all iterations: (number of the step, number of iterations).

    Iterations are sorted by what they held and how long they took, and cut into pieces of about equal number; the one
    in the middle of a piece stands for it.
    """
    took_ps = iterations.took_ps
    kind = (iterations.n_prompts > 0) + 2 * (iterations.n_decodes > 0)
    order = np.lexsort((iterations.step, took_ps, kind))
    if len(np.unique(iterations.step)) <= most:
        steps, counts = np.unique(iterations.step, return_counts=True)
        return list(zip(steps.tolist(), counts.tolist(), strict=True))
    cuts = np.unique(np.linspace(0, len(order), most + 1).astype(np.int64))
    totals: dict[int, int] = {}
    for first, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        step = int(iterations.step[order[(first + end) // 2]])
        totals[step] = totals.get(step, 0) + end - first
    return list(totals.items())
