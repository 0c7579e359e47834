"""Configurations: a tree of values that remember their origin, loaded from YAML files and overridden by `--set`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from simulator.core.errors import ConfigError
from simulator.core.includes import Includer
from simulator.core.nodes import Node, Plain, Where, depth_of, from_python
from simulator.core.overrides import merged, replaced, with_set
from simulator.core.parameters import check_parameters
from simulator.core.paths import MAX_DEPTH, Path, format_path, parse_path
from simulator.core.spelling import did_you_mean
from simulator.core.yaml_source import parse_yaml

SECTIONS = ("system", "workload", "serving", "run")
"""The sections of a configuration."""

Sets = Iterable[str] | Mapping[str, object]
"""Overrides: `PATH=VALUE` texts, as after `--set`, or values by path."""


@dataclass(frozen=True, slots=True)
class ConfigTree:
    """A configuration, or the part of one below `path`. It is never changed: overriding gives a new tree."""

    node: Node
    path: Path = ()
    root_keys: tuple[str, ...] = ()

    def at(self, path: str) -> ConfigTree:
        """The tree below a dotted path; ConfigError, at the nearest place that exists, where there is nothing."""
        node, done = self.node, self.path
        for key in parse_path(path):
            below = node.child(key)
            if below is None:
                known = node.mapping or {}
                raise ConfigError(
                    f"`{format_path(done)}` has no `{key}`",
                    where=node.key_where or node.where,
                    remedy=did_you_mean(key, known) if known else f"add `{key}`",
                )
            node, done = below, (*done, key)
        return ConfigTree(node, done)

    def get(self, path: str, default: Any = None) -> Any:
        """The plain value at a dotted path, or `default` where there is none."""
        node = self._find(path)
        return default if node is None else node.plain()

    def __contains__(self, path: str) -> bool:
        return self._find(path) is not None

    def keys(self) -> tuple[str, ...]:
        """The keys of a mapping, in order; none for anything else."""
        return tuple(self.node.mapping or ())

    def position(self, path: str = "") -> Where:
        """Where the value at a dotted path (empty: the tree itself) was written; ConfigError where there is none."""
        return self.at(path).node.where if path else self.node.where

    def plain(self) -> Any:
        """Values only, as dicts, lists and scalars; a `{value, source, ...}` parameter is its value."""
        return self.node.plain()

    def full(self) -> Plain:
        """As `plain`, each parameter with its source, kind and range."""
        return self.node.full()

    def origins(self) -> dict[str, str]:
        """The place that wrote each scalar, by dotted path: `file:line:column` or `--set PATH`."""
        return {
            format_path(path): str(node.where)
            for path, node in self.node.walk(self.path)
            if not node.content or not isinstance(node.content, (dict, tuple))
        }

    def with_sets(self, sets: Sets) -> ConfigTree:
        """This tree with overrides applied in order, later ones over earlier ones.

        A bare value over a `{value, source, ...}` parameter replaces its value; the parameter's source is then `--set`
        and its kind assumed. A path that ends in `.use` puts another part in the place above it.

        Raises ConfigError, naming the `--set`.
        """
        node = self.node
        for path, value in _parsed(sets):
            node = _with_set(node, path, value)
        return self._checked(node)

    def with_section(self, name: str, section: ConfigTree) -> ConfigTree:
        """This tree with the part `section` in place of what stood under the key `name`."""
        return self._checked(replaced(self.node, (name,), section.node))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        # A model's field of this type takes the subtree as it is, for a component whose model its `kind` chooses.
        from pydantic_core import core_schema

        return core_schema.is_instance_schema(cls)

    def _find(self, path: str) -> Node | None:
        node: Node | None = self.node
        for key in parse_path(path):
            node = node.child(key) if node is not None else None
        return node

    def _checked(self, node: Node) -> ConfigTree:
        for key, entry in (node.mapping or {}).items():
            if self.root_keys and key not in self.root_keys:
                raise ConfigError(
                    f"unknown section `{key}`",
                    where=entry.key_where or entry.where,
                    remedy=did_you_mean(key, self.root_keys, noun="the sections"),
                )
            if self.root_keys and entry.mapping is None:
                raise ConfigError(
                    f"section `{key}` is not a mapping", where=entry.where, remedy=f"write keys below `{key}:`"
                )
        if depth_of(node) > MAX_DEPTH + 1:
            raise ConfigError(
                f"nested deeper than {MAX_DEPTH} levels", where=node.where, remedy="flatten the configuration"
            )
        check_parameters(node)
        return ConfigTree(node, self.path, self.root_keys)


def load_config(path: str | FilePath, sets: Sets = ()) -> ConfigTree:
    """The configuration of a file, with the sections of SECTIONS; `sets` begin at its root. Raises ConfigError."""
    return _load(path, sets, SECTIONS)


def load_part(path: str | FilePath, sets: Sets = ()) -> ConfigTree:
    """The part of a file, such as a memory: any keys; `sets` begin at its root. Raises ConfigError."""
    return _load(path, sets, ())


def tree_of(values: Mapping[str, object], *, where: str) -> ConfigTree:
    """A tree of Python values, for callers that have no file; every value's origin is `where`. Raises ConfigError."""
    return ConfigTree(Node({}, where))._checked(from_python(values, where))


def _load(path: str | FilePath, sets: Sets, root_keys: tuple[str, ...]) -> ConfigTree:
    tree = ConfigTree(Includer().load(str(path)), (), root_keys)
    return tree.with_sets(sets)


def _parsed(sets: Sets) -> Iterable[tuple[Path, Node]]:
    if isinstance(sets, Mapping):
        for key, value in sets.items():
            where = f"--set {key}"
            yield parse_path(key, where=where), from_python(value, where)
        return
    for text in sets:
        key, equals, written = text.partition("=")
        key = key.strip()
        where = f"--set {key}"
        if not equals or not key:
            raise ConfigError(
                f"{text!r} sets nothing", where="--set", remedy="write --set PATH=VALUE, such as --set run.seed=2"
            )
        path = parse_path(key, where=where)
        if not written.strip():
            raise ConfigError("no value", where=where, remedy=f"write {key}=VALUE, {key}=null or {key}='\"\"'")
        yield path, parse_yaml(written.strip(), where=where) or Node(None, where)


def _with_set(root: Node, path: Path, value: Node) -> Node:
    where = value.where
    if path[-1] == "use":
        path, value = path[:-1], Node({"use": value}, where, where)
    value = Includer().resolve(value, beside=FilePath())
    value = Node(value.content, where, where)
    return with_set(root, path, value) if path else merged(root, value)
