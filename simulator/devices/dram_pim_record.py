"""A run of a shared DRAM channel as a record: each side beside what it does alone, and what one did to the other."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.contracts.results import Distribution, RunRecord, Scalar, Series
from simulator.devices.dram_counting import Latencies, account, bandwidth_over_time
from simulator.memory.dram.controller import CommandLog, DramTiming, Requests
from simulator.memory.dram.mixed import MixedTiming, Sharing
from simulator.memory.dram.pim_program import PimProgram
from simulator.memory.dram.spec import DramSpec

Metrics = dict[str, int | float]
_STATISTICS = ("p50", "p90", "p99", "max")
_LONG_WAIT_US = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class MixedOutcome:
    """A run of both sides, and each of them alone on the same channel."""

    spec: DramSpec
    sharing: Sharing
    requests: Requests
    program: PimProgram
    timing: MixedTiming
    host_alone: DramTiming
    pim_alone: MixedTiming
    name: str

    @property
    def tick_ns(self) -> float:
        """Nanoseconds in a tick."""
        return float(self.spec.tick_period_ps) / 1000

    def latencies(self, timing: DramTiming) -> Latencies:
        """Of every read: from its offer to its data where requests come at times of their own, else from acceptance."""
        if len(self.requests.offer_cyc):
            return Latencies.of_offers(self.spec, self.requests, timing)
        return Latencies.of_reads(timing)

    def host_gb_per_s(self, timing: DramTiming) -> float:
        """Bytes of the host's columns over the time until the last of them."""
        return account("corrected", self.spec, 1, timing).bandwidth_gb_per_s

    @property
    def host_slowdown(self) -> float:
        """Time until the last request is served, relative to the host alone."""
        return _ratio(self.timing.host.drain_cycles, self.host_alone.drain_cycles)

    @property
    def pim_slowdown(self) -> float:
        """Mean time from a launch to its end, relative to PIM alone."""
        ours = self.timing.pim.response_cyc(self.program)
        return _ratio(float(ours.mean()), float(self.pim_alone.pim.response_cyc(self.program).mean()))


def mixed_record(outcome: MixedOutcome) -> RunRecord:
    """Everything that a replay hands to the report."""
    has_pim = len(outcome.program) > 0
    metrics = {**_host(outcome), **(_pim(outcome) if has_pim else {}), **_interference(outcome)}
    breakdown: dict[str, dict[str, Scalar]] = {"sharing": dict(asdict(outcome.sharing))}
    if outcome.timing.host.log is not None:
        breakdown.update(_commands(outcome, outcome.timing.host.log))
    breakdown["cmd_digest"] = {"cmd_digest": f"{outcome.timing.host.digest:016x}"}
    x, y = bandwidth_over_time(outcome.spec, outcome.timing.host)
    key_metrics = ("host_bandwidth_gb_per_s", "host_latency_ns_p50", "host_latency_ns_p99", "pim_slowdown")
    return RunRecord(
        system=f"dram_pim {outcome.spec.standard}",
        workload=outcome.name,
        metrics=metrics,
        breakdown=breakdown,
        headlines=_headlines(metrics),
        notes=tuple(_notes(outcome, metrics)),
        key_metrics=tuple(name for name in key_metrics if name in metrics),
        distributions=_distributions(outcome),
        series={"host_bandwidth_gb_per_s": Series("time_us", x, y, stepped=True)} if len(x) else {},
    )


def _ratio(ours: float, alone: float) -> float:
    return ours / alone if alone else 1.0


def _host(outcome: MixedOutcome) -> Metrics:
    """The host's side, and the same of the host alone."""
    ours, alone = outcome.timing.host, outcome.host_alone
    tally, tick_us = ours.at_drain, outcome.tick_ns / 1000
    metrics: Metrics = {
        "cycles": max(ours.drain_cycles, outcome.timing.pim.end_cyc),
        "host_requests": len(outcome.requests),
        "host_cycles": ours.drain_cycles,
        "host_time_us": ours.drain_cycles * tick_us,
        "host_slowdown": outcome.host_slowdown,
        "host_bandwidth_gb_per_s": outcome.host_gb_per_s(ours),
        "host_alone_bandwidth_gb_per_s": outcome.host_gb_per_s(alone),
        "peak_bandwidth_gb_per_s": outcome.spec.peak_gb_per_s,
        "host_row_hits": tally.row_hits,
        "host_row_misses": tally.row_misses,
        "host_row_conflicts": tally.row_conflicts,
        "host_alone_row_hits": alone.at_drain.row_hits,
        "refreshes": tally.refreshes_served,
    }
    if len(outcome.requests.offer_cyc):
        offered_ps = int(outcome.requests.offer_cyc[-1]) * float(outcome.spec.tick_period_ps)
        metrics["offered_gb_per_s"] = len(outcome.requests) * outcome.spec.tx_bytes * 1000 / offered_ps
    for prefix, timing in (("host", ours), ("host_alone", alone)):
        reads = outcome.latencies(timing)
        if len(reads.cyc):
            statistics = reads.statistics()
            metrics[f"{prefix}_latency_ns_mean"] = float(reads.cyc.mean()) * outcome.tick_ns
            metrics.update({f"{prefix}_latency_ns_{name}": statistics[name] * outcome.tick_ns for name in _STATISTICS})
    for name in ("mean", "p50", "p99"):
        if f"host_latency_ns_{name}" in metrics:
            ratio = metrics[f"host_latency_ns_{name}"] / metrics[f"host_alone_latency_ns_{name}"]
            metrics[f"host_latency_ratio_{name}"] = ratio
    return metrics


def _pim(outcome: MixedOutcome) -> Metrics:
    """PIM's side, and the same of PIM alone."""
    program, timing, alone = outcome.program, outcome.timing.pim, outcome.pim_alone.pim
    tick_us = outcome.tick_ns / 1000
    first = int(program.release_cyc[0])
    pim_cycles = timing.end_cyc - first + 1
    n_bytes = int(program.count[program.row >= 0].sum()) * outcome.spec.n_banks * outcome.spec.tx_bytes
    response = timing.response_cyc(program)
    return {
        "pim_launches": program.n_launches,
        "pim_rows": program.n_rows,
        "pim_cycles": pim_cycles,
        "pim_alone_cycles": alone.end_cyc - first + 1,
        "pim_time_us": pim_cycles * tick_us,
        "pim_slowdown": outcome.pim_slowdown,
        "pim_launch_us_mean": float(response.mean()) * tick_us,
        "pim_launch_us_max": int(response.max()) * tick_us,
        "pim_alone_launch_us_mean": float(alone.response_cyc(program).mean()) * tick_us,
        "pim_bandwidth_gb_per_s": n_bytes / (pim_cycles * outcome.tick_ns),
    }


def _interference(outcome: MixedOutcome) -> Metrics:
    found, tick_us = outcome.timing.interference, outcome.tick_ns / 1000
    n_ticks = max(outcome.timing.host.drain_cycles, outcome.timing.pim.end_cyc)
    return {
        "pim_turns": found.turns,
        "pim_turn_frac": _ratio(found.pim_ticks, n_ticks) if n_ticks else 0.0,
        "forced_turns": found.forced_turns,
        "host_longest_wait_us": found.longest_host_wait_cyc * tick_us,
        "pim_longest_wait_us": found.longest_pim_wait_cyc * tick_us,
        "host_rows_closed_by_pim": found.host_rows_closed,
        "host_row_hits_lost_to_pim": found.host_hits_lost,
        "pim_rows_closed_by_host": found.pim_rows_closed,
        "pim_rows_reopened": found.pim_rows_reopened,
    }


def _commands(outcome: MixedOutcome, log: CommandLog) -> dict[str, dict[str, Scalar]]:
    """Commands of all, of the host's requests, of PIM (with what clearing its rows away takes), and of refresh."""
    sides = {
        "commands": np.ones(len(log.cyc), np.bool_),
        "commands_host": log.request >= 0,
        "commands_pim": log.request <= -2,
        "commands_refresh": log.request == -1,
    }
    return {side: _counted(outcome.spec, log.command[mine]) for side, mine in sides.items()}


def _counted(spec: DramSpec, command: NDArray[np.int16]) -> dict[str, Scalar]:
    counts = np.bincount(command, minlength=len(spec.commands)).tolist()
    return {name: count for name, count in zip(spec.commands, counts, strict=True) if count}


def _headlines(metrics: Metrics) -> tuple[str, ...]:
    first = (
        f"host: {metrics['host_bandwidth_gb_per_s']:,.2f} GB/s "
        f"({metrics['host_alone_bandwidth_gb_per_s']:,.2f} without PIM)"
    )
    if "host_latency_ns_p50" in metrics:
        first += "; read latency in ns " + ", ".join(
            f"{name} {metrics[f'host_latency_ns_{name}']:,.0f} ({metrics[f'host_alone_latency_ns_{name}']:,.0f})"
            for name in ("p50", "p99")
        )
    if "pim_cycles" not in metrics:
        return (first,)
    return first, (
        f"PIM: {metrics['pim_rows']:,} rows in {metrics['pim_time_us']:,.1f} us, a launch in "
        f"{metrics['pim_launch_us_mean']:,.1f} us, {metrics['pim_slowdown']:.2f} times as long as without host"
    )


def _notes(outcome: MixedOutcome, metrics: Metrics) -> list[str]:
    notes = ["energy of PIM commands is not modelled"]
    for side, other in (("host", "PIM"), ("pim", "the host")):
        waited = metrics[f"{side}_longest_wait_us"]
        if waited > _LONG_WAIT_US and not outcome.sharing.max_wait_cyc:
            notes.append(
                f"{'the host' if side == 'host' else 'PIM'} starved for up to {waited:,.1f} us while {other} had the "
                f"channel: {outcome.sharing.policy} sets no bound; max_wait_cyc does"
            )
    return notes


def _distributions(outcome: MixedOutcome) -> dict[str, Distribution]:
    found = {}
    for name, timing in (("host_latency_ns", outcome.timing.host), ("host_alone_latency_ns", outcome.host_alone)):
        reads = outcome.latencies(timing)
        if len(reads.cyc):
            values, counts = reads.counted()
            found[name] = Distribution(values.astype(np.float64) * outcome.tick_ns, counts)
    return found
