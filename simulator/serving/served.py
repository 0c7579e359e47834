"""What serving a stream of requests came to, whatever the engine: times of each request, rates, goodput, energy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.contracts.results import Scalar, Table
from simulator.serving.capacity import KvUse
from simulator.serving.requests import Requests
from simulator.serving.statistics import Summary, WeightedValues, summary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int64s = NDArray[np.int64]

PS_PER_S = 10**12
MS_PER_PS = 1e-9


@dataclass(frozen=True, slots=True)
class Goodput:
    """Requests that met a service level objective: their fraction, and how many per second of the makespan."""

    fraction: float
    requests_per_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """Requests served by one engine; arrays are by row of `requests`, times int64 in ps from the trace's zero.

    `start_ps`: it left the queue; `first_token_ps`, `finish_ps`: its first and last output token came out; `tokens_pj`
    float64: the energy of its tokens. `token_gaps`: every time between two output tokens of a request. `kv`: None where
    no capacity was given.
    """

    requests: Requests
    start_ps: Int64s
    first_token_ps: Int64s
    finish_ps: Int64s
    tokens_pj: NDArray[np.float64]
    idle_power_w: float
    token_gaps: WeightedValues
    kv: KvUse | None

    @property
    def queueing_ps(self) -> Int64s:
        """From arrival until it leaves the queue."""
        return self.start_ps - self.requests.arrival_ps

    @property
    def ttft_ps(self) -> Int64s:
        """Time to first token: from arrival to the first output token."""
        return self.first_token_ps - self.requests.arrival_ps

    @property
    def tpot_ps(self) -> NDArray[np.float64]:
        """Time per output token after the first: (last - first) / (output tokens - 1); NaN where there is only one."""
        gaps = (self.requests.output_tokens - 1).astype(np.float64)
        return (self.finish_ps - self.first_token_ps) / np.where(gaps > 0, gaps, np.nan)

    @property
    def e2e_ps(self) -> Int64s:
        """From arrival to the last output token."""
        return self.finish_ps - self.requests.arrival_ps

    @property
    def arrival_span_ps(self) -> int:
        """From the first arrival to the last."""
        return int(self.requests.arrival_ps.max() - self.requests.arrival_ps.min())

    @property
    def makespan_ps(self) -> int:
        """From the first arrival to the last finish."""
        return int(self.finish_ps.max() - self.requests.arrival_ps.min())

    @property
    def n_tokens(self) -> int:
        """Prompt and output tokens together."""
        return int(self.requests.total_tokens.sum())

    @property
    def idle_ps(self) -> int:
        """For how long the idle power flows: the makespan, where steps are charged for what they add to it."""
        return self.makespan_ps

    @property
    def idle_pj(self) -> float:
        """Energy of the idle power."""
        return self.idle_power_w * self.idle_ps

    @property
    def energy_pj(self) -> float:
        """Energy of all tokens, and of the idle power."""
        return float(self.tokens_pj.sum()) + self.idle_pj

    def queue_lengths(self) -> tuple[Int64s, Int64s]:
        """How many requests wait, as steps: rising times, and from each time on the length. Ends with length 0."""
        return _level(self.requests.arrival_ps, self.start_ps)

    def in_service(self) -> tuple[Int64s, Int64s]:
        """How many requests have left the queue and are not done, as steps like `queue_lengths`. Ends with 0."""
        return _level(self.start_ps, self.finish_ps)

    def goodput(self, *, ttft_ms: float, tpot_ms: float) -> Goodput:
        """Requests with a TTFT and a TPOT within these limits; with one output token there is no TPOT to exceed."""
        tpot = self.tpot_ps
        good = (self.ttft_ps * MS_PER_PS <= ttft_ms) & (np.isnan(tpot) | (tpot * MS_PER_PS <= tpot_ms))
        n_good = int(good.sum())
        return Goodput(n_good / len(self.requests), n_good * PS_PER_S / self.makespan_ps)

    def latencies(self) -> dict[str, Summary]:
        """Mean and percentiles in ms of `ttft`, `tpot`, `tbt`, `e2e` (over requests; tbt over tokens) and `queueing`.

        What no request has is left out: TPOT and TBT if each had one output token.
        """
        tpot = self.tpot_ps
        found = {
            "ttft": summary(self.ttft_ps),
            "tpot": summary(tpot[~np.isnan(tpot)]),
            "tbt": self.token_gaps.summary(),
            "e2e": summary(self.e2e_ps),
            "queueing": summary(self.queueing_ps),
        }
        return {name: every.scaled(MS_PER_PS) for name, every in found.items() if every is not None}

    def table(self) -> Table:
        """A row per request, in the rows' order; no TPOT for a single output token."""
        requests = self.requests
        times_ps = (requests.arrival_ps, self.queueing_ps, self.ttft_ps, self.tpot_ps, self.e2e_ps, self.finish_ps)
        arrival, queueing, ttft, tpot, e2e, finish = ((times * MS_PER_PS).tolist() for times in times_ps)
        columns: dict[str, list[Scalar | None]] = {
            "id": requests.ids.tolist(),
            "arrival_ms": arrival,
            "prompt_tokens": requests.prompt_tokens.tolist(),
            "output_tokens": requests.output_tokens.tolist(),
            **self.own_columns(),
            "queueing_ms": queueing,
            "ttft_ms": ttft,
            "tpot_ms": [None if math.isnan(value) else value for value in tpot],
            "e2e_ms": e2e,
            "finish_ms": finish,
            "energy_mj": (self.tokens_pj * 1e-9).tolist(),
        }
        return Table(tuple(columns), list(zip(*columns.values(), strict=True)))

    def own_columns(self) -> dict[str, list[Scalar | None]]:
        """Columns of the table that only this engine has."""
        return {}

    def own_metrics(self) -> dict[str, int | float]:
        """Scalars that only this engine has."""
        return {}

    def metrics(self) -> dict[str, int | float]:
        """All scalars by name with unit, as a run's summary prints them; what is undefined or infinite is left out."""
        makespan_s = self.makespan_ps / PS_PER_S
        span_s = self.arrival_span_ps / PS_PER_S
        n, n_output = len(self.requests), int(self.requests.output_tokens.sum())
        metrics: dict[str, int | float] = {
            "n_requests": n,
            "makespan_s": makespan_s,
            "arrival_span_s": span_s,
            **self.own_metrics(),
            "offered_requests_per_s": (n - 1) / span_s if span_s else math.inf,
            "served_requests_per_s": n / makespan_s,
            "throughput_tokens_per_s": self.n_tokens / makespan_s,
            "output_tokens_per_s": n_output / makespan_s,
            "energy_j": self.energy_pj * 1e-12,
            "energy_mj_per_token": self.energy_pj * 1e-9 / self.n_tokens,
            "power_w": self.energy_pj / self.makespan_ps,
        }
        for name, latency in self.latencies().items():
            for part in ("mean", "p50", "p90", "p99"):
                metrics[f"{name}_ms_{part}"] = getattr(latency, part)
        metrics["queue_length_max"] = int(self.queue_lengths()[1].max())
        metrics["queue_length_mean"] = total_ps(self.queueing_ps) / self.makespan_ps
        if self.kv is not None:
            metrics["kv_peak_tokens"] = self.kv.peak_tokens
            metrics["kv_capacity_tokens"] = self.kv.capacity_tokens
            metrics["kv_overshoot_tokens"] = self.kv.overshoot_tokens
            metrics["kv_overshoot_bytes"] = self.kv.overshoot_bytes
        return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _level(enter_ps: Int64s, leave_ps: Int64s) -> tuple[Int64s, Int64s]:
    """How many are inside, as steps, from when each enters and leaves."""
    n = len(enter_ps)
    times, which = np.unique(np.concatenate((enter_ps, leave_ps)), return_inverse=True)
    change = np.bincount(which[:n], minlength=len(times)) - np.bincount(which[n:], minlength=len(times))
    level = np.cumsum(change)
    changed = np.flatnonzero(np.diff(level, prepend=-1))
    return times[changed], level[changed]


def total_ps(times_ps: Int64s) -> float:
    """The sum of many times: in floating point, as a million requests of a minute exceed 64 bits of picoseconds."""
    return float(times_ps.sum(dtype=np.float64))
