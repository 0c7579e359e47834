"""`sim run` and `simulator.run`: one system, one workload or trace, one run directory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.contracts.results import RunRecord
from simulator.core.parameters import parameters
from simulator.core.resolved import config_hash, resolved_yaml
from simulator.experiments.error_bars import error_bars
from simulator.experiments.llm_trace import TraceRequest
from simulator.experiments.run_kinds import BoundRun, LlmRun, bound_run
from simulator.experiments.settings import Sets, load_run_tree
from simulator.report.provenance import provenance
from simulator.report.run_directory import default_run_path, run_target
from simulator.report.run_files import RunInputs, write_run


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A configuration and its workload, bound and checked; nothing has been simulated yet."""

    config: str
    bound: BoundRun

    @property
    def default_directory(self) -> Path:
        """The run directory where the user names none: another one for every configuration, trace and seed."""
        bound = self.bound
        key = json.dumps([config_hash(bound.tree), *bound.identity, bound.seed])
        return default_run_path(self.config, bound.workload_name, hashlib.sha256(key.encode()).hexdigest())

    def perform(self, *, timeline: bool = False) -> tuple[RunRecord, Mapping[str, str]]:
        """Simulate; returns the record, with a timeline if that is asked for, and the trace's checksum by path."""
        record, checksums = self.bound.perform(timeline=timeline)
        if self.bound.error_bars:
            found = error_bars(record, parameters(self.bound.tree), self._metrics_with)
            record.error_bars, record.ranges = found.bars, found.ranges
        return record, checksums

    def _metrics_with(self, path: str, value: Any) -> Mapping[str, int | float]:
        """The metrics if one parameter had another value."""
        request = self.bound.request if isinstance(self.bound, LlmRun) else None
        changed = bound_run(self.bound.tree.with_sets({path: value}), self.config, request)
        return changed.perform()[0].metrics

    def inputs(self, command: Sequence[str], trace_checksums: Mapping[str, str]) -> RunInputs:
        """What the manifest says that the run was made from."""
        tree = self.bound.tree
        return RunInputs(
            command=tuple(command),
            config_yaml=resolved_yaml(tree),
            config_hash=config_hash(tree),
            seed=self.bound.seed,
            trace_checksums=trace_checksums,
            parameters=parameters(tree),
            config=self.config,
        )


def plan_run(
    config: str | Path,
    *,
    workload: str | None = None,
    trace: str | Path | None = None,
    format: str = "auto",  # noqa: A002 - the option's name
    requests: int | None = None,
    qps: float | None = None,
    time_scale: float | None = None,
    jitter: float | None = None,
    sets: Sets = (),
    seed: int | None = None,
) -> PlannedRun:
    """Read and bind a configuration. Raises SimulatorError at the place that is wrong."""
    tree = load_run_tree(config, sets, workload=workload, seed=seed)
    path = "" if trace is None else str(trace)
    given = TraceRequest(path, format, requests, qps, time_scale, jitter)
    return PlannedRun(str(config), bound_run(tree, config, None if given == TraceRequest("") else given))


def run_command(
    config: str | Path,
    *,
    workload: str | None = None,
    trace: str | None = None,
    format: str = "auto",  # noqa: A002 - the option's name
    requests: int | None = None,
    qps: float | None = None,
    time_scale: float | None = None,
    jitter: float | None = None,
    sets: Sets = (),
    seed: int | None = None,
    out: str | Path | None = None,
    report: bool = True,
    timeline: bool = False,
    command: Sequence[str] = (),
) -> tuple[RunRecord, Path]:
    """Run a configuration and write its run directory; returns the record and the directory.

    Raises SimulatorError (see `core.errors` for the exit codes); nothing is written then.
    """
    planned = plan_run(
        config, workload=workload, trace=trace, format=format, requests=requests, qps=qps, time_scale=time_scale,
        jitter=jitter, sets=sets, seed=seed,
    )  # fmt: skip
    target = run_target(out, planned.default_directory)
    record, checksums = planned.perform(timeline=timeline)
    return record, write_run(target, record, planned.inputs(command, checksums), provenance(), report=report)
