"""An independent checker of DRAM command logs: every rule row of a standard's YAML, bank states, buses and data bus.

It reads the YAML by itself (plain PyYAML, latencies by Python's own arithmetic) and knows nothing of the simulator but
the resolved timing values and sizes, which a caller passes in, and the columns of a command log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

Ints = NDArray[np.int64]
COLUMN_COMMANDS = ("RD", "WR", "RDA", "WRA")
WIDE_COMMANDS = ("PREab", "REFab", "RFMab", "ACTab", "MACab")
ON_OPEN_ROWS = (*COLUMN_COMMANDS, "MACab")
OPENING, PRECHARGES = ("ACT", "ACT2", "ACTab"), ("PREpb", "PREab")


@dataclass(frozen=True)
class Violation:
    """A command that should not have been issued: `early_by` ticks too early, 0 where no waiting would help."""

    channel: int
    cyc: int
    command: str
    bank: int
    rule: str
    early_by: int = 0


@dataclass(frozen=True)
class Rule:
    """One row of the YAML for one pair of commands; latency in ticks."""

    level: str
    preceding: str
    following: str
    latency: int
    window: int
    sibling: bool

    def __str__(self) -> str:
        kind = f" window {self.window}" if self.window > 1 else " sibling" if self.sibling else ""
        return f"{self.level} {self.preceding}->{self.following} {self.latency}{kind}"


@dataclass(frozen=True)
class Log:
    """Commands of one channel in order of issue: tick, name, flat bank (first of the scope), row (-1: none)."""

    channel: int
    cyc: Ints
    command: NDArray[np.str_]
    bank: Ints
    row: Ints


def read_standard(path: Path) -> dict[str, Any]:
    """The YAML's root, with what it extends laid under it."""
    tree = yaml.safe_load(path.read_text())
    if "extends" in tree:
        return laid_over(read_standard(path.parent / tree.pop("extends")), tree)
    return tree


def laid_over(base: Any, top: Any) -> Any:
    """Mappings merged key by key, anything else replaced."""
    if not isinstance(base, dict) or not isinstance(top, dict):
        return top
    return base | {key: laid_over(base.get(key), value) for key, value in top.items()}


class RuleChecker:
    """The rules of one standard with resolved timings: `timing` in clocks, `sizes` of the levels below the channel."""

    def __init__(
        self,
        path: Path,
        timing: Mapping[str, int],
        sizes: Mapping[str, int],
        accounting: str = "published",
        wck_always_on: bool = False,
    ) -> None:
        self.tree = read_standard(path)
        self.timing = dict(timing)
        self.ticks_per_ck = self.tree.get("ticks_per_ck", 1)
        self.commands: list[str] = self.tree["commands"]
        self.levels = ["channel", *self.tree["levels"]]
        self.sizes = [1, *(sizes[level] for level in self.tree["levels"])]
        self.n_banks = int(np.prod(self.sizes))
        self.refresh_level = self.levels.index(self.tree["refresh_scope"])
        self.buses: list[list[str]] = self.tree.get("buses") or [self.commands]
        self.wck_always_on = wck_always_on
        self.rules = [*self._rows(accounting), *self._bus_rows()]

    def violations(self, log: Log) -> list[Violation]:
        """Every broken rule of the standard, bank state and command bus in a channel's log, in order of time."""
        found = [*self._early(log), *self._crowded_buses(log), *self._wrong_states(log), *self._out_of_step(log)]
        return sorted(found, key=lambda one: (one.cyc, one.rule))

    def data_collisions(self, log: Log) -> list[Violation]:
        """Bursts that overlap on a data bus: a physical bound that no row states in so many words.

        The published rows keep it within a rank only: from a read to a write in another rank they leave CL - CWL out.
        """
        return list(self._collisions(log))

    def slot_ticks(self, command: str) -> int:
        """Ticks that a command takes on its bus."""
        return round(self.tree.get("command_slots", {}).get(command, 1) * self.ticks_per_ck)

    def ticks(self, expression: str | int) -> int:
        """A latency of the YAML in ticks."""
        return int(eval(str(expression), {"__builtins__": {}}, self.timing)) * self.ticks_per_ck

    def _rows(self, accounting: str) -> Iterator[Rule]:
        for row in (row for section in self.tree["rules"].values() for row in section):
            if row.get("accounting", accounting) != accounting:
                continue
            for preceding in self._named(row["preceding"]):
                for following in self._named(row["following"]):
                    correction = self.slot_ticks(preceding) - self.slot_ticks(following)
                    latency = self.ticks(row["latency"]) + correction
                    window, sibling = row.get("window", 1), row.get("sibling", False)
                    yield Rule(row["level"], preceding, following, latency, window, sibling)

    def _bus_rows(self) -> Iterator[Rule]:
        for bus in self.buses:
            for preceding in bus:
                if self.slot_ticks(preceding) > 1:
                    for following in bus:
                        yield Rule("channel", preceding, following, self.slot_ticks(preceding), 1, False)

    def _named(self, names: Sequence[str] | str) -> list[str]:
        if isinstance(names, str):
            return list(self.commands)
        groups = self.tree.get("command_groups", {})
        return [command for name in names for command in groups.get(name, [name])]

    def _banks_under(self, level: int) -> int:
        return self.n_banks // int(np.prod(self.sizes[: level + 1]))

    def _scope(self, command: str) -> int:
        return self.refresh_level if command in WIDE_COMMANDS else len(self.levels) - 1

    def _touched(self, log: Log, command: str, level: int) -> tuple[Ints, Ints]:
        """(order in the log, node) of every node of a level that a command addresses, sorted by node, then order."""
        order = np.flatnonzero(log.command == command).astype(np.int64)
        first = log.bank[order] // self._banks_under(level)
        per_command = max(self._banks_under(self._scope(command)) // self._banks_under(level), 1)
        nodes = (first[:, None] + np.arange(per_command)[None, :]).ravel()
        order = np.repeat(order, per_command)
        by_node = np.lexsort((order, nodes))
        return order[by_node], nodes[by_node]

    def _early(self, log: Log) -> Iterator[Violation]:
        """Commands issued before a rule allows: the ready-table rule, told backwards from the following command."""
        for rule in self.rules:
            level = self.levels.index(rule.level)
            if rule.sibling and self._scope(rule.preceding) < level:
                continue
            before, before_node = self._touched(log, rule.preceding, level)
            after, after_node = self._touched(log, rule.following, level)
            siblings = range(1, self.sizes[level]) if rule.sibling else (0,)
            for step in siblings:
                size = self.sizes[level]
                node = after_node // size * size + (after_node % size + step) % size
                yield from self._pairs(log, rule, (before, before_node), (after, node))

    def _pairs(self, log: Log, rule: Rule, before: tuple[Ints, Ints], after: tuple[Ints, Ints]) -> Iterator[Violation]:
        span = len(log.cyc) + 1
        keys = before[1] * span + before[0]
        place = np.searchsorted(keys, after[1] * span + after[0]) - rule.window
        known = place >= np.searchsorted(keys, after[1] * span)
        earliest = log.cyc[before[0][place[known]]] + rule.latency
        for k, allowed in zip(after[0][known].tolist(), earliest.tolist(), strict=True):
            if log.cyc[k] < allowed:
                yield _violation(log, k, str(rule), allowed - int(log.cyc[k]))

    def _crowded_buses(self, log: Log) -> Iterator[Violation]:
        """At most one command per tick and bus; ticks never run backwards."""
        for bus in self.buses:
            mine = np.flatnonzero(np.isin(log.command, bus))
            for k in mine[1:][np.diff(log.cyc[mine]) < 1].tolist():
                yield _violation(log, k, "one command per tick and bus")
        for k in (np.flatnonzero(np.diff(log.cyc) < 0) + 1).tolist():
            yield _violation(log, k, "in order of time")

    def _wrong_states(self, log: Log) -> Iterator[Violation]:
        """Commands that the state of their banks does not allow."""
        open_row: dict[int, int] = {}  # bank -> row; a closed bank is absent
        activating: dict[int, int] = {}  # bank -> tick of ACT1
        for k, (cyc, command, bank, row) in enumerate(_rows_of(log)):
            banks = range(bank, bank + self._banks_under(self._scope(command)))
            if wrong := self._state_fault(command, banks, row, open_row, activating, cyc):
                yield _violation(log, k, wrong)
            if command == "ACT1":
                activating[bank] = cyc
            elif command in OPENING:
                activating.pop(bank, None)
                open_row.update(dict.fromkeys(banks, row))
            elif command in PRECHARGES or command in ("RDA", "WRA"):
                for closed in banks:
                    open_row.pop(closed, None)

    def _state_fault(
        self, command: str, banks: range, row: int, open_row: dict[int, int], activating: dict[int, int], cyc: int
    ) -> str:
        bank = banks[0]
        if len(banks) > self.n_banks or bank % len(banks):
            return f"{command} begins within its scope"
        if command in ("ACT", "ACT1", "ACTab") and any(one in open_row or one in activating for one in banks):
            return "activation of an open bank"
        if command == "ACT2" and bank not in activating:
            return "ACT2 without ACT1"
        if command == "ACT2" and cyc - activating[bank] > self.timing["n_aad"] * self.ticks_per_ck:
            return "ACT2 later than n_aad after ACT1"
        if command in ON_OPEN_ROWS and any(one not in open_row for one in banks):
            return "column command to a closed bank"
        if command in ON_OPEN_ROWS and row >= 0 and any(open_row[one] != row for one in banks):
            return "column command to another row"
        if command in PRECHARGES and any(one in activating for one in banks):
            return "precharge of an activating bank"
        if command.startswith(("REF", "RFM")) and any(one in open_row or one in activating for one in banks):
            return "refresh of an open bank"
        return ""

    def _collisions(self, log: Log) -> Iterator[Violation]:
        burst = self.ticks(self.tree.get("burst", "n_bl"))
        width = self._banks_under(self.levels.index(self.tree.get("data_bus", "channel")))
        columns = np.flatnonzero(np.isin(log.command, COLUMN_COMMANDS))
        is_write = np.char.startswith(log.command[columns], "W")
        latency = np.where(is_write, self.ticks("n_cwl"), self.ticks("n_cl"))
        start = log.cyc[columns] + latency
        for bus in np.unique(log.bank[columns] // width):
            mine = np.flatnonzero(log.bank[columns] // width == bus)
            mine = mine[np.argsort(start[mine], kind="stable")]
            gap = np.diff(start[mine])
            for k in np.flatnonzero(gap < burst).tolist():
                yield _violation(log, int(columns[mine[k + 1]]), "bursts overlap on the data bus", burst - int(gap[k]))

    def _out_of_step(self, log: Log) -> Iterator[Violation]:
        """LPDDR5: a column command whose data clock has stopped, and which no CAS precedes directly."""
        if "CAS_RD" not in self.commands or self.wck_always_on:
            return
        in_step_until = 0
        previous = ("", -1)
        for k, (cyc, command, bank, _) in enumerate(_rows_of(log)):
            if command in COLUMN_COMMANDS:
                cas = "CAS_WR" if command.startswith("W") else "CAS_RD"
                if cyc >= in_step_until and previous != (cas, bank):
                    yield _violation(log, k, "column command without CAS")
                latency = "n_cwl" if command.startswith("W") else "n_cl"
                in_step_until = max(in_step_until, cyc + self.ticks(f"{latency} + n_bl_min + n_wckpst"))
            elif previous[0].startswith("CAS"):
                yield _violation(log, k, "a command between CAS and its column command")
            previous = (command, bank)


def _rows_of(log: Log) -> Iterator[tuple[int, str, int, int]]:
    return zip(log.cyc.tolist(), log.command.tolist(), log.bank.tolist(), log.row.tolist(), strict=True)


def _violation(log: Log, k: int, rule: str, early_by: int = 0) -> Violation:
    return Violation(log.channel, int(log.cyc[k]), str(log.command[k]), int(log.bank[k]), rule, early_by)
