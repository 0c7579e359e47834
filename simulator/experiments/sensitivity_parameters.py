"""The numbers of a configuration, and the values near them that a sensitivity analysis tries."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from simulator.core.config import ConfigTree
from simulator.core.errors import ConfigError
from simulator.core.nodes import Node
from simulator.core.paths import Path, format_path
from simulator.core.units import CYCLES, SIZE, TIME, base_quantity

_LEADING_NUMBER = re.compile(r"\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?)(.*)", re.DOTALL)
# What a whole quantity is written in, and how many of the dimension's base unit that is.
_WHOLE_UNITS = {TIME: ("ps", 1), CYCLES: ("cyc", 1), SIZE: ("B", 8)}


@dataclass(frozen=True, slots=True)
class NumericLeaf:
    """A number of a configuration: its path and its value as written, a bare number or text with a unit."""

    path: str
    value: int | float | str

    @property
    def text(self) -> str:
        """The value as a reader writes it."""
        return str(self.value)


@dataclass(frozen=True, slots=True)
class NearValue:
    """A value near another one, and by what part of it they differ; None where that one is zero."""

    value: int | float | str
    change_frac: float | None


def numeric_leaves(tree: ConfigTree) -> list[NumericLeaf]:
    """Every number below a tree, in its order: bare numbers and quantities; of a parameter with a source, its value."""
    return [NumericLeaf(format_path(path), value) for path, value in _numbers(tree.node, tree.path)]


def changed_values(leaf: NumericLeaf, change: float) -> Iterator[NearValue]:
    """The value changed by the part `change` (0.1: a tenth more), then the next whole one beyond it.

    The second is for fields of whole numbers: rounded away from the value, it differs by one at least.
    """
    if isinstance(leaf.value, str):
        yield from _changed_quantities(leaf.value, change)
        return
    exact = Fraction(repr(leaf.value)) if isinstance(leaf.value, float) else Fraction(leaf.value)
    wanted = exact * (1 + _exact(change))
    if wanted != exact and wanted.denominator == 1 and isinstance(leaf.value, int):
        yield NearValue(int(wanted), change)
        return
    if wanted != exact:
        yield NearValue(float(wanted), change)
    if isinstance(leaf.value, int):
        whole = _beyond(exact, wanted, change)
        yield NearValue(whole, float(whole / exact - 1) if exact else None)


def _changed_quantities(text: str, change: float) -> Iterator[NearValue]:
    match = _LEADING_NUMBER.fullmatch(text)
    assert match is not None, "a quantity starts with a number"
    base, dimension = base_quantity(text)
    if not base:
        return
    number = Fraction(match[1]) * (1 + _exact(change))
    yield NearValue(f"{_decimal(number)}{match[2]}", change)
    if dimension in _WHOLE_UNITS:
        symbol, scale = _WHOLE_UNITS[dimension]
        exact = base / scale
        whole = _beyond(exact, exact * (1 + _exact(change)), change)
        yield NearValue(f"{whole} {symbol}", float(whole / exact - 1))


def _numbers(node: Node, path: Path) -> Iterator[tuple[Path, int | float | str]]:
    content = node.content
    if node.is_parameter and isinstance(content, dict):
        yield from _numbers(content["value"], path)
    elif isinstance(content, dict):
        for key, entry in content.items():
            yield from _numbers(entry, (*path, key))
    elif isinstance(content, tuple):
        for index, entry in enumerate(content):
            yield from _numbers(entry, (*path, str(index)))
    elif isinstance(content, str):
        if _is_quantity(content):
            yield path, content
    elif content is not None and not isinstance(content, bool):
        yield path, content


def _is_quantity(text: str) -> bool:
    try:
        _, dimension = base_quantity(text)
    except ConfigError:
        return False
    return bool(dimension) and _LEADING_NUMBER.fullmatch(text) is not None


def _exact(change: float) -> Fraction:
    return Fraction(repr(change))


def _beyond(value: Fraction, wanted: Fraction, change: float) -> int:
    """The whole number at or beyond `wanted`, seen from `value`, and at least one away from a whole `value`."""
    if wanted == value:
        return math.floor(value) + 1 if change > 0 else math.ceil(value) - 1
    return math.ceil(wanted) if wanted > value else math.floor(wanted)


def _decimal(number: Fraction) -> str:
    """The number in decimal digits, exact where it has few of them."""
    return f"{float(number):.15g}"
