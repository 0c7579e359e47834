"""Discrete events of a serving engine, and what ends them early."""

from __future__ import annotations

import simpy

from simulator.core.errors import SimulatorError, WorkloadError

LAST_PS = 2**63 - 1


def run_events(env: simpy.Environment) -> None:
    """Run until nothing is left to happen.

    What a process raises arrives as it was raised: simpy raises a copy made of the message alone, which has lost place,
    remedy and missing bytes.
    """
    try:
        env.run()
    except SimulatorError as copy:
        raise (copy.__cause__ if isinstance(copy.__cause__, SimulatorError) else copy) from None


def check_time(end_ps: int) -> None:
    """Raises WorkloadError for a time beyond 64 bits of picoseconds."""
    if end_ps > LAST_PS:
        raise WorkloadError(
            "serving these requests takes more than 106.75 days, which is all that 64-bit picoseconds hold",
            remedy="replay fewer requests with --requests, or correct the rates and times below `system`",
        )
