"""Runs of a request trace: on a system that holds queries in slots, or on one that takes batches."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.contracts.results import RunRecord, Scalar, Series, StepResult
from simulator.contracts.system import BatchesRequests, TwoAccountings
from simulator.core.errors import ConfigError
from simulator.experiments.breakdowns import mean_breakdown
from simulator.experiments.llm_steps import check_sampling
from simulator.experiments.settings import Settings
from simulator.experiments.timelines import serving_timeline
from simulator.experiments.trace_batches import serve_in_batches
from simulator.experiments.trace_words import (
    checked_server,
    kv_capacity,
    latency_distributions,
    objective,
    queue_series,
    seconds_in_words,
    served_notes,
    stream_in_words,
)
from simulator.serving.pipeline import serve
from simulator.serving.requests import Requests
from simulator.serving.results import ServingResult
from simulator.workload.batch import Batch
from simulator.workload.requests import RequestTrace
from simulator.workload.traces import TraceOptions, read_trace

KEY_METRICS = ("throughput_tokens_per_s", "ttft_ms_p50", "e2e_ms_p50", "offered_load_frac", "energy_mj_per_token")


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
    """Serve a trace; returns the record, with a timeline if that is asked for, and the trace's checksum by path.

    Raises ConfigError for a workload that a trace contradicts and for a system that cannot serve, MappingError for a
    request that can never fit, and what the system raises.
    """
    trace = load_trace(settings, request)
    workload = settings.workload
    system = settings.system(workload.context_step)
    takes_batches = isinstance(system, BatchesRequests)
    set_aside = _lengths_set_aside(settings)
    if workload.phase is not None or workload.scope != "query" or (workload.batch != 1 and not takes_batches):
        raise ConfigError(
            "a trace brings its own batches: workload.phase, workload.scope and workload.batch are not for it",
            where="--trace",
            remedy="leave them out, or leave out --trace",
        )
    requests = Requests.of(trace.arrival_ps, trace.prompt_tokens, trace.output_tokens, trace.ids, where=trace.place)
    checked_server(settings, system)
    serve_all = serve_in_batches if takes_batches else serve_in_slots
    record = serve_all(settings, system, requests, f"{settings.model.name}-{Path(request.path).stem}", timeline)
    record.notes = (*trace.notes, *set_aside, *record.notes)
    return record, {str(trace.path): trace.checksum}


def _lengths_set_aside(settings: Settings) -> tuple[str, ...]:
    """The note that a configuration's lengths are not those that run. Raises ConfigError where the command asks for a
    trace and for lengths at once."""
    lengths = settings.workload.lengths
    if lengths is None:
        return ()
    if settings.is_set("workload.lengths"):
        raise ConfigError(
            "a trace brings its own lengths: workload.lengths is not for it",
            where="--trace",
            remedy="leave one of the two out",
        )
    return (f"the trace's lengths run, not the configuration's ({lengths})",)


def serve_in_slots(settings: Settings, system: Any, requests: Requests, workload: str, timeline: bool) -> RunRecord:
    """The record of requests that hold a slot of a pipeline each."""
    capacity = kv_capacity(system)
    capacity.check(requests)
    check_sampling(int(requests.total_tokens.max()), settings.workload.context_step)
    result = serve(
        system,
        requests,
        policy=system.accounting.slot_policy if isinstance(system, TwoAccountings) else "independent",
        capacity=capacity,
        idle_power_w=system.idle_power_w,
        n_slots=system.n_slots,
    )
    slo_metrics, slo_words = objective(settings, result)
    metrics = {**result.metrics(), **slo_metrics}
    offered = metrics.get("offered_load_frac", float("inf"))
    load = f"offered load is {offered:.2f} of what" if np.isfinite(offered) else "all requests arrive at once, and"
    headline = (
        f"{load} {system.n_slots} slots serve ({stream_in_words(result)}); served load is "
        f"{result.served_load_frac:.2f}, finished after {seconds_in_words(result.makespan_ps / 1e12)}"
    )
    energy: dict[str, Scalar] = {"tokens": float(result.tokens_pj.sum()) / 1e12, "idle": float(result.idle_pj) / 1e12}
    parts = mean_breakdown(_token_steps(system, result), "token_", dynamic_only=True)
    in_use = Series.of("time_s", *result.in_service(), scale_x=1e-12, stepped=True)
    return RunRecord(
        system=str(settings.tree.get("system.kind")),
        workload=workload,
        metrics=metrics,
        breakdown={"energy_by_part_j": energy, **parts.breakdown},
        headlines=(headline, slo_words),
        notes=(*served_notes(settings, result), *_unused_notes(settings)),
        requests=result.table(),
        operators=parts.operators,
        key_metrics=KEY_METRICS,
        distributions=latency_distributions(result),
        series={"queue_length_requests": queue_series(result), "slots_in_use": in_use},
        timeline=serving_timeline(result) if timeline else None,
    )


def _unused_notes(settings: Settings) -> tuple[str, ...]:
    """What the configuration says of batching, which slots know nothing of."""
    keys = ("batching", "max_num_seqs", "max_num_batched_tokens", "prefill", "speculation_length")
    stated = ", ".join(f"serving.{key}" for key in keys if f"serving.{key}" in settings.tree)
    return (f"{stated}: for machines that take batches; here a request has a slot to itself",) if stated else ()


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
