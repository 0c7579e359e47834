"""What a model's field accepts, read from its annotation: alternatives, numbers among them, and words for messages."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from enum import Enum
from fractions import Fraction
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

_NUMBERS = (int, float, Fraction)
_LISTS = (list, tuple, set, frozenset, Sequence)
_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    Fraction: "a number",
    bool: "true or false",
    str: "text",
    type(None): "null",
}


def alternatives(annotation: Any) -> list[Any]:
    """The members of a union (a lone annotation is its own), `Annotated` and type aliases taken off."""
    if hasattr(annotation, "__value__"):
        return alternatives(annotation.__value__)
    origin = get_origin(annotation)
    if origin is Annotated:
        return alternatives(get_args(annotation)[0])
    if origin is Union or origin is types.UnionType:
        return [member for part in get_args(annotation) for member in alternatives(part)]
    return [annotation]


def is_numeric(annotation: Any) -> bool:
    """Whether a number, or lists or mappings of numbers, may stand here; models inside do not count."""
    return any(
        member in _NUMBERS
        or (get_origin(member) is Literal and any(_is_number(value) for value in get_args(member)))
        or (is_list(member) and any(is_numeric(part) for part in get_args(member) if part is not Ellipsis))
        or (is_mapping(member) and is_numeric(value_of(member)))
        for member in alternatives(annotation)
    )


def models(members: list[Any]) -> list[type[BaseModel]]:
    """The pydantic models among alternatives."""
    return [member for member in members if isinstance(member, type) and issubclass(member, BaseModel)]


def is_list(member: Any) -> bool:
    """Whether an alternative is a list, tuple or set type."""
    return (get_origin(member) or member) in _LISTS


def is_mapping(member: Any) -> bool:
    """Whether an alternative is a mapping type."""
    return (get_origin(member) or member) in (dict, Mapping)


def item_of(member: Any, index: int) -> Any:
    """The annotation of a list type's item."""
    arguments = get_args(member)
    if (get_origin(member) or member) is tuple and arguments[1:] != (Ellipsis,):
        return arguments[index] if index < len(arguments) else Any
    return arguments[0] if arguments else Any


def value_of(member: Any) -> Any:
    """The annotation of a mapping type's values."""
    arguments = get_args(member)
    return arguments[1] if len(arguments) == 2 else Any


def choices(members: list[Any]) -> list[Any] | None:
    """The values of alternatives that are all literals, null aside; None where anything else is accepted."""
    values: list[Any] = []
    for member in members:
        if get_origin(member) is Literal:
            values.extend(get_args(member))
        elif member is not type(None):
            return None
    return values


def expected(members: list[Any]) -> str:
    """The alternatives in words, such as `a whole number or text`."""
    return " or ".join(dict.fromkeys(_phrase(member) for member in members))


def _phrase(member: Any) -> str:
    if get_origin(member) is Literal:
        return "one of " + ", ".join(str(value) for value in get_args(member))
    if isinstance(member, type) and issubclass(member, Enum):
        return "one of " + ", ".join(str(value.value) for value in member)
    if is_list(member):
        return "a list"
    if is_mapping(member) or models([member]):
        return "a mapping"
    return _WORDS.get(member, "text")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
