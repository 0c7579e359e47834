"""Overriding: what a later value does to an earlier one, in merged files and under `--set`."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.core.errors import ConfigError
from simulator.core.nodes import Node
from simulator.core.paths import Path, format_path
from simulator.core.units import base_quantity, split_suffix


def merged(base: Node, over: Node) -> Node:
    """`base` overridden by `over`: mappings merge key by key; scalars, lists and whole parameters are replaced.

    A quantity replaces its other spelling: `t_read_us: 40` over `t_read: 18 ns`.
    """
    if not isinstance(base.content, dict) or not isinstance(over.content, dict) or over.is_parameter:
        return over
    entries = dict(base.content)
    for key, node in over.content.items():
        if key in entries:
            entries[key] = merged(entries[key], node)
            continue
        other = other_spelling(entries, key, node)
        if other is not None:
            del entries[other]
        entries[key] = node
    return Node(entries, over.where, over.key_where)


def other_spelling(entries: Mapping[str, Node], key: str, node: Node) -> str | None:
    """The key of `entries` that names the quantity of `key: node` in another way (`t_read`, `t_read_us`), or None."""
    quantity = _quantity(key, node)
    if quantity is None:
        return None
    return next(
        (other for other, entry in entries.items() if other != key and _quantity(other, entry) == quantity), None
    )


def with_set(root: Node, path: Path, value: Node) -> Node:
    """The tree with `value` set at `path`, as `--set` does it.

    A bare value over a `{value, source, ...}` parameter, in whatever spelling of its key, replaces its value; its
    source is then `--set` and its kind assumed. Raises ConfigError as `replaced`.
    """
    parent = _at(root, path[:-1])
    if parent is not None and parent.is_parameter and path[-1] == "value":
        return with_set(root, path[:-1], value)
    target = _at(root, path)
    if target is None and parent is not None and parent.mapping is not None:
        other = other_spelling(parent.mapping, path[-1], value)
        if other is not None:
            target = parent.mapping[other]
            rest = {key: entry for key, entry in parent.mapping.items() if key != other}
            root = replaced(root, path[:-1], Node(rest, parent.where, parent.key_where))
    if target is not None and target.is_parameter and value.mapping is None:
        # The old source says nothing of the new value.
        where = value.where
        source, kind = Node("--set", where, where), Node("assumed", where, where)
        value = Node({"value": value, "source": source, "kind": kind}, where, where)
    return replaced(root, path, value)


def replaced(node: Node, path: Path, new: Node, done: Path = ()) -> Node:
    """The tree with `new` at `path`; mappings on the way are made where absent.

    Raises ConfigError at `new` where the path leads through a scalar or past the end of a list.
    """
    if not path:
        return new
    key, rest = path[0], path[1:]
    content = node.content
    if isinstance(content, tuple):
        below = node.child(key)
        if below is None:
            raise ConfigError(
                f"`{format_path(done)}` is a list of {len(content)} items and has no `{key}`",
                where=new.where,
                remedy="name an item by its number from 0, or set the whole list",
            )
        index = int(key)
        items = (*content[:index], replaced(below, rest, new, (*done, key)), *content[index + 1 :])
        return Node(items, node.where, node.key_where)
    if not isinstance(content, dict):
        raise ConfigError(
            f"`{format_path(done)}` is a single value and has no `{key}`",
            where=new.where,
            remedy=f"set `{format_path(done)}` itself",
        )
    entry = content.get(key)
    if entry is None:
        entry = Node({}, new.where, new.where)
    return Node({**content, key: replaced(entry, rest, new, (*done, key))}, node.where, node.key_where)


def _at(node: Node, path: Path) -> Node | None:
    found: Node | None = node
    for key in path:
        found = found.child(key) if found is not None else None
    return found


def _quantity(key: str, node: Node) -> tuple[str, str] | None:
    """The stem and the dimension of a quantity; None for what names no unit in key or value."""
    stem, unit = split_suffix(key)
    if unit is not None:
        return stem, unit.dimension
    value = node.mapping["value"] if node.is_parameter and node.mapping else node
    if not isinstance(value.content, str):
        return None
    try:
        _, dimension = base_quantity(value.content)
    except ConfigError:
        return None
    return (key, dimension) if dimension else None
