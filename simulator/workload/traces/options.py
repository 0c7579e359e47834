"""What a user may ask of a trace, besides its path."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """How to replay a trace.

    n_requests: only the first so many; jitter_s: seconds of uniform delay; qps: mean rate; time_scale: factor on
    arrival times (at most one of the two); seed: of everything drawn; arrivals: the process (`poisson`, `gamma`,
    `constant`) for formats without times, and arrivals_cv the coefficient of variation that `gamma` needs. Applied in
    this order: first requests, jitter (in recorded time), speed.
    """

    n_requests: int | None = None
    qps: float | None = None
    time_scale: float | None = None
    jitter_s: float = 0.0
    seed: int = 1
    arrivals: str | None = None
    arrivals_cv: float | None = None

    def __post_init__(self) -> None:
        if self.qps is not None and self.time_scale is not None:
            raise ConfigError(
                "--qps and --time-scale both set the speed of arrivals",
                where="--time-scale",
                remedy="give one of the two",
            )

    def refuse_arrivals(self, format_name: str) -> None:
        """Refuse an arrival process for a format that has its own times."""
        if self.arrivals is not None or self.arrivals_cv is not None:
            raise ConfigError(
                f"a {format_name} trace has its own arrival times",
                where="arrivals",
                remedy="leave the arrival process out; --qps and --time-scale change the speed",
            )
