"""Queries whose lengths are drawn from a set: all there from the start, run in batches one after another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from simulator.contracts.results import RunRecord
from simulator.contracts.system import BatchesRequests
from simulator.core.errors import ConfigError
from simulator.experiments.llm_trace import serve_in_slots
from simulator.experiments.settings import Settings
from simulator.experiments.trace_batches import serve_in_batches
from simulator.experiments.trace_words import checked_server
from simulator.serving.batching_rules import BatchingRules
from simulator.serving.requests import Requests
from simulator.workload.length_sets import draw_lengths
from simulator.workload.requests import RequestTrace

KEY_METRICS = ("decode_time_s", "prefill_time_s", "time_per_token_ms", "n_iterations", "energy_mj_per_token")


def drawn(settings: Settings) -> RequestTrace:
    """The requests that the workload section asks for. Raises WorkloadError for a set that there is not."""
    workload = settings.workload
    assert workload.lengths is not None, "who asks for drawn lengths has seen that the workload names a set"
    for path in ("workload.prompt_tokens", "workload.output_tokens"):
        if settings.is_set(path):  # lengths that are drawn go over what a file states
            raise ConfigError(
                f"{path} states a length, and workload.lengths draws them",
                where=settings.tree.position(path),
                remedy="leave it out, or set workload.lengths=null for queries of one length",
            )
    trace = draw_lengths(workload.lengths, workload.n_requests, settings.seed)
    if workload.phase is not None or workload.scope != "query":
        raise ConfigError(
            "drawn lengths are whole queries: workload.phase and workload.scope are not for them",
            where=settings.tree.position("workload.lengths"),
            remedy="leave those out, or set workload.lengths=null for a part or a step of one length",
        )
    return trace


def drawn_rules(settings: Settings) -> BatchingRules:
    """Static batches of `workload.batch`, unless the `serving` section says how else. Raises ConfigError where the
    batch is larger than an engine takes."""
    batch, most = settings.workload.batch, settings.serving.max_num_seqs
    if batch > most:
        raise ConfigError(
            f"a batch of {batch:,} where at most {most:,} sequences run at a time",
            where="serving.max_num_seqs",
            remedy=f"give --set serving.max_num_seqs={batch}, or a smaller workload.batch",
        )
    rules = settings.serving.rules
    return replace(rules, max_num_seqs=batch, batching=settings.serving.batching or "static")


def drawn_requests(trace: RequestTrace) -> Requests:
    """Drawn requests as an engine takes them."""
    return Requests.of(trace.arrival_ps, trace.prompt_tokens, trace.output_tokens, trace.ids, where=trace.place)


def run_lengths(settings: Settings, *, timeline: bool = False) -> RunRecord:
    """The record of requests drawn from `workload.lengths`, served to completion.

    Raises ConfigError and WorkloadError for a workload that cannot be, MappingError for a request that can never fit,
    and what the system raises.
    """
    trace = drawn(settings)
    system = settings.system(settings.workload.context_step)
    checked_server(settings, system)
    requests, name = drawn_requests(trace), f"{settings.model.name}-{Path(trace.path).stem}"
    if not isinstance(system, BatchesRequests):
        record = serve_in_slots(settings, system, requests, name, timeline)
    else:
        record = serve_in_batches(settings, system, requests, name, timeline, drawn_rules(settings))
        record.key_metrics = tuple(key for key in KEY_METRICS if key in record.metrics)
    record.notes = (*trace.notes, *record.notes)
    return record
