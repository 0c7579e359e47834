"""Files into one tree: `use: part.yaml` includes a part under a key, `extends: other.yaml` starts from another file."""

from __future__ import annotations

import os
from pathlib import Path as FilePath

from simulator.core.errors import ConfigError
from simulator.core.nodes import Node, Where
from simulator.core.overrides import merged
from simulator.core.paths import MAX_DEPTH
from simulator.core.spelling import nearest
from simulator.core.yaml_source import MAX_EXPANDED, MAX_FILE_BYTES, decode_utf8, parse_yaml

CONFIG_FOLDERS = (FilePath("hw_configs"), FilePath(__file__).parents[2] / "hw_configs")
"""Where `use:` and `extends:` look after the folder of the file that says them."""

_MAX_FILES = 500


class Includer:
    """Reads a file and everything that it uses or extends, once, within bounds on files, size and nesting."""

    def __init__(self) -> None:
        self._open_files: dict[str, str] = {}
        self._n_files = 0
        self._size = 0

    def load(self, path: str, said_at: Where | None = None, depth: int = 0) -> Node:
        """The resolved tree of a file; `said_at` is the place that named it. Raises ConfigError."""
        identity = _identity(path)
        if identity in self._open_files:
            circle = " -> ".join([*self._open_files.values(), path])
            raise ConfigError(
                f"{path} includes itself: {circle}", where=said_at, remedy="break the circle of `use:` and `extends:`"
            )
        self._n_files += 1
        if self._n_files > _MAX_FILES:
            raise ConfigError(f"more than {_MAX_FILES} files are included", where=said_at, remedy="include fewer parts")
        root = read_document(path, said_at=said_at)
        if root.mapping is None:
            raise ConfigError(
                "the file does not hold a mapping", where=root.where, remedy="start it with `key: value` lines"
            )
        self._open_files[identity] = path
        resolved = self._root(root, path, depth)
        del self._open_files[identity]
        return resolved

    def resolve(self, node: Node, beside: FilePath, depth: int = 0) -> Node:
        """The node with every `use:` in it replaced by the part, overridden by the keys beside it.

        `beside` is the folder that relative names start from.
        """
        if depth > MAX_DEPTH:
            raise ConfigError(f"nested deeper than {MAX_DEPTH} levels", where=node.where, remedy="flatten the files")
        self._charge(node)
        if isinstance(node.content, tuple):
            items = tuple(self.resolve(item, beside, depth + 1) for item in node.content)
            return Node(items, node.where, node.key_where)
        if not isinstance(node.content, dict):
            return node
        if "extends" in node.content:
            raise ConfigError(
                "`extends` below the top of a file",
                where=node.content["extends"].key_where,
                remedy="use `use:` to include a part here",
            )
        own = {key: self.resolve(entry, beside, depth + 1) for key, entry in node.content.items() if key != "use"}
        over = Node(own, node.where, node.key_where)
        if "use" not in node.content:
            return over
        part = self.load(*self._named(node.content["use"], "use", beside), depth=depth)
        return merged(part, over)

    def _root(self, root: Node, path: str, depth: int) -> Node:
        assert root.mapping is not None
        beside = FilePath(path).parent
        own = Node({key: entry for key, entry in root.mapping.items() if key != "extends"}, root.where)
        resolved = self.resolve(own, beside, depth)
        if "extends" not in root.mapping:
            return resolved
        base = self.load(*self._named(root.mapping["extends"], "extends", beside), depth=depth)
        return merged(base, resolved)

    def _named(self, node: Node, verb: str, beside: FilePath) -> tuple[str, Where]:
        name = node.content
        if not isinstance(name, str) or not name:
            raise ConfigError(
                f"`{verb}` does not name a file", where=node.where, remedy=f"write `{verb}: parts/part.yaml`"
            )
        folders = [beside, *CONFIG_FOLDERS]
        places = [os.path.normpath(folder / name) for folder in folders]
        for place in places:
            if _is_file(place):
                return place, node.where
        return places[0], node.where

    def _charge(self, node: Node) -> None:
        # Parts that use parts twice double at every level: bound what the whole may grow to.
        self._size += 1 + (len(node.content) if isinstance(node.content, (str, dict, tuple)) else 0)
        if self._size > MAX_EXPANDED:
            raise ConfigError(
                "the included files expand beyond any use", where=node.where, remedy="include fewer parts of parts"
            )


def read_document(path: str, *, said_at: Where | None = None) -> Node:
    """The root node of one YAML file as it stands, nothing included.

    Raises ConfigError where the file is missing, unreadable, too large, not UTF-8, malformed or empty.
    """
    root = parse_yaml(decode_utf8(_read_bytes(path, said_at), file=path), file=path)
    if root is None:
        raise ConfigError("the file is empty", where=path, remedy="start it with `key: value` lines")
    return root


def _read_bytes(path: str, said_at: Where | None) -> bytes:
    where = said_at if said_at is not None else path
    try:
        with FilePath(path).open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"no file {path}", where=said_at, remedy=_file_remedy(path)) from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder", where=said_at, remedy="name a YAML file in it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(
            f"cannot read {path!r}: {reason}", where=said_at, remedy="name a readable YAML file"
        ) from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(
            f"the file is larger than {MAX_FILE_BYTES >> 20} MiB",
            where=where,
            remedy="name a configuration, not a trace",
        )
    return content


def _identity(path: str) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # no name of a file at all, which reading it reports
        return path


def _is_file(path: str) -> bool:
    try:
        return FilePath(path).is_file()
    except ValueError:  # a NUL in the name
        return False


def _file_remedy(path: str) -> str:
    folder = FilePath(path).parent
    try:
        guess = nearest(FilePath(path).name, [beside.name for beside in folder.iterdir()])
    except OSError:
        return f"there is no folder {folder}; check the path"
    return f"did you mean {folder / guess}?" if guess is not None else "check the path"
