"""An HBM stack with processing units: AttAcc's (1P1B), PAPI's FC-PIM (4P1B) and Attn-PIM, Samsung's HBM-PIM (1P2B).

One description serves all: the memory's standard and organisation, where the units are, how many of them a bank has,
and how fast they are. A product reads a column in every unit's banks; `q` vectors that share it keep the unit busy for
`q` cycles of its clock, times the banks that share the unit, so columns come no faster than that.

Attention puts a key-value head on each channel, a matrix product a block of the weights on each (`pim_linear`).

Source: AttAcc (ASPLOS 2024) and its simulator; PAPI (ASPLOS 2025). Not modelled: host accesses in between, time inside
the softmax unit, limits of the units' buffers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.core.errors import ConfigError
from simulator.core.quantities import Hertz, PositiveFloat, PositiveInt
from simulator.devices.dram import Dram
from simulator.devices.pim_area import StackArea, check_area
from simulator.devices.pim_attention import (
    HeadShape,
    PimHead,
    PublishedShare,
    attention_program,
    published_moves,
)
from simulator.devices.pim_energy import PimEnergy, StackCommands
from simulator.devices.pim_linear import LinearOnChannels, LinearShape, grids
from simulator.devices.pim_power import ColumnRate, PowerCheck, check_power, streaming_power
from simulator.memory.dram.standard import resolve
from simulator.memory.hbm_pim.channel import PimChannel, PimRun, Placement
from simulator.memory.hbm_pim.program import PimProgram

_N_KEPT = 1 << 14


@dataclass(frozen=True, slots=True)
class StackRun:
    """What a stack did: ticks of its slowest channel, commands of all channels by name (products as MAC, rows as ACT
    and PRE), and what that channel's products waited for, in ticks."""

    ticks: int
    time_ps: float
    commands: dict[str, int]
    waits: dict[str, int]
    product_ticks: int

    @classmethod
    def in_turn(cls, runs: Sequence[tuple[StackRun, int]]) -> StackRun:
        """Runs one after the other, so many of each."""
        commands, waits = (
            {name: sum(n * getattr(run, field)[name] for run, n in runs) for name in getattr(runs[0][0], field)}
            for field in ("commands", "waits")
        )
        ticks, products = sum(n * run.ticks for run, n in runs), sum(n * run.product_ticks for run, n in runs)
        return cls(ticks, sum(n * run.time_ps for run, n in runs), commands, waits, products)

    @property
    def stack_commands(self) -> StackCommands:
        """The commands that energy is counted by."""
        one = self.commands
        return StackCommands(one["MAC"], one["WRGB"], one["MVSB"], one["MVGB"], one["SFM"])

    @property
    def bound(self) -> str:
        """What took most of the time: products, rows, refresh or moves."""
        parts = {"products": self.product_ticks, **self.waits}
        return max(parts, key=lambda name: parts[name])


class PimStack:
    """One stack. Times are of its slowest channel; commands are of all of them."""

    class Config(BaseModel):
        """A part such as `hw_configs/parts/pim_stacks/attacc.yaml`.

        `units_per_place` are the units beside each bank (a half: two banks share one), or in each bank group or pseudo
        channel where those have them. `power_limit` spaces products as the power budget is said to ask; `max_context`
        is what the published layout lays heads out for. `tokens_per_pass` are the most that one reading of weights
        serves.

        The budget of the energy part is checked for units beside banks whose columns serve `least_reuse` tokens or
        more, in the reading of `power_column_rate` (`simulator.devices.pim_power`): reported, or enforced.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        kind: Literal["pim_stack"] = "pim_stack"
        name: str
        dram: Dram.Config
        n_channels: PositiveInt = 16
        placement: Placement = "bank"
        units_per_place: PositiveFloat = 1.0
        unit_clock_hz: Hertz
        power_limit: bool = True
        power_budget: Literal["report", "enforce"] = "report"
        power_column_rate: ColumnRate = "dram"
        least_reuse: PositiveInt = 1
        max_context: PositiveInt = 4096
        tokens_per_pass: PositiveInt = 64
        accounting: Literal["published", "corrected"] = "published"
        energy: PimEnergy.Config

    def __init__(self, config: Config) -> None:
        self.config = config
        names = {True: ("n_ccdab_limited", "n_ccdsb_limited"), False: ("n_ccdab", "n_ccdsb")}[config.power_limit]
        dram = config.dram.model_copy(update={"accounting": config.accounting})
        timing = resolve(dram).timing
        if missing := [name for name in names if name not in timing]:
            raise ConfigError(
                f"the grade {dram.timing} has no {', '.join(missing)}",
                where="dram.timing",
                remedy="use a grade of parts/dram/hbm3_pim.yaml",
            )
        chosen = {"n_ccdab": timing[names[0]], "n_ccdsb": timing[names[1]]}
        self.spec = resolve(dram.model_copy(update={"overrides": {**dram.overrides, **chosen}}))
        self.channel = PimChannel(self.spec, config.placement, dram.queue)
        self.energy = PimEnergy(config.energy)
        self._check_banks()
        self.area = self._checked_area()
        """Banks and units of a die; None where units are not beside banks."""
        self.power = self.power_at(self._worst_reuse())
        """Power against the budget, where it is highest; None where units are not beside banks."""
        self._run = lru_cache(maxsize=_N_KEPT)(self._timed)
        self._busy_ticks = lru_cache(maxsize=_N_KEPT)(self.busy_ticks)
        self._channels = LinearOnChannels(self.channel, config.n_channels, self._busy_ticks, config.tokens_per_pass)
        self._linear = lru_cache(maxsize=_N_KEPT)(self._grid_run)

    # --- what the stack is

    @property
    def capacity_bytes(self) -> int:
        """Bytes of all channels."""
        return self.spec.capacity_bytes * self.config.n_channels

    @property
    def n_banks(self) -> int:
        """Banks of all channels."""
        return self.spec.n_banks * self.config.n_channels

    @property
    def tick_ps(self) -> Fraction:
        """Period of the memory's clock."""
        return self.spec.tick_period_ps

    def busy_ticks(self, n_queries: int) -> int:
        """Ticks for which a column that serves so many vectors keeps its unit."""
        unit_ticks = Fraction(10**12) / Fraction(self.config.unit_clock_hz).limit_denominator(10**6) / self.tick_ps
        # A vector is one unit's: five on four units take as long as eight.
        n_cycles = ceil(n_queries / Fraction(self.config.units_per_place).limit_denominator(64))
        return max(1, ceil(n_cycles * unit_ticks))

    def macs_per_product(self, bytes_per_element: int) -> int:
        """Multiply-accumulates of one product, for one vector, in all units of a channel."""
        return self.channel.n_units * self.channel.n_spread * (self.spec.tx_bytes // bytes_per_element)

    def power_at(self, reuse: float) -> PowerCheck | None:
        """Power against the budget while columns serve so many tokens; None where units are not beside banks.

        Raises ConfigError where that is too much and the budget is enforced.
        """
        config = self.config
        if config.placement != "bank":
            return None
        power = streaming_power(
            config.energy, config.units_per_place, reuse, self.n_banks,
            column_rate=config.power_column_rate, is_limited=config.power_limit,
        )  # fmt: skip
        return check_power(power, config.energy, enforce=config.power_budget == "enforce")

    def _worst_reuse(self) -> float:
        """The reuse, of those there are to be, at which the stack draws most: the least, or where columns and units
        keep pace."""
        config, power = self.config, self.config.energy.power
        if config.power_column_rate == "fpu":
            return config.least_reuse
        period_ps = power.limited_column_period_ps if config.power_limit else power.column_period_ps
        return max(config.least_reuse, config.units_per_place * power.unit_clock_hz * period_ps / 1e12)

    def _checked_area(self) -> StackArea | None:
        config, area = self.config, self.config.energy.area
        if config.placement != "bank":
            return None
        return check_area(area, config.units_per_place, self.n_banks // area.n_dies, where="units_per_place")

    def _check_banks(self) -> None:
        """Energy is counted by the banks that a product reads."""
        counted = self.config.energy.organisation.banks_per_mac.of(self.config.placement)
        read = self.channel.n_units * self.channel.n_spread
        if counted != read:
            raise ConfigError(
                f"a product reads {read} banks of {self.config.dram.org}, but its energy is counted for {counted}",
                where=f"energy.organisation.banks_per_mac.{self.config.placement}",
                remedy=f"give {read}",
            )

    # --- what it does

    def attention(self, heads: Iterable[PimHead], head_dim: int, bytes_per_element: int = 2) -> StackRun:
        """Score, softmax and context of the key-value heads on this stack, each with its own context.

        Equal heads go to the channels in turn, others to the channel with least to do, longest first.
        """
        every = tuple(heads)
        if self.config.accounting == "published" and len(set(every)) == 1:
            return self._published(every[0], len(every), head_dim, bytes_per_element)
        groups: dict[tuple[PimHead, ...], int] = {}
        for channel in self._assigned(every):
            groups[channel] = groups.get(channel, 0) + 1
        runs = [(self._run(own, head_dim, bytes_per_element, None), n) for own, n in groups.items()]
        return self.combined(runs)

    def channel_run(self, heads: tuple[PimHead, ...], head_dim: int, bytes_per_element: int = 2) -> PimRun:
        """One channel that has these heads, in this order."""
        return self._run(heads, head_dim, bytes_per_element, None)

    def linear(
        self,
        tokens: int,
        in_features: int,
        out_features: int,
        bytes_per_element: int = 2,
        *,
        grid: tuple[int, int] | None = None,
    ) -> StackRun:
        """A fully-connected layer's product with the block of weights that this stack holds.

        `grid` are rows and columns of channels that the block is cut over; without it, those that take least time.
        Raises ConfigError for a grid of other channels, MappingError for a block that has no room.
        """
        n_channels = self.config.n_channels
        if grid is not None and grid not in grids(n_channels):
            raise ConfigError(
                f"a grid of {grid[0]} x {grid[1]} channels is not one of {n_channels}",
                where="grid",
                remedy=f"give rows and columns whose product is {n_channels}",
            )
        shape = LinearShape(tokens, in_features, out_features, bytes_per_element)
        # Raises where the budget is enforced, and columns that serve so few tokens draw more.
        self.power_at(min(tokens, self.config.tokens_per_pass))
        return self._linear(shape, grid)

    def linear_grids(self, shape: LinearShape) -> list[tuple[float, tuple[int, int]]]:
        """Grids of channels that a block can be cut over, and what it takes no less than, the least first. Raises
        MappingError where it has no room."""
        return [(float(ticks * self.tick_ps), grid) for ticks, grid in self._channels.bounds(shape)]

    def linear_time_ps(self, shape: LinearShape, grid: tuple[int, int] | None = None) -> float:
        """The time that `linear` tells, without the commands."""
        grid = grid or self._channels.best_grid(shape, None)
        return float(self._channels.ticks(shape, grid) * self.tick_ps)

    def _grid_run(self, shape: LinearShape, grid: tuple[int, int] | None) -> StackRun:
        grid = self._channels.best_grid(shape, grid)
        passes = [(self.combined(self._channels.runs(one, grid)), n) for one, n in self._channels.passes(shape)]
        return StackRun.in_turn(passes)

    def _assigned(self, heads: Sequence[PimHead]) -> list[tuple[PimHead, ...]]:
        """The heads of each channel that has any."""
        channels: list[list[PimHead]] = [[] for _ in range(min(self.config.n_channels, len(heads)))]
        work = [0] * len(channels)
        for head in sorted(heads, key=lambda one: -one.context * one.n_queries):
            least = work.index(min(work))
            channels[least].append(head)
            work[least] += head.context * max(self.channel.mac_ticks, self.busy_ticks(head.n_queries))
        return [tuple(own) for own in channels]

    def _published(self, head: PimHead, n_heads: int, head_dim: int, bytes_per_element: int) -> StackRun:
        """Equal heads, as the public trace generator lays them out: head i on channel i modulo the channels."""
        n_channels = self.config.n_channels
        in_round = tuple(min(n_channels, n_heads - first) for first in range(0, n_heads, n_channels))
        n_last, n_full = in_round[-1], len(in_round) - 1
        classes = [(0, n_full + 1, n_last)]
        if n_last < n_channels and n_full:
            classes.append((n_last, n_full, n_channels - n_last))
        runs = []
        for first, n_rounds, n in classes:
            share = PublishedShare(first, in_round, self.config.max_context)
            runs.append((self._run((head,) * n_rounds, head_dim, bytes_per_element, share), n))
        combined = self.combined(runs)
        # Channels of a class differ by a few moves; those of all are known without their programs.
        moves = published_moves(self.channel, head, self._shape(head_dim, bytes_per_element), in_round)
        return StackRun(
            combined.ticks, combined.time_ps, {**combined.commands, **moves}, combined.waits, combined.product_ticks
        )

    def _shape(self, head_dim: int, bytes_per_element: int) -> HeadShape:
        return HeadShape(head_dim, bytes_per_element, self._busy_ticks)

    def _program(
        self, heads: tuple[PimHead, ...], head_dim: int, bytes_per_element: int, share: PublishedShare | None
    ) -> PimProgram:
        return attention_program(self.channel, heads, self._shape(head_dim, bytes_per_element), share)

    def _timed(
        self, heads: tuple[PimHead, ...], head_dim: int, bytes_per_element: int, share: PublishedShare | None
    ) -> PimRun:
        return self.channel.run(self._program(heads, head_dim, bytes_per_element, share))

    def combined(self, runs: Sequence[tuple[PimRun, int]]) -> StackRun:
        """Channels side by side, so many of each."""
        rules = self.channel.rules
        names = {rules.mac: "MAC", rules.act: "ACT", rules.pre: "PRE"}
        commands: dict[str, int] = {}
        for run, n in runs:
            for name, count in run.commands.items():
                plain = names.get(name, name)
                commands[plain] = commands.get(plain, 0) + n * count
        slowest = max((run for run, _ in runs), key=lambda run: run.ticks)
        products = slowest.ticks - sum(slowest.waits.values())
        return StackRun(slowest.ticks, float(slowest.ticks * self.tick_ps), commands, slowest.waits, products)
