"""Which rule bound a DRAM run: every tick attributed to the timing rule, or lack of requests, that it was lost to."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ConfigError
from simulator.kernels import dram_bounds as kernel
from simulator.memory.dram.controller import CommandLog, DramTiming, Requests
from simulator.memory.dram.spec import DramSpec

CAUSES = (
    "burst",
    "no request",
    "queue full",
    "command bus",
    "scheduling",
    "waiting to refresh",
    "after the last command",
)
"""What ticks are spent on besides rules, in the kernel's order."""

FAMILIES = (
    "data bus",
    "bank group",
    "row change",
    "activation rate",
    "turnaround",
    "refresh",
    "command bus",
    "scheduling",
    "queue full",
    "no request",
)
"""Families of causes, from the data bus at its peak down to nothing to do."""

_READS, _WRITES = ("RD", "RDA"), ("WR", "WRA")
_ACTIVATES = ("ACT", "ACT1")
_FAMILY_OF_CAUSE = {
    "burst": "data bus",
    "waiting to refresh": "refresh",
    "after the last command": "no request",
}


@dataclass(frozen=True, slots=True, eq=False)
class LegalTimes:
    """For every command of a log: `earliest_cyc` int64[m] at which all rules allowed it (-1: never held back), `rule`
    int64[m] the row that allowed it last (-1), `cause` int64[m] the place in the log of the command before it there."""

    earliest_cyc: NDArray[np.int64]
    rule: NDArray[np.int64]
    cause: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BoundBy:
    """Where the ticks of a run went: `ticks` by rules of the standard and CAUSES, `families` by FAMILIES.

    Both add up to `n_ticks`: the run's ticks times its channels. `foremost` is the rule or cause, the burst itself
    excepted, that took most of each family.
    """

    ticks: dict[str, int]
    families: dict[str, int]
    n_ticks: int
    foremost: dict[str, str] = field(default_factory=dict)

    @property
    def limiting(self) -> str:
        """The cause, the burst itself excepted, that most ticks were lost to; `burst` where none was."""
        lost = {name: ticks for name, ticks in self.ticks.items() if name != "burst"}
        return max(lost, key=lambda name: lost[name]) if lost else "burst"

    @property
    def limiting_family(self) -> str:
        """The family that most ticks, bursts excepted, were lost to; `burst` where none was."""
        lost = {
            name: self.families[name] - (self.ticks.get("burst", 0) if name == "data bus" else 0)
            for name in self.foremost
        }
        return max(lost, key=lambda name: lost[name]) if lost else "burst"


def scope_level(spec: DramSpec, command: str) -> int:
    """The level that a command addresses as a whole: the bank's, or that of an all-bank precharge or refresh."""
    return spec.refresh_level if command.endswith("ab") else len(spec.levels)


def effects(spec: DramSpec) -> NDArray[np.int64]:
    """What each command does, as the kernels' bits: int64[n_commands]."""
    bits = {
        **dict.fromkeys(_ACTIVATES, kernel.OPENS),
        **dict.fromkeys(("RD", "WR"), kernel.COLUMN),
        **dict.fromkeys(("RDA", "WRA"), kernel.COLUMN | kernel.CLOSES),
        "PREpb": kernel.CLOSES,
        "PREab": kernel.CLOSES_ALL,
        **dict.fromkeys(("REFab", "RFMab"), kernel.REFRESHES_ALL),
        **dict.fromkeys(("REFpb", "RFMpb"), kernel.REFRESHES_BANK),
    }
    return np.array([bits.get(command, 0) for command in spec.commands], np.int64)


def nodes_of_banks(spec: DramSpec) -> NDArray[np.int32]:
    """Node of every level that a flat bank lies in: int32[n_levels + 1, n_banks], level 0 the channel."""
    banks = np.arange(spec.n_banks)
    return np.array([banks // prod(spec.level_sizes[level:]) for level in range(len(spec.levels) + 1)], np.int32)


def legal_times(spec: DramSpec, log: CommandLog) -> LegalTimes:
    """When each logged command was first legal. A log is lawful iff `earliest_cyc <= log.cyc` everywhere.

    Independent of the engines: rules are looked up backwards, from the command that waits.
    """
    return _legal_times(spec, log, np.unique(log.command).tolist())


def _legal_times(spec: DramSpec, log: CommandLog, counting: list[int]) -> LegalTimes:
    """When each command was first legal under the rules among the commands `counting`."""
    pull_start, pull, push_start, push, n_words = _tables(spec, counting)
    n = len(log.cyc)
    found = LegalTimes(np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64))
    kernel.earliest_legal(
        log.cyc, log.command, log.bank, log.channel, pull_start, pull, push_start, push, nodes_of_banks(spec),
        np.empty(max(n_words, 1), np.int64), found.earliest_cyc, found.rule, found.cause,
    )  # fmt: skip
    return found


def bound_by(
    spec: DramSpec, requests: Requests, timing: DramTiming, *, n_channels: int = 1, fe_ratio: int = 1
) -> BoundBy:
    """Attribute all ticks of a run up to its drain, from its command log.

    Between two column commands of a channel the data bus works for one burst; every further tick goes to the rule that
    held the later command at that tick: its own, or that of the activation it waited for, of the precharge before it,
    and so on. An activation or precharge that both column commands needed did not part them and is stepped over: of two
    row misses the second is late by what parted their activations (FAW, say), not by tRCD. Ticks in which a command was
    legal and yet not issued go to `no request` (not offered yet), `queue full` (offered, not accepted), `command bus`
    (another command had it), `waiting to refresh` or `scheduling` (the controller's order and clock edges).

    Arrivals of writes are not recorded: they count as accepted with the latest read before them. Raises ConfigError
    for a run without a command log.
    """
    log = timing.log
    if log is None:
        raise ConfigError("what bound a run is read from its command log", remedy="simulate with log=True")
    # A CAS is given when its column command is due: it delays by the tick that it takes on the bus, not by a rule.
    counting = [kind for kind in np.unique(log.command).tolist() if not spec.commands[kind].startswith("CAS")]
    legal = _legal_times(spec, log, counting)
    arrival, offered = _arrivals(spec, requests, timing, fe_ratio)
    parts = np.zeros(len(spec.rules) + kernel.N_CAUSES, np.int64)
    bus_of = {name: number for number, bus in enumerate(spec.buses) for name in bus}
    pitch = max(1, spec.burst_cyc * spec.ticks_per_ck // spec.n_data_buses)
    end = int(timing.drain_cycles)
    does = effects(spec)
    own = np.empty(len(log.cyc), np.int64)
    kernel.own_preparation(
        log.command,
        log.bank,
        log.channel,
        does,
        np.empty(spec.n_banks, np.int64),
        np.empty(spec.n_banks, np.int64),
        own,
    )
    n_seen = kernel.attribute_ticks(
        log.cyc, log.command, log.channel, log.request, legal.earliest_cyc, legal.rule, legal.cause, own, does,
        np.array([bus_of[name] for name in spec.commands], np.int64), np.array(spec.slot_ticks, np.int64),
        arrival, offered, pitch, end, parts,
    )  # fmt: skip
    parts[len(spec.rules) + kernel.AFTERWARDS] += (n_channels - n_seen) * end
    return _named(spec, parts, n_channels * end)


def binding_rules(
    spec: DramSpec, requests: Requests, timing: DramTiming, *, n_channels: int = 1, fe_ratio: int = 1
) -> dict[str, int]:
    """Ticks of a run by what they were spent on or lost to, largest first; see `bound_by`."""
    return bound_by(spec, requests, timing, n_channels=n_channels, fe_ratio=fe_ratio).ticks


def family(spec: DramSpec, row: int) -> str:
    """The family of a rule: which of a DRAM's resources it guards."""
    level, preceding, following = (int(value) for value in spec.rules[row, :3])
    before, after = spec.commands[preceding], spec.commands[following]
    if spec.rule_names[row].endswith("command bus"):
        return "command bus"
    if any(name.startswith(("REF", "RFM")) or name == "PREab" for name in (before, after)):
        return "refresh"
    columns = (*_READS, *_WRITES)
    if before in columns and after in columns:
        if (before in _READS) != (after in _READS) or spec.rules[row, 5]:
            return "turnaround"
        in_group = level > 0 and spec.levels[level - 1] == "bank_group"
        return "bank group" if in_group else "data bus"
    if before in _ACTIVATES and after in _ACTIVATES and level < len(spec.levels):
        return "activation rate"
    return "row change"


def _named(spec: DramSpec, parts: NDArray[np.int64], n_ticks: int) -> BoundBy:
    ticks: dict[str, int] = defaultdict(int)
    families: dict[str, int] = dict.fromkeys(FAMILIES, 0)
    foremost: dict[str, str] = {}
    n_rules = len(spec.rules)
    for place in np.flatnonzero(parts).tolist():
        if place < n_rules:
            name, group = spec.rule_names[place], family(spec, place)
        else:
            name = CAUSES[place - n_rules]
            group = _FAMILY_OF_CAUSE.get(name, name)
        ticks[name] += int(parts[place])
        families[group] += int(parts[place])
        if name != "burst" and ticks[name] > ticks.get(foremost.get(group, ""), 0):
            foremost[group] = name
    ordered = dict(sorted(ticks.items(), key=lambda item: (-item[1], item[0])))
    return BoundBy(ordered, families, n_ticks, foremost)


def _arrivals(
    spec: DramSpec, requests: Requests, timing: DramTiming, fe_ratio: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tick after which each request was in a queue, and tick after which it was first offered."""
    n = len(requests)
    served = (timing.latency_cyc >= 0) & (timing.issue_cyc >= 0)
    accepted = np.where(served, timing.issue_cyc + spec.read_latency - timing.latency_cyc, 0)
    arrival = np.maximum.accumulate(accepted) if n else accepted
    if requests.window > 0:
        return arrival, arrival
    offered = np.arange(n, dtype=np.int64) // max(fe_ratio, 1)
    if len(requests.offer_cyc):
        offered = np.maximum(offered, np.maximum.accumulate(requests.offer_cyc))
    return arrival, np.minimum(offered, arrival)


def _tables(
    spec: DramSpec, present: list[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int]:
    """The rules between commands that occur, by following command, and where each command is remembered."""
    n_commands, rows = len(spec.commands), spec.rules
    scope = [scope_level(spec, command) for command in spec.commands]
    here = [
        row
        for row in range(len(rows))
        if rows[row, 1] in present
        and rows[row, 2] in present
        and (not rows[row, 5] or spec.level_sizes[rows[row, 0] - 1] > 1)
    ]
    depth: dict[tuple[int, int], int] = {}
    for row in here:
        level, preceding, _, _, window, _ = (int(value) for value in rows[row])
        place = (preceding, min(level, scope[preceding]))
        depth[place] = max(depth.get(place, 1), window)
    base: dict[tuple[int, int], int] = {}
    n_words = 0
    for (preceding, level), words in depth.items():
        base[preceding, level] = n_words
        n_words += words * prod(spec.level_sizes[:level])
    pull: list[list[list[int]]] = [[] for _ in range(n_commands)]
    for row in here:
        level, preceding, following, latency, window, sibling = (int(value) for value in rows[row])
        place = (preceding, min(level, scope[preceding]))
        shape, span = kernel.PLAIN, 1
        if sibling:
            shape, span = kernel.SIBLING, spec.level_sizes[level - 1]
        elif scope[following] < place[1]:
            shape, span = kernel.WIDE, prod(spec.level_sizes[scope[following] : place[1]])
        pull[following].append([place[1], base[place], depth[place], window - 1, latency, shape, span, row])
    push = [
        [[level, base[kind, level], words] for (kind, level), words in depth.items() if kind == command]
        for command in range(n_commands)
    ]
    return *_packed(pull, kernel.PULL_WIDTH), *_packed(push, kernel.PUSH_WIDTH), n_words


def _packed(lists: list[list[list[int]]], width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of all lists in one array, and where each list starts."""
    starts = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    return starts, np.array([row for rows in lists for row in rows], np.int64).reshape(-1, width)
