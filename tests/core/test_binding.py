"""Binding: units by field suffix, annotations, and every refusal at the place that the user wrote."""

from __future__ import annotations

from enum import Enum
from fractions import Fraction
from typing import Any, Literal

import pytest
from pydantic import BaseModel, model_validator

from simulator.core.binding import bind
from simulator.core.config import ConfigTree
from simulator.core.errors import ConfigError, Position
from simulator.core.parameters import check_parameters
from simulator.core.quantities import Bytes, Frac, NonNegativeFloat, Period, PicojoulesPerByte, PositiveInt, Ps
from simulator.core.yaml_source import parse_yaml


class Colour(Enum):
    RED = "red"


class Bank(BaseModel):
    n_rows: PositiveInt
    t_rcd_ps: Ps = 0


class Hbm(BaseModel):
    kind: Literal["hbm"]
    stacks: int


class Ddr(BaseModel):
    kind: Literal["ddr", "lpddr"]
    ranks: int


class Device(BaseModel):
    t_read_ps: Ps = 1
    clock_period_ps: Period = Fraction(1)
    read_energy_pj_per_byte: PicojoulesPerByte = 1.0
    power_mw: dict[str, NonNegativeFloat] = {}
    t_steps_ps: list[Ps] = []
    capacity_bytes: Bytes | None = None
    utilisation_frac: Frac = 1.0
    delay_ps: Ps | Literal["auto"] = "auto"
    n_ccd_s: PositiveInt = 1
    clock_hz: float = 1.0
    ratio: Fraction = Fraction(1)
    mode: Literal["full", "class", "fast"] = "full"
    ways: Literal[2, 4] = 2
    refresh: bool = True
    name: str = "x"
    scale: float | None = None
    count: int = 1
    either: int | str = 1
    pair: tuple[int, int] = (1, 2)
    colour: Colour = Colour.RED
    bank: Bank | None = None
    banks: list[Bank] = []
    by_name: dict[str, Bank] = {}
    memory: Hbm | Ddr | None = None
    anything: Any = None
    part: ConfigTree | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Device:
        if self.count > 1000:
            raise ValueError("count is beyond what the bus can address")
        return self


class Required(BaseModel):
    t_read_ps: Ps
    n_banks: PositiveInt


class TwoReads(BaseModel):
    read_ps: Ps = 0
    read_pj: float = 0


def tree(text: str) -> ConfigTree:
    root = parse_yaml(text, file="f.yaml")
    assert root is not None
    check_parameters(root)
    return ConfigTree(root)


def value_of(text: str) -> Any:
    device = bind(tree(text), Device)
    (field,) = device.model_fields_set
    return getattr(device, field)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("t_read: 40 us", 40_000_000),
        ("t_read_us: 40", 40_000_000),
        ("t_read_us: 0.5", 500_000),
        ("t_read_us: 40 us", 40_000_000),
        ("t_read_ps: 40000000", 40_000_000),
        ("t_read_ps: 4e7", 40_000_000),
        ('t_read_us: "40"', 40_000_000),
        ("t_read: {value: 18 ns, source: s, kind: paper}", 18_000),
        ("t_read_ns: {value: 18, source: s, kind: paper}", 18_000),
        ("clock_period: 1/285 MHz", Fraction(200_000, 57)),
        ("clock_period: 0.769 ns", Fraction(769)),
        ("clock_period_ns: 0.769", Fraction(769)),
        ("clock_period_ps: 1/3", Fraction(1, 3)),
        ("read_energy: 0.55 pJ/bit", 4.4),
        ("read_energy_pj_per_bit: 0.55", 4.4),
        ("power: {idle: 3 W, busy: 20 mW}", {"idle": 3000.0, "busy": 20.0}),
        ("power_w: {idle: 3}", {"idle": 3000.0}),
        ("t_steps: [1 ns, 2 ps]", [1000, 2]),
        ("t_steps_ns: [1, 2]", [1000, 2000]),
        ("capacity: 16 GiB", 2**34),
        ("capacity_gb: 1.5", 1_500_000_000),
        ("capacity: null", None),
        ("utilisation: 50 %", 0.5),
        ("utilisation_frac: 0.25", 0.25),
        ("delay: auto", "auto"),
        ("delay: 3 ns", 3000),
        ("n_ccd_s: 2", 2),
        ("clock: 2 GHz", 2e9),
        ("clock: 1/0.5 ns", 2e9),
        ("ratio: 1/3", Fraction(1, 3)),
        ("ratio: 0.1", Fraction(1, 10)),
        ("mode: class", "class"),
        ("ways: 4", 4),
        ("refresh: false", False),
        ("name: yes", "yes"),
        ("scale: 3", 3.0),
        ("scale: ~", None),
        ("count: 1e2", 100),
        ("either: 3", 3),
        ("either: three", "three"),
        ("pair: [3, 4]", (3, 4)),
        ("colour: red", Colour.RED),
        ("bank: {n_rows: 2, t_rcd: 1 ns}", Bank(n_rows=2, t_rcd_ps=1000)),
        ("banks: [{n_rows: 2}]", [Bank(n_rows=2)]),
        ("by_name: {a: {n_rows: 2}}", {"a": Bank(n_rows=2)}),
        ("memory: {kind: lpddr, ranks: 2}", Ddr(kind="lpddr", ranks=2)),
        ("anything: {a: [1, {value: 2, source: s, kind: paper}]}", {"a": [1, 2]}),
    ],
)
def test_values_reach_their_fields(text: str, value: object) -> None:
    bound = value_of(text)
    assert bound == value
    assert type(bound) is type(value)


def test_kind_chose_the_model_and_is_passed_over() -> None:
    assert bind(tree("kind: x\ncount: 2"), Device).count == 2
    with pytest.raises(ConfigError, match="unknown key `kind`"):
        bind(tree("kind: x\ncount: 2"), Device, ignore=())


def test_a_component_may_stay_a_tree() -> None:
    part = bind(tree("part: {kind: y, z: 1}"), Device).part
    assert part is not None
    assert part.position("z") == Position("f.yaml", 1, 20)


def test_fields_of_one_stem_are_told_by_the_unit() -> None:
    bound = bind(tree("read: 3 pJ\nread_ns: 2"), TwoReads)
    assert (bound.read_ps, bound.read_pj) == (2000, 3.0)
    with pytest.raises(ConfigError, match=r"f.yaml:1:1: `read` may mean `read_ps` or `read_pj`"):
        bind(tree("read: 3"), TwoReads)


@pytest.mark.parametrize(
    ("text", "line", "column", "cause", "remedy"),
    [
        ("t_raed: 4 ns", 1, 1, "unknown key `t_raed` in `(root)`", "did you mean `t_read`?"),
        ("bank:\n  n_row: 4", 2, 3, "unknown key `n_row` in `bank`", "did you mean `n_rows`?"),
        ("by_name: {a: {n_rows: 1, zzz: 2}}", 1, 26, "unknown key `zzz` in `by_name.a`", "use one of `n_rows`"),
        ("t_read: 40", 1, 9, "40 has no unit, and a time needs one", "`t_read: 40 ns` or `t_read_ns: 40`"),
        ("t_steps: [1 ns, 2]", 1, 17, "2 has no unit", "t_steps: 2 ns"),
        ('t_read: "40"', 1, 9, "40 has no unit", "t_read: 40 ns"),
        ("t_read: 4 pJ", 1, 9, "pJ is an energy, not a time", "such as `40 ns`"),
        ("t_read_pj: 4", 1, 1, "`t_read` is measured as time, and `_pj` as energy", "t_read: 40 ns"),
        ("t_read_us: 4 ns", 1, 12, "`t_read_us` says us, and its value ns", "t_read: 4 ns"),
        ("t_read: 4 NS", 1, 9, "unknown unit 'NS'", "did you mean `ns`?"),
        ("t_read: soon", 1, 9, "'soon' is not a time", "a number and a unit"),
        ("t_read: -4 ns", 1, 9, "`t_read` = '-4 ns': input should be greater than or equal to 0", "at least 0"),
        ("t_read_ns: -4", 1, 12, "`t_read_ns` = -4: input should be greater than or equal to 0", "at least 0"),
        ("t_read: {value: -4 ns, source: s, kind: paper}", 1, 17, "greater than or equal to 0", "at least 0"),
        ("t_read: 1.5 ps", 1, 9, "1.5 ps is not a whole number of ps", "round it"),
        ("t_read: 1e300 s", 1, 9, "less than 9223372036854775808", "below"),
        ("t_read: true", 1, 9, "`t_read` is true, not a whole number", "give a whole number"),
        ("t_read: null", 1, 9, "`t_read` is null, not a whole number", "give a whole number"),
        ("t_read: [1 ns]", 1, 9, "`t_read` is a group of values, not a whole number", "give a whole number"),
        ("t_read: {a: 1}", 1, 9, "`t_read` is a group of values, not a whole number", "give a whole number"),
        ("clock_period: 0 ns", 1, 15, "greater than 0", "above 0"),
        ("clock_period: 2 GHz", 1, 15, "GHz is a frequency, not a time", "1/<number> GHz"),
        (
            "t_read: 4 ns\nt_read_us: 4",
            2,
            1,
            "`t_read_us` says again what `t_read` says in `(root)`, at f.yaml:1:1",
            "keep",
        ),
        ("utilisation: 50", 1, 14, "50 has no unit, and a fraction needs one", "`utilisation: 50 %`"),
        ("utilisation: 150 %", 1, 14, "less than or equal to 1", "at most 1"),
        ("mode: fst", 1, 7, "`mode` cannot be 'fst'", "did you mean `fast`?"),
        ("ways: 3", 1, 7, "`ways` = 3: input should be 2 or 4", "correct `ways`"),
        ("refresh: yes", 1, 10, "`refresh` is 'yes', not true or false", "write true or false"),
        ("refresh: 1", 1, 10, "`refresh` is 1, not true or false", "give true or false"),
        ("name: 7", 1, 7, "`name` is 7, not text", 'quote it: "7"'),
        ("count: 1.5", 1, 8, "1.5 is not a whole number", "round it"),
        ("count: 1_000", 1, 8, "`count` is '1_000', not a whole number", "give a whole number"),
        ("count: 2000", 1, 1, "count is beyond what the bus can address", "correct"),
        ("pair: [1]", 1, 7, "`pair` ends before its item 1", "give every item"),
        ("pair: [1, 2, 3]", 1, 7, "`pair`: tuple should have at most 2 items", "correct"),
        ("pair: 3", 1, 7, "`pair` is 3, not a list", "give a list"),
        ("bank: 3", 1, 7, "`bank` is 3, not a mapping or null", "give a mapping"),
        ("bank: {t_rcd: 1 ns}", 1, 1, "`bank` lacks `n_rows`", "add `n_rows: ...`"),
        ("banks:\n- n_rows: 1\n- n_rows: 0", 3, 11, "`banks.1.n_rows` = 0: input should be greater than 0", "above 0"),
        ("by_name: [1]", 1, 10, "`by_name` is a group of values, not a mapping", "give a mapping"),
        ("memory: {ranks: 1}", 1, 1, "this mapping lacks `kind`", "`ddr`, `hbm`, `lpddr`"),
        ("memory: {kind: hmb, stacks: 1}", 1, 16, "unknown kind `hmb`", "did you mean `hbm`?"),
        ("colour: blue", 1, 9, "input should be 'red'", "correct `colour`"),
    ],
)
def test_refusals_have_a_place(text: str, line: int, column: int, cause: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bind(tree(text), Device)
    error = caught.value
    assert error.where == Position("f.yaml", line, column)
    assert cause in error.message
    assert remedy in str(error.remedy)
    assert error.exit_code == 2


def test_missing_fields_say_how_to_add_them() -> None:
    config = tree("system:\n  device: {n_banks: 3}\n")
    with pytest.raises(ConfigError) as caught:
        bind(config.at("system.device"), Required)
    assert str(caught.value) == (
        "f.yaml:2:3: `system.device` lacks `t_read`\n  remedy: add it with a unit, such as `t_read: 40 ns`"
    )


def test_only_a_mapping_binds() -> None:
    with pytest.raises(ConfigError, match=r"f.yaml:1:4: `a` is 3, not a mapping"):
        bind(tree("a: 3").at("a"), Required)
