"""Bind a configuration to a pydantic model: units by field suffix, and every refusal at the place that the user wrote.

Imported only by what reads configurations: it loads pydantic.
"""

from __future__ import annotations

from enum import Enum
from fractions import Fraction
from pathlib import Path as FilePath
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from simulator.core import annotations as an
from simulator.core.config import ConfigTree
from simulator.core.errors import ConfigError
from simulator.core.field_names import FieldName, Measure, match_keys, missing_remedy
from simulator.core.nodes import Node, Where
from simulator.core.paths import Path, format_path
from simulator.core.spelling import did_you_mean
from simulator.core.units import bare_number, convert, parse_number, split_quantity

ModelT = TypeVar("ModelT", bound=BaseModel)
Location = tuple[str | int, ...]


def bind(tree: ConfigTree, model: type[ModelT], *, ignore: tuple[str, ...] = ("kind",)) -> ModelT:
    """The model's instance that a tree describes.

    A field whose name ends in a unit (`t_read_ps`) is filled by its stem with a quantity (`t_read: 40 us`), by the
    stem in any unit of the same dimension (`t_read_us: 40`), or by its own name. `{value, source, ...}` parameters give
    their value. Keys in `ignore` that the model does not have are passed over at the root: by default `kind`, which
    chose the model.

    Raises ConfigError, at the value's or key's place, for unknown or doubled keys, wrong or lacking units, wrong types,
    values outside the model's bounds, and missing fields.
    """
    return _Binder().bound(tree, model, ignore)


class _Binder:
    """Converts nodes along a model's annotations, noting which node each place in the model came from."""

    def __init__(self) -> None:
        self._nodes: dict[Location, tuple[Node, Path]] = {}
        self._models: dict[Location, type[BaseModel]] = {}

    def bound(self, tree: ConfigTree, model: type[ModelT], ignore: tuple[str, ...]) -> ModelT:
        """The instance, or pydantic's first refusal as a ConfigError with its place."""
        if tree.node.mapping is None or tree.node.is_parameter:
            raise _refused(tree.node, tree.path, "a mapping")
        self._nodes[()] = (tree.node, tree.path)
        values = self._model(tree.node, tree.path, model, (), ignore)
        try:
            return model.model_validate(values)
        except ValidationError as error:
            raise self._translated(error) from None

    def _model(
        self, node: Node, path: Path, model: type[BaseModel], at: Location, ignore: tuple[str, ...]
    ) -> dict[str, Any]:
        self._models[at] = model
        entries = node.mapping or {}
        fields = [
            FieldName.of(name, is_quantity=an.is_numeric(info.annotation)) for name, info in model.model_fields.items()
        ]
        filled = match_keys(entries, fields, shown=format_path(path), ignored=ignore)
        return {
            name: self._value(entries[key], (*path, key), model.model_fields[name].annotation, (*at, name), measure)
            for name, (key, measure) in filled.items()
        }

    def _value(self, node: Node, path: Path, annotation: Any, at: Location, measure: Measure | None) -> Any:
        self._nodes[at] = (node, path)
        members = an.alternatives(annotation)
        if ConfigTree in members:
            return ConfigTree(node, path)
        if node.is_parameter and node.mapping is not None:
            node = node.mapping["value"]
            self._nodes[at] = (node, path)
        if Any in members or object in members:
            return node.plain()
        if isinstance(node.content, dict):
            return self._mapping(node, path, members, at, measure)
        if isinstance(node.content, tuple):
            lists = [member for member in members if an.is_list(member)]
            if not lists:
                raise _refused(node, path, an.expected(members))
            return [
                self._value(item, (*path, str(index)), an.item_of(lists[0], index), (*at, index), measure)
                for index, item in enumerate(node.content)
            ]
        return _scalar(node, path, members, measure)

    def _mapping(self, node: Node, path: Path, members: list[Any], at: Location, measure: Measure | None) -> Any:
        candidates = an.models(members)
        if candidates:
            return self._model(node, path, _chosen(node, candidates), at, ())
        mappings = [member for member in members if an.is_mapping(member)]
        if not mappings:
            raise _refused(node, path, an.expected(members))
        entries = node.mapping or {}
        annotation = an.value_of(mappings[0])
        return {
            key: self._value(entry, (*path, key), annotation, (*at, key), measure) for key, entry in entries.items()
        }

    def _translated(self, error: ValidationError) -> ConfigError:
        first = error.errors(include_url=False)[0]
        at = self._nearest(first["loc"])
        node, path = self._nodes[at]
        shown, context = format_path(path), first.get("ctx", {})
        if first["type"] == "missing":
            return self._missing(first["loc"][-1], at)
        if first["type"] == "value_error":
            return ConfigError(f"`{shown}`: {context['error']}", where=node.where, remedy=f"correct `{shown}`")
        reason = first["msg"][:1].lower() + first["msg"][1:]
        written = _written(node)
        cause = f"`{shown}` = {written}: {reason}" if written else f"`{shown}`: {reason}"
        return ConfigError(cause, where=node.where, remedy=_bound_remedy(context, shown))

    def _missing(self, last: str | int, at: Location) -> ConfigError:
        node, path = self._nodes[at]
        if isinstance(last, int):
            cause = f"`{format_path(path)}` ends before its item {last}"
            return ConfigError(cause, where=node.where, remedy="give every item")
        field = FieldName.of(last, is_quantity=an.is_numeric(self._models[at].model_fields[last].annotation))
        return ConfigError(
            f"`{format_path(path)}` lacks `{field.stem}`", where=_key_place(node), remedy=missing_remedy(field)
        )

    def _nearest(self, location: Location) -> Location:
        """The longest known place along pydantic's location, whose union tags are no places."""
        at: Location = ()
        for part in location:
            if (*at, part) in self._nodes:
                at = (*at, part)
        return at


def _scalar(node: Node, path: Path, members: list[Any], measure: Measure | None) -> Any:
    """The Python value of a scalar for one of the alternatives; a quantity in the field's unit."""
    content = node.content
    if content is None:
        if type(None) in members:
            return None
        raise _refused(node, path, an.expected(members))
    options = an.choices(members)
    if isinstance(content, bool):
        if bool in members or (options is not None and any(content is option for option in options)):
            return content
        raise _refused(node, path, an.expected(members))
    if isinstance(content, str):
        if measure is not None and _takes_numbers(members):
            return _quantity_or_text(node, path, members, measure, content)
        return _text(node, path, members, content)
    if isinstance(content, (int, float)):
        if not _takes_numbers(members):
            raise _refused(node, path, an.expected(members))
        if measure is None:
            return _number(node, path, members, Fraction(repr(content)), "")
        if measure.key_unit is None:
            raise bare_number(str(content), measure.field_unit, name=measure.stem, where=node.where)
        return _number(
            node, path, members, convert(content, measure.key_unit, measure.field_unit), measure.field_unit.symbol
        )
    raise AssertionError(f"no scalar: {content!r}")


def _quantity_or_text(node: Node, path: Path, members: list[Any], measure: Measure, content: str) -> Any:
    if _is_choice(content, members):
        return content
    if str in members and parse_number(content) is None and not content[:1].isdigit():
        return content
    value, unit = split_quantity(content, measure.field_unit, where=node.where)
    if unit is None:
        if measure.key_unit is None:
            raise bare_number(content, measure.field_unit, name=measure.stem, where=node.where)
        unit = measure.key_unit
    elif measure.key_unit is not None and unit != measure.key_unit:
        raise ConfigError(
            f"`{format_path(path)}` says {measure.key_unit.symbol}, and its value {unit.symbol}",
            where=node.where,
            remedy=f"write `{measure.stem}: {content}`",
        )
    return _number(
        node, path, members, convert(value, unit, measure.field_unit, where=node.where), measure.field_unit.symbol
    )


def _text(node: Node, path: Path, members: list[Any], content: str) -> Any:
    if str in members or FilePath in members or _is_choice(content, members) or _is_enum(members):
        return content
    options = an.choices(members)
    if options is not None:
        raise ConfigError(
            f"`{format_path(path)}` cannot be {content!r}",
            where=node.where,
            remedy=did_you_mean(content, map(str, options)),
        )
    number = parse_number(content)
    if Fraction in members and number is not None:
        return number
    raise _refused(node, path, an.expected(members))


def _number(node: Node, path: Path, members: list[Any], value: Fraction, symbol: str) -> Any:
    """The exact value as the type that the field keeps."""
    whole = value.denominator == 1
    if Fraction in members:
        return value
    if whole and (int in members or float not in members):
        return int(value)
    if float in members or int not in members:
        try:
            return float(value)
        except OverflowError:
            raise _refused(node, path, "a smaller number") from None
    unit = f" of {symbol}" if symbol else ""
    raise ConfigError(
        f"`{format_path(path)}` = {node.content} is not a whole number{unit}", where=node.where, remedy="round it"
    )


def _takes_numbers(members: list[Any]) -> bool:
    return any(
        member in (int, float, Fraction) or get_origin(member) is Literal or _is_enum([member]) for member in members
    )


def _is_choice(content: str, members: list[Any]) -> bool:
    return any(get_origin(member) is Literal and content in get_args(member) for member in members)


def _is_enum(members: list[Any]) -> bool:
    return any(isinstance(member, type) and issubclass(member, Enum) for member in members)


def _chosen(node: Node, candidates: list[type[BaseModel]]) -> type[BaseModel]:
    """Of several models the one whose `kind` is the node's; the first where they have none."""
    if len(candidates) == 1:
        return candidates[0]
    by_kind = {
        str(kind): model
        for model in candidates
        if "kind" in model.model_fields
        for kind in get_args(model.model_fields["kind"].annotation)
    }
    if not by_kind:
        return candidates[0]
    entry = (node.mapping or {}).get("kind")
    if entry is None:
        raise ConfigError(
            "this mapping lacks `kind`", where=_key_place(node), remedy=did_you_mean("", by_kind, noun="a kind among")
        )
    chosen = by_kind.get(str(entry.content))
    if chosen is None:
        raise ConfigError(
            f"unknown kind `{entry.content}`", where=entry.where, remedy=did_you_mean(str(entry.content), by_kind)
        )
    return chosen


def _refused(node: Node, path: Path, wanted: str) -> ConfigError:
    written = _written(node)
    is_switch = isinstance(node.content, str) and node.content.casefold() in ("yes", "no", "on", "off", "y", "n")
    remedy = f"give {wanted}"
    if is_switch and wanted == "true or false":
        remedy = "write true or false"
    elif wanted == "text" and written:
        remedy = f'quote it: "{written}"'
    return ConfigError(
        f"`{format_path(path)}` is {written or 'a group of values'}, not {wanted}", where=node.where, remedy=remedy
    )


def _written(node: Node) -> str:
    """The value as the user wrote it, for messages; empty for lists and mappings."""
    content = node.content
    if isinstance(content, (dict, tuple)):
        return ""
    if content is None or isinstance(content, bool):
        return {None: "null", True: "true", False: "false"}[content]
    return repr(content) if isinstance(content, str) else str(content)


def _bound_remedy(context: dict[str, Any], shown: str) -> str:
    for key, words in (("ge", "of at least"), ("gt", "above"), ("le", "of at most"), ("lt", "below")):
        if key in context:
            return f"give a value {words} {context[key]}"
    return f"correct `{shown}`"


def _key_place(node: Node) -> Where:
    return node.key_where or node.where
