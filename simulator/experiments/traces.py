"""`sim trace info`: what a request trace holds."""

from __future__ import annotations

from pathlib import Path

from simulator.contracts.results import RunRecord, Scalar
from simulator.core.errors import ConfigError
from simulator.workload.trace_summary import LengthSummary, TraceSummary, trace_info
from simulator.workload.traces import TraceOptions

# A trace of lengths has no arrivals of its own: it is read at some rate, of which nothing is told.
_ANY_RATE = TraceOptions(qps=1.0)


def describe_trace(file: str | Path, format_name: str = "auto") -> RunRecord:
    """Requests, rate, lengths and prefixes of a trace. Raises WorkloadError, by line, for one that cannot be read."""
    try:
        return _record(trace_info(file, format_name), has_arrivals=True)
    except ConfigError as error:
        if error.where != "--qps":
            raise
    return _record(trace_info(file, format_name, _ANY_RATE), has_arrivals=False)


def _record(summary: TraceSummary, *, has_arrivals: bool) -> RunRecord:
    metrics: dict[str, int | float] = {"n_requests": summary.n_requests}
    if has_arrivals:
        metrics["span_s"] = summary.span_s
        metrics["n_arrival_times"] = summary.n_arrival_times
        if summary.rate_qps is not None:
            metrics["rate_requests_per_s"] = summary.rate_qps
        if summary.interarrival_cv is not None:
            metrics["interarrival_cv"] = summary.interarrival_cv
    for name, lengths in (("prompt_tokens", summary.prompt_tokens), ("output_tokens", summary.output_tokens)):
        metrics.update(_lengths(name, lengths))
    breakdown: dict[str, dict[str, Scalar]] = {}
    if summary.prefix is not None:
        prefix = summary.prefix
        breakdown["prefix"] = {
            "block tokens": prefix.block_tokens,
            "blocks": prefix.n_blocks,
            "different blocks": prefix.n_distinct,
            "hits of an endless cache": prefix.n_hits,
            "hit share": prefix.hit_frac,
        }
    timing = f"{summary.span_s:,.1f} s" if has_arrivals else "no arrival times"
    rate = f", {summary.rate_qps:,.3g} requests/s" if has_arrivals and summary.rate_qps is not None else ""
    return RunRecord(
        system=summary.format,
        workload=summary.name,
        metrics=metrics,
        breakdown=breakdown,
        headlines=(f"{summary.n_requests:,} requests, {timing}{rate}", f"SHA-256 {summary.checksum}"),
        notes=summary.notes if has_arrivals else ("lengths only: give --qps to replay it",),
    )


def _lengths(name: str, lengths: LengthSummary) -> dict[str, int | float]:
    return {f"{name}_{key}": getattr(lengths, key) for key in ("mean", "p50", "p90", "p99", "max")}
