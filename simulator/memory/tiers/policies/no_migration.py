"""No migration: every page stays where it was put, which is in CXL memory. What the other policies are measured by."""

from __future__ import annotations

from typing import Literal

from simulator.memory.tiers.policy import NEVER_PS, MachineView
from simulator.memory.tiers.policy_config import PolicyConfig


class NoMigration:
    """A policy that never acts."""

    name = "no_migration"

    class Config(PolicyConfig):
        """The part `hw_configs/parts/policies/no_migration.yaml`."""

        kind: Literal["no_migration"] = "no_migration"

    def __init__(self, config: NoMigration.Config) -> None:
        self.config = config

    def start(self, machine: MachineView, seed: int) -> int:
        """Never wants to be called."""
        return NEVER_PS

    def act(self, machine: MachineView) -> int:
        """Does nothing."""
        return NEVER_PS
