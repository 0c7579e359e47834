"""YAML text into nodes with positions, read the 1.2 way and strictly.

Plain `yes`, `on`, `1:30`, `1_000` and dates stay text; `true`, `false`, `null`, decimal, `0x` and `0o` numbers are read
as such. Refused, with position and remedy: duplicate keys, leading zeros (`010`), NaN and infinities, tags, merge keys
(`<<`), several documents, control characters, nesting or aliases beyond what a configuration needs.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from simulator.core.errors import ConfigError, Position
from simulator.core.nodes import Node, Scalar, Where, finite
from simulator.core.paths import MAX_DEPTH, MAX_KEY

MAX_FILE_BYTES = 1 << 20
"""The largest configuration file that is read."""

MAX_EXPANDED = 4 * MAX_FILE_BYTES
"""The largest size, in characters, that aliases may blow a document up to."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_INT = re.compile(r"[-+]?[0-9]+")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_LONGEST_NUMBER = 400
_COLLECTION_TAGS = (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_TEXT_TAGS = (None, "!", "tag:yaml.org,2002:str")


def parse_yaml(text: str, *, file: str = "", where: str | None = None) -> Node | None:
    """The root node of one YAML document; None where it holds nothing but comments.

    Positions name `file`; with `where` (such as `--set run.seed`) every node and error is there instead.
    Raises ConfigError for anything malformed or refused.
    """
    return _Builder(text, file, where).document()


def decode_utf8(content: bytes, *, file: str) -> str:
    """The text of a UTF-8 file, byte-order mark dropped; ConfigError at the first byte that is not UTF-8."""
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        raise ConfigError(
            f"byte 0x{content[error.start]:02x} is not UTF-8",
            where=_position_at(before, len(before), file),
            remedy="save the file as UTF-8",
        ) from None


def resolve_plain(text: str, where: Where) -> Scalar:
    """The value of an unquoted scalar, by YAML 1.2's core schema; ConfigError for numbers that 1.1 reads otherwise."""
    if text in _WORDS:
        return _WORDS[text]
    if _LEADING_ZERO.fullmatch(text):
        raise ConfigError(
            f"{text} is ambiguous: YAML 1.1 reads it as octal, 1.2 as decimal",
            where=where,
            remedy=f"write {text.lstrip('+-').lstrip('0') or '0'}, 0o... for octal, or quote it",
        )
    if len(text) > _LONGEST_NUMBER and (_FLOAT.fullmatch(text) or _OTHER_BASE.fullmatch(text)):
        raise ConfigError(
            f"a number of {len(text)} characters", where=where, remedy="write it shorter, or quote it if it is text"
        )
    if _INT.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _NOT_FINITE.fullmatch(text):
        return finite(float(text.replace(".", "")), where)
    if _FLOAT.fullmatch(text):
        return finite(float(text), where)
    return text


@dataclass(slots=True)
class _Frame:
    """A collection under construction: entries so far, the key that waits for a value, size and height for aliases."""

    where: Where
    anchor: str | None
    is_mapping: bool
    entries: dict[str, Node] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    key: str | None = None
    key_where: Where | None = None
    size: int = 1
    height: int = 0

    def node(self, key_where: Where | None) -> Node:
        """The finished collection."""
        return Node(self.entries if self.is_mapping else tuple(self.items), self.where, key_where)


class _Builder:
    """One document's nodes from PyYAML's event stream, without recursion: no text can exhaust the stack."""

    def __init__(self, text: str, file: str, where: str | None) -> None:
        self._text = text
        self._file = file
        self._where = where
        self._frames: list[_Frame] = []
        self._anchored: dict[str, tuple[Node, int, int]] = {}
        self._root: Node | None = None

    def document(self) -> Node | None:
        """The root node, None where the document is empty."""
        n_documents = 0
        for event in self._events():
            if isinstance(event, yaml.DocumentStartEvent):
                n_documents += 1
                if n_documents > 1:
                    raise self._error(event, "a second document starts here", "keep one document in a file")
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._open(event)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                frame = self._frames.pop()
                key_where = self._frames[-1].key_where if self._frames else None
                self._place(frame.node(key_where), frame.anchor, frame.size, frame.height + 1, event)
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
        root = self._root
        return None if root is None or root.content is None else root

    def _events(self) -> Iterator[Any]:
        bad = _UNREADABLE.search(self._text)
        if bad is not None:
            raise ConfigError(
                f"control character U+{ord(bad[0]):04X}",
                where=self._where or _position_at(self._text, bad.start(), self._file),
                remedy="remove it, or write it as an escape in a double-quoted text",
            )
        try:
            yield from yaml.parse(self._text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            raise self._malformed(error) from None
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            raise ConfigError(
                f"not YAML: {error}", where=self._where or self._file, remedy="check the text's quoting"
            ) from None

    def _malformed(self, error: yaml.MarkedYAMLError) -> ConfigError:
        mark = error.problem_mark or error.context_mark
        where: Where = self._where or self._file
        if mark is None:
            return ConfigError(
                f"not YAML: {error.problem}", where=where, remedy="check the text's quoting and indentation"
            )
        if self._where is None:
            where = Position(self._file, mark.line + 1, mark.column + 1)
        lines = _LINE_BREAK.split(self._text)
        line = lines[mark.line] if mark.line < len(lines) else ""
        if line[mark.column : mark.column + 1] == "\t" or line[: mark.column].strip(" ").startswith("\t"):
            return ConfigError("a tab is used as indentation", where=where, remedy="indent with spaces")
        if mark.line >= len(lines) - 1 and not line[mark.column :].strip():
            return ConfigError(
                f"not YAML: {error.problem}", where=where, remedy="close the bracket, brace or quote that is still open"
            )
        return ConfigError(
            f"not YAML: {error.problem}", where=where, remedy="check this line's indentation, its colons and its quotes"
        )

    def _open(self, event: Any) -> None:
        if event.tag not in _COLLECTION_TAGS:
            raise self._tagged(event)
        if self._frames and self._frames[-1].is_mapping and self._frames[-1].key is None:
            raise self._error(event, "a list or mapping stands where a key is due", "use text as keys")
        if len(self._frames) >= MAX_DEPTH:
            raise self._error(event, f"nested deeper than {MAX_DEPTH} levels", "flatten the file")
        self._frames.append(_Frame(self._at(event), event.anchor, isinstance(event, yaml.MappingStartEvent)))

    def _scalar(self, event: Any) -> None:
        if event.tag not in _TEXT_TAGS:
            raise self._tagged(event)
        quoted = event.style in ("'", '"', "|", ">") or event.tag is not None
        frame = self._frames[-1] if self._frames else None
        if frame is not None and frame.is_mapping and frame.key is None:
            self._key(frame, event, quoted)
            return
        where = self._at(event)
        value = event.value if quoted else resolve_plain(event.value, where)
        node = Node(value, where, frame.key_where if frame else None)
        self._place(node, event.anchor, 1 + len(event.value), 1, event)

    def _key(self, frame: _Frame, event: Any, quoted: bool) -> None:
        key = event.value
        if key == "<<" and not quoted:
            raise self._error(event, "merge keys (`<<`) are not read", "use `use:` or `extends:` to share settings")
        if not key or len(key) > MAX_KEY:
            raise self._error(event, f"a key of {len(key)} characters", f"a key has 1 to {MAX_KEY} characters")
        if key in frame.entries:
            first = frame.entries[key].key_where
            raise self._error(event, f"duplicate key `{key}`, first at {first}", "keep one of the two")
        if event.anchor is not None:
            raise self._error(event, "an anchor on a key", "put the anchor on a value")
        frame.key, frame.key_where = key, self._at(event)

    def _alias(self, event: Any) -> None:
        if self._frames and self._frames[-1].is_mapping and self._frames[-1].key is None:
            raise self._error(event, "an alias stands where a key is due", "use text as keys")
        if any(frame.anchor == event.anchor for frame in self._frames):
            raise self._error(event, f"`*{event.anchor}` contains itself", "break the circle")
        if event.anchor not in self._anchored:
            raise self._error(event, f"no anchor `&{event.anchor}` before this alias", "define the anchor first")
        node, size, height = self._anchored[event.anchor]
        if len(self._frames) + height > MAX_DEPTH + 1:
            raise self._error(event, f"nested deeper than {MAX_DEPTH} levels through aliases", "flatten the file")
        key_where = self._frames[-1].key_where if self._frames else None
        self._place(Node(node.content, node.where, key_where), None, size, height, event)

    def _place(self, node: Node, anchor: str | None, size: int, height: int, event: Any) -> None:
        if anchor is not None:
            self._anchored[anchor] = (node, size, height)
        if not self._frames:
            self._root = node
            return
        frame = self._frames[-1]
        frame.size += size
        frame.height = max(frame.height, height)
        if frame.size > MAX_EXPANDED:
            raise self._error(event, "aliases expand this document beyond any use", "write fewer aliases of aliases")
        if not frame.is_mapping:
            frame.items.append(node)
            return
        assert frame.key is not None
        frame.entries[frame.key] = node
        frame.size += len(frame.key)
        frame.key = frame.key_where = None

    def _at(self, event: Any) -> Where:
        return self._where or Position(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _error(self, event: Any, message: str, remedy: str) -> ConfigError:
        return ConfigError(message, where=self._at(event), remedy=remedy)

    def _tagged(self, event: Any) -> ConfigError:
        return self._error(event, f"tag `{event.tag}` is not read", "remove the tag; quote what is to be text")


def _position_at(text: str, index: int, file: str) -> Position:
    breaks = list(_LINE_BREAK.finditer(text, 0, index))
    start = breaks[-1].end() if breaks else 0
    return Position(file, len(breaks) + 1, index - start + 1)
