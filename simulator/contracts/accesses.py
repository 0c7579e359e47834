"""What a system that runs memory accesses gives: one outcome for each of its migration policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from simulator.workload.accesses import AccessStream

NO_MIGRATION, ORACLE = "no_migration", "oracle"
"""Kinds of policy that others are measured by: pages stay where they are, or the whole stream is known."""


@dataclass(frozen=True, slots=True, eq=False)
class PolicyRun:
    """A stream under one policy, whose configuration calls it `policy` and whose `kind` is its class's name.

    `spent_ps` says where the time went, by part; it sums to `time_ps`. Reads and writes are lines. `picked` int64[m]
    are the pages that the policy held for hot, in the order in which it first did; `request_ps` int64[m] the time of
    each request where the stream has requests. `ddr_read_frac` is the share of reads that DDR served, sampled at
    `sample_ps`, after `sample_record` records. `bound_ps` is a time that no plan of moves can beat, for the oracle
    alone. `region_reads` are the line reads that DDR and CXL memory served of each kind of region, where it has any.
    """

    policy: str
    kind: str
    time_ps: int
    spent_ps: dict[str, float]
    ddr_reads: int
    ddr_writes: int
    cxl_reads: int
    cxl_writes: int
    n_promoted: int
    n_demoted: int
    n_faults: int
    n_refused: int
    picked: NDArray[np.int64]
    request_ps: NDArray[np.int64]
    sample_ps: NDArray[np.int64]
    ddr_read_frac: NDArray[np.float64]
    bound_ps: int | None = None
    notes: tuple[str, ...] = ()
    counts: dict[str, int | float] = field(default_factory=dict)
    region_reads: dict[str, tuple[int, int]] = field(default_factory=dict)
    sample_record: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class AccessRun:
    """A stream under every policy that was asked for, and with all pages left where they are, which is what they are
    measured by; `page_reads` int64[n_pages] are the line reads of each page."""

    runs: Sequence[PolicyRun]
    unmoved: PolicyRun
    page_reads: NDArray[np.int64]
    n_ddr_pages: int
    notes: tuple[str, ...] = ()


@runtime_checkable
class RunsAccesses(Protocol):
    """A machine that runs streams of memory accesses (workload kind `accesses`)."""

    def run_accesses(self, stream: AccessStream, seed: int) -> AccessRun:
        """Run a stream under every policy of the configuration."""
        ...
