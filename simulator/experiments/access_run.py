"""Runs of memory accesses as records: policies side by side, what each gained, and what its time went into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.contracts.accesses import NO_MIGRATION, ORACLE, AccessRun, PolicyRun
from simulator.contracts.results import Distribution, RunRecord, Scalar, Series, Table
from simulator.experiments.access_settings import AccessSettings
from simulator.workload.accesses import LINE_BYTES, PAGE_BYTES, AccessStream

PS_PER_S = 1e12
PS_PER_MS = 1e9
_PARTS = ("compute", "DDR", "CXL", "bandwidth", "hint faults", "migration", "identification")
_DUST = 1e-9  # of a run's time: what is left over by rounding
_COLUMNS = {"hint faults": "faults_s", "identification": "identify_s"}  # shorter, for a table of 80 columns
_PERCENTILES = (("p50", 50.0), ("p90", 90.0), ("p99", 99.0))


def run_access_workload(settings: AccessSettings) -> tuple[RunRecord, Mapping[str, str]]:
    """The record of a run, and the checksum of its trace by path."""
    stream, checksums = settings.stream()
    found = settings.system().run_accesses(stream, settings.seed)
    return access_record(settings, stream, found), checksums


def access_record(settings: AccessSettings, stream: AccessStream, found: AccessRun) -> RunRecord:
    """Everything that a run of accesses hands to the report."""
    runs = {run.policy: run for run in found.runs}
    gains = Gains(found)
    hot = {name: access_count_ratio(found, run) for name, run in runs.items()}
    metrics: dict[str, int | float] = {
        "footprint_mib": stream.footprint_bytes / 2**20,
        "ddr_mib": found.n_ddr_pages * 4 / 1024,
        "n_records": stream.n_records,
    }
    in_table: list[str] = []
    for name, run in runs.items():
        suffix = f"_{name}" if len(runs) > 1 else ""
        own = _policy_metrics(run, gains, hot[name], suffix)
        in_table += [metric for metric in own if not metric.startswith("request")]
        metrics.update(own)
    breakdown = dict(_breakdowns(runs))
    tables = {"policies": _table(found.runs, gains, hot), "time_by_policy": _times(found.runs)}
    tables.update(_regions(stream, found.runs))
    return RunRecord(
        system=str(settings.tree.get("system.kind")),
        workload=settings.workload_name,
        metrics=metrics,
        breakdown=breakdown,
        headlines=tuple(_headlines(stream, found, gains)),
        notes=(*found.notes, *_notes(settings, stream, found)),
        key_metrics=_key_metrics(metrics, found.runs),
        distributions={
            (f"request_{name}_ms" if len(runs) > 1 else "request_ms"): Distribution.of(
                run.request_ps, scale=1 / PS_PER_MS
            )
            for name, run in runs.items()
            if len(run.request_ps)
        },
        lines={
            "ddr_read_frac": {
                name: Series.of("accesses", run.sample_record, run.ddr_read_frac)
                for name, run in runs.items()
                if len(run.sample_record)
            }
        },
        tables=tables,
        shown_tables=tuple(tables),
        stacked_tables=("time_by_policy",),
        in_tables=frozenset([*in_table, *breakdown]),
    )


def _key_metrics(metrics: Mapping[str, int | float], runs: Sequence[PolicyRun]) -> tuple[str, ...]:
    """Size of the memory, then what the quickest policy and the oracle make of it."""
    others = contenders(runs)
    best = [min(others, key=lambda run: run.time_ps).policy] if others and len(runs) > 1 else []
    oracles = [run.policy for run in runs if run.kind == ORACLE]
    named = [f"speedup_{policy}" for policy in [*best, *oracles]] if len(runs) > 1 else ["time_s", "speedup"]
    return tuple(name for name in ("footprint_mib", "ddr_mib", *named) if name in metrics)


class Gains:
    """What each policy gained over leaving all pages where they are, and which share of the oracle's gain that is."""

    def __init__(self, found: AccessRun) -> None:
        self._base_ps = found.unmoved.time_ps
        self._times = {run.policy: run.time_ps for run in found.runs}
        self._oracle_ps = min((run.time_ps for run in found.runs if run.kind == ORACLE), default=None)

    def speedup(self, policy: str) -> float | None:
        """Times as fast as without migration; None for a run that takes no time."""
        return self._base_ps / self._times[policy] if self._times[policy] else None

    def fastest(self, bound_ps: int) -> float:
        """What speed-up a time would be that no plan beats."""
        return self._base_ps / bound_ps

    def oracle_share(self, policy: str) -> float | None:
        """Share of the time that the oracle saves; None where it was not run, or saves nothing."""
        if self._oracle_ps is None or self._oracle_ps >= self._base_ps:
            return None
        return (self._base_ps - self._times[policy]) / (self._base_ps - self._oracle_ps)


def contenders(runs: Sequence[PolicyRun]) -> list[PolicyRun]:
    """The runs of policies that could be had: neither the one that moves nothing nor the one that knows all."""
    return [run for run in runs if run.kind not in (NO_MIGRATION, ORACLE)]


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
    """What came of each policy: a row each, a column for each thing that is known of any."""
    columns: dict[str, Sequence[Scalar | None]] = {
        "policy": [run.policy for run in runs],
        "time_s": [run.time_ps / PS_PER_S for run in runs],
        "speedup": [gains.speedup(run.policy) for run in runs],
        "oracle_gain_frac": [gains.oracle_share(run.policy) for run in runs],
        "ddr_read_frac": [ddr_read_frac(run) for run in runs],
        "hot_ratio": [hot[run.policy] for run in runs],
        "n_promoted": [run.n_promoted for run in runs],
        "n_refused": [run.n_refused for run in runs],
    }
    return _known_columns(columns)


def _regions(stream: AccessStream, runs: Sequence[PolicyRun]) -> dict[str, Table]:
    """Where a stream has regions, such as weights and KV cache: size and reads of each kind, and DDR's share of these
    reads by policy."""
    if not stream.regions or not runs:
        return {}
    kinds = list(runs[0].region_reads)
    sizes = dict.fromkeys(kinds, 0)
    for region in stream.regions:
        sizes[region.name.split(".")[0]] += (region.end - region.first) * PAGE_BYTES
    read = {kind: sum(runs[0].region_reads[kind]) * LINE_BYTES for kind in kinds}
    shares: list[tuple[Scalar | None, ...]] = [
        (run.policy, *(run.region_reads[kind][0] / max(1, sum(run.region_reads[kind])) for kind in kinds))
        for run in runs
    ]
    return {
        "regions": Table(("region", "size_mib", "read_gb"), [(k, sizes[k] / 2**20, read[k] / 1e9) for k in kinds]),
        "DDR_share_of_reads_by_region": Table(("policy", *(f"{kind}_frac" for kind in kinds)), shares),
    }


def _times(runs: Sequence[PolicyRun]) -> Table:
    """What each policy's time went into: a row each, a column for each part that took any."""
    columns: dict[str, Sequence[Scalar | None]] = {"policy": [run.policy for run in runs]}
    for part in _PARTS:
        if any(run.spent_ps[part] > _DUST * run.time_ps for run in runs):
            columns[_COLUMNS.get(part, f"{part}_s")] = [run.spent_ps[part] / PS_PER_S for run in runs]
    return _known_columns(columns)


def _known_columns(columns: Mapping[str, Sequence[Scalar | None]]) -> Table:
    known = {name: values for name, values in columns.items() if any(value is not None for value in values)}
    return Table(tuple(known), list(zip(*known.values(), strict=True)))


def _headlines(stream: AccessStream, found: AccessRun, gains: Gains) -> Iterator[str]:
    share = found.n_ddr_pages / stream.n_pages
    yield (
        f"{stream.n_records:,} accesses to {_size(stream.footprint_bytes)}, "
        f"of which DDR holds {share:.1%}; all starts in CXL memory"
    )
    if others := contenders(found.runs):
        best = min(others, key=lambda run: run.time_ps)
        share_words, speedup = gains.oracle_share(best.policy), gains.speedup(best.policy) or 0.0
        oracle = f", {share_words:.0%} of what the oracle gains" if share_words is not None else ""
        name = best.policy if len(others) == 1 else f"best policy: {best.policy}"
        if speedup > 1 or len(others) == 1:
            yield f"{name}, {speedup:.3f} times as fast as no migration{oracle}"
        else:
            yield f"no policy gains anything over no migration; the best, {best.policy}, has {speedup:.3f} of its speed"
    for run in found.runs:
        if run.bound_ps and gains.speedup(run.policy) is not None:
            most = gains.fastest(run.bound_ps)
            yield f"with perfect foresight {gains.speedup(run.policy):.3f} times; no moves give more than {most:.3f}"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:,.1f} MiB" if n_bytes >= 2**20 else f"{n_bytes // 2**10} KiB"


def _notes(settings: AccessSettings, stream: AccessStream, found: AccessRun) -> Iterator[str]:
    workload = settings.workload
    if workload.repeat > 1:
        yield (
            f"the trace is repeated {workload.repeat:,} times, "
            "so that policies with periods of seconds have time to act"
        )
    if workload.records_per_request is not None:
        yield f"a request is taken to be {workload.records_per_request:,} accesses (workload.records_per_request)"
    config = settings.system_config
    if not getattr(config, "migrate", True):
        yield "policies identify, and nothing moves (system.migrate: false)"
    if getattr(config, "periods", "published") == "scaled":
        factor = stream.footprint_bytes / getattr(config, "made_for_bytes", stream.footprint_bytes)
        yield f"policies' times and sizes are {factor:.2g} of what they are on a real machine (system.periods)"
    if not found.n_ddr_pages:
        yield "DDR holds not one page of so small a footprint: nothing can move"
    if stream.lines_per_record > 1 and len(stream.regions):
        yield "a request is a decode step"
    for run in found.runs:
        yield from (f"{run.policy}: {note}" for note in run.notes)
    if any(run.n_refused for run in found.runs):
        yield "refused: promotions asked for that found no room in the migration thread's queue or in DDR"
