"""Runs of the workload kind `llm` without a trace: which of them a configuration asks for."""

from __future__ import annotations

from simulator.contracts.results import RunRecord
from simulator.core.errors import ConfigError
from simulator.experiments.llm_lengths import run_lengths
from simulator.experiments.llm_steps import run_part, run_query, run_step
from simulator.experiments.settings import Settings


def run_llm(settings: Settings, *, timeline: bool = False) -> RunRecord:
    """The record of the workload that the configuration asks for, with a timeline if that is asked for too."""
    record = _record(settings, timeline=timeline)
    length = settings.speculation.length
    if length > 1 and not getattr(settings.system_class, "takes_batches", False):
        unused = f"serving.speculation_length={length}: for machines that take batches; here every token is one step"
        record.notes = (*record.notes, unused)
    return record


def _record(settings: Settings, *, timeline: bool) -> RunRecord:
    workload = settings.workload
    if workload.lengths is not None:
        return run_lengths(settings, timeline=timeline)
    if workload.requests is not None:
        raise ConfigError(
            "workload.requests says how many requests are drawn from a length set, and there is none",
            where=settings.tree.position("workload.requests"),
            remedy="name one, workload.lengths=dolly_creative_writing, say; --requests shortens a trace",
        )
    if workload.phase is not None:
        return run_step(settings, timeline=timeline)
    if workload.scope == "query":
        return run_query(settings, timeline=timeline)
    return run_part(settings, timeline=timeline)
