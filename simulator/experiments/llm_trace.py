"""Runs of a request trace on a system that serves queries in slots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simulator.contracts.results import RunRecord, Scalar
from simulator.experiments.settings import Settings
from simulator.serving.capacity import KvCapacity
from simulator.serving.pipeline import serve
from simulator.serving.requests import Requests
from simulator.workload.requests import RequestTrace
from simulator.workload.traces import TraceOptions, read_trace


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


def run_trace(settings: Settings, request: TraceRequest) -> tuple[RunRecord, dict[str, str]]:
    """Serve a trace; returns the record and the trace's checksum by path."""
    trace = load_trace(settings, request)
    system = settings.system(settings.workload.context_step)
    requests = Requests.of(trace.arrival_ps, trace.prompt_tokens, trace.output_tokens, trace.ids, where=trace.place)
    capacity = KvCapacity(system.kv_room.tokens, system.kv_room.bytes_per_position, system.capacity)
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
    headline = (
        f"offered load is {offered:.2f} of what {system.n_slots} slots serve"
        f" ({len(requests):,} requests over {result.arrival_span_ps / 1e12:,.0f} s"
        f"{f', {trace.offered_qps:.3g}/s' if trace.offered_qps else ''}); served load is {result.served_load_frac:.2f},"
        f" finished after {result.makespan_ps / 1e12:,.0f} s"
    )
    detail = (
        f"SLO (first token within {slo.slo_ttft_ps / 1e12:g} s, then {slo.slo_tpot_ps / 1e9:g} ms a token): met by "
        f"{goodput.fraction:.1%}, goodput {goodput.requests_per_s:.3g} requests/s"
    )
    energy: dict[str, Scalar] = {"tokens": float(result.dynamic_pj.sum()) / 1e12, "idle": float(result.idle_pj) / 1e12}
    record = RunRecord(
        system=str(settings.tree.get("system.kind")),
        workload=f"{settings.model.name}-{Path(request.path).stem}",
        metrics=metrics,
        breakdown={"energy_by_part_j": energy},
        headlines=(headline, detail),
        notes=tuple(trace.notes),
        requests=result.table(),
    )
    return record, {str(trace.path): trace.checksum}
