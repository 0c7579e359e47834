"""Arrival processes for requests that come without times."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from simulator.core.errors import ConfigError, WorkloadError
from simulator.workload.requests import MAX_ARRIVAL_PS, PS_PER_S

PROCESSES = ("poisson", "gamma", "constant")


def arrival_times_ps(n: int, qps: float, process: str, cv: float | None, rng: np.random.Generator) -> list[int]:
    """`n` arrival times in picoseconds, the first at 0, with independent intervals of mean 1/qps.

    `poisson`: exponential intervals; `gamma`: intervals of coefficient of variation `cv` (below 1 regular, above 1
    bursty); `constant`: equal ones. The mean rate of a drawn sample differs from qps as chance has it. Raises
    ConfigError on an unknown process, a rate or a variation that is no positive number, and a variation given to
    another process than gamma.
    """
    if n < 1:
        raise WorkloadError("there are no requests", remedy="give a trace of at least one")
    if process not in PROCESSES:
        raise ConfigError(
            f"arrival process {process!r} is not known", where="arrivals", remedy=f"give one of {', '.join(PROCESSES)}"
        )
    if not 1e-9 <= qps <= 1e9:
        raise ConfigError(f"a rate of {qps} requests/s", where="--qps", remedy="give a positive number, such as 0.6")
    if (cv is not None) != (process == "gamma"):
        raise ConfigError(
            f"the {process} process {'needs a' if process == 'gamma' else 'has no'} coefficient of variation",
            where="arrivals_cv",
            remedy="give arrivals_cv with arrivals: gamma, and only there",
        )
    if cv is not None and not 1e-3 <= cv <= 1e3:
        raise ConfigError(f"arrivals_cv is {cv}", where="arrivals_cv", remedy="give a number from 0.001 to 1000")
    if (n - 1) / qps * PS_PER_S * (cv or 1) ** 2 * 64 > MAX_ARRIVAL_PS:
        raise WorkloadError(
            f"{n:,} requests at {qps} requests/s last longer than 64-bit picoseconds hold",
            where="--qps",
            remedy="give a higher rate, or fewer requests",
        )
    if process == "constant":
        interval = PS_PER_S / Fraction(str(qps))
        return [round(index * interval) for index in range(n)]
    shape = 1.0 if cv is None else 1.0 / cv**2
    intervals_ps = rng.standard_gamma(shape, n - 1) * (PS_PER_S / (qps * shape))
    return [0, *np.cumsum(np.rint(intervals_ps).astype(np.int64)).tolist()]
