"""Perfect foresight: the moves of a plan made beforehand from the whole stream, each at its record.

Not modelled: how anybody could know. Source: `memory.tiers.oracle_plan`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, PositiveInt

from simulator.core.quantities import PositivePs
from simulator.memory.tiers.oracle_plan import Int64s, Plan
from simulator.memory.tiers.policy import NEVER_PS, MachineView

_N_OFFERED = 256


class Oracle:
    """Carries out a plan. `boundaries`, int64[k] records, are where the machine has to call it."""

    name = "oracle"

    class Config(BaseModel):
        """The part of the configuration: how coarse the plan is, in records; pages move at multiples of it only. What
        the migration queue does not take is tried again every `retry`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        kind: Literal["oracle"] = "oracle"
        interval_records: PositiveInt = 16_384
        retry_ps: PositivePs = 10**10

    def __init__(self, config: Oracle.Config, plan: Plan) -> None:
        self.config = config
        self.boundaries: Int64s = plan.boundaries
        self._plan = plan
        self._n_done = 0
        self._late = np.zeros(0, np.int64)

    def start(self, machine: MachineView, seed: int) -> int:
        """Moves that come before the first access; nothing here is random."""
        self._n_done = 0
        self._late = np.zeros(0, np.int64)
        return self.act(machine)

    def act(self, machine: MachineView) -> int:
        """All moves up to now. Promotions that the machine refused are tried again a little later."""
        plan, counters = self._plan, machine.counters()
        n_lines = counters.ddr_reads + counters.ddr_writes + counters.cxl_reads + counters.cxl_writes
        n_due = int(np.searchsorted(plan.boundaries, n_lines // plan.lines_per_record, side="right"))
        for step in range(self._n_done, n_due):
            machine.demote(plan.demoted[step])
            self._late = self._late[~np.isin(self._late, plan.demoted[step])]
            machine.pick(plan.promoted[step])
            self._promote(machine, plan.promoted[step])
        if n_due == self._n_done:
            self._promote(machine, self._late[:0])
        self._n_done = n_due
        return machine.now_ps + self.config.retry_ps if len(self._late) else NEVER_PS

    def _promote(self, machine: MachineView, pages: Int64s) -> None:
        """Promote late pages and these, as far as there is room that needs no demotion and the machine takes them."""
        wanted = np.concatenate((self._late, pages)) if len(pages) else self._late
        n_free, begin = machine.n_free_ddr_pages, 0
        stayed = [wanted[:0]]
        # A few at a time: what the machine refuses it has looked at in vain.
        while begin < min(n_free, len(wanted)):
            some = wanted[begin : min(begin + _N_OFFERED, n_free)]
            begin += len(some)
            if machine.promote(some) < len(some):
                stayed.append(some[~machine.on_ddr[some]])
                break
        self._late = np.concatenate((*stayed, wanted[begin:])) if len(stayed) > 1 else wanted[begin:]
