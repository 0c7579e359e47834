"""Parameters with a stated origin: `{value: 18 ns, source: "...", kind: datasheet, range: [16 ns, 20 ns]}`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from simulator.core.errors import ConfigError
from simulator.core.nodes import Node, Plain, Where
from simulator.core.paths import format_path
from simulator.core.spelling import did_you_mean
from simulator.core.units import base_quantity

if TYPE_CHECKING:
    from simulator.core.config import ConfigTree

KINDS = ("datasheet", "standard", "paper", "measured", "derived", "fitted", "assumed")
"""Where a parameter's value may come from."""

_KEYS = ("value", "source", "kind", "range")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter that states its origin: path, plain value, kind (of KINDS), source in words, (low, high) or None."""

    path: str
    value: Plain
    kind: str
    source: str
    range: tuple[Plain, Plain] | None
    where: Where


def parameters(tree: ConfigTree) -> list[Parameter]:
    """Every `{value, source, kind, range}` parameter of a tree, in the tree's order."""
    return [_parameter(format_path(path), node) for path, node in tree.node.walk(tree.path) if node.is_parameter]


def count_kinds(found: Iterable[Parameter]) -> dict[str, int]:
    """How many parameters are of each kind, in the order of KINDS, absent kinds left out."""
    counts = Counter(parameter.kind for parameter in found)
    return {kind: counts[kind] for kind in KINDS if counts[kind]}


def check_parameters(root: Node) -> None:
    """Raise ConfigError, at its place, for the first parameter whose keys, kind, source or range are wrong."""
    for _, node in root.walk():
        if node.is_parameter:
            _check(node)


def _parameter(path: str, node: Node) -> Parameter:
    entries = node.mapping or {}
    bounds = entries["range"].plain() if "range" in entries else None
    return Parameter(
        path=path,
        value=entries["value"].plain(),
        kind=str(entries["kind"].content),
        source=str(entries["source"].content),
        range=(bounds[0], bounds[1]) if isinstance(bounds, list) else None,
        where=entries["value"].where,
    )


def _check(node: Node) -> None:
    entries = node.mapping or {}
    for key, entry in entries.items():
        if key not in _KEYS:
            raise ConfigError(
                f"a parameter has no `{key}`", where=entry.key_where or entry.where, remedy=did_you_mean(key, _KEYS)
            )
    for key in ("source", "kind"):
        if key not in entries:
            raise ConfigError(
                f"this parameter lacks `{key}`",
                where=node.key_where or node.where,
                remedy=f"add it, or write the bare value; kinds are {', '.join(KINDS)}",
            )
    kind, source = entries["kind"], entries["source"]
    if kind.content not in KINDS:
        raise ConfigError(
            f"unknown kind of parameter {kind.content!r}",
            where=kind.where,
            remedy=did_you_mean(str(kind.content), KINDS),
        )
    if not isinstance(source.content, str) or not source.content.strip():
        raise ConfigError("a source is text", where=source.where, remedy="say where the value comes from, in quotes")
    if entries["value"].mapping is not None:
        raise ConfigError(
            "a parameter's value is a mapping",
            where=entries["value"].where,
            remedy="give each entry its own value and source",
        )
    if "range" in entries:
        _check_range(entries["value"], entries["range"])


def _check_range(value: Node, bounds: Node) -> None:
    if not isinstance(bounds.content, tuple) or len(bounds.content) != 2:
        raise ConfigError("a range is a list of two", where=bounds.where, remedy="write `range: [low, high]`")
    low, high = (_ordered(node) for node in bounds.content)
    middle = _ordered(value)
    if not low[1] == middle[1] == high[1]:
        raise ConfigError(
            "the range and the value are not in the same kind of unit",
            where=bounds.where,
            remedy="write all three with a unit, or none",
        )
    if not low[0] <= middle[0] <= high[0]:
        raise ConfigError(
            "the value is outside its range", where=bounds.where, remedy="write `range: [low, high]` around the value"
        )


def _ordered(node: Node) -> tuple[Fraction, str]:
    """The value in base units and its dimension, `` for a bare number."""
    content = node.content
    if isinstance(content, (int, float)) and not isinstance(content, bool):
        return Fraction(content), ""
    if isinstance(content, str):
        return base_quantity(content, where=node.where)
    raise ConfigError("this is no quantity, so it has no range", where=node.where, remedy="remove the range")
