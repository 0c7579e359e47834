"""`sim run` and `simulator.run`: one system, one workload or trace, one run directory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.contracts.results import RunRecord
from simulator.core.errors import ConfigError
from simulator.core.parameters import parameters
from simulator.core.resolved import config_hash, resolved_yaml
from simulator.experiments.access_settings import AccessSettings, bound_access_settings, is_access_run, with_trace
from simulator.experiments.error_bars import error_bars
from simulator.experiments.llm_trace import TraceRequest
from simulator.experiments.run_kinds import RunSettings, bound_run, simulate
from simulator.experiments.settings import Sets, bound_settings, load_run_tree
from simulator.report.provenance import provenance
from simulator.report.run_directory import default_run_path, run_target
from simulator.report.run_files import RunInputs, write_run


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A configuration, bound and checked, and the trace that it will serve, if any; nothing has been simulated yet."""

    config: str
    settings: RunSettings
    request: TraceRequest | None

    @property
    def default_directory(self) -> Path:
        """The run directory where the user names none: another one for every configuration, trace and seed."""
        settings, request = self.settings, self.request
        options = request and [
            request.format, request.requests, request.qps, request.time_scale, request.jitter,
        ]  # fmt: skip
        parts = [config_hash(settings.tree), options, settings.seed]
        if isinstance(settings, AccessSettings):
            parts.append(settings.trace_checksum())
        key = json.dumps(parts)
        digest = hashlib.sha256(key.encode()).hexdigest()
        return default_run_path(self.config, _workload_name(settings, request), digest)

    def perform(self, *, timeline: bool = False) -> tuple[RunRecord, Mapping[str, str]]:
        """Simulate; returns the record, with a timeline if that is asked for, and the trace's checksum by path."""
        record, checksums = simulate(self.settings, self.request, timeline=timeline)
        if self.settings.error_bars:
            found = error_bars(record, parameters(self.settings.tree), self._metrics_with)
            record.error_bars, record.ranges = found.bars, found.ranges
        return record, checksums

    def _metrics_with(self, path: str, value: Any) -> Mapping[str, int | float]:
        """The metrics if one parameter had another value."""
        changed = bound_run(self.settings.tree.with_sets({path: value}), self.config)
        return simulate(changed, self.request)[0].metrics

    def inputs(self, command: Sequence[str], trace_checksums: Mapping[str, str]) -> RunInputs:
        """What the manifest says that the run was made from."""
        tree = self.settings.tree
        return RunInputs(
            command=tuple(command),
            config_yaml=resolved_yaml(tree),
            config_hash=config_hash(tree),
            seed=self.settings.seed,
            trace_checksums=trace_checksums,
            parameters=parameters(tree),
            config=self.config,
        )


def _workload_name(settings: RunSettings, request: TraceRequest | None) -> str:
    if isinstance(settings, AccessSettings):
        return settings.workload_name
    workload = settings.workload
    shape = Path(request.path).stem if request else workload.lengths or workload.phase or workload.scope
    return f"{settings.model.name}-{Path(shape).stem}"


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
    if is_access_run(tree):
        given = {"--requests": requests, "--qps": qps, "--time-scale": time_scale, "--jitter": jitter}
        _refuse_request_options([name for name, value in given.items() if value is not None])
        if trace is not None:
            tree = with_trace(tree, str(trace), format)
        return PlannedRun(str(config), bound_access_settings(tree, config), None)
    request = None
    if trace is not None:
        request = TraceRequest(str(trace), format, requests, qps, time_scale, jitter)
    return PlannedRun(str(config), bound_settings(tree, config), request)


def _refuse_request_options(given: Sequence[str]) -> None:
    if given:
        raise ConfigError(
            f"{', '.join(given)}: for traces of requests, and this workload is memory accesses",
            where=given[0],
            remedy="workload.records and workload.repeat shorten and lengthen a trace of accesses",
        )


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
    if timeline and isinstance(planned.settings, AccessSettings):
        raise ConfigError(
            "a run of memory accesses has no operators to draw",
            where="--timeline",
            remedy="leave it out: report.html shows what each policy's time went into",
        )
    target = run_target(out, planned.default_directory)
    record, checksums = planned.perform(timeline=timeline)
    return record, write_run(target, record, planned.inputs(command, checksums), provenance(), report=report)
