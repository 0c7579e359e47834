"""Unlimited promotion: every page of CXL memory faults at its next access and is promoted there and then.

What NUMA balancing would be without a hot threshold and without a limit, and every page always protected.
Source: the bound that rate limits are there for; see m5.yaml for what a move costs.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from simulator.core.quantities import PositivePs
from simulator.memory.tiers.policy import MachineView
from simulator.memory.tiers.policy_config import PolicyConfig


class OnTouch:
    """Promotion at first touch, without a limit. Faults are served every `service`."""

    name = "on_touch"
    moves_in_fault = True

    class Config(PolicyConfig):
        """The part `hw_configs/parts/policies/on_touch.yaml`."""

        kind: Literal["on_touch"] = "on_touch"
        service_ps: PositivePs

    def __init__(self, config: Config) -> None:
        self.config = config

    def start(self, machine: MachineView, seed: int) -> int:
        """Protect every page; nothing here is random."""
        self._was_on_ddr = np.zeros(machine.n_pages, np.bool_)
        machine.protect(np.arange(machine.n_pages))
        return machine.now_ps + self.config.service_ps

    def act(self, machine: MachineView) -> int:
        """Promote every page that faulted, and protect again what lies in CXL memory without protection."""
        pages, _, _ = machine.take_faults()
        if not len(pages):
            return machine.now_ps + self.config.service_ps
        machine.pick(pages)
        machine.promote(pages)
        demoted = np.flatnonzero(self._was_on_ddr & ~machine.on_ddr)
        stayed = pages[~machine.on_ddr[pages]]
        machine.protect(np.union1d(demoted, stayed))
        self._was_on_ddr = machine.on_ddr.copy()
        return machine.now_ps + self.config.service_ps
