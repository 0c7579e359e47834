"""`sim run` and `simulator.run`: one system, one workload or trace, one run directory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from simulator.contracts.results import RunRecord
from simulator.core.parameters import parameters
from simulator.core.resolved import config_hash, resolved_yaml
from simulator.experiments.llm_steps import run_llm
from simulator.experiments.llm_trace import TraceRequest, run_trace
from simulator.experiments.settings import Sets, load_settings
from simulator.report.provenance import provenance
from simulator.report.run_directory import default_run_path, run_target
from simulator.report.run_files import RunInputs, write_run


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
    command: Sequence[str] = (),
) -> tuple[RunRecord, Path]:
    """Run a configuration and write its run directory; returns the record and the directory.

    Raises SimulatorError (see `core.errors` for the exit codes); nothing is written then.
    """
    settings = load_settings(config, sets, workload=workload, seed=seed)
    request = TraceRequest(trace, format, requests, qps, time_scale, jitter) if trace is not None else None
    shape = Path(trace).stem if trace else settings.workload.phase or settings.workload.scope
    name = f"{settings.model.name}-{shape}"
    digest = config_hash(settings.tree)
    key = json.dumps([digest, request and [request.format, requests, qps, time_scale, jitter], settings.seed])
    default = default_run_path(config, name, hashlib.sha256(key.encode()).hexdigest())
    target = run_target(out, default)
    record, checksums = (run_llm(settings), {}) if request is None else run_trace(settings, request)
    inputs = RunInputs(
        command=tuple(command),
        config_yaml=resolved_yaml(settings.tree),
        config_hash=digest,
        seed=settings.seed,
        trace_checksums=checksums,
        parameters=parameters(settings.tree),
    )
    return record, write_run(target, record, inputs, provenance())
