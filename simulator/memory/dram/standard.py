"""A DRAM part: a standard's tables, the choices among them, and a synthetic replay's workload; resolved to a spec."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import prod
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt, model_validator

from simulator.core.config import ConfigTree
from simulator.core.errors import ConfigError
from simulator.core.spelling import did_you_mean
from simulator.memory.dram.derived import Accounting, DerivedCase, derive
from simulator.memory.dram.mapping import NO_MAP, compile_map
from simulator.memory.dram.organisation import Organisation, Shape, shaped
from simulator.memory.dram.refusal import PartRefusal
from simulator.memory.dram.rules import DramRule, command_set, resolved_rules
from simulator.memory.dram.spec import Controller, DramSpec
from simulator.memory.dram.timing_checks import check_data_rate, check_refresh, check_timing
from simulator.memory.timing import latency_cyc

__all__ = ["DramPart", "DramSpec", "resolve"]

MOST_CHANNELS, MOST_RANKS = 1024, 64
DEEPEST_QUEUE = FASTEST_FRONT_END = 1 << 16
MOST_REQUESTS = 1_000_000_000
"""Far beyond any memory, and still what a machine can hold."""

Refresh = Literal["NoRefresh", "AllBank", "PerBank", "HBM34PerBankRefresh"]


class DramPart(BaseModel):
    """The root of a DRAM part: choices first, then the standard that they choose from.

    `org`, `timing` and `mapper` name entries of `organisations`, `speed_grades` and `address_maps`; with the map `none`
    no addresses are taken. Timings resolve in the order preset, derived, `overrides`. `trace` to `n_requests` describe
    a synthetic replay.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    standard: str
    org: str
    timing: str
    n_channels: int = Field(1, ge=1, le=MOST_CHANNELS)
    rank: int | None = Field(None, ge=1, le=MOST_RANKS)
    mapper: str = "RoBaRaCoCh"
    channel_bit: PositiveInt | None = None
    refresh: Refresh = "AllBank"
    queue: int = Field(32, ge=1, le=DEEPEST_QUEUE)
    fe_ratio: int = Field(1, ge=1, le=FASTEST_FRONT_END)
    scheduler: Literal["FRFCFS", "FRFCFSRowHit"] = "FRFCFS"
    row_policy: Literal["open", "closed"] = "open"
    row_cap: PositiveInt = 4
    write_low_frac: float = Field(0.2, ge=0, le=1)
    write_high_frac: float = Field(0.8, ge=0, le=1)
    wck_always_on: bool = False
    accounting: Accounting = "published"
    overrides: dict[str, int] = {}

    trace: str = "stream"
    trace_param: PositiveInt = 1
    lg_lines: int = Field(22, ge=0, le=48)
    read_frac: float = Field(1.0, ge=0, le=1)
    n_requests: int = Field(500_000, ge=1, le=MOST_REQUESTS)

    source: str | None = None
    levels: list[str] = Field(min_length=1)
    prefetch: PositiveInt
    ticks_per_ck: PositiveInt = 1
    controller: Controller = "one_bus"
    data_bus: str = "channel"
    refresh_scope: str
    burst: str = "n_bl"
    read_latency: str
    commands: list[str] = Field(min_length=1)
    command_slots: dict[str, NonNegativeFloat] = {}
    command_groups: dict[str, list[str]] = {}
    buses: list[list[str]] = []
    organisations: dict[str, Organisation]
    speed_grades: dict[str, dict[str, int]]
    derived_over_preset: bool = True
    density_per: list[str] = []
    derived: dict[str, list[DerivedCase]] = {}
    rules: dict[str, list[DramRule]]
    address_maps: dict[str, str] = {}
    currents: ConfigTree | None = None

    @model_validator(mode="after")
    def _resolves(self) -> DramPart:
        try:
            if not 0 < self.write_low_frac <= self.write_high_frac:
                raise PartRefusal(
                    ("write_low_frac",),
                    f"writing starts at {self.write_high_frac:g} of the queue and would not end by "
                    f"{self.write_low_frac:g}",
                    remedy="give more than 0 and at most write_high_frac",
                )
            spec = resolve(self)
            if self.mapper != NO_MAP:
                compile_map(spec, self.mapper, self.n_channels)
        except PartRefusal as refusal:
            refusal.raise_at_place()
        return self


def resolve(part: DramPart) -> DramSpec:
    """Everything that a part's choices decide. Raises ConfigError, naming the key, for what no memory can be."""
    for level in part.density_per:
        _known_level(part, level, "density_per")
    shape = shaped(part.org, part.organisations, part.levels, part.rank, part.prefetch)
    timing = _timing(part, shape)
    commands = command_set(
        part.commands,
        {name: Fraction(length) for name, length in part.command_slots.items()},
        part.buses,
        part.command_groups,
        part.ticks_per_ck,
    )
    rules, rule_names = resolved_rules(part.rules, timing, commands, part.levels, part.ticks_per_ck, part.accounting)
    organisation = shape.organisation
    tx_bytes = part.prefetch * organisation.channel_width_bits // 8
    return DramSpec(
        standard=part.standard,
        organisation=part.org,
        speed_grade=part.timing,
        commands=commands.commands,
        slot_ticks=commands.slot_ticks,
        buses=commands.buses,
        levels=shape.levels,
        level_sizes=shape.sizes,
        n_banks=shape.n_banks,
        n_rows=organisation.n_rows,
        n_columns=organisation.n_columns,
        prefetch=part.prefetch,
        dq_bits=organisation.dq_bits,
        density_bits=organisation.density_bits,
        channel_width_bits=organisation.channel_width_bits,
        tx_bytes=tx_bytes,
        n_data_buses=_n_nodes(shape, _known_level(part, part.data_bus, "data_bus")),
        burst_cyc=_expression(part.burst, timing, "burst"),
        timing=timing,
        ticks_per_ck=part.ticks_per_ck,
        tick_ps=timing["tck_ps"] // part.ticks_per_ck,
        tick_period_ps=Fraction(timing["tck_ps"], part.ticks_per_ck),
        rules=rules,
        rule_names=rule_names,
        read_latency=_expression(part.read_latency, timing, "read_latency") * part.ticks_per_ck,
        controller=part.controller,
        refresh_level=_known_level(part, part.refresh_scope, "refresh_scope"),
        capacity_bytes=shape.n_banks
        * organisation.n_rows
        * organisation.n_columns
        * organisation.channel_width_bits
        // 8,
        accounting=part.accounting,
        address_maps=part.address_maps,
        channel_bit=part.channel_bit,
    )


def _timing(part: DramPart, shape: Shape) -> dict[str, int]:
    """Preset, then derived, then the user's overrides."""
    if part.timing not in part.speed_grades:
        raise PartRefusal(
            ("timing",), f"unknown speed grade {part.timing!r}", remedy=did_you_mean(part.timing, part.speed_grades)
        )
    preset = part.speed_grades[part.timing]
    for name in ("rate", "tck_ps"):
        if preset.get(name, 0) < 1:
            raise PartRefusal(
                ("speed_grades", part.timing), f"a speed grade needs a positive {name}", remedy=f"add `{name}: ...`"
            )
    timing = derive(
        part.derived,
        preset,
        shape,
        over_preset=part.derived_over_preset,
        density_per=part.density_per,
        refresh=part.refresh,
        accounting=part.accounting,
        overridden=part.overrides,
    )
    known = {*timing, *part.derived}
    for name, value in part.overrides.items():
        if name not in known:
            raise PartRefusal(("overrides", name), f"unknown timing {name!r}", remedy=did_you_mean(name, known))
        timing[name] = value
    place = (part.timing, part.overrides, preset)
    check_timing(timing, part.timing, part.overrides, preset, part.ticks_per_ck)
    check_data_rate(timing, part.prefetch, _expression(part.burst, timing, "burst"), place)
    check_refresh(timing, part.refresh, part.standard, part.commands, part.levels, place)
    return timing


def _expression(text: str, timing: Mapping[str, int], key: str) -> int:
    try:
        return latency_cyc(text, timing)
    except ConfigError as error:
        raise PartRefusal((key,), error.message, remedy=str(error.remedy)) from None


def _known_level(part: DramPart, level: str, key: str) -> int:
    """Index of a level, 0 for the channel."""
    known = ["channel", *part.levels]
    if level not in known:
        raise PartRefusal((key,), f"unknown level {level!r}", remedy=did_you_mean(level, known))
    return known.index(level)


def _n_nodes(shape: Shape, level_index: int) -> int:
    """Nodes of a level in one channel."""
    return prod(shape.sizes[:level_index])
