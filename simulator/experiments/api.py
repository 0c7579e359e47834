"""The Python API: what `sim run` and `sim replay` do, with results as objects and tables as DataFrames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.contracts.results import RunRecord, Scalar, Table
from simulator.experiments.replay import plan_replay
from simulator.experiments.run import plan_run
from simulator.experiments.settings import Sets
from simulator.report.provenance import provenance
from simulator.report.records import summary_object
from simulator.report.run_directory import run_target
from simulator.report.run_files import RunInputs, write_run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Run:
    """What one run gave. `directory` is where it was written, None where nothing was.

    `operators`, `requests` and `spans` are made into DataFrames when asked for, and are empty where the run has none.
    """

    record: RunRecord
    directory: Path | None = None

    @property
    def metrics(self) -> dict[str, int | float]:
        """Scalars by name, each with its unit in the name."""
        return self.record.metrics

    @property
    def breakdown(self) -> dict[str, dict[str, Scalar]]:
        """Maps by name: time by resource and operator, energy by component, commands."""
        return self.record.breakdown

    @property
    def headlines(self) -> tuple[str, ...]:
        """The sentences that the command line prints first."""
        return self.record.headlines

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know, such as missing bytes."""
        return self.record.notes

    @property
    def summary(self) -> dict[str, Any]:
        """The object of `--json` and of `summary.json`."""
        return summary_object(self.record, self.directory)

    @property
    def operators(self) -> pd.DataFrame:
        """Operators: time, share, and what bound each."""
        return _frame(self.record.operators)

    @property
    def requests(self) -> pd.DataFrame:
        """Requests of a trace, one a row."""
        return _frame(self.record.requests)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Tables that only some runs have, by name: the policies of a run of memory accesses, say."""
        return {name: _frame(table) for name, table in self.record.tables.items()}

    @property
    def spans(self) -> pd.DataFrame:
        """Spans of the schedule: operator, resource, start, end."""
        return _frame(self.record.spans)


def run(
    config: str | Path,
    sets: Sets | None = None,
    *,
    workload: str | None = None,
    trace: str | Path | None = None,
    format: str = "auto",  # noqa: A002 - the option's name
    requests: int | None = None,
    qps: float | None = None,
    time_scale: float | None = None,
    jitter: float | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
) -> Run:
    """Run a configuration: `run("hw_configs/cent.yaml", {"workload.context": 4096, "workload.scope": "block"})`.

    `sets` are values by path, or `PATH=VALUE` texts; the other options are those of `sim run`. Only with `out`, a new
    or empty directory, is anything written. Raises SimulatorError, with the place and a remedy.
    """
    planned = plan_run(
        config, workload=workload, trace=trace, format=format, requests=requests, qps=qps, time_scale=time_scale,
        jitter=jitter, sets=sets or {}, seed=seed,
    )  # fmt: skip
    target = None if out is None else run_target(out, planned.default_directory)
    record, checksums = planned.perform()
    if target is None:
        return Run(record)
    return Run(record, write_run(target, record, planned.inputs(_call("run", config, sets), checksums), provenance()))


def replay(
    part: str | Path,
    trace: str | Path,
    sets: Sets | None = None,
    *,
    seed: int | None = None,
    out: str | Path | None = None,
) -> Run:
    """Replay a raw trace on a part: `replay("hw_configs/parts/gddr6_aim.yaml", "block.aim")`.

    In the trace's place, `"synthetic"` is the traffic that a memory part's own keys describe. `sets` begin at the
    part's root; see `run` for `out` and errors.
    """
    planned = plan_replay(part, trace, sets=sets or {}, seed=seed)
    target = None if out is None else run_target(out, planned.default_directory)
    record = planned.perform()
    if target is None:
        return Run(record)
    inputs: RunInputs = planned.inputs(_call("replay", part, trace, sets))
    return Run(record, write_run(target, record, inputs, provenance()))


def _call(function: str, *arguments: object) -> Sequence[str]:
    """What the manifest keeps in place of a command line."""
    texts = [
        str(dict(argument)) if isinstance(argument, Mapping) else str(argument)
        for argument in arguments
        if argument is not None
    ]
    return (f"simulator.{function}", *texts)


def _frame(table: Table | None) -> pd.DataFrame:
    import pandas as pd

    if table is None:
        return pd.DataFrame()
    return pd.DataFrame([list(row) for row in table.rows], columns=list(table.columns))
