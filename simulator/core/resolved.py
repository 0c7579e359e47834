"""A resolved configuration as text, one YAML file that says where each value came from, and the hash of its content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator

from simulator.core.config import ConfigTree
from simulator.core.errors import ConfigError, Position
from simulator.core.nodes import Node, Scalar
from simulator.core.yaml_source import resolve_plain

# Text that needs no quotes in block or flow style: no indicator, no `: `, no ` #`.
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+%^()-]*( [A-Za-z0-9_./+%^()-]+)*")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def resolved_yaml(tree: ConfigTree) -> str:
    """The tree as YAML, every value with its origin as a comment; loading it gives a tree of the same `config_hash`."""
    if not tree.keys():
        return "{}\n"
    return "\n".join(_block(tree.node, 0)) + "\n"


def config_hash(tree: ConfigTree) -> str:
    """SHA-256, in hexadecimal, of every value, source, kind and range; the order of keys does not matter."""
    canonical = json.dumps(tree.full(), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _block(node: Node, indent: int) -> Iterator[str]:
    """Lines of a non-empty mapping or list."""
    margin = "  " * indent
    content = node.content
    if isinstance(content, dict):
        heads = [(f"{margin}{_text(key)}:", entry) for key, entry in content.items()]
    else:
        assert isinstance(content, tuple)
        heads = [(f"{margin}-", entry) for entry in content]
    for head, entry in heads:
        flow = _flow(entry)
        if flow is None:
            yield head
            yield from _block(entry, indent + 1)
        else:
            yield f"{head} {flow}  # {_comment(_origin(entry))}"


def _flow(node: Node) -> str | None:
    """The node on one line where it is a scalar, empty, a list of scalars or a parameter of those; else None."""
    content = node.content
    if isinstance(content, tuple):
        if any(isinstance(item.content, (dict, tuple)) for item in content):
            return None
        return "[" + ", ".join(str(_flow(item)) for item in content) + "]"
    if isinstance(content, dict):
        if not node.is_parameter:
            return None if content else "{}"
        entries = {key: _flow(entry) for key, entry in content.items()}
        if None in entries.values():
            return None
        return "{" + ", ".join(f"{_text(key)}: {flow}" for key, flow in entries.items()) + "}"
    return _scalar(content)


def _scalar(value: Scalar) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value) if _stays_text(value) else _quoted(value)
    return repr(value)


def _text(text: str) -> str:
    """Text where YAML resolves nothing, such as a key."""
    return text if _PLAIN_TEXT.fullmatch(text) else _quoted(text)


def _stays_text(text: str) -> bool:
    try:
        return isinstance(resolve_plain(text, ""), str)
    except ConfigError:
        return False


def _quoted(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(character) or _visible(character) for character in text) + '"'


def _visible(character: str) -> str:
    code = ord(character)
    if character.isprintable() and code != 0xFEFF:
        return character
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def _origin(node: Node) -> Position | str:
    return node.mapping["value"].where if node.is_parameter and node.mapping else node.where


def _comment(where: Position | str) -> str:
    return "".join(character if character.isprintable() else "?" for character in str(where))
