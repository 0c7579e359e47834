"""Kinds of workload behind one door: a language model's steps and requests, and streams of memory accesses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from simulator.contracts.results import RunRecord
from simulator.core.config import ConfigTree
from simulator.experiments.access_run import run_access_workload
from simulator.experiments.access_settings import AccessSettings, bound_access_settings, is_access_run
from simulator.experiments.llm_trace import TraceRequest, run_trace
from simulator.experiments.llm_workload import run_llm
from simulator.experiments.settings import Settings, bound_settings

RunSettings = Settings | AccessSettings


def simulate(
    settings: RunSettings, request: TraceRequest | None, *, timeline: bool = False
) -> tuple[RunRecord, Mapping[str, str]]:
    """The record of a bound configuration, whatever its workload's kind, and the trace's checksum by path."""
    if isinstance(settings, AccessSettings):
        return run_access_workload(settings)
    if request is None:
        return run_llm(settings, timeline=timeline), {}
    return run_trace(settings, request, timeline=timeline)


def bound_run(tree: ConfigTree, config: str | Path) -> RunSettings:
    """Bind a configuration by its workload's kind. Raises SimulatorError at the place that is wrong."""
    return bound_access_settings(tree, config) if is_access_run(tree) else bound_settings(tree, config)
