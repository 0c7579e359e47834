"""A DRAM run as a record: metrics by name, what bound it, latencies, and how much the other accounting moves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.contracts.results import Distribution, RunRecord, Scalar, Series
from simulator.core.energy import EnergyLedger
from simulator.devices.dram_counting import Account, Accounting, Latencies, account, bandwidth_over_time
from simulator.memory.dram.bounds import BoundBy
from simulator.memory.dram.controller import DramTiming, Requests
from simulator.memory.dram.energy import pj_per_bit
from simulator.memory.dram.spec import DramSpec
from simulator.memory.dram.steady import refresh_share

if TYPE_CHECKING:
    from simulator.devices.dram import Dram

Metrics = dict[str, int | float]
_COMPARED = (
    "cycles",
    "row_hits",
    "row_misses",
    "row_conflicts",
    "avg_read_latency_cyc",
    "bandwidth_gb_per_s",
    "time_us",
)
_UNEVEN = 1.5  # times the mean
_ALL = 0.97  # of the offered rate, whose end is not yet served
_FULL = 0.9  # of the peak: the data bus is what binds
_MANY_LATE = 0.05  # of the requests: their absence bends the bandwidth
_N_NAMED = 3  # rules that a note names


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A run and what it was made from; `other` is the memory of the other accounting with its run, where asked for, and
    `energy` the ledger, or each of them why there is none."""

    spec: DramSpec
    config: Dram.Config
    requests: Requests
    timing: DramTiming
    other: tuple[DramSpec, DramTiming] | str | None
    bound: BoundBy
    energy: EnergyLedger | str
    name: str


def run_record(outcome: Outcome) -> RunRecord:
    """Everything that a replay hands to the report."""
    spec, config, timing = outcome.spec, outcome.config, outcome.timing
    ours = account(config.accounting, spec, config.n_channels, timing)
    reads = Latencies.of_reads(timing)
    metrics = {
        **_counts(ours, timing),
        **_bandwidth(outcome, ours),
        **_latency(outcome, ours, reads),
        **_energy_metrics(outcome),
    }
    breakdown = _commands(outcome)
    breakdown.update(_bound(outcome.bound))
    if not isinstance(outcome.energy, str):
        by_component = outcome.energy.by_component()
        breakdown["energy_by_component_uj"] = {name: pj * 1e-6 for name, pj in by_component.items()}
    breakdown.update(_places(outcome))
    breakdown.update(_other_accounting(outcome, ours))
    x, y = bandwidth_over_time(spec, timing)
    return RunRecord(
        system=f"dram {spec.standard}",
        workload=outcome.name,
        metrics=metrics,
        breakdown=breakdown,
        headlines=_headlines(outcome, ours, metrics),
        notes=tuple(_notes(outcome, ours, reads)),
        key_metrics=("bandwidth_gb_per_s", "bandwidth_frac", "read_latency_ns_p50", "row_hit_frac", "time_us"),
        distributions=_distributions(outcome, ours, reads),
        series={"bandwidth_gb_per_s": Series("time_us", x, y, stepped=True)} if len(x) else {},
    )


def _distributions(outcome: Outcome, ours: Account, reads: Latencies) -> dict[str, Distribution]:
    """Latencies for plots; with the wait for room in the queue where requests were offered at times of their own."""
    if not len(reads.cyc):
        return {}
    named = {"read_latency_ns": reads}
    if len(outcome.requests.offer_cyc):
        named["offer_to_data_ns"] = Latencies.of_offers(outcome.spec, outcome.requests, outcome.timing)
    tick_ns = float(ours.tick_ps) / 1000
    found = {}
    for name, latencies in named.items():
        values, counts = latencies.counted()
        found[name] = Distribution(values.astype(np.float64) * tick_ns, counts)
    return found


def _counts(ours: Account, timing: DramTiming) -> Metrics:
    """What a golden row of the reference has, under the names that scripts know."""
    tally = ours.tally
    metrics: Metrics = {
        "cycles": ours.cycles,
        "drain_cycles": timing.drain_cycles,
        "row_hits": tally.row_hits,
        "row_misses": tally.row_misses,
        "row_conflicts": tally.row_conflicts,
        "reads_served": tally.reads_served,
        "writes_served": tally.writes_served,
        "reads_forwarded": tally.reads_forwarded,
        "writes_coalesced": tally.writes_coalesced,
        "refreshes": tally.refreshes_served,
    }
    n_rows = tally.row_hits + tally.row_misses + tally.row_conflicts
    if n_rows:
        metrics["row_hit_frac"] = tally.row_hits / n_rows
        metrics["row_miss_frac"] = tally.row_misses / n_rows
        metrics["row_conflict_frac"] = tally.row_conflicts / n_rows
    return metrics


def _bandwidth(outcome: Outcome, ours: Account) -> Metrics:
    spec, requests, tally = outcome.spec, outcome.requests, ours.tally
    metrics: Metrics = {
        "time_us": ours.time_ps * 1e-6,
        "requests": len(requests),
        "read_bytes": tally.reads_served * spec.tx_bytes,
        "write_bytes": tally.writes_served * spec.tx_bytes,
        "bandwidth_gb_per_s": ours.bandwidth_gb_per_s,
        "peak_bandwidth_gb_per_s": ours.peak_gb_per_s,
        "bandwidth_frac": ours.bandwidth_gb_per_s / ours.peak_gb_per_s,
        "refresh_leaves_frac": float(refresh_share(spec, outcome.config.refresh)),
    }
    if len(requests.offer_cyc):
        offered_ps = int(requests.offer_cyc[-1]) * float(spec.tick_period_ps)
        metrics["offered_gb_per_s"] = len(requests) * spec.tx_bytes * 1000 / offered_ps
    return metrics


def _latency(outcome: Outcome, ours: Account, reads: Latencies) -> Metrics:
    """The mean as the accounting has it, percentiles of all reads, and by Little's law the reads in flight."""
    metrics: Metrics = {}
    tick_ns = float(ours.tick_ps) / 1000
    if ours.avg_read_latency_cyc is not None:
        metrics["avg_read_latency_cyc"] = ours.avg_read_latency_cyc
        metrics["avg_read_latency_ns"] = ours.avg_read_latency_cyc * tick_ns
    statistics = reads.statistics()
    metrics.update({f"read_latency_cyc_{name}": value for name, value in statistics.items()})
    metrics.update({f"read_latency_ns_{name}": value * tick_ns for name, value in statistics.items()})
    if len(reads.cyc):
        last_data = int(outcome.timing.issue_cyc.max()) + outcome.spec.read_latency
        metrics["reads_in_flight_avg"] = float(reads.cyc.sum()) / last_data
    if len(outcome.requests.offer_cyc):
        waited = Latencies.of_offers(outcome.spec, outcome.requests, outcome.timing).statistics()
        metrics.update({f"offer_to_data_ns_{name}": value * tick_ns for name, value in waited.items()})
    return metrics


def _energy_metrics(outcome: Outcome) -> Metrics:
    """Energy of the memory and both ends of its data bus, up to the last column command."""
    if isinstance(outcome.energy, str):
        return {}
    total_pj = outcome.energy.total_pj
    metrics: Metrics = {"energy_uj": total_pj * 1e-6}
    if bit := pj_per_bit(outcome.spec, outcome.timing, outcome.energy):
        metrics["energy_pj_per_bit"] = bit
    if time_ps := float(outcome.timing.drain_cycles * outcome.spec.tick_period_ps):
        metrics["power_w"] = total_pj / time_ps
    return metrics


def _bound(bound: BoundBy) -> dict[str, dict[str, Scalar]]:
    """Where the cycles of all channels went: by resource, and by the rule of the standard."""
    return {
        "cycles_by_resource": {name: ticks for name, ticks in bound.families.items() if ticks},
        "cycles_by_rule": dict(bound.ticks),
    }


def _commands(outcome: Outcome) -> dict[str, dict[str, Scalar]]:
    timing = outcome.timing
    counts = zip(outcome.spec.commands, timing.commands.tolist(), strict=True)
    return {
        "commands": {name: count for name, count in counts if count},
        "cmd_digest": {"cmd_digest": f"{timing.digest:016x}"},
    }


def _places(outcome: Outcome) -> dict[str, dict[str, Scalar]]:
    """Requests by channel, where there are several, and by bank, where some bank has far more than its share."""
    requests, spec, n_channels = outcome.requests, outcome.spec, outcome.config.n_channels
    found: dict[str, dict[str, Scalar]] = {}
    if n_channels > 1:
        by_channel = np.bincount(requests.channel, minlength=n_channels).tolist()
        found["requests_by_channel"] = {f"channel {index}": count for index, count in enumerate(by_channel)}
    by_bank = np.bincount(requests.bank, minlength=spec.n_banks)
    if by_bank.max() > _UNEVEN * by_bank.mean():
        found["requests_by_bank"] = {f"bank {index}": count for index, count in enumerate(by_bank.tolist()) if count}
    return found


def _other_accounting(outcome: Outcome, ours: Account) -> dict[str, dict[str, Scalar]]:
    """The numbers that move under the other accounting, and by how much of ours."""
    if outcome.other is None or isinstance(outcome.other, str):
        return {}
    spec, timing = outcome.other
    accounting: Accounting = "published" if ours.accounting == "corrected" else "corrected"
    theirs = account(accounting, spec, outcome.config.n_channels, timing)
    parts: dict[str, Scalar] = {"accounting": accounting}
    changes: dict[str, Scalar] = {}
    for name in _COMPARED:
        mine, other = _compared(ours, name), _compared(theirs, name)
        if other is not None:
            parts[name] = other
        if mine and other is not None:
            changes[name] = other / mine - 1
    return {"other_accounting": parts, "other_accounting_change_frac": changes}


def _compared(one: Account, name: str) -> int | float | None:
    if name == "time_us":
        return one.time_ps * 1e-6
    value: int | float | None = getattr(one.tally if name.startswith("row_") else one, name)
    return value


def _headlines(outcome: Outcome, ours: Account, metrics: Metrics) -> tuple[str, ...]:
    bound = outcome.bound
    family = bound.limiting_family
    lost = bound.families.get(family, 0) / bound.n_ticks if bound.n_ticks else 0.0
    left = f" (refresh leaves {metrics['refresh_leaves_frac']:.1%})" if metrics["refresh_leaves_frac"] < 1 else ""
    is_served = ours.bandwidth_gb_per_s >= _ALL * metrics.get("offered_gb_per_s", float("inf"))
    verdict = "bound by"
    if is_served:
        verdict = "all that was offered; most time went to"
    elif metrics["bandwidth_frac"] >= _FULL:
        verdict = "bound by the data bus; most of the rest went to"
    foremost = bound.foremost.get(family, family)
    mostly = f", most of it {foremost}" if foremost != family else ""
    first = (
        f"{metrics['bandwidth_frac']:.1%} of peak: {ours.bandwidth_gb_per_s:,.2f} of {ours.peak_gb_per_s:,.2f} GB/s"
        f"{left}; {verdict} {family} ({lost:.1%} of the cycles){mostly}"
    )
    lines = [first]
    if "read_latency_ns_p50" in metrics:
        percentiles = ", ".join(f"{name} {metrics[f'read_latency_ns_{name}']:,.1f}" for name in ("p50", "p99", "max"))
        lines.append(f"read latency in ns: {percentiles}")
    if (late := _late(outcome, ours)) > _MANY_LATE * len(outcome.requests):
        lines.append(
            f"too short for a bandwidth: {late} of {len(outcome.requests)} requests are not counted, since a published "
            "run ends when the last one is taken; accounting=corrected waits for them"
        )
    return tuple(lines)


def _notes(outcome: Outcome, ours: Account, reads: Latencies) -> list[str]:
    notes = [f"no energy: {outcome.energy}"] if isinstance(outcome.energy, str) else []
    if outcome.timing.slow_because:
        notes.append(
            f"walked tick by tick, which is slow: the event-driven engine does not know {outcome.timing.slow_because}"
        )
    if isinstance(outcome.other, str):
        notes.append(f"the other accounting cannot be compared: {outcome.other}")
    if not len(reads.cyc):
        notes.append("no reads, and so no read latency")
    elif ours.avg_read_latency_cyc is None:
        notes.append("the run ended, as published, before a read was served: no average latency")
    if late := _late(outcome, ours):
        notes.append(f"published accounting ends the run when the last request is taken: {late} are not counted")
    if isinstance(outcome.other, tuple):
        notes.append(_why_they_differ(outcome.spec, outcome.other[0]))
    return notes


def _why_they_differ(spec: DramSpec, other: DramSpec) -> str:
    """What of this memory `accounting: corrected` mends, in words."""
    published, corrected = (spec, other) if spec.accounting == "published" else (other, spec)
    found = ["the run's end", "the reads in the mean latency"]
    if corrected.tick_period_ps != published.tick_ps:
        found.append(f"a tick of {float(corrected.tick_period_ps):g} ps, not {published.tick_ps}")
    for name, clocks in corrected.timing.items():
        if (theirs := published.timing.get(name)) != clocks:
            found.append(f"{name} {clocks}, not {theirs}" if theirs is not None else f"{name} {clocks}")
    if names := sorted(_possible_rules(corrected) - _possible_rules(published)):
        more = f" and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else ""
        found.append(f"rules: {'; '.join(names[:_N_NAMED])}{more}")
    return f"`accounting: corrected` mends {', '.join(found)} (docs/dram_standards.md)"


def _possible_rules(spec: DramSpec) -> set[str]:
    """Names of the rules that can hold something up: those between sisters need two of them."""
    sizes = (1, *spec.level_sizes)
    rows = zip(spec.rules.tolist(), spec.rule_names, strict=True)
    return {name for (level, *_, sibling), name in rows if not sibling or sizes[level] > 1}


def _late(outcome: Outcome, ours: Account) -> int:
    """Requests still under way when the run ended."""
    return len(outcome.requests) - _done(ours) if ours.accounting == "published" else 0


def _done(ours: Account) -> int:
    tally = ours.tally
    return tally.reads_served + tally.writes_served + tally.reads_forwarded + tally.writes_coalesced
