"""Runs of a request trace on a system that serves queries in slots."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.contracts.results import Distribution, RunRecord, Scalar, Series, StepResult
from simulator.core.errors import ConfigError
from simulator.experiments.breakdowns import mean_breakdown
from simulator.experiments.llm_steps import check_sampling
from simulator.experiments.settings import Settings
from simulator.experiments.timelines import serving_timeline
from simulator.serving.capacity import KvCapacity
from simulator.serving.pipeline import serve
from simulator.serving.requests import Requests
from simulator.serving.results import ServingResult
from simulator.workload.batch import Batch
from simulator.workload.requests import RequestTrace
from simulator.workload.traces import TraceOptions, read_trace

KEY_METRICS = ("throughput_tokens_per_s", "ttft_ms_p50", "e2e_ms_p50", "offered_load_frac", "energy_mj_per_token")
_MS_PER_PS, _S_PER_PS = 1e-9, 1e-12


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """Which trace, and what the command line changes about it."""

    path: str
    format: str = "auto"
    requests: int | None = None
    qps: float | None = None
    time_scale: float | None = None
    jitter: float | None = None


def load_trace(settings: Settings, request: TraceRequest) -> RequestTrace:
    """The trace as it will arrive: first N requests, jitter, then speed."""
    workload = settings.workload
    options = TraceOptions(
        n_requests=request.requests,
        qps=request.qps,
        time_scale=request.time_scale,
        jitter_s=request.jitter or 0.0,
        seed=settings.seed,
        arrivals=workload.arrivals if "workload.arrivals" in settings.tree else None,
        arrivals_cv=workload.arrivals_cv,
    )
    return read_trace(request.path, request.format, options)


def run_trace(settings: Settings, request: TraceRequest, *, timeline: bool = False) -> tuple[RunRecord, dict[str, str]]:
    """Serve a trace; returns the record, with a timeline if that is asked for, and the trace's checksum by path."""
    trace = load_trace(settings, request)
    workload = settings.workload
    if workload.phase is not None or workload.scope != "query" or workload.batch != 1:
        raise ConfigError(
            "a trace brings its own batches: workload.phase, workload.scope and workload.batch are not for it",
            where="--trace",
            remedy="leave them out, or leave out --trace",
        )
    longest = int(np.max(trace.prompt_tokens + trace.output_tokens))
    system = settings.system(workload.context_step)
    requests = Requests.of(trace.arrival_ps, trace.prompt_tokens, trace.output_tokens, trace.ids, where=trace.place)
    capacity = KvCapacity(system.kv_room.tokens, system.kv_room.bytes_per_position, system.capacity)
    capacity.check(requests)
    check_sampling(longest, workload.context_step)
    result = serve(
        system,
        requests,
        policy=system.accounting.slot_policy,
        capacity=capacity,
        idle_power_w=system.idle_power_w,
        n_slots=system.n_slots,
    )
    metrics = dict(result.metrics())
    slo = settings.serving
    goodput = result.goodput(ttft_ms=slo.slo_ttft_ps / 1e9, tpot_ms=slo.slo_tpot_ps / 1e9)
    metrics["goodput_requests_per_s"] = goodput.requests_per_s
    metrics["slo_met_frac"] = goodput.fraction
    metrics["slot_utilisation_frac"] = result.slot_utilisation_frac
    metrics["throughput_tokens_per_s"] = result.n_tokens / (result.makespan_ps / 1e12)
    offered = metrics.get("offered_load_frac", float("inf"))
    load = f"offered load is {offered:.2f} of what" if np.isfinite(offered) else "all requests arrive at once, and"
    headline = (
        f"{load} {system.n_slots} slots serve"
        f" ({len(requests):,} requests over {result.arrival_span_ps / 1e12:,.0f} s"
        f"{f', {trace.offered_qps:.3g}/s' if trace.offered_qps else ''}); served load is {result.served_load_frac:.2f},"
        f" finished after {result.makespan_ps / 1e12:,.0f} s"
    )
    detail = (
        f"SLO (first token within {slo.slo_ttft_ps / 1e12:g} s, then {slo.slo_tpot_ps / 1e9:g} ms a token): met by "
        f"{goodput.fraction:.1%}, goodput {goodput.requests_per_s:.3g} requests/s"
    )
    energy: dict[str, Scalar] = {"tokens": float(result.tokens_pj.sum()) / 1e12, "idle": float(result.idle_pj) / 1e12}
    parts = mean_breakdown(_token_steps(system, result), "token_", dynamic_only=True)
    record = RunRecord(
        system=str(settings.tree.get("system.kind")),
        workload=f"{settings.model.name}-{Path(request.path).stem}",
        metrics=metrics,
        breakdown={"energy_by_part_j": energy, **parts.breakdown},
        headlines=(headline, detail),
        notes=tuple(trace.notes) + _notes(settings, result),
        requests=result.table(),
        operators=parts.operators,
        key_metrics=KEY_METRICS,
        distributions=_distributions(result),
        series=_series(result),
        timeline=serving_timeline(result) if timeline else None,
    )
    return record, {str(trace.path): trace.checksum}


def _notes(settings: Settings, result: ServingResult) -> tuple[str, ...]:
    """What a reader must know of a trace that asks for more than the machine or the model has."""
    notes = [settings.context_note(int(result.requests.total_tokens.max()))]
    kv = result.kv
    if kv is not None and kv.overshoot_tokens:
        notes.append(
            f"requests in flight held up to {kv.peak_tokens:,} positions where {kv.capacity_tokens:,} fit: "
            f"{kv.overshoot_bytes:,} bytes missing on the fullest device; the run goes on as if they fitted"
        )
    return tuple(note for note in notes if note)


def _token_steps(system: Any, result: ServingResult) -> list[tuple[StepResult, float]]:
    """Every distinct step that the requests took, and how many tokens took it; a request takes one at each context."""
    n_longer = np.cumsum(np.bincount(result.requests.total_tokens)[::-1])[::-1]  # at index c: requests that reach c
    batches: dict[Hashable, Batch] = {}
    tokens: dict[Hashable, float] = {}
    for context, n in enumerate(n_longer[1:].tolist(), start=1):
        batch = Batch.decode(context)
        key = system.step_key(batch)
        batches.setdefault(key, batch)
        tokens[key] = tokens.get(key, 0.0) + n
    return [(system.step(batches[key]), n) for key, n in tokens.items()]


def _distributions(result: ServingResult) -> dict[str, Distribution]:
    """Latencies in ms: over requests, and over tokens where they are times between tokens."""
    samples = {"ttft": result.ttft_ps, "tpot": result.tpot_ps, "e2e": result.e2e_ps, "queueing": result.queueing_ps}
    found = {f"{name}_ms": Distribution.of(times, scale=_MS_PER_PS) for name, times in samples.items()}
    found["tbt_ms"] = Distribution.of(result.token_gaps.values, result.token_gaps.counts, scale=_MS_PER_PS)
    order = ("ttft_ms", "e2e_ms", "queueing_ms", "tpot_ms", "tbt_ms")
    return {name: found[name] for name in order if len(found[name].values)}


def _series(result: ServingResult) -> dict[str, Series]:
    """Waiting requests and slots in use over time."""
    levels = {"queue_length_requests": result.queue_lengths(), "slots_in_use": result.in_service()}
    return {
        name: Series.of("time_s", times, level, scale_x=_S_PER_PS, stepped=True)
        for name, (times, level) in levels.items()
    }
