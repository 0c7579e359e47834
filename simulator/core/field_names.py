"""Which field of a model a configuration's key means: `t_read`, `t_read_us` and `t_read_ps` all fill `t_read_ps`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.core.errors import ConfigError
from simulator.core.nodes import Node, Where
from simulator.core.spelling import did_you_mean
from simulator.core.units import EXAMPLES, Unit, base_quantity, split_suffix


@dataclass(frozen=True, slots=True)
class Measure:
    """The unit that a field is kept in, the unit that its key names (None: the value must), and the key's stem."""

    field_unit: Unit
    key_unit: Unit | None
    stem: str


@dataclass(frozen=True, slots=True)
class FieldName:
    """A field of a model: its name, and its stem and unit where it is a quantity (unit None where it is not)."""

    name: str
    stem: str
    unit: Unit | None

    @classmethod
    def of(cls, name: str, *, is_quantity: bool) -> FieldName:
        """The field of this name; `is_quantity` is whether it holds numbers, so that a unit suffix means a unit."""
        stem, unit = split_suffix(name) if is_quantity else (name, None)
        return cls(name, stem, unit)


def match_keys(
    entries: Mapping[str, Node], fields: list[FieldName], *, shown: str, ignored: tuple[str, ...] = ()
) -> dict[str, tuple[str, Measure | None]]:
    """The key and the measure for each field that the entries fill.

    `shown` is the mapping's path, for messages; keys in `ignored` that are no field are passed over. Raises ConfigError
    for an unknown key (did you mean), a key in a unit of another dimension, and two keys that fill one field.
    """
    filled: dict[str, tuple[str, Measure | None]] = {}
    for key, node in entries.items():
        if key in ignored and all(field.name != key for field in fields):
            continue
        field, measure = _match(key, node, fields, shown)
        if field.name in filled:
            other = filled[field.name][0]
            raise ConfigError(
                f"`{key}` says again what `{other}` says in `{shown}`, at {_key_place(entries[other])}",
                where=_key_place(node),
                remedy="keep one of the two",
            )
        filled[field.name] = (key, measure)
    return filled


def missing_remedy(field: FieldName) -> str:
    """How to add a field that is lacking."""
    if field.unit is None:
        return f"add `{field.name}: ...`"
    return f"add it with a unit, such as `{field.stem}: {EXAMPLES[field.unit.dimension]}`"


def _match(key: str, node: Node, fields: list[FieldName], shown: str) -> tuple[FieldName, Measure | None]:
    for field in fields:
        if field.name == key:
            return field, None if field.unit is None else Measure(field.unit, field.unit, field.stem)
    of_stem = [field for field in fields if field.unit is not None and field.stem == key]
    if of_stem:
        field = of_stem[0] if len(of_stem) == 1 else _by_dimension(key, node, of_stem)
        assert field.unit is not None
        return field, Measure(field.unit, None, key)
    stem, unit = split_suffix(key)
    others = [field for field in fields if field.unit is not None and field.stem == stem]
    for field in others:
        if unit is not None and field.unit is not None and field.unit.dimension == unit.dimension:
            return field, Measure(field.unit, unit, stem)
    where = _key_place(node)
    if unit is not None and others and others[0].unit is not None:
        due = others[0].unit.dimension
        raise ConfigError(
            f"wrong unit: `{stem}` is measured as {due}, and `_{unit.suffix}` as {unit.dimension}",
            where=where,
            remedy=f"write `{stem}: {EXAMPLES[due]}`",
        )
    known = [field.stem if field.stem == field.name or key == stem else field.name for field in fields]
    raise ConfigError(f"unknown key `{key}` in `{shown}`", where=where, remedy=did_you_mean(key, known))


def _key_place(node: Node) -> Where:
    return node.key_where or node.where


def _by_dimension(key: str, node: Node, fields: list[FieldName]) -> FieldName:
    """Of several quantities with one stem (`read_ps`, `read_pj`) the one of the dimension that the value names."""
    value = node.mapping["value"] if node.is_parameter and node.mapping else node
    if isinstance(value.content, str):
        _, dimension = base_quantity(value.content, where=value.where)
        for field in fields:
            if field.unit is not None and field.unit.dimension == dimension:
                return field
    raise ConfigError(
        f"`{key}` may mean {' or '.join(f'`{field.name}`' for field in fields)}",
        where=_key_place(node),
        remedy="write the name with its unit",
    )
