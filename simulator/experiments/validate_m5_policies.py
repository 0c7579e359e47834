"""M5's policies: what they identify, that none beats perfect foresight, what they gain, and when a move pays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from simulator.contracts.accesses import AccessRun
from simulator.experiments.access_run import Gains
from simulator.experiments.m5_study import (
    CPU_DRIVEN,
    IDENTIFIERS,
    PICK_WINDOW_READS,
    PICKS_FRAC,
    M5Study,
    TierCase,
    TrackerCase,
    speedups,
)
from simulator.experiments.m5_targets import IdentificationTargets, M5Targets, PerformanceTargets
from simulator.experiments.memory_traces import short_name
from simulator.experiments.validate_records import Claim, Group, Point

NAMES = {
    "on_touch": "unlimited promotion", "anb": "ANB", "damon": "DAMON", "m5_hpt": "M5 (HPT)", "m5_hwt": "M5 (HWT)",
    "m5_both": "M5 (HPT + HWT)", "m5_stop": "M5 (stop rule)", "oracle": "oracle",
}  # fmt: skip
UNION = (25, 131_072)
"""K and epoch of a tracker that is judged by a whole run."""

_WINDOW = f"first picks, {PICKS_FRAC:.0%} of the footprint, in windows of {PICK_WINDOW_READS:,} reads"


def tracker_in_windows(study: M5Study, trace: str) -> float | None:
    """The ratio of CM 32K alone on a trace, asked once a window for as many pages as a policy's picks count."""
    n_picks = max(1, int(study.stream(trace).n_pages * PICKS_FRAC))
    score = study.score(trace, TrackerCase("cm", 32_768, n_picks, PICK_WINDOW_READS))
    return None if score is None else score.ratio_epoch


def identification_points(targets: M5Targets, study: M5Study) -> Iterator[Point | Claim]:
    """Figures 3 and 8: what policies that move nothing hold for hot, beside trackers."""
    asked, n = targets.identification, f"{len(study.names)} traces"
    group = Group("m5_identification", f"{asked.title}: {_WINDOW}", targets.source, folded=False)
    beside = Group("m5_identification_beside", "Identification beside figures 3 and 8", targets.source, folded=False)
    found = {name: picked_ratios(study, name) for name in IDENTIFIERS}
    for name in CPU_DRIVEN:
        mean = _mean(found[name])
        yield _band(study, group, name, mean, asked)
        why = "windows and numbers of picks of the paper are not known"
        yield Point.printed(beside, f"{NAMES[name]}, figure 3", "ratio", f"{getattr(asked, name):.2f}", mean, why)
    tracker = {trace: tracker_in_windows(study, trace) for trace in study.names}
    above = [trace for trace in study.names if not _above(tracker[trace], found, trace)]
    note = f"not on {', '.join(above)}" if above else ""
    case = "M5's tracker (CM 32K) above ANB and DAMON"
    yield Claim(group, case, "traces where it is not", _asked(study, 0.0), float(len(above)), n, "traces", note)
    for name in ("m5_hpt", "m5_slowest"):
        below = [trace for trace in study.names if not _above(found[name][trace], found, trace)]
        note = f"{asked.manager_known}; below on {', '.join(map(short_name, below))}"
        case, words = f"{IDENTIFIERS[name].name} above ANB and DAMON", f"{n}, ratio {_mean(found[name]):.3f}"
        known = float(asked.manager_most[name])
        limit, ours = _asked(study, 0.0), float(len(below))
        yield Claim(group, case, "traces where it is not", limit, ours, words, "traces", note, known=known)
    words = f"{n}, ratio {_mean(found['damon_coarse']):.3f}"
    case = f"{IDENTIFIERS['damon_coarse'].name}: hot reads caught"
    yield Claim(group, case, "mean", None, 100 * _mean(found["damon_coarse"]), words)
    yield from _hot_share_points(asked, beside, study)


def migration_points(targets: PerformanceTargets, source: str, study: M5Study) -> Iterator[Point | Claim]:
    """Figure 9 and what must hold of every policy on every machine."""
    group = Group("m5_migration", targets.title, source, folded=False)
    main = TierCase(targets.capacity_fracs[0], targets.moves_us[0])
    for share in targets.capacity_fracs:
        for move_us in targets.moves_us:
            yield from _foresight_claims(group, study, TierCase(share, move_us))
    yield _loses(group, study, main)
    yield from _shares(group, study, main)
    yield _pagerank(group, targets, study, main)
    beside = Group("m5_migration_beside", "Migration beside figure 9 and the abstract", source, folded=False)
    yield from _gains(beside, targets, study, main)
    for gap_ns, accesses in targets.break_even.items():
        ours = study.promote_ns / gap_ns
        yield Point(beside, "accesses that pay for a move", f"at +{gap_ns} ns", accesses, ours, 0.5, 0)


def picked_ratios(study: M5Study, policy: str) -> dict[str, float]:
    """Access-count ratios in windows of a policy's picks, by trace; NaN where it picked nothing."""
    return {trace: study.identified(trace, policy).in_window for trace in study.names}


def best_cpu_driven(study: M5Study, trace: str) -> float:
    """The ratio, by a whole trace's reads, of the better one of ANB's and DAMON's picks."""
    return float(np.nanmax([study.identified(trace, name).in_whole for name in CPU_DRIVEN]))


def union_ratio(study: M5Study, trace: str, algorithm: str, n_counters: int) -> float | None:
    """Reads of a whole trace that go to the pages a tracker ever picked, over those of as many hottest pages."""
    score = study.score(trace, TrackerCase(algorithm, n_counters, *UNION))
    return None if score is None else score.ratio_union


def _mean(ratios: dict[str, float]) -> float:
    return float(np.nanmean(list(ratios.values())))


def _above(ours: float | None, found: dict[str, dict[str, float]], trace: str) -> bool:
    others = [found[name][trace] for name in CPU_DRIVEN if not np.isnan(found[name][trace])]
    return ours is not None and all(ours > other for other in others)


def _asked(study: M5Study, limit: float) -> float | None:
    """A limit on the recorded traces, none on our own two, on which it is not known."""
    return limit if study.traces.is_shared else None


def _band(study: M5Study, group: Group, name: str, mean: float, asked: IdentificationTargets) -> Claim:
    """How far a mean ratio is from the middle of the band that is asked for."""
    middle, half = (asked.low + asked.high) / 2, (asked.high - asked.low) / 2
    is_damon = name == "damon"
    case, words = f"{NAMES[name]} within {asked.low} to {asked.high}", f"ratio {mean:.3f}, from the middle"
    known = asked.damon_most - middle if is_damon else None
    note = asked.damon_known if is_damon else ""
    return Claim(group, case, "mean ratio", _asked(study, half), abs(mean - middle), words, "", note, known=known)


def _hot_share_points(asked: IdentificationTargets, group: Group, study: M5Study) -> Iterator[Point]:
    """Figure 8: by the reads of a whole run."""
    best = float(np.mean([best_cpu_driven(study, trace) for trace in study.names]))
    why = "how long a run is scored, and how many picks, is not known of the paper"
    yield Point.printed(group, "best CPU-driven, whole run", "ratio", f"{asked.hot_cpu:.2f}", best, why)
    for name, algorithm, n_counters, published in (
        ("CM 32K", "cm", 32_768, asked.hot_cm), ("SS 50", "ss", 50, asked.hot_ss),
    ):  # fmt: skip
        unions = [union_ratio(study, trace, algorithm, n_counters) for trace in study.names]
        mean = float(np.mean([one for one in unions if one is not None]))
        yield Point.printed(group, f"{name}, whole run (union of picks)", "ratio", f"{published:.2f}", mean, why)
        if algorithm == "cm":
            ratio = asked.hot_cm / asked.hot_cpu
            yield Point.printed(group, "CM 32K over best CPU-driven", "ratio", f"{ratio:.2f}", mean / best, why)
    ratio = asked.hot_cm / asked.hot_cpu
    for name in ("m5_hpt", "m5_slowest"):
        ours = float(np.nanmean([study.identified(trace, name).in_whole for trace in study.names])) / best
        case = f"{IDENTIFIERS[name].name} over best CPU-driven"
        yield Point.printed(group, case, "ratio", f"{ratio:.2f}", ours, asked.manager_known)


def _foresight_claims(group: Group, study: M5Study, case: TierCase) -> Iterator[Claim]:
    """No policy is faster than the oracle, and none than the bound."""
    over_oracle, over_bound, n_runs = [], [], 0
    for trace in study.names:
        run = study.run(trace, case)
        oracle = _one(run, "oracle")
        for one in run.runs:
            n_runs += 1
            if one.time_ps < oracle.time_ps:
                over_oracle.append(f"{one.policy} on {short_name(trace)} by {oracle.time_ps / one.time_ps - 1:.2%}")
            if one.time_ps < (oracle.bound_ps or 0):
                over_bound.append(f"{one.policy} on {short_name(trace)}")
    at = f"DDR for {case.capacity_frac:.1%} of the pages, {case.move_us:g} us a move"
    for name, wrong in (("oracle", over_oracle), ("bound", over_bound)):
        words = f"{n_runs} runs"
        yield Claim(
            group, f"faster than the {name}: {at}", "runs", 0.0, float(len(wrong)), words, "runs", "; ".join(wrong)
        )


def _loses(group: Group, study: M5Study, case: TierCase) -> Claim:
    found = {trace: speedups(study.run(trace, case))["on_touch"] for trace in study.names}
    wrong = [short_name(trace) for trace, speedup in found.items() if speedup >= 1]
    words = f"{len(found)} traces, {min(found.values()):.2f} to {max(found.values()):.2f} times as fast"
    case_name = f"unlimited promotion at {case.move_us:g} us a page loses"
    return Claim(group, case_name, "traces", 0.0, float(len(wrong)), words, "traces", ", ".join(wrong))


def _shares(group: Group, study: M5Study, case: TierCase) -> Iterator[Claim]:
    """Each policy's share of the time that the oracle saves, of all traces together."""
    for policy in case.policies[1:-1]:
        saved, best = np.zeros(2)
        shares = []
        for trace in study.names:
            run = study.run(trace, case)
            base, own, oracle = (_one(run, name).time_ps for name in ("no_migration", policy, "oracle"))
            saved, best = saved + base - own, best + base - oracle
            share = Gains(run).oracle_share(policy)
            shares += [] if share is None else [share]
        words = f"{len(shares)} traces alone: {min(shares):.0%} to {max(shares):.0%}"
        yield Claim(
            group, f"{NAMES[policy]}: share of the oracle's gain", "share", None, float(100 * saved / best), words
        )


def _gains(group: Group, targets: PerformanceTargets, study: M5Study, case: TierCase) -> Iterator[Point]:
    found: dict[str, Any] = {
        name: np.array([speedups(study.run(trace, case))[name] for trace in study.names]) for name in targets.gains
    }
    for name, gain in targets.gains.items():
        mean = _gain_pct(found[name])
        yield Point(group, f"{NAMES[name]} over no migration", "%", 100 * gain, mean, 0.5, 0, targets.why)
    for name, gain in targets.over.items():
        mean = _gain_pct(found["m5_hpt"] / found[name])
        yield Point(group, f"M5 over {NAMES[name]}", "%", 100 * gain, mean, 0.5, 0, targets.why)


def _pagerank(group: Group, targets: PerformanceTargets, study: M5Study, case: TierCase) -> Claim:
    name, trace = "gain of the best policy on PageRank", targets.pagerank
    limit = 100 * targets.pagerank_most
    if trace not in study.traces.files:
        note = "../shared/traces/memory is not beside the checkout"
        return Claim(group, name, "gain", limit, None, "", note=note)
    found = speedups(study.run(trace, case))
    best = max((one for one in found if one != "oracle"), key=lambda one: found[one])
    ceiling = 100 * (found["oracle"] - 1)
    words = f"{NAMES[best]}; the oracle {ceiling:.0f} %"
    gain = 100 * (found[best] - 1)
    return Claim(group, name, "gain", limit, gain, words, note=targets.pagerank_known, known=ceiling)


def _one(run: AccessRun, policy: str) -> Any:
    return next(one for one in run.runs if one.policy == policy)


def _gain_pct(ratios: Any) -> float:
    """The geometric mean's gain, in per cent."""
    return float(100 * (np.exp(np.log(ratios).mean()) - 1))
