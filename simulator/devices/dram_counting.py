"""What a DRAM run amounts to: its end, bandwidth and latencies, as the published simulator counts and as they are.

Source: Ramulator 2.1 for the published way. It ends a run when the last request is taken, with up to a queue of them
unserved; divides the latency of all reads that have their data, forwarded ones included, by the reads whose column
command was issued, forwarded ones left out; and counts time in whole picoseconds a tick.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator.memory.dram.controller import DramTiming, Requests, Tally
from simulator.memory.dram.spec import DramSpec

Accounting = Literal["published", "corrected"]

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
_N_BINS = 200


@dataclass(frozen=True, slots=True)
class Account:
    """The numbers of a run under one way of counting. What is not defined is None: no reads, or no time."""

    accounting: Accounting
    cycles: int
    tick_ps: Fraction
    tally: Tally
    bandwidth_gb_per_s: float
    peak_gb_per_s: float
    avg_read_latency_cyc: float | None

    @property
    def time_ps(self) -> float:
        """Length of the run."""
        return float(self.cycles * self.tick_ps)


def account(accounting: Accounting, spec: DramSpec, n_channels: int, timing: DramTiming) -> Account:
    """Count a run.

    `published`: up to the last acceptance, latencies as the reference averages them. `corrected`: up to the last column
    command, all reads alike, the exact clock.
    """
    if accounting == "published":
        cycles, tally, tick_ps = timing.cycles, timing.at_stop, Fraction(spec.tick_ps)
        n_reads, latency_sum = tally.reads_served, tally.read_latency_sum
    else:
        cycles, tally, tick_ps = timing.drain_cycles, timing.at_drain, spec.tick_period_ps
        reads = timing.latency_cyc >= 0
        n_reads, latency_sum = int(np.count_nonzero(reads)), int(timing.latency_cyc[reads].sum())
    n_bytes = (tally.reads_served + tally.writes_served) * spec.tx_bytes
    time_ps = cycles * tick_ps
    burst_ps = spec.burst_cyc * spec.ticks_per_ck * tick_ps
    return Account(
        accounting=accounting,
        cycles=cycles,
        tick_ps=tick_ps,
        tally=tally,
        bandwidth_gb_per_s=float(n_bytes * 1000 / time_ps) if time_ps else 0.0,
        peak_gb_per_s=float(n_channels * spec.n_data_buses * spec.tx_bytes * 1000 / burst_ps),
        avg_read_latency_cyc=latency_sum / n_reads if n_reads else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Latencies:
    """Latencies in ticks, rising, int64[n]."""

    cyc: NDArray[np.int64]

    @classmethod
    def of_reads(cls, timing: DramTiming) -> Latencies:
        """Of every read, from the controller's acceptance to its data."""
        return cls(np.sort(timing.latency_cyc[timing.latency_cyc >= 0]))

    @classmethod
    def of_offers(cls, spec: DramSpec, requests: Requests, timing: DramTiming) -> Latencies:
        """Of every read, from when it was offered to its data, with the wait for room in the queue.

        A forwarded read is counted from the last acceptance before it that is known: at least that long.
        """
        reads, served = timing.latency_cyc >= 0, timing.issue_cyc >= 0
        depart = np.where(served, timing.issue_cyc + spec.read_latency, 0)
        arrive = np.where(reads & served, depart - timing.latency_cyc, requests.offer_cyc - 1)
        forwarded = reads & ~served
        depart[forwarded] = np.maximum.accumulate(arrive)[forwarded] + timing.latency_cyc[forwarded]
        return cls(np.sort((depart - requests.offer_cyc + 1)[reads]))

    def at(self, share: float) -> int:
        """The least latency that at least this share of the reads does not exceed. There must be some."""
        return int(self.cyc[max(0, -int(-share * len(self.cyc) // 1) - 1)])

    def statistics(self) -> dict[str, int]:
        """Percentiles and the maximum, in ticks; nothing where there were no reads."""
        if not len(self.cyc):
            return {}
        return {**{name: self.at(share) for name, share in PERCENTILES.items()}, "max": int(self.cyc[-1])}

    def counted(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Distinct latencies and how often each occurs."""
        first = np.flatnonzero(np.diff(self.cyc, prepend=-1))
        return self.cyc[first], np.diff(first, append=len(self.cyc))


def bandwidth_over_time(spec: DramSpec, timing: DramTiming) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges of equal pieces of the run in us, float64[n], and GB/s of the columns issued in each, the last repeated."""
    issued = timing.issue_cyc[timing.issue_cyc >= 0]
    if not len(issued):
        return np.empty(0), np.empty(0)
    end = int(issued.max()) + 1
    n_bins = min(_N_BINS, end)
    edges = np.arange(n_bins + 1) * end / n_bins
    counts, _ = np.histogram(issued, edges)
    tick_ps = float(spec.tick_period_ps)
    rate = counts * spec.tx_bytes * 1000 / (np.diff(edges) * tick_ps)
    return edges * tick_ps * 1e-6, np.append(rate, rate[-1])
