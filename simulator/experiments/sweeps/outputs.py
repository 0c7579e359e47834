"""The directory of a sweep: tables, failures, plots, page and manifest, under its name only when all of it is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from simulator.contracts.results import RunRecord
from simulator.core.config import ConfigTree
from simulator.core.parameters import parameters
from simulator.core.resolved import config_hash, resolved_yaml
from simulator.experiments.sweeps.definition import Sweep
from simulator.experiments.sweeps.points import SweepPlan
from simulator.experiments.sweeps.space import Census
from simulator.experiments.sweeps.tables import Columns, TableSource, Tally
from simulator.report.provenance import provenance
from simulator.report.records import json_text, summary_object
from simulator.report.run_directory import RunTarget, run_target, whole_directory
from simulator.report.run_files import RunInputs, manifest
from simulator.report.sweep_page import sweep_page
from simulator.report.sweep_plots import DrawnPlot, check_plot, default_plots, draw_plots

_KIND = "sweep"


@dataclass(frozen=True, slots=True)
class SweepCounts:
    """What the sweep did: the space, results that were recorded before, duplicates left out, time and workers."""

    census: Census
    n_reused: int
    n_duplicates: int
    wall_s: float
    n_workers: int


def sweep_target(sweep: Sweep, out: str | Path | None) -> RunTarget:
    """Where the sweep's directory goes: `out`, or `results/sweep-<name>`.

    A directory that a sweep wrote gives way to the new one, named by the user or not: all that it shows is in the
    store. Raises ConfigError where the place is taken by anything else or cannot be written.
    """
    default = Path("results") / f"sweep-{sweep.name}"
    if out is not None and _is_sweep(Path(out).expanduser()):
        return replace(run_target(None, Path(out)), name=str(out))
    return run_target(out, default)


def write_sweep(
    sweep: Sweep,
    plan: SweepPlan,
    source: TableSource,
    target: RunTarget,
    counts: SweepCounts,
    trace_checksums: Mapping[str, str],
    command: Sequence[str],
    *,
    report: bool = True,
) -> tuple[RunRecord, int]:
    """Write the whole directory; returns the summary and the exit code: that of the first failure where no point ran
    well, else 0. Raises ConfigError where the place cannot be written, or a metric or plot names no column."""
    columns, tally = source.survey()
    if tally.n_done:
        source.check_metrics(columns, sweep.tree.position("metrics") if "metrics" in sweep.tree else "metrics")
        for request in sweep.plots:
            check_plot(request, columns.names)
    record = _record(sweep, counts, tally)
    inputs = RunInputs(
        command=tuple(command),
        config_yaml=resolved_yaml(sweep.tree),
        config_hash=config_hash(sweep.tree),
        seed=sweep.seed,
        trace_checksums=trace_checksums,
        parameters=[one for tree in plan.trees for one in parameters(tree)],
    )
    with whole_directory(target) as folder:
        source.write(folder, columns)
        _write_text(folder / "sweep.yaml", inputs.config_yaml)
        _write_configs(folder / "configs", plan.configs, plan.trees)
        described = {"kind": _KIND, **manifest(inputs, provenance()), "configs": _hashes(plan)}
        _write_text(folder / "manifest.json", json_text(described))
        _write_text(folder / "summary.json", json_text(summary_object(record, target.name)))
        plots: list[DrawnPlot] = []
        if report and tally.n_done:
            requests = sweep.plots or default_plots(*_plottable(source, columns))
            plots = draw_plots(requests, folder / "table.parquet", folder / "plots")
        if report:
            _write_text(folder / "index.html", sweep_page(f"Sweep {sweep.name}", record, folder, plots))
    return record, 0 if tally.n_done else tally.first_exit_code


def _record(sweep: Sweep, counts: SweepCounts, tally: Tally) -> RunRecord:
    n_points = tally.n_done + tally.n_failed
    n_run = n_points - counts.n_reused
    metrics: dict[str, int | float] = {
        "n_points": n_points,
        "n_failed": tally.n_failed,
        "n_reused": counts.n_reused,
        "n_duplicates": counts.n_duplicates,
        "n_candidates": counts.census.n_candidates,
        "n_workers": counts.n_workers,
        "wall_time_s": counts.wall_s,
    }
    headline = (
        f"{n_points:,} points: {tally.n_done:,} ran well, {tally.n_failed:,} failed; {n_run:,} run now in "
        f"{counts.wall_s:,.1f} s ({n_run / counts.wall_s:,.1f}/s), {counts.n_reused:,} recorded before"
    )
    notes = []
    if counts.n_duplicates:
        notes.append(f"{counts.n_duplicates:,} points say the same as another one and were left out")
    notes += [
        f"constraint `{one.constraint}` refuses {one.n_removed:,} of {counts.census.n_candidates:,} candidates"
        for one in counts.census.removals
        if one.n_removed
    ]
    if sweep.method == "random" and counts.census.n_points < sweep.n * len(sweep.configs) * sweep.repeats:
        notes.append(f"the constraints left {counts.census.n_points:,} of the {sweep.n:,} random points asked for")
    if tally.n_failed:
        notes.append("failed.csv says why points failed; --retry-failed runs them again")
    return RunRecord(
        system=tally.system or "none",
        workload=tally.workload or "none",
        metrics=metrics,
        breakdown={"failures": dict(tally.failures)} if tally.failures else {},
        headlines=(headline,),
        notes=tuple(notes),
    )


def _plottable(source: TableSource, columns: Columns) -> tuple[list[str], list[str], list[str]]:
    """Inputs of more than one value, the numbers among them, and metrics that are numbers."""
    values: dict[str, set[object]] = {name: set() for name in columns.inputs}
    for _, cells in source.rows():
        for name, seen in values.items():
            if len(seen) < 2:
                seen.add(cells[name])
    numbers = ("int", "float")
    varied = [name for name in columns.inputs if len(values[name]) > 1 and name != "run.seed"]
    numeric = [name for name in varied if columns.types.get(name) in numbers]
    return varied, numeric, [name for name in columns.metrics if columns.types.get(name) in numbers]


def _hashes(plan: SweepPlan) -> dict[str, str]:
    return {name: config_hash(tree) for name, tree in zip(plan.configs, plan.trees, strict=True)}


def _write_configs(folder: Path, names: Sequence[str], trees: Sequence[ConfigTree]) -> None:
    folder.mkdir()
    for number, (name, tree) in enumerate(zip(names, trees, strict=True), start=1):
        _write_text(folder / f"{number}-{Path(name).stem}.yaml", resolved_yaml(tree))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _is_sweep(folder: Path) -> bool:
    try:
        described = json.loads((folder / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(described, dict) and described.get("kind") == _KIND
