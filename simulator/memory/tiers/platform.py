"""What a machine of two tiers is built of: latencies under load, room in DDR, and what moving a page takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.memory.tiers.pages import PAGE_BYTES


@dataclass(frozen=True, slots=True)
class MigrationCosts:
    """What moving a page takes.

    `promote_ps` and `demote_ps` a page; a batch also pays `shootdown_ps` once, and no page is copied faster than
    `copy_bytes_per_ps`. A policy that moves pages within page faults lets the program wait for all of it. Others hand
    them to the migration thread, of which there is one with a queue of `queue_pages`: it is busy for all of it, and the
    program waits for `blocking_frac`. A page counts as moved when it is taken into the queue.
    """

    promote_ps: int
    demote_ps: int
    shootdown_ps: int
    copy_bytes_per_ps: float
    blocking_frac: float
    queue_pages: int

    def batch_ps(self, n_promoted: int, n_demoted: int) -> int:
        """Time of the migration thread for a batch."""
        n_pages = n_promoted + n_demoted
        if not n_pages:
            return 0
        worked = n_promoted * self.promote_ps + n_demoted * self.demote_ps
        copied = round(n_pages * PAGE_BYTES / self.copy_bytes_per_ps)
        return max(worked, copied) + self.shootdown_ps


@dataclass(frozen=True, slots=True, eq=False)
class Platform:
    """What does not change during a run: latency tables of both tiers, float64[k, 2] of (bytes/ps, ps); line reads in
    flight `mlp`; what a hint fault costs; how many pages DDR holds; migration."""

    ddr: NDArray[np.float64]
    cxl: NDArray[np.float64]
    mlp: float
    fault_ps: int
    n_ddr_pages: int
    quantum_records: int
    migration: MigrationCosts
