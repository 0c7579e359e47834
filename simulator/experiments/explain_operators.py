"""What each operator of a workload takes of its latency, which constraint bound it, and what would help."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from simulator.contracts.bounds import RankedBound
from simulator.contracts.results import Bound
from simulator.experiments.explain_advice import Advice, advice_for, knob_paths, system_advice
from simulator.experiments.explain_path import CriticalPart
from simulator.experiments.explain_steps import WeightedStep
from simulator.experiments.settings import Settings


@dataclass(frozen=True, slots=True)
class OperatorShare:
    """One operator over all steps of a workload.

    `busy_ps` is the time of its tasks, `critical_ps` what of it lies on the critical path, `latency_frac` that part of
    the latency. `constraint` bound it for most of its time, where it reached `achieved` of `peak` in `unit` (means over
    that time; None where the system states no bound). `shares` is the mean share of its time that each constraint
    accounts for, the binding one included, and `contexts` says where another one binds. `summary` and `remedy` say in
    words what it takes and what would help; `knobs` are the parameters that act on its constraint.
    """

    operator: str
    resource: str
    busy_ps: int
    critical_ps: int
    latency_frac: float
    constraint: str | None
    achieved: float | None
    peak: float | None
    unit: str | None
    shares: dict[str, float]
    contexts: str
    knobs: tuple[str, ...]
    summary: str
    remedy: str

    @property
    def sentence(self) -> str:
        """Summary and remedy in one."""
        return self.summary + (f" Would help: {self.remedy}." if self.remedy and self.latency_frac else "")

    @property
    def second(self) -> tuple[str, float] | None:
        """The constraint that accounts for most of the time after the binding one, and its share."""
        rest = {name: share for name, share in self.shares.items() if name != self.constraint}
        return max(rest.items(), key=lambda entry: entry[1]) if rest else None


@dataclass(slots=True)
class _Tally:
    """Sums over steps of one operator."""

    busy_ps: int = 0
    resources: dict[str, int] = field(default_factory=dict)
    bound_ps: dict[str, int] = field(default_factory=dict)
    achieved: dict[str, float] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)
    unit: dict[str, str] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    by_context: list[tuple[int | None, str]] = field(default_factory=list)

    def add(self, context: int | None, busy_ps: int, bound: Bound | None) -> None:
        """Count a step in which the operator ran for `busy_ps`, weights included."""
        self.busy_ps += busy_ps
        if bound is None or not busy_ps:
            return
        name = bound.constraint
        self.bound_ps[name] = self.bound_ps.get(name, 0) + busy_ps
        self.achieved[name] = self.achieved.get(name, 0.0) + bound.achieved * busy_ps
        self.peak[name] = self.peak.get(name, 0.0) + bound.peak * busy_ps
        self.unit[name] = bound.unit
        self.by_context.append((context, name))
        shares = {name: bound.achieved / bound.peak if bound.peak else 0.0}
        if isinstance(bound, RankedBound):
            shares.update(bound.others)
        for constraint, share in shares.items():
            self.shares[constraint] = self.shares.get(constraint, 0.0) + share * busy_ps


def operator_shares(
    settings: Settings, steps: Sequence[WeightedStep], critical: Iterable[CriticalPart], latency_ps: int
) -> tuple[OperatorShare, ...]:
    """Every operator that takes time, in order of its part of the latency, then of its own time.

    `critical` are the parts of the critical paths of `steps`, whose latencies sum to `latency_ps`.
    """
    tallies: dict[str, _Tally] = {}
    for entry in steps:
        for operator, busy_ps in entry.step.schedule.operator_ps().items():
            tallies.setdefault(operator, _Tally()).add(
                entry.context, busy_ps * entry.n, entry.step.bounds.get(operator)
            )
    critical_ps: dict[str, int] = {}
    for part in critical:
        critical_ps[part.operator] = critical_ps.get(part.operator, 0) + part.time_ps
        if part.operator in tallies:
            resources = tallies[part.operator].resources
            resources[part.resource] = resources.get(part.resource, 0) + part.time_ps
    found = [
        _share(settings, operator, tally, critical_ps.get(operator, 0), latency_ps)
        for operator, tally in tallies.items()
        if tally.busy_ps
    ]
    return tuple(sorted(found, key=lambda share: (-share.critical_ps, -share.busy_ps)))


def _share(settings: Settings, operator: str, tally: _Tally, critical_ps: int, latency_ps: int) -> OperatorShare:
    constraint = max(tally.bound_ps, key=lambda name: tally.bound_ps[name]) if tally.bound_ps else None
    shares = {name: total / tally.busy_ps for name, total in tally.shares.items()}
    shares = dict(sorted(shares.items(), key=lambda entry: (entry[0] != constraint, -entry[1])))
    resource = max(tally.resources, key=lambda name: tally.resources[name]) if tally.resources else ""
    fraction = critical_ps / latency_ps if latency_ps else 0.0
    advice = advice_for(constraint, system_advice(settings.system_class)) if constraint else None
    knobs = knob_paths(settings.tree.at("system"), advice.knobs) if advice else ()
    bound_ps = tally.bound_ps[constraint] if constraint else 0
    return OperatorShare(
        operator=operator,
        resource=resource,
        busy_ps=tally.busy_ps,
        critical_ps=critical_ps,
        latency_frac=fraction,
        constraint=constraint,
        achieved=tally.achieved[constraint] / bound_ps if constraint else None,
        peak=tally.peak[constraint] / bound_ps if constraint else None,
        unit=tally.unit[constraint] if constraint else None,
        shares=shares,
        contexts=_changes(tally.by_context, tally.bound_ps),
        knobs=knobs,
        summary=_summary(fraction, constraint, shares, advice),
        remedy=_remedy(constraint, advice, knobs),
    )


def _changes(by_context: Sequence[tuple[int | None, str]], bound_ps: Mapping[str, int]) -> str:
    """Which constraint binds up to which context, or for how much of the time, where it is not the same everywhere."""
    runs: list[tuple[int, str]] = []
    at_one_context = [(context, constraint) for context, constraint in by_context if context is not None]
    for context, constraint in sorted(at_one_context):
        if runs and runs[-1][1] == constraint:
            runs[-1] = (context, constraint)
        else:
            runs.append((context, constraint))
    if len(bound_ps) < 2:
        return ""
    if len(at_one_context) == len(by_context) and len(runs) <= 3:
        parts = [f"{constraint} up to context {context:,}" for context, constraint in runs[:-1]]
        return ", ".join(parts) + f", then {runs[-1][1]}"
    total = sum(bound_ps.values())
    ranked = [entry for entry in sorted(bound_ps.items(), key=lambda entry: -entry[1]) if entry[1] >= 0.005 * total]
    if len(ranked) < 2:
        return ""
    return ", ".join(f"{constraint} for {time_ps / total:.0%} of its time" for constraint, time_ps in ranked)


def _summary(fraction: float, constraint: str | None, shares: Mapping[str, float], advice: Advice | None) -> str:
    """In plain words: what the operator takes, what bound it, what comes next, and what a faster one would save."""
    if fraction == 0.0:
        return "runs beside longer work: it takes nothing of the latency, and making it faster would change nothing."
    saves = f"Twice as fast it would save {fraction / 2:.1%}."
    takes = f"{fraction:.1%} of the latency"
    if constraint is None or advice is None:
        return f"{takes}; the system states no bound for it. {saves}"
    text = f"{takes}; {advice.meaning} for {shares[constraint]:.0%} of its time"
    rest = [(name, share) for name, share in shares.items() if name != constraint and share >= 0.005]
    if rest:
        text += f", then {rest[0][0]} with {rest[0][1]:.0%}"
    return f"{text}. {saves}"


def _remedy(constraint: str | None, advice: Advice | None, knobs: Sequence[str]) -> str:
    """What would loosen the constraint, and the parameters of this configuration that act on it."""
    if constraint is None or advice is None:
        return ""
    return advice.remedy + (f" ({', '.join(knobs)})" if knobs else "")
