"""Timing rules of a memory as data: rows "after these commands, wait this long before those, at this level"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from simulator.core.errors import ConfigError
from simulator.core.spelling import did_you_mean

Level = Literal["channel", "bank_group", "bank"]
LEVELS: tuple[Level, ...] = ("channel", "bank_group", "bank")
NO_RULE = -1


class RuleRow(BaseModel):
    """What every timing rule says: `latency` clocks must pass from any of `preceding` to any of `following`.

    `latency` is a number or a sum and difference of timing names, such as "n_cwl + n_bl + n_wr".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    preceding: list[str]
    following: list[str] | Literal["all"]
    latency: int | str


class TimingRule(RuleRow):
    """One row of an AiM part: the rule holds within one channel, bank group or bank."""

    level: Level


def latency_cyc(expression: int | str, timing: Mapping[str, int]) -> int:
    """Value of a latency expression in clocks; unknown names are refused."""
    if isinstance(expression, int):
        return expression
    total = 0
    pattern = re.compile(r"\s*([+-]?)\s*([A-Za-z_][A-Za-z_0-9]*|\d+)\s*")
    position = 0
    while position < len(expression):
        match = pattern.match(expression, position)
        if match is None or (position > 0 and not match[1]):
            raise ConfigError(
                f"cannot read the latency {expression!r}",
                remedy="write a sum of timing names and numbers, e.g. n_cwl + n_bl",
            )
        name = match[2]
        if not name.isdigit() and name not in timing:
            raise ConfigError(
                f"the latency {expression!r} uses an unknown timing {name!r}",
                remedy=did_you_mean(name, timing, noun="one of"),
            )
        value = int(name) if name.isdigit() else timing[name]
        total += -value if match[1] == "-" else value
        position = match.end()
    return total


def rule_matrices(
    rules: Sequence[TimingRule], timing: Mapping[str, int], commands: Sequence[str]
) -> dict[Level, NDArray[np.int64]]:
    """The rules as one matrix per level: int64[preceding, following], clocks, NO_RULE where there is none."""
    index = {name: position for position, name in enumerate(commands)}
    matrices: dict[Level, NDArray[np.int64]] = {
        level: np.full((len(commands), len(commands)), NO_RULE, np.int64) for level in LEVELS
    }
    for rule in rules:
        latency = latency_cyc(rule.latency, timing)
        following = list(commands) if rule.following == "all" else rule.following
        for name in (*rule.preceding, *following):
            if name not in index:
                raise ConfigError(
                    f"a timing rule names an unknown command {name!r}", remedy="use: " + ", ".join(commands)
                )
        matrix = matrices[rule.level]
        for before in rule.preceding:
            for after in following:
                cell = (index[before], index[after])
                matrix[cell] = max(matrix[cell], latency)
    return matrices
