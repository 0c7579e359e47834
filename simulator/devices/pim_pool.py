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
from typing import TYPE_CHECKING, Literal

import numpy as np

from simulator.core.energy import EnergyLedger
from simulator.core.rounding import ceil_div
from simulator.devices.pim_attention import PimHead
from simulator.devices.pim_energy import StackCommands, UnitWork, attention_work
from simulator.devices.pim_stack import PimStack, StackRun
from simulator.kernels.balance import longest_first

if TYPE_CHECKING:
    from numpy.typing import NDArray

Heads = Sequence[tuple[PimHead, int]]
"""Key-value heads with how often each occurs."""

Detail = Literal["fast", "full"]
_N_KEPT = 1 << 15
_LINE = (1, 2, 3, 6)
"""Lengths of the lines of equal heads that are timed: what a line of one, of two, of three begins with differs, and the
last two tell what two more pairs take."""
_NO_REFRESH = {"n_refi": 1 << 30}


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
    """A head in a line of its like on one channel, refresh apart: ticks, what lines of one, of an even and of an odd
    number of heads take beside them, commands, and what bounds it."""

    ticks: float
    line_ticks: tuple[float, float, float]
    commands: dict[str, float]
    bound: str


class PimPool:
    """`n_stacks` equal stacks."""

    def __init__(self, stack: PimStack, n_stacks: int, head_dim: int, bytes_per_element: int, detail: Detail) -> None:
        self.stack, self.n_stacks, self.detail = stack, n_stacks, detail
        self.head_dim, self.bytes_per_element = head_dim, bytes_per_element
        quiet = stack.config.dram.model_copy(update={"overrides": {**stack.config.dram.overrides, **_NO_REFRESH}})
        self._quiet = PimStack(stack.config.model_copy(update={"dram": quiet}))
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
        if self.detail == "full":
            groups: dict[tuple[PimHead, ...], int] = {}
            for own in self._assigned(kinds):
                groups[own] = groups.get(own, 0) + 1
            return self._exact(list(groups.items()), kinds)
        return self._fast(kinds)

    def _exact(self, channels: Sequence[tuple[tuple[PimHead, ...], int]], kinds: dict[PimHead, int]) -> PoolRun:
        runs = [(self.stack.channel_run(own, self.head_dim, self.bytes_per_element), n) for own, n in channels]
        run: StackRun = self.stack.combined(runs)
        return self._result(run.ticks, run.commands, run.bound, kinds)

    def _balanced(self, kinds: dict[PimHead, int]) -> tuple[list[PimHead], NDArray[np.int64], NDArray[np.float64]]:
        """Kinds, the longest first, the channel of each head in that order, and the channels' loads in ticks."""
        costs = {head: self._cost(head).ticks for head in kinds}
        order = sorted(kinds, key=lambda head: (-costs[head], -head.context, -head.n_queries))
        counts = np.array([kinds[head] for head in order], np.int64)
        n = min(self.n_channels, int(counts.sum()))
        channels, loads = longest_first(np.array([costs[head] for head in order]), counts, n)
        return order, channels, loads

    def _assigned(self, kinds: dict[PimHead, int]) -> list[tuple[PimHead, ...]]:
        """The heads of each channel that has any: the longest first, to the channel with least to do."""
        order, places, loads = self._balanced(kinds)
        channels: list[list[PimHead]] = [[] for _ in loads]
        at = iter(places.tolist())
        for head in order:
            for _ in range(kinds[head]):
                channels[next(at)].append(head)
        return [tuple(own) for own in channels]

    def _fast(self, kinds: dict[PimHead, int]) -> PoolRun:
        order, places, loads = self._balanced(kinds)
        costs = {head: self._cost(head) for head in kinds}
        # The first head of a channel, its longest, is what its line begins with.
        firsts = np.repeat(np.arange(len(order)), [kinds[head] for head in order])[np.argsort(places, kind="stable")]
        starts = np.searchsorted(np.sort(places), np.arange(len(loads)))
        lengths = np.bincount(places, minlength=len(loads))
        line = np.where(lengths == 1, 0, 1 + lengths % 2)
        begins = np.array([costs[head].line_ticks for head in order])[firsts[starts], line]
        ticks = self._with_refresh(float((loads + begins).max()))
        commands: dict[str, float] = {}
        for head, n in kinds.items():
            for name, count in costs[head].commands.items():
                commands[name] = commands.get(name, 0.0) + n * count
        longest = max(kinds, key=lambda head: costs[head].ticks * kinds[head])
        whole = {name: round(n) for name, n in commands.items()}
        return self._result(round(ticks), whole, costs[longest].bound, kinds)

    def _with_refresh(self, ticks: float) -> float:
        """Time with the refreshes that fall due in it, the first one interval after the beginning."""
        timing = self.stack.spec.timing
        each = timing["n_rfc"] + (timing["n_rp"] if self.stack.config.accounting == "corrected" else 0)
        after_first = ticks - timing["n_refi"]
        n_refreshes = 1 + after_first // (timing["n_refi"] - each) if after_first >= 0 else 0
        return ticks + each * n_refreshes

    def _head_cost(self, head: PimHead) -> HeadCost:
        """From lines of equal heads without refresh: the longest two tell what the heads between them take."""
        lines = [self._quiet.channel_run((head,) * n, self.head_dim, self.bytes_per_element) for n in _LINE]
        n = _LINE[-1] - _LINE[1]
        each = (lines[-1].ticks - lines[1].ticks) / n
        begins = tuple(run.ticks - length * each for run, length in zip(lines[:3], _LINE[:3], strict=True))
        many, few = (self._quiet.combined([(lines[which], 1)]) for which in (-1, 1))
        commands = {name: (count - few.commands[name]) / n for name, count in many.commands.items()}
        return HeadCost(each, (begins[0], begins[1], begins[2]), commands, many.bound)

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
