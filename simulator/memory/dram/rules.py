"""A standard's timing rules: rows in clocks become one row per pair of commands, in ticks, corrected for bus slots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from simulator.core.errors import ConfigError
from simulator.core.spelling import did_you_mean
from simulator.memory.dram.derived import Accounting
from simulator.memory.dram.refusal import KeyPath, PartRefusal
from simulator.memory.timing import RuleRow, latency_cyc


class DramRule(RuleRow):
    """One row: at `level`, `latency` clocks must pass from any of `preceding` to any of `following`.

    `window` 4 counts from the fourth most recent of the preceding commands (FAW); a `sibling` row holds for the other
    nodes of the level, not for the one addressed. A row with `accounting` holds under that accounting only.
    """

    level: str
    window: PositiveInt = 1
    sibling: bool = False
    accounting: Accounting | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class CommandSet:
    """A standard's commands in order, the ticks that each takes on its bus, the buses, and names for several."""

    commands: tuple[str, ...]
    slot_ticks: tuple[int, ...]
    buses: tuple[tuple[str, ...], ...]
    groups: Mapping[str, Sequence[str]]

    def expanded(self, names: Sequence[str] | str, key: KeyPath) -> list[str]:
        """Commands for a row's names: commands, names of groups, or `all`. Raises PartRefusal for unknown ones."""
        if isinstance(names, str):
            return list(self.commands)
        found: list[str] = []
        for name in names:
            if name not in self.commands and name not in self.groups:
                known = [*self.groups, *self.commands]
                raise PartRefusal(key, f"unknown command {name!r}", remedy=did_you_mean(name, known))
            found.extend([name] if name in self.commands else self.groups[name])
        return found


def command_set(
    commands: Sequence[str],
    slots: Mapping[str, Fraction],
    buses: Sequence[Sequence[str]],
    groups: Mapping[str, Sequence[str]],
    ticks_per_ck: int,
) -> CommandSet:
    """Check a standard's commands. `slots` is their length on the bus in clocks (1 where not named)."""
    named: list[tuple[KeyPath, Iterable[str]]] = [(("command_slots", name), [name]) for name in slots]
    named += [(("buses", number), bus) for number, bus in enumerate(buses)]
    named += [(("command_groups", group), names) for group, names in groups.items()]
    for key, names in named:
        for name in names:
            if name not in commands:
                raise PartRefusal(key, f"unknown command {name!r}", remedy=did_you_mean(name, commands))
    on_buses = [name for bus in buses for name in bus]
    if buses and sorted(on_buses) != sorted(commands):
        raise PartRefusal(("buses",), "a command is on no bus, or on two", remedy="name every command once")
    ticks = []
    for name in commands:
        length = slots.get(name, Fraction(1)) * ticks_per_ck
        if length.denominator != 1 or length < 1:
            raise PartRefusal(
                ("command_slots", name), "is no whole number of ticks", remedy=f"a tick is 1/{ticks_per_ck} clock"
            )
        ticks.append(int(length))
    return CommandSet(tuple(commands), tuple(ticks), tuple(map(tuple, buses)) if buses else (tuple(commands),), groups)


def resolved_rules(
    groups: Mapping[str, Sequence[DramRule]],
    timing: Mapping[str, int],
    commands: CommandSet,
    levels: Sequence[str],
    ticks_per_ck: int,
    accounting: Accounting,
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The rows that kernels read, int64[k, 6], and a name for each, for reports.

    Columns: level (0 is the channel), preceding and following command, latency in ticks, window, sibling. A command is
    stamped at its first tick, while a standard counts from its last: latencies grow by the preceding slot's length and
    shrink by the following one's. Slots longer than a tick block their bus. Raises PartRefusal, at the row.
    """
    index = {name: position for position, name in enumerate(commands.commands)}
    level_index = {name: position for position, name in enumerate(("channel", *levels))}
    table: list[tuple[int, int, int, int, int, int]] = []
    names: list[str] = []
    for key, row in _rows(groups):
        if row.accounting not in (None, accounting):
            continue
        if row.level not in level_index:
            raise PartRefusal(
                (*key, "level"), f"unknown level {row.level!r}", remedy=did_you_mean(row.level, level_index)
            )
        try:
            nominal = latency_cyc(row.latency, timing)
        except ConfigError as error:
            raise PartRefusal((*key, "latency"), error.message, remedy=str(error.remedy)) from None
        for before in commands.expanded(row.preceding, (*key, "preceding")):
            for after in commands.expanded(row.following, (*key, "following")):
                first, second = index[before], index[after]
                latency = nominal * ticks_per_ck + commands.slot_ticks[first] - commands.slot_ticks[second]
                table.append((level_index[row.level], first, second, latency, row.window, int(row.sibling)))
                names.append(_named(row, before, after))
    for bus in commands.buses:
        for before in bus:
            length = commands.slot_ticks[index[before]]
            if length > 1:
                table.extend((0, index[before], index[after], length, 1, 0) for after in bus)
                names.extend(f"channel {before}->{after} command bus" for after in bus)
    return np.array(table, np.int64).reshape(-1, 6), tuple(names)


def _rows(groups: Mapping[str, Sequence[DramRule]]) -> Iterator[tuple[KeyPath, DramRule]]:
    for group, rows in groups.items():
        for number, row in enumerate(rows):
            yield ("rules", group, number), row


def _named(row: DramRule, before: str, after: str) -> str:
    marks = f" (window {row.window})" if row.window > 1 else ""
    return f"{row.level} {before}->{after} {row.latency}{marks}{' (sibling)' if row.sibling else ''}"
