"""`sim trace info`: what a trace of requests, or of memory accesses, holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.contracts.results import RunRecord, Scalar
from simulator.core.errors import ConfigError
from simulator.core.spelling import did_you_mean
from simulator.workload.access_reading import access_format_of, access_formats
from simulator.workload.trace_summary import LengthSummary, TraceSummary, trace_info
from simulator.workload.traces import TraceOptions, formats

# A trace of lengths has no arrivals of its own: it is read at some rate, of which nothing is told.
_ANY_RATE = TraceOptions(qps=1.0)


def describe_trace(file: str | Path, format_name: str = "auto", windows: Sequence[int] = ()) -> RunRecord:
    """Requests, rate, lengths and prefixes of a trace of requests; of one of memory accesses what `describe_accesses`
    tells, with the sparsity in `windows` of so many reads.

    Raises WorkloadError, by line, for one that cannot be read; ConfigError for windows of a trace of requests.
    """
    if is_access_trace(file, format_name):
        # Only accesses are counted by a compiled kernel.
        from simulator.experiments.access_traces import describe_accesses

        return describe_accesses(file, format_name, windows)
    _check_format(format_name)
    if windows:
        raise ConfigError(
            f"{file} is no trace of memory accesses, and only those have windows",
            where="--window",
            remedy="leave it out, or name the trace's --format",
        )
    try:
        return _record(trace_info(file, format_name), has_arrivals=True)
    except ConfigError as error:
        if error.where != "--qps":
            raise
    return _record(trace_info(file, format_name, _ANY_RATE), has_arrivals=False)


def is_access_trace(file: str | Path, format_name: str) -> bool:
    """Whether a file is read as a trace of accesses: by its format's name, or by how it begins where that is `auto`."""
    if format_name != "auto":
        return format_name in access_formats()
    path = Path(file)
    return path.is_file() and path.stat().st_size > 0 and access_format_of(path) is not None


def _check_format(format_name: str) -> None:
    names = ("auto", *formats(), *access_formats())
    if format_name not in names:
        raise ConfigError(
            f"trace format {format_name!r} is not known",
            where="--format",
            remedy=did_you_mean(format_name, names, noun="one of"),
        )


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
