"""Weights on a machine's FC stacks: every matrix cut in a block for each stack, and what a product with it takes.

Inputs go from a hub, a processor or the host, to all stacks that share them at once; partial sums come back from each.

Source: PAPI (ASPLOS 2025). Not modelled: two matrices at a time, sums made on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from simulator.core.energy import EnergyLedger
from simulator.devices.pim_blocks import block_grid
from simulator.devices.pim_energy import StackCommands, UnitWork
from simulator.devices.pim_linear import RESULT_BYTES, LinearShape
from simulator.devices.pim_stack import PimStack

_N_KEPT = 1 << 14


@dataclass(frozen=True, slots=True)
class WeightsRun:
    """A product of tokens and a matrix on all stacks: time of the slowest stack, bytes from the hub and back, energy of
    all stacks, what bound it, and the share of the columns' rate that it reached."""

    time_ps: float
    input_bytes: int
    output_bytes: int
    energy: EnergyLedger
    bound: str
    peak_frac: float


class PimWeights:
    """`n_stacks` equal stacks that hold weights; `hub_ps_per_byte` is what a byte takes between them and the hub."""

    def __init__(self, stack: PimStack, n_stacks: int, bytes_per_element: int, hub_ps_per_byte: float) -> None:
        self.stack, self.n_stacks, self.bytes_per_element = stack, n_stacks, bytes_per_element
        self.hub_ps_per_byte = hub_ps_per_byte
        self.linear = lru_cache(maxsize=_N_KEPT)(self._linear)

    @property
    def capacity_bytes(self) -> int:
        """Bytes of all stacks."""
        return self.n_stacks * self.stack.capacity_bytes

    def _linear(self, tokens: int, n_in: int, n_out: int) -> WeightsRun:
        """One product; its grid is the one with least time, links included."""
        shape = LinearShape(tokens, n_in, n_out, self.bytes_per_element)
        grid = block_grid(self.stack, self.n_stacks, shape, link_ps_per_byte=self.hub_ps_per_byte * self.n_stacks)
        run, config = grid.run, self.stack.config
        one = run.commands
        commands = StackCommands(one["MAC"], one["WRGB"], one["MVSB"], one["MVGB"], one["SFM"])  # each column read once
        ledger = self.stack.energy.data_energy(commands, config.placement, config.accounting).scaled(self.n_stacks)
        ledger = ledger + self.stack.energy.unit_energy(UnitWork(float(tokens) * n_in * n_out))
        least = one["MAC"] / config.n_channels * self.stack.channel.mac_ticks
        return WeightsRun(
            time_ps=run.time_ps,
            input_bytes=tokens * n_in * self.bytes_per_element,
            output_bytes=grid.rows * tokens * n_out * RESULT_BYTES,
            energy=ledger,
            bound=run.bound,
            peak_frac=min(1.0, least / run.ticks) if run.ticks else 0.0,
        )
