"""Axes of a sweep: a list of values, evenly or geometrically spaced ones, or an interval to draw from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from simulator.contracts.results import Scalar
from simulator.core.errors import ConfigError
from simulator.core.nodes import Node, Where
from simulator.core.spelling import did_you_mean

MAX_VALUES = 1_000_000
"""The most values that one axis may have."""

Value = Scalar | None


@dataclass(frozen=True, slots=True)
class Interval:
    """All numbers from `low` to `high`: whole ones only, or evenly in their logarithm, where it says so."""

    low: float
    high: float
    logarithmic: bool
    whole: bool

    def at(self, share: float) -> float:
        """The number below which `share` (0 <= share < 1) of the interval lies."""
        low, high = self.low, self.high
        if self.whole:
            high += 1
        if self.logarithmic:
            number = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            number = low + share * (high - low)
        return min(math.floor(number), int(self.high)) if self.whole else number


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: the path that it varies, the place that wrote it, and its values or the interval that they come from.

    `value_places` are the places of listed values, for messages; empty where the values are computed.
    """

    path: str
    where: Where
    values: tuple[Value, ...] | Interval
    value_places: tuple[Where, ...] = ()

    def at(self, share: float) -> Value:
        """The value of which `share` of the axis lies below: how random numbers become values."""
        if isinstance(self.values, Interval):
            return self.values.at(share)
        return self.values[int(share * len(self.values))]


def read_axis(path: str, node: Node) -> Axis:
    """The axis that a sweep file writes as `path: node`.

    `[1, 2, 4]`, `{range: [start, stop, step]}` (the stop included where a step reaches it), `{linspace: [start, stop,
    n]}`, `{geomspace: [start, stop, n]}`, `{uniform: [low, high]}` or `{log_uniform: [low, high]}`; `integer: true`
    rounds. Raises ConfigError at the place that is wrong.
    """
    where = node.key_where or node.where
    if isinstance(node.content, tuple):
        return Axis(path, where, _listed(path, node), tuple(item.where for item in node.content))
    if node.mapping is None:
        return Axis(path, where, (scalar(node),), (node.where,))
    forms = [key for key in node.mapping if key != "integer"]
    if len(forms) != 1 or forms[0] not in FORMS:
        unknown = next((key for key in forms if key not in FORMS), None)
        raise ConfigError(
            f"axis `{path}` is written as `{unknown}`" if unknown else f"axis `{path}` needs one form",
            where=node.mapping[unknown].key_where if unknown else node.where,
            remedy=did_you_mean(unknown or "", FORMS, noun="a list of values, or one of"),
        )
    form = forms[0]
    return Axis(path, where, FORMS[form](_numbers(form, node.mapping[form]), _whole(node.mapping), node.where))


def scalar(node: Node) -> Value:
    """The scalar of a node. Raises ConfigError for a list or a mapping."""
    content = node.content
    if isinstance(content, (dict, tuple)):
        raise ConfigError(
            "a point's value is a number, text or a switch, not a list or a mapping",
            where=node.where,
            remedy="vary the keys below it, or a part with a path that ends in .use",
        )
    return content


def _listed(path: str, node: Node) -> tuple[Value, ...]:
    assert isinstance(node.content, tuple)
    values = tuple(scalar(item) for item in node.content)
    if not values:
        raise ConfigError(f"axis `{path}` has no values", where=node.where, remedy="list at least one value")
    if len(values) > MAX_VALUES:
        raise _too_many(len(values), node.where)
    return values


def _numbers(form: str, node: Node) -> list[float]:
    wanted = "start, stop, step" if form == "range" else "start, stop, n" if "space" in form else "low, high"
    if not isinstance(node.content, tuple) or len(node.content) != wanted.count(",") + 1:
        raise ConfigError(
            f"`{form}` needs {wanted.count(',') + 1} numbers", where=node.where, remedy=f"write `{form}: [{wanted}]`"
        )
    numbers: list[float] = []
    for item in node.content:
        if isinstance(item.content, bool) or not isinstance(item.content, (int, float)):
            raise ConfigError(
                f"{item.content!r} is not a number",
                where=item.where,
                remedy="write a number; a unit belongs into the path, as in system.host.top_k_us",
            )
        numbers.append(item.content)
    return numbers


def _whole(form: Mapping[str, Node]) -> bool:
    node = form.get("integer")
    if node is None:
        return False
    if not isinstance(node.content, bool):
        raise ConfigError("`integer` is a switch", where=node.where, remedy="write `integer: true`, or leave it out")
    return node.content


def _range(numbers: list[float], whole: bool, where: Where) -> tuple[Value, ...]:
    start, stop, step = numbers
    if step == 0 or (stop - start) / step < 0:
        raise ConfigError(
            f"a step of {step:g} never leads from {start:g} to {stop:g}", where=where, remedy="turn the step's sign"
        )
    n = math.floor((stop - start) / step * (1 + 1e-12)) + 1
    if n > MAX_VALUES:
        raise _too_many(n, where)
    return _rounded([start + index * step for index in range(n)], whole)


def _linspace(numbers: list[float], whole: bool, where: Where) -> tuple[Value, ...]:
    start, stop, n = numbers[0], numbers[1], _count(numbers[2], where)
    return _rounded([start + (stop - start) * index / max(1, n - 1) for index in range(n)], whole)


def _geomspace(numbers: list[float], whole: bool, where: Where) -> tuple[Value, ...]:
    start, stop, n = numbers[0], numbers[1], _count(numbers[2], where)
    if start <= 0 or stop <= 0:
        raise ConfigError("a geometric series has no zero and no sign", where=where, remedy="start and end above 0")
    between = [start * (stop / start) ** (index / max(1, n - 1)) for index in range(1, n - 1)]
    return _rounded([start, *between, stop][:n], whole)


def _interval(logarithmic: bool) -> Callable[[list[float], bool, Where], Interval]:
    def read(numbers: list[float], whole: bool, where: Where) -> Interval:
        low, high = numbers
        if low > high or (logarithmic and low <= 0):
            raise ConfigError(
                f"no interval leads from {low:g} to {high:g}", where=where, remedy="write low, then high, log above 0"
            )
        if whole and (low != math.floor(low) or high != math.floor(high)):
            raise ConfigError("whole numbers need whole limits", where=where, remedy="round the limits")
        return Interval(low, high, logarithmic, whole)

    return read


FORMS: dict[str, Callable[[list[float], bool, Where], Any]] = {
    "range": _range,
    "linspace": _linspace,
    "geomspace": _geomspace,
    "uniform": _interval(logarithmic=False),
    "log_uniform": _interval(logarithmic=True),
}
"""The forms of an axis besides a list."""


def _rounded(numbers: list[float], whole: bool) -> tuple[Value, ...]:
    """Whole numbers once each where they are asked for; else as they are."""
    return tuple(dict.fromkeys(round(number) for number in numbers)) if whole else tuple(numbers)


def _count(n: float, where: Where) -> int:
    if n != math.floor(n) or n < 1:
        raise ConfigError(f"{n:g} is no count of values", where=where, remedy="ask for a whole number, at least 1")
    if n > MAX_VALUES:
        raise _too_many(n, where)
    return int(n)


def _too_many(n: float, where: Where) -> ConfigError:
    return ConfigError(f"an axis of {n:,.0f} values", where=where, remedy=f"take at most {MAX_VALUES:,}")
