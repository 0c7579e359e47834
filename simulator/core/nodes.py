"""A configuration's node graph: values that remember where they were written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real

from simulator.core.errors import ConfigError, Position
from simulator.core.paths import MAX_DEPTH, MAX_KEY, Path

Scalar = str | int | float | bool | None
Plain = Scalar | list["Plain"] | dict[str, "Plain"]
Where = Position | str


@dataclass(frozen=True, slots=True)
class Node:
    """A scalar, a mapping or a sequence with the place that wrote it; nodes are shared and never changed.

    `where` is a Position or words such as `--set system.kind`; `key_where` the place of the key before the value.
    """

    content: Scalar | dict[str, Node] | tuple[Node, ...]
    where: Where
    key_where: Where | None = None

    @property
    def mapping(self) -> dict[str, Node] | None:
        """The entries of a mapping, None for anything else."""
        return self.content if isinstance(self.content, dict) else None

    @property
    def is_parameter(self) -> bool:
        """Whether this is `{value, source, kind}`; a mapping with `kind` but no `value` is a component."""
        return isinstance(self.content, dict) and "value" in self.content

    def child(self, key: str) -> Node | None:
        """The entry under a key, or the list item of that number; None where there is none."""
        if isinstance(self.content, dict):
            return self.content.get(key)
        if isinstance(self.content, tuple) and key.isascii() and key.isdigit() and len(key) < 7:
            return self.content[int(key)] if int(key) < len(self.content) else None
        return None

    def plain(self) -> Plain:
        """Values only: mappings, lists and scalars, each `{value, ...}` parameter collapsed to its value."""
        content = self.content
        if isinstance(content, dict):
            if "value" in content:
                return content["value"].plain()
            return {key: node.plain() for key, node in content.items()}
        if isinstance(content, tuple):
            return [node.plain() for node in content]
        return content

    def full(self) -> Plain:
        """As `plain`, with every parameter's source, kind and range kept."""
        content = self.content
        if isinstance(content, dict):
            return {key: node.full() for key, node in content.items()}
        if isinstance(content, tuple):
            return [node.full() for node in content]
        return content

    def walk(self, path: Path = ()) -> Iterator[tuple[Path, Node]]:
        """This node and all below it, parents first, each with its path."""
        yield path, self
        if isinstance(self.content, dict):
            for key, node in self.content.items():
                yield from node.walk((*path, key))
        elif isinstance(self.content, tuple):
            for number, node in enumerate(self.content):
                yield from node.walk((*path, str(number)))


def from_python(value: object, where: Where, depth: int = 0) -> Node:
    """The node of a Python value (mappings, lists, scalars, numpy's included), as an API caller passes it.

    Raises ConfigError for NaN, infinities, keys that are not text, other types, and nesting beyond MAX_DEPTH.
    """
    if depth > MAX_DEPTH:
        raise ConfigError(f"nested deeper than {MAX_DEPTH} levels", where=where, remedy="flatten the value")
    if isinstance(value, Mapping):
        return Node({_key(key, where): from_python(entry, where, depth + 1) for key, entry in value.items()}, where)
    if isinstance(value, (list, tuple)):
        return Node(tuple(from_python(entry, where, depth + 1) for entry in value), where)
    if value is None or isinstance(value, (bool, str)):
        return Node(_encodable(value, where) if isinstance(value, str) else value, where)
    if isinstance(value, Integral):
        return Node(int(value), where)
    if isinstance(value, Real):
        return Node(finite(float(value), where), where)
    raise ConfigError(
        f"a {type(value).__name__} is no configuration value",
        where=where,
        remedy="pass text, numbers, booleans, lists or mappings",
    )


def finite(number: float, where: Where) -> float:
    """`number`, refused with ConfigError where it is NaN or infinite."""
    if math.isfinite(number):
        return number
    raise ConfigError(
        f"{number} is not a finite number", where=where, remedy="give a finite number, or leave the key out"
    )


def depth_of(node: Node) -> int:
    """Levels of nesting: 1 for a scalar."""
    if isinstance(node.content, dict):
        return 1 + max(map(depth_of, node.content.values()), default=0)
    if isinstance(node.content, tuple):
        return 1 + max(map(depth_of, node.content), default=0)
    return 1


def _key(key: object, where: Where) -> str:
    if isinstance(key, str) and 0 < len(key) <= MAX_KEY:
        return _encodable(key, where)
    raise ConfigError(f"{key!r} is no key", where=where, remedy=f"keys are text of 1 to {MAX_KEY} characters")


def _encodable(text: str, where: Where) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{text!r} is not Unicode text", where=where, remedy="pass text that UTF-8 can hold"
        ) from None
    return text
