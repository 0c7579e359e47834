"""`sim sweep` and `simulator.sweep`: every point of a sweep file, run once, kept for good, and laid out as tables."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.contracts.results import RunRecord
from simulator.contracts.runner import Point, Runner
from simulator.core.errors import ConfigError
from simulator.experiments.sweeps.addresses import PointAddresses
from simulator.experiments.sweeps.definition import load_sweep
from simulator.experiments.sweeps.local_runner import LocalRunner
from simulator.experiments.sweeps.outputs import SweepCounts, sweep_target, write_sweep
from simulator.experiments.sweeps.points import SweepPlan, check_paths, plan_sweep
from simulator.experiments.sweeps.space import Space
from simulator.experiments.sweeps.store import ResultStore
from simulator.experiments.sweeps.tables import TableSource

if TYPE_CHECKING:
    import pandas as pd


@dataclass(slots=True)
class SweepProgress:
    """How far a sweep is: points in all, outcomes so far (reused ones included), and failures among the new ones."""

    n_points: int
    n_done: int = 0
    n_reused: int = 0
    n_failed: int = 0
    n_duplicates: int = 0
    started_s: float = field(default_factory=time.monotonic)

    @property
    def points_per_s(self) -> float:
        """Points run per second so far."""
        return (self.n_done - self.n_reused) / max(1e-9, time.monotonic() - self.started_s)


@dataclass(frozen=True, slots=True)
class SweepResult:
    """A finished sweep: its summary, the exit code of its first failure (0 where every point is well or some are), and
    its directory."""

    record: RunRecord
    exit_code: int
    run_dir: Path

    @property
    def metrics(self) -> Mapping[str, int | float]:
        """Counts and rates of the sweep."""
        return self.record.metrics

    @property
    def table(self) -> pd.DataFrame:
        """The points that ran well: what each sets, then its metrics."""
        import pandas as pd

        return pd.read_parquet(self.run_dir / "table.parquet")

    @property
    def failed(self) -> pd.DataFrame:
        """The points that failed: what each sets, its exit code and its error."""
        import pandas as pd

        return pd.read_csv(self.run_dir / "failed.csv")


def sweep(
    source: str | Path | Mapping[str, Any],
    *,
    workers: int | None = None,
    out: str | Path | None = None,
    retry_failed: bool = False,
    runner: Callable[[SweepPlan], Runner] | None = None,
    progress: Callable[[SweepProgress], None] | None = None,
    report: bool = True,
    command: Sequence[str] = ("simulator.sweep",),
) -> SweepResult:
    """Run a sweep file (or the mapping that one would hold) and write its directory.

    Results are recorded as they come, in `<directory>.state` beside the directory: after whatever end, the same call
    goes on from there. `workers` processes run the points (default: one per core), or the `runner` made for the plan.
    `progress` is called as outcomes come in. Raises SimulatorError; points that fail do not raise.
    """
    read = load_sweep(source)
    plan, space = plan_sweep(read)
    census = space.census()
    check_paths(plan, space)
    target = sweep_target(read, out)
    state = target.path.with_name(target.path.name + ".state")
    n_workers = _checked_workers(workers)
    store = ResultStore.open(state)
    try:
        made = LocalRunner(plan, n_workers) if runner is None else runner(plan)
        pending = _Pending(store, PointAddresses(plan), space, retry_failed, SweepProgress(census.n_points), progress)
        try:
            pending.run(made)
        finally:
            made.close()
        done = pending.progress
        counts = SweepCounts(census, done.n_reused, done.n_duplicates, time.monotonic() - done.started_s, n_workers)
        source_rows = TableSource(store, plan.configs, space.paths, read.metrics)
        record, exit_code = write_sweep(
            read, plan, source_rows, target, counts, pending.addresses.trace_checksums, command, report=report
        )
    finally:
        store.close()
    return SweepResult(record, exit_code, Path(target.name))


class _Pending:
    """The points of a sweep on their way: noted, told from those that are recorded, run, and recorded."""

    def __init__(
        self,
        store: ResultStore,
        addresses: PointAddresses,
        space: Space,
        retry_failed: bool,
        progress: SweepProgress,
        tell: Callable[[SweepProgress], None] | None,
    ) -> None:
        self.addresses = addresses
        self.progress = progress
        self._store = store
        self._space = space
        self._again = {"new", "failed"} if retry_failed else {"new"}
        self._tell = tell or (lambda _: None)

    def run(self, runner: Runner) -> None:
        """Run what has no result yet; every batch of outcomes is recorded before the next is waited for."""
        progress = self.progress
        self._tell(progress)
        for outcomes in runner.submit(self._missing()):
            self._store.record(outcomes)
            progress.n_done += len(outcomes)
            progress.n_failed += sum(one.failed for one in outcomes)
            self._tell(progress)
        self._tell(progress)

    def _missing(self) -> Iterator[Point]:
        progress = self.progress
        for point in self.addresses.points(self._space):
            if not self._store.plan(point):
                progress.n_duplicates += 1
                progress.n_points -= 1
            elif self._store.status(point.key) in self._again:
                yield point
            else:
                progress.n_reused += 1
                progress.n_done += 1


def _checked_workers(workers: int | None) -> int:
    if workers is None:
        return len(os.sched_getaffinity(0))
    if workers < 1:
        raise ConfigError(f"{workers} workers run nothing", where="--workers", remedy="give at least 1")
    return workers
