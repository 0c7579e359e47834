"""Number formats by name, and what of a model each one changes.

A name such as `int4_asym` or `bitmod_3b_er` belongs to the family whose pattern it matches; a suffix `_g64` or
`_channel` says how many values share a scale. Names joined by `+` are of different tensors: `int4_asym+anda_m6+kv8`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from simulator.core.binding import bind
from simulator.core.config import tree_of
from simulator.core.errors import ConfigError, Position
from simulator.core.registry import list_kinds, load_kind
from simulator.core.spelling import did_you_mean
from simulator.numerics.number_format import NumberFormat

FAMILIES = "simulator.numerics.formats"
FP16 = "fp16"
Site = Literal["qkv", "o", "u", "d"]
SITES: tuple[Site, ...] = ("qkv", "o", "u", "d")
"""Inputs of a layer's matrices: of query, key and value; of the output projection; of gate and up; of down."""

_GROUP_SUFFIX = re.compile(r"(?P<base>.+?)_(?:g(?P<group>\d+)|(?P<channel>channel))")
_KV = re.compile(r"(?:kv(?P<both>\d+)|k(?P<k>\d+)v(?P<v>\d+))(?P<sym>_sym)?")
_PER_SITE = re.compile(r"anda_m(?P<qkv>\d+)-(?P<o>\d+)-(?P<u>\d+)-(?P<d>\d+)")
_ACTIVATIONS = "act_"


@dataclass(frozen=True, slots=True)
class ModelFormats:
    """Formats of a model's tensors: of all matrices of its layers, of their inputs by site, of keys and of values; None
    or absent is as stored (weights) or as computed.

    Embedding, word scores and norms stay as they are.
    """

    name: str = FP16
    weights: NumberFormat | None = None
    activations: Mapping[Site, NumberFormat] = field(default_factory=dict)
    keys: NumberFormat | None = None
    values: NumberFormat | None = None


def format_named(name: str, *, where: Position | str | None = None, part_of: str | None = None) -> NumberFormat:
    """The format of a name such as `bitmod_4b_g64`. Raises ConfigError for a name or a parameter that there is not.

    `part_of` is what was written where that is another name, such as `act_fp4` or `kv8`.
    """
    grouped = _GROUP_SUFFIX.fullmatch(name)
    for base, group in _readings(name, grouped):
        for family in families():
            if match := re.fullmatch(family.NAMES, base):
                fields = {**family.fields_of(match.groupdict()), **group}
                return _built(family, fields, part_of or name, where)
    several = _KV.fullmatch(name) or _PER_SITE.fullmatch(name) or name.startswith(_ACTIVATIONS) or "+" in name
    if several and part_of is None:
        raise ConfigError(
            f"{name!r} is not one format but those of several tensors",
            where=where,
            remedy=f"take model_formats({name!r}), which has one for each",
        )
    of, known = ("", format_names()) if part_of is None else (f" for {part_of!r}", _names_of_families())
    begun = ", ".join(f"`{one}`" for one in known if name and one.startswith(name))
    remedy = f"use one of {begun}" if begun else did_you_mean(name, known, noun="the formats")
    raise ConfigError(f"there is no number format {name!r}{of}", where=where, remedy=remedy)


def model_formats(name: str, *, where: Position | str | None = None) -> ModelFormats:
    """Formats of a model's tensors by their names, joined with `+`. Raises ConfigError, also where two of them are of
    the same tensors."""
    found: dict[str, Any] = {}
    for part in name.split("+"):
        own = _tensors_of(part, where)
        if twice := sorted(set(own) & set(found)):
            raise ConfigError(
                f"{part!r}: {' and '.join(twice)} have a format already in {name!r}", where=where, remedy="name one"
            )
        found.update(own)
    return ModelFormats(name=name, **found)


def format_names() -> list[str]:
    """Names for a list: the examples of all families and those of the KV cache."""
    return sorted([FP16, *_names_of_families(), "kv8", "kv4", "k8v4", "kv8_sym", "act_fp16"])


def _names_of_families() -> list[str]:
    return [name for family in families() for name in family.EXAMPLES]


@cache
def families() -> tuple[type[NumberFormat], ...]:
    """Classes of all families, those of other packages too."""
    return tuple(load_kind(FAMILIES, kind) for kind in list_kinds(FAMILIES))


def _readings(name: str, grouped: re.Match[str] | None) -> list[tuple[str, dict[str, Any]]]:
    """A name as it is, and without its suffix of a group."""
    found: list[tuple[str, dict[str, Any]]] = [(name, {})]
    if grouped is not None:
        group = "channel" if grouped["channel"] else int(grouped["group"])
        found.append((grouped["base"], {"group": group}))
    return found


def _built(family: type[NumberFormat], fields: dict[str, Any], name: str, where: Position | str | None) -> NumberFormat:
    """A family's format; its refusals name the format."""
    try:
        return family(bind(tree_of(fields, where=name), family.Config))
    except ConfigError as error:
        raise ConfigError(f"{name!r}: {error.message}", where=where, remedy=error.remedy) from None


def _tensors_of(name: str, where: Position | str | None) -> dict[str, Any]:
    """Which fields of ModelFormats one name fills."""
    if name == FP16:
        return {}
    if kv := _KV.fullmatch(name):
        kind = "sym_channel" if kv["sym"] else "asym_z16_channel"
        bits = {"keys": kv["both"] or kv["k"], "values": kv["both"] or kv["v"]}
        return {
            tensor: None if width == "16" else format_named(f"int{width}_{kind}", where=where, part_of=name)
            for tensor, width in bits.items()
        }
    if per_site := _PER_SITE.fullmatch(name):
        bits = per_site.groupdict()
        return {"activations": {site: format_named(f"anda_m{bits[site]}", where=where, part_of=name) for site in SITES}}
    if name.startswith(_ACTIVATIONS):
        inputs = format_named(name.removeprefix(_ACTIVATIONS), where=where, part_of=name)
        return {"activations": dict.fromkeys(SITES, inputs)}
    found = format_named(name, where=where)
    if found.role == "weights":
        return {"weights": found}
    return {"activations": dict.fromkeys(SITES, found)}
