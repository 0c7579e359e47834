"""All attention stacks of a machine: which stack and channel has which key-value head, and what they take together.

Heads of all sequences are spread over all channels of all stacks. In the published accounting equal heads fill stacks
one as the other, rounded up, as AttAcc's simulator has it; else the longest head goes first to the channel with least
to do. Where heads differ, a channel's time is the sum of what its heads take in a long line of equal ones, and what a
line begins with (`fast`), or the channel's own program (`full`).

Source: AttAcc (ASPLOS 2024); PAPI (ASPLOS 2025). Not modelled: heads that move when sequences leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heapify, heapreplace
from typing import Literal

from simulator.core.energy import EnergyLedger
from simulator.core.rounding import ceil_div
from simulator.devices.pim_attention import PimHead
from simulator.devices.pim_energy import StackCommands, UnitWork, attention_work
from simulator.devices.pim_stack import PimStack, StackRun

Heads = Sequence[tuple[PimHead, int]]
"""Key-value heads with how often each occurs."""

Detail = Literal["fast", "full"]
_N_KEPT = 1 << 15
_LINE = (2, 6)
"""Lengths of the lines of equal heads from which one head's time in a long line is taken."""


@dataclass(frozen=True, slots=True)
class PoolRun:
    """One layer's attention on all stacks: time of the slowest, its ticks, all commands, and the energy of it."""

    time_ps: float
    ticks: int
    commands: dict[str, int]
    energy: EnergyLedger
    bound: str
    peak_frac: float


@dataclass(frozen=True, slots=True)
class HeadCost:
    """A head in a long line of its like on one channel: ticks, what a line takes beside them, commands and waits."""

    ticks: float
    line_ticks: float
    commands: dict[str, float]
    bound: str


class PimPool:
    """`n_stacks` equal stacks."""

    def __init__(self, stack: PimStack, n_stacks: int, head_dim: int, bytes_per_element: int, detail: Detail) -> None:
        self.stack, self.n_stacks, self.detail = stack, n_stacks, detail
        self.head_dim, self.bytes_per_element = head_dim, bytes_per_element
        self._cost = lru_cache(maxsize=_N_KEPT)(self._head_cost)

    @property
    def n_channels(self) -> int:
        """Channels of all stacks."""
        return self.n_stacks * self.stack.config.n_channels

    @property
    def capacity_bytes(self) -> int:
        """Bytes of all stacks."""
        return self.n_stacks * self.stack.capacity_bytes

    def attention(self, heads: Heads) -> PoolRun:
        """Attention of all these heads."""
        kinds: dict[PimHead, int] = {}
        for head, n in heads:
            kinds[head] = kinds.get(head, 0) + n
        is_published = self.stack.config.accounting == "published"
        if len(kinds) == 1:
            ((head, n),) = kinds.items()
            if is_published:
                run = self.stack.attention([head] * ceil_div(n, self.n_stacks), self.head_dim, self.bytes_per_element)
                commands = {name: count * self.n_stacks for name, count in run.commands.items()}
                return self._result(run.ticks, commands, run.bound, kinds)
            each, n_more = divmod(n, self.n_channels)
            counts = [((head,) * (each + 1), n_more), ((head,) * each, self.n_channels - n_more)]
            return self._exact([(own, n) for own, n in counts if n and own], kinds)
        channels = self._assigned(kinds)
        if self.detail == "full":
            groups: dict[tuple[PimHead, ...], int] = {}
            for own in channels:
                groups[own] = groups.get(own, 0) + 1
            return self._exact(list(groups.items()), kinds)
        return self._fast(channels, kinds)

    def _exact(self, channels: Sequence[tuple[tuple[PimHead, ...], int]], kinds: dict[PimHead, int]) -> PoolRun:
        runs = [(self.stack.channel_run(own, self.head_dim, self.bytes_per_element), n) for own, n in channels]
        run: StackRun = self.stack.combined(runs)
        return self._result(run.ticks, run.commands, run.bound, kinds)

    def _assigned(self, kinds: dict[PimHead, int]) -> list[tuple[PimHead, ...]]:
        """The heads of each channel that has any: the longest first, to the channel with least to do."""
        costs = {head: self._cost(head).ticks for head in kinds}
        order = sorted(kinds, key=lambda head: (-costs[head], -head.context))
        n = min(self.n_channels, sum(kinds.values()))
        loads: list[tuple[float, int]] = [(0.0, channel) for channel in range(n)]
        heapify(loads)
        channels: list[list[PimHead]] = [[] for _ in range(n)]
        for head in order:
            for _ in range(kinds[head]):
                load, channel = loads[0]
                channels[channel].append(head)
                heapreplace(loads, (load + costs[head], channel))
        return [tuple(own) for own in channels]

    def _fast(self, channels: list[tuple[PimHead, ...]], kinds: dict[PimHead, int]) -> PoolRun:
        costs = {head: self._cost(head) for head in kinds}
        ticks = max(sum(costs[head].ticks for head in own) + costs[own[0]].line_ticks for own in channels)
        commands: dict[str, float] = {}
        for head, n in kinds.items():
            for name, count in costs[head].commands.items():
                commands[name] = commands.get(name, 0.0) + n * count
        longest = max(kinds, key=lambda head: costs[head].ticks * kinds[head])
        return self._result(
            round(ticks), {name: round(n) for name, n in commands.items()}, costs[longest].bound, kinds
        )  # fmt: skip

    def _head_cost(self, head: PimHead) -> HeadCost:
        """From two lines of equal heads: the difference is what the heads between them take."""
        few, many = (
            self.stack.channel_run((head,) * n, self.head_dim, self.bytes_per_element) for n in _LINE
        )  # fmt: skip
        n = _LINE[1] - _LINE[0]
        run = self.stack.combined([(many, 1)])
        short = self.stack.combined([(few, 1)])
        commands = {name: (count - short.commands[name]) / n for name, count in run.commands.items()}
        each = (many.ticks - few.ticks) / n
        return HeadCost(each, max(0.0, few.ticks - _LINE[0] * each), commands, run.bound)

    def _result(self, ticks: int, commands: dict[str, int], bound: str, kinds: dict[PimHead, int]) -> PoolRun:
        energy, config = self.stack.energy, self.stack.config
        one = StackCommands(commands["MAC"], commands["WRGB"], commands["MVSB"], commands["MVGB"], commands["SFM"])
        ledger = energy.data_energy(one, config.placement, config.accounting)
        for head, n in kinds.items():
            work: UnitWork = attention_work(
                n, head.context, self.head_dim, self.bytes_per_element, n_queries=head.n_queries,
                accounting=config.accounting,
            )  # fmt: skip
            ledger = ledger + energy.unit_energy(work)
        time_ps = float(ticks * self.stack.tick_ps)
        least = commands["MAC"] / self.n_channels * self.stack.channel.mac_ticks
        return PoolRun(time_ps, ticks, commands, ledger, bound, min(1.0, least / ticks) if ticks else 0.0)
