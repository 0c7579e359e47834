"""Protobuf messages by the million: fields as columns, laid out with a few array operations a field.

A message is a list of fields; a field is a column of varints, ready-made bytes chosen by a column, or a message of its
own. Lengths are summed from the inside out, then every byte is put in its place.

Source: the protocol buffers' wire format. Not modelled: negative numbers, floats, packed fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

VARINT, LENGTH_DELIMITED = 0, 2  # wire types


class Field(Protocol):
    """What a message asks of its fields: how many bytes each row takes, and to write them."""

    def lengths(self) -> NDArray[np.int64]:
        """Bytes of the field in each message, tag included, int64[n]; 0 where the message does not have it."""
        ...

    def put(self, out: NDArray[np.uint8], at: NDArray[np.int64]) -> None:
        """Write the field of message i from byte `at[i]` of `out` on."""
        ...


def varint(value: int) -> bytes:
    """One number of 0 or more, seven bits a byte, the lowest first."""
    groups = []
    while True:
        groups.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(groups)


def tag(number: int, wire_type: int) -> bytes:
    """The tag that stands before a field."""
    return varint(number << 3 | wire_type)


def number_field(number: int, value: int) -> bytes:
    """One field with a number of 0 or more."""
    return tag(number, VARINT) + varint(value)


def bytes_field(number: int, content: bytes) -> bytes:
    """One field with bytes, text or a message."""
    return tag(number, LENGTH_DELIMITED) + varint(len(content)) + content


def text_field(number: int, content: str) -> bytes:
    """One field with text; half a surrogate pair, which UTF-8 cannot hold, becomes a question mark."""
    return bytes_field(number, content.encode("utf-8", "replace"))


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """A varint field: `values` int64[n] >= 0, or less where a message does not have it."""

    number: int
    values: NDArray[np.int64]

    def lengths(self) -> NDArray[np.int64]:
        """Bytes of the field in each message."""
        n_tag = len(tag(self.number, VARINT))
        return np.where(self.values < 0, 0, n_tag + _varint_lengths(self.values))

    def put(self, out: NDArray[np.uint8], at: NDArray[np.int64]) -> None:
        """Write tags and varints."""
        there = self.values >= 0
        values, places = (self.values, at) if there.all() else (self.values[there], at[there])
        places = _put_bytes(out, places, tag(self.number, VARINT))
        _put_varints(out, places, values)


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Ready-made bytes: message i holds `choices[which[i]]`, tags and all; which is int[n]."""

    choices: Sequence[bytes]
    which: NDArray[np.integer]

    def lengths(self) -> NDArray[np.int64]:
        """Bytes of the field in each message."""
        lengths: NDArray[np.int64] = np.array([len(choice) for choice in self.choices], np.int64)[self.which]
        return lengths

    def put(self, out: NDArray[np.uint8], at: NDArray[np.int64]) -> None:
        """Copy the chosen bytes; one array operation per byte of the longest choice."""
        lengths = self.lengths()
        table = np.zeros((len(self.choices), max((len(one) for one in self.choices), default=0)), np.uint8)
        for row, choice in zip(table, self.choices, strict=True):
            row[: len(choice)] = np.frombuffer(choice, np.uint8)
        for index in range(table.shape[1]):
            there = lengths > index
            out[at[there] + index] = table[self.which[there], index]


@dataclass(frozen=True, slots=True, eq=False)
class Messages:
    """A message within each message: its fields, or nothing where `there` bool[n] is false."""

    number: int
    fields: Sequence[Field]
    there: NDArray[np.bool_] | None = None

    def lengths(self) -> NDArray[np.int64]:
        """Bytes of tag, length and content in each message."""
        content = self._content()
        whole = len(tag(self.number, LENGTH_DELIMITED)) + _varint_lengths(content) + content
        return whole if self.there is None else np.where(self.there, whole, 0)

    def put(self, out: NDArray[np.uint8], at: NDArray[np.int64]) -> None:
        """Write tags, lengths and contents. The fields of a message that is not there must take no bytes."""
        content = self._content()
        there = slice(None) if self.there is None else self.there
        _put_varints(out, _put_bytes(out, at[there], tag(self.number, LENGTH_DELIMITED)), content[there])
        at = at + len(tag(self.number, LENGTH_DELIMITED)) + _varint_lengths(content)
        for field in self.fields:
            field.put(out, at)
            at = at + field.lengths()

    def _content(self) -> NDArray[np.int64]:
        total = self.fields[0].lengths()
        for field in self.fields[1:]:
            total = total + field.lengths()
        return total

    def encoded(self) -> bytes:
        """All messages, one after another."""
        lengths = self.lengths()
        ends = np.cumsum(lengths)
        out = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
        self.put(out, ends - lengths)
        return out.tobytes()


def _varint_lengths(values: NDArray[np.int64]) -> NDArray[np.int64]:
    lengths = np.ones(values.shape, np.int64)
    largest, bits = int(values.max(initial=0)), 7
    while largest >> bits:
        lengths += values >= 1 << bits
        bits += 7
    return lengths


def _put_bytes(out: NDArray[np.uint8], at: NDArray[np.int64], content: bytes) -> NDArray[np.int64]:
    """Write the same bytes everywhere; returns the places after them."""
    for byte in content:
        out[at] = byte
        at = at + 1
    return at


def _put_varints(out: NDArray[np.uint8], at: NDArray[np.int64], values: NDArray[np.int64]) -> None:
    while values.size:
        more = values > 0x7F
        out[at] = (values & 0x7F | np.where(more, 0x80, 0)).astype(np.uint8)
        if not more.any():
            return
        at, values = at[more] + 1, values[more] >> 7
