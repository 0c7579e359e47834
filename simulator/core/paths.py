"""Dotted paths into a configuration: `system.device.t_rcd`, list items by number, dotted keys in double quotes."""

from __future__ import annotations

import re

from simulator.core.errors import ConfigError, Position

Path = tuple[str, ...]
"""Keys from the root; a list item is its number as text."""

MAX_DEPTH = 64
"""How deep a configuration may nest: far beyond any use, and short of what recursion can walk."""

MAX_KEY = 100
"""The longest key: YAML itself ends at 1,024 characters, escapes included."""

_COMPONENT = re.compile(r'"((?:[^"\\]|\\.)*)"|([^."]+)')


def format_path(path: Path) -> str:
    """The path as a user writes it; `(root)` for the empty path."""
    return ".".join(_quoted(key) for key in path) if path else "(root)"


def parse_path(text: str, *, where: Position | str | None = None) -> Path:
    """The keys of a dotted path.

    Raises ConfigError where a part is empty or overlong, a quote is open, or the path is deeper than MAX_DEPTH.
    """
    keys: list[str] = []
    at = 0
    while True:
        match = _COMPONENT.match(text, at)
        if match is None:
            raise ConfigError(
                f"{text[:MAX_KEY]!r} is not a path",
                where=where,
                remedy="write keys joined by dots, such as system.device.n_banks",
            )
        quoted, plain = match.groups()
        keys.append(plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
        at = match.end()
        if at == len(text):
            break
        if text[at] != ".":
            raise ConfigError(
                f"{text[:MAX_KEY]!r} is not a path", where=where, remedy='quote a whole key: models."yi-1.5".n_layers'
            )
        at += 1
    for key in keys:
        if not key or len(key) > MAX_KEY:
            raise ConfigError(
                f"a key of {len(key)} characters", where=where, remedy=f"a key has 1 to {MAX_KEY} characters"
            )
    if len(keys) > MAX_DEPTH:
        raise ConfigError(f"a path of {len(keys)} keys", where=where, remedy=f"nest at most {MAX_DEPTH} levels deep")
    return tuple(keys)


def _quoted(key: str) -> str:
    if key and "." not in key and '"' not in key:
        return key
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
