"""The part that a calibration writes: it extends the part that it began from, and states each refitted value, its
source and its range."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from simulator.core.config import ConfigTree, load_part
from simulator.core.errors import ConfigError, ModelFault, Position
from simulator.core.includes import read_document
from simulator.core.nodes import Node
from simulator.core.overrides import replaced
from simulator.core.paths import Path as Keys
from simulator.core.paths import format_path
from simulator.core.resolved import resolved_yaml
from simulator.experiments.calibrate import Fit

MARK = "# Written by `sim calibrate gpu`"
_SUFFIXES = (".yaml", ".yml")


def calibration_target(out: str | Path | None, part: Path, part_tree: ConfigTree, measured: str) -> Path:
    """Where the part goes, checked before anything is computed.

    Without `out` it is `<part>_<measured>.yaml` in the current folder. Raises ConfigError where that is no YAML file in
    a folder that can be written, where it exists and is no calibration named by `out`, and where `part` is made from
    it.
    """
    stem = Path(measured).name.partition(".")[0]
    target = Path(f"{part.stem}_{stem}.yaml") if out is None else Path(out)
    where = f"--out {target}"
    if target.suffix not in _SUFFIXES:
        raise ConfigError("a part is a YAML file", where=where, remedy=f"name it {target.name}.yaml")
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK | os.X_OK):
        raise ConfigError(f"{target.parent} is no folder that can be written", where=where, remedy="name another one")
    if os.path.realpath(target) in {*_extended(part), *_files(part_tree)}:
        raise ConfigError(f"{part} is made from {target}", where=where, remedy="name a new file")
    if target.is_dir():
        raise ConfigError("it is a folder", where=where, remedy="name a file")
    if os.path.lexists(target):
        if not _is_calibration(target):
            raise ConfigError("the file was not written by a calibration", where=where, remedy="name a new file")
        if out is None:
            raise ConfigError(
                "there is an earlier calibration of this name",
                where=str(target),
                remedy=f"replace it with --out {target}, or name a new file",
            )
    return target


def write_part(target: Path, part: Path, fit: Fit, measured: str) -> str:
    """Write the calibrated part in one step and return its text.

    Raises ConfigError where the file cannot be written; the target is then as it was.
    """
    measured = " ".join("".join(one if one.isprintable() else " " for one in measured).split())
    overlay = Node({}, measured)
    refitted = {one.path for one in fit.refitted}
    for keys, node in _changed(fit.tree.node, ()):
        overlay = replaced(overlay, keys, _from(node, measured if format_path(keys) in refitted else "--set"))
    base = os.path.relpath(part, target.parent)
    overlay = Node({"extends": Node(Path(base).as_posix(), "the part calibrated"), **(overlay.mapping or {})}, measured)
    text = f"{MARK}: {len(fit.refitted)} values refitted to {measured}.\n{resolved_yaml(ConfigTree(overlay))}"
    beside = target.with_name(f".{target.name}.{secrets.token_hex(6)}{target.suffix}")
    try:
        with beside.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if load_part(beside).plain() != fit.tree.plain():
            raise ModelFault("the part as written is not the part that was fitted", remedy="report the command")
        beside.replace(target)
    except OSError as error:
        raise ConfigError(
            f"the part cannot be written: {error.strerror or error}", where=str(target), remedy="name another place"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
    return text


def _changed(node: Node, keys: Keys) -> Iterator[tuple[Keys, Node]]:
    """The topmost nodes that no file wrote: what `--set` and the fit put there."""
    written_by = node.mapping["value"].where if node.is_parameter and node.mapping else node.where
    if isinstance(written_by, str):
        yield keys, node
    elif node.mapping is not None and not node.is_parameter:
        for key, below in node.mapping.items():
            yield from _changed(below, (*keys, key))


def _from(node: Node, where: str) -> Node:
    """The same content, its origin stated as `where`."""
    content = node.content
    if isinstance(content, dict):
        content = {key: _from(below, where) for key, below in content.items()}
    elif isinstance(content, tuple):
        content = tuple(_from(below, where) for below in content)
    return Node(content, where)


def _extended(part: Path) -> Iterator[str]:
    """The part and what it extends, which need not have written any value that is left."""
    while part.is_file():
        yield os.path.realpath(part)
        base = (read_document(str(part)).mapping or {}).get("extends")
        if base is None:
            return
        part = part.parent / str(base.content)


def _files(tree: ConfigTree) -> set[str]:
    """The files that a tree's values were written in."""
    places = (node.where for _, node in tree.node.walk())
    return {os.path.realpath(place.file) for place in places if isinstance(place, Position)}


def _is_calibration(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as stream:
            return stream.readline(200).startswith(MARK)
    except (OSError, UnicodeDecodeError):
        return False
