"""Runs of memory accesses as records: policies side by side, what each gained, and what its time went into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.contracts.accesses import AccessRun, PolicyRun
from simulator.contracts.results import Distribution, RunRecord, Scalar, Series, Table
from simulator.experiments.access_settings import AccessSettings
from simulator.workload.accesses import AccessStream

PS_PER_S = 1e12
PS_PER_MS = 1e9
NO_MIGRATION = "no_migration"
ORACLE = "oracle"
_PARTS = ("compute", "DDR", "CXL", "bandwidth", "hint faults", "migration", "identification")
_PERCENTILES = (("p50", 50.0), ("p90", 90.0), ("p99", 99.0))


def run_access_workload(settings: AccessSettings) -> tuple[RunRecord, Mapping[str, str]]:
    """The record of a run, and the checksum of its trace by path."""
    stream, checksums = settings.stream()
    found = settings.system().run_accesses(stream, settings.seed)
    return access_record(settings, stream, found), checksums


def access_record(settings: AccessSettings, stream: AccessStream, found: AccessRun) -> RunRecord:
    """Everything that a run of accesses hands to the report."""
    runs = {run.policy: run for run in found.runs}
    gains = Gains.of(found.runs)
    hot = {name: access_count_ratio(found, run) for name, run in runs.items()}
    metrics: dict[str, int | float] = {
        "footprint_mib": stream.footprint_bytes / 2**20,
        "ddr_mib": found.n_ddr_pages * 4 / 1024,
        "n_records": stream.n_records,
    }
    for name, run in runs.items():
        suffix = f"_{name}" if len(runs) > 1 else ""
        metrics.update(_policy_metrics(run, gains, hot[name], suffix))
    return RunRecord(
        system=str(settings.tree.get("system.kind")),
        workload=settings.workload_name,
        metrics=metrics,
        breakdown=dict(_breakdowns(runs)),
        headlines=tuple(_headlines(stream, found, gains)),
        notes=(*found.notes, *_notes(settings, stream, found)),
        key_metrics=tuple(name for name in metrics if name.startswith(("time_s", "speedup"))),
        distributions={
            _named("request_ms", name, runs): Distribution.of(run.request_ps, scale=1 / PS_PER_MS)
            for name, run in runs.items()
            if len(run.request_ps)
        },
        series={
            _named("ddr_read_frac", name, runs): Series.of(
                "time_s", run.sample_ps, run.ddr_read_frac, scale_x=1 / PS_PER_S
            )
            for name, run in runs.items()
            if len(run.sample_ps)
        },
        tables={"policies": _table(found.runs, gains, hot)},
        shown_tables=("policies",),
    )


class Gains:
    """What each policy gained over leaving all pages where they are, and which share of the oracle's gain that is."""

    def __init__(self, times_ps: Mapping[str, int]) -> None:
        self._times = times_ps

    @classmethod
    def of(cls, runs: Sequence[PolicyRun]) -> Gains:
        """The gains of runs of one stream."""
        return cls({run.policy: run.time_ps for run in runs})

    def speedup(self, policy: str) -> float | None:
        """Times as fast as without migration; None where that was not run."""
        base = self._times.get(NO_MIGRATION)
        return base / self._times[policy] if base and self._times[policy] else None

    def oracle_share(self, policy: str) -> float | None:
        """Share of the time that the oracle saves; None where it was not run, or saves nothing."""
        base, best = self._times.get(NO_MIGRATION), self._times.get(ORACLE)
        if base is None or best is None or best >= base:
            return None
        return (base - self._times[policy]) / (base - best)


def access_count_ratio(found: AccessRun, run: PolicyRun) -> float | None:
    """M5's measure of identification: reads of the pages that the policy held for hot over those of as many of the
    hottest pages. The first that it picked count, as many as DDR holds. None where it picked none."""
    picked = run.picked[: max(1, found.n_ddr_pages)]
    if not len(picked):
        return None
    hottest = np.sort(found.page_reads)[::-1][: len(picked)].sum()
    return float(found.page_reads[picked].sum() / hottest) if hottest else None


def ddr_read_frac(run: PolicyRun) -> float:
    """Share of line reads that DDR served."""
    reads = run.ddr_reads + run.cxl_reads
    return run.ddr_reads / reads if reads else 0.0


def _policy_metrics(run: PolicyRun, gains: Gains, hot: float | None, suffix: str) -> dict[str, int | float]:
    found: dict[str, int | float | None] = {
        "time_s": run.time_ps / PS_PER_S,
        "speedup": gains.speedup(run.policy),
        "oracle_gain_frac": gains.oracle_share(run.policy),
        "ddr_read_frac": ddr_read_frac(run),
        "access_count_ratio": hot,
        "n_promoted": run.n_promoted,
        "n_demoted": run.n_demoted,
        "bound_s": None if run.bound_ps is None else run.bound_ps / PS_PER_S,
    }
    metrics = {f"{name}{suffix}": value for name, value in found.items() if value is not None}
    if len(run.request_ps):
        metrics.update(_percentiles(run.request_ps, suffix))
    return metrics


def _percentiles(request_ps: NDArray[np.int64], suffix: str) -> dict[str, int | float]:
    named = f"request{suffix}_ms"
    found = {f"{named}_mean": float(request_ps.mean()) / PS_PER_MS}
    found.update({f"{named}_{word}": float(np.percentile(request_ps, at)) / PS_PER_MS for word, at in _PERCENTILES})
    return dict(found)


def _breakdowns(runs: Mapping[str, PolicyRun]) -> Iterator[tuple[str, dict[str, Scalar]]]:
    """Where each policy's time went."""
    for name, run in runs.items():
        parts: dict[str, Scalar] = {part: run.spent_ps[part] / PS_PER_S for part in _PARTS if run.spent_ps[part]}
        yield f"time_of_{name}_s", parts


def _table(runs: Sequence[PolicyRun], gains: Gains, hot: Mapping[str, float | None]) -> Table:
    columns = ("policy", "time_s", "speedup", "oracle_gain_frac", "ddr_read_frac", "hot_ratio", "n_promoted",
               "migration_s")  # fmt: skip
    rows = [
        (run.policy, run.time_ps / PS_PER_S, gains.speedup(run.policy), gains.oracle_share(run.policy),
         ddr_read_frac(run), hot[run.policy], run.n_promoted, run.spent_ps["migration"] / PS_PER_S)
        for run in runs
    ]  # fmt: skip
    return Table(columns, rows)


def _headlines(stream: AccessStream, found: AccessRun, gains: Gains) -> Iterator[str]:
    share = found.n_ddr_pages / stream.n_pages
    yield (
        f"{stream.n_records:,} accesses to {stream.footprint_bytes / 2**20:,.1f} MiB, "
        f"of which DDR holds {share:.1%}; all starts in CXL memory"
    )
    others = [run for run in found.runs if run.policy not in (NO_MIGRATION, ORACLE)]
    if others and any(run.policy == NO_MIGRATION for run in found.runs):
        best = min(others, key=lambda run: run.time_ps)
        share_words = gains.oracle_share(best.policy)
        oracle = f", {share_words:.0%} of what the oracle gains" if share_words is not None else ""
        yield f"best policy: {best.policy}, {gains.speedup(best.policy):.3f} times as fast as no migration{oracle}"


def _notes(settings: AccessSettings, stream: AccessStream, found: AccessRun) -> Iterator[str]:
    workload = settings.workload
    if workload.repeat > 1:
        yield (
            f"the trace is repeated {workload.repeat:,} times, "
            "so that policies with periods of seconds have time to act"
        )
    if workload.records_per_request is not None:
        yield f"a request is taken to be {workload.records_per_request:,} accesses (workload.records_per_request)"
    for run in found.runs:
        yield from (f"{run.policy}: {note}" for note in run.notes)
        if run.n_refused:
            yield f"{run.policy}: {run.n_refused:,} pages had no room in the migration queue or in DDR"


def _named(metric: str, policy: str, runs: Mapping[str, PolicyRun]) -> str:
    return f"{metric}_{policy}" if len(runs) > 1 else metric
