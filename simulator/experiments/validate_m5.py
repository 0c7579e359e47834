"""M5: trackers against golden runs, and what the paper shows of trackers, sparsity and policies beside ours."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from simulator.experiments.m5_study import M5Study, TrackerCase
from simulator.experiments.m5_targets import (
    FootprintTargets,
    M5Targets,
    SparsityTargets,
    TrackerTargets,
    load_m5_targets,
)
from simulator.experiments.memory_traces import short_name
from simulator.experiments.validate_m5_policies import identification_points, migration_points
from simulator.experiments.validate_records import Claim, Group, Point

RESULTS = ("ratio_epoch", "ratio_union", "topk_hit", "distinct_picked", "epochs", "total_reads")
ALGORITHMS = {"cm": "count-min", "ss": "Space-Saving", "first_touch": "first touch"}
_BENCH = "bench_"  # rows of speed, which depends on the machine
_MISSING = "{} not beside the checkout: the eight recorded traces are not part of the repository"
_OWN = "on our own two small traces, the recorded ones are not there"
_SHARE = 100.0
Row = Mapping[str, str]


def m5_points(path: Path, study: M5Study | None = None) -> Iterator[Point | Claim]:
    """Every number of a file of targets beside ours, on the traces that are there."""
    targets = load_m5_targets(path)
    study = M5Study() if study is None else study
    with (path.parent / targets.golden.file).open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if not row["algo"].startswith(_BENCH)]
    yield from golden_claims(targets, rows, study)
    yield from tracker_points(targets.trackers, targets.source, study)
    yield from sparsity_points(targets.sparsity, targets.source, study)
    yield from identification_points(targets, study)
    yield footprint_claim(targets.footprints, targets.source, study)
    yield from migration_points(targets.performance, targets.source, study)


def golden_claims(targets: M5Targets, rows: Sequence[Row], study: M5Study) -> Iterator[Claim]:
    """The largest difference of any result column to the golden rows, by algorithm and key."""
    golden = targets.golden
    group = Group("m5_golden", golden.title, golden.source, folded=False)
    by_kind: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_kind.setdefault((row["algo"], row["key"]), []).append(row)
    for (algorithm, key), members in by_kind.items():
        name = f"{ALGORITHMS[algorithm]}, {key} keys"
        there = [row for row in members if row["trace"] in study.traces.files]
        if not there:
            note = _MISSING.format("../shared/traces/memory is")
            yield Claim(group, name, "largest difference", golden.limit, None, f"{len(members)} rows", "", note)
            continue
        differences = {_row_name(row): _difference(row, study) for row in there}
        worst = max(differences, key=lambda one: differences[one])
        words = f"{len(there)} rows x {len(RESULTS)} columns"
        limit = golden.limit
        yield Claim(group, name, "largest difference", limit, differences[worst], words, "", f"worst {worst}")


def tracker_points(targets: TrackerTargets, source: str, study: M5Study) -> Iterator[Point | Claim]:
    """The shape of figure 7: a large sketch finds what is hot, 50 entries lose it in long epochs, small ones too."""
    group = Group("m5_trackers", targets.title, source, folded=False)
    beside = Group("m5_trackers_beside", "Trackers beside figure 7", source, folded=False)
    for epoch in targets.long_epochs:
        cm = study.mean_ratio(TrackerCase("cm", targets.cm_counters, 5, epoch))
        ss = study.mean_ratio(TrackerCase("ss", targets.ss_entries, 5, epoch))
        at = f"epochs of {epoch:,} reads"
        if cm is None or ss is None:
            note = f"no trace has {epoch:,} reads"
            yield Claim(group, f"CM 32K and SS 50, {at}", "ratio", None, None, _traces(study), "", note)
            continue
        words = f"{_traces(study)}, ratio {cm:.3f}"
        most = _SHARE * (1 - targets.least_cm)
        yield Claim(group, f"CM 32K, {at}: missed of the hottest", "mean", most, _SHARE * (1 - cm), words)
        words = f"{_traces(study)}, ratio {ss:.3f}"
        yield Claim(group, f"SS 50, {at}: found of the hottest", "mean", _SHARE * targets.most_ss, _SHARE * ss, words)
        why = "SS 50 depends on order and epoch, and the paper's epoch is not known; ours falls as epochs grow"
        yield Point.printed(beside, f"SS 50, {at}", "ratio", f"{targets.ss:.2f}", ss, why)
        why = "the paper's epoch is not known; on our smaller footprints fewer pages collide"
        yield Point.printed(beside, f"CM 32K, {at}", "ratio", f"{targets.cm:.2f}", cm, why)
    small = [
        study.mean_ratio(TrackerCase(algorithm, targets.small, 5, targets.short_epoch)) for algorithm in ("cm", "ss")
    ]
    if small[0] is not None and small[1] is not None:
        case = f"CM over SS at N = {targets.small}, epochs of {targets.short_epoch:,} reads"
        words = f"{_traces(study)}, {small[0]:.3f} and {small[1]:.3f}"
        yield Claim(group, case, "ratio", _SHARE, _SHARE * small[0] / small[1], words)


def footprint_claim(targets: FootprintTargets, source: str, study: M5Study) -> Claim:
    """Figure 11 at its largest footprint, each page read as often in an epoch as without copies."""
    group = Group("m5_footprints", targets.title, source, folded=False)
    n_copies = max(targets.copies)
    case = TrackerCase("cm", 32_768, targets.k, targets.epoch * n_copies)
    ratio = float(np.mean([study.copies_ratio(trace, n_copies, case) for trace in study.names]))
    name, words = (
        f"CM 32K, {n_copies} times the footprint: missed of the hottest",
        f"{_traces(study)}, ratio {ratio:.3f}",
    )
    return Claim(group, name, "mean", _SHARE * (1 - targets.least), _SHARE * (1 - ratio), words)


def sparsity_points(targets: SparsityTargets, source: str, study: M5Study) -> Iterator[Point | Claim]:
    """Figure 4: PageRank is the densest and Redis the sparsest, in every window; the published numbers beside ours."""
    group = Group("m5_sparsity", targets.title, source, folded=False)
    known = [trace for trace in targets.published if trace in study.traces.files]
    if not known:
        note = _MISSING.format("../shared/traces/memory is")
        yield Claim(group, "PageRank densest, Redis sparsest", "order", 0.0, None, "", "traces", note)
        return
    n_windows = min(len(study.summary(trace).sparsity) for trace in known)
    for index in range(n_windows):
        found = {trace: study.summary(trace).sparsity[index] for trace in known}
        shares = {trace: one.at_most(targets.order_words) for trace, one in found.items()}
        window = found[known[0]].window_reads
        named = f"{window:,} reads" if window else "the whole trace"
        wrong = [trace for trace in known if shares[trace] < shares["gap_pr"]]
        wrong += [trace for trace in known if shares[trace] > shares["redis_ycsba"]]
        words = ", ".join(f"{short_name(trace)} {share:.3f}" for trace, share in shares.items())
        case = f"PageRank densest, Redis sparsest, P(<= {targets.order_words}) in {named}"
        yield Claim(group, case, "out of order", 0.0, float(len(wrong)), words, "traces")
    beside = Group("m5_sparsity_beside", f"{targets.title}, beside figure 4", source, folded=False)
    for trace in known:
        sparsity = study.summary(trace).sparsity[0]
        for n_words, published in zip(targets.words, targets.published[trace], strict=True):
            if n_words in targets.reported_words:
                case = f"{short_name(trace)}, {sparsity.window_reads:,} reads"
                ours = sparsity.at_most(n_words)
                yield Point(beside, case, f"P(<= {n_words})", published, ours, 0.02, 2, targets.why)


def _difference(row: Row, study: M5Study) -> float:
    case = TrackerCase(row["algo"], int(row["N"]), int(row["K"]), int(row["epoch_reads"]), row["key"])
    score = study.score(row["trace"], case)
    if score is None:
        return float("inf")
    return max(abs(float(getattr(score, column)) - float(row[column])) for column in RESULTS)


def _row_name(row: Row) -> str:
    return f"{row['trace']} N={row['N']} K={row['K']} T={row['epoch_reads']}"


def _traces(study: M5Study) -> str:
    return f"{len(study.names)} traces" + ("" if study.traces.is_shared else f" ({_OWN})")
