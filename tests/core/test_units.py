"""Units: every suffix and symbol, exact conversion, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.errors import ConfigError
from simulator.core.units import (
    EXAMPLES,
    base_quantity,
    convert,
    cycles_to_ps,
    parse_number,
    parse_quantity,
    split_suffix,
    unit,
)

QUANTITIES = [
    ("18 ns", "ps", 18_000),
    ("0.769 ns", "ps", 769),
    ("40us", "ps", 40_000_000),
    ("40 \u00b5s", "us", 40),
    ("2 s", "ms", 2000),
    ("1/285 MHz", "ps", Fraction(200_000, 57)),
    ("1/0.5 ns", "ghz", 2),
    ("2 GHz", "hz", 2 * 10**9),
    ("0.55 pJ/bit", "pj_per_byte", Fraction("4.4")),
    ("4.4 pJ/B", "pj_per_bit", Fraction("0.55")),
    ("16 GiB", "bytes", 2**34),
    ("16 GB", "bytes", 16 * 10**9),
    ("2 KiB", "bits", 2**14),
    ("8 Gibit", "gib", 1),
    ("1.5 W", "mw", 1500),
    ("3 mJ", "pj", 3 * 10**9),
    ("32 GB/s", "gb_per_s", 32),
    ("16 Gb/s", "gb_per_s", 2),
    ("50 %", "frac", Fraction(1, 2)),
    ("4 cycles", "cyc", 4),
    ("-1e-3 us", "ps", -1000),
    ("1/3 B", "bits", Fraction(8, 3)),
]


@pytest.mark.parametrize(("text", "suffix", "expected"), QUANTITIES)
def test_quantities_convert_exactly(text: str, suffix: str, expected: Fraction) -> None:
    assert parse_quantity(text, unit(suffix)) == expected


def test_every_example_is_a_quantity_of_its_dimension() -> None:
    for dimension, text in EXAMPLES.items():
        assert base_quantity(text)[1] == dimension


@pytest.mark.parametrize(
    ("text", "suffix", "cause", "remedy"),
    [
        ("40", "ps", "40 has no unit, and a time needs one", "write `40 ns`"),
        ("40 NS", "ps", "unknown unit 'NS'", "did you mean `ns`?"),
        ("3 MJ", "pj", "unknown unit 'MJ'", "did you mean `mJ`?"),
        ("8 Gb", "bytes", "unknown unit 'Gb'", "say which: `GB` (bytes) or `Gibit` (bits)"),
        ("3 pJ", "ps", "pJ is an energy, not a time", "such as `40 ns`"),
        ("2 GHz", "ps", "GHz is a frequency, not a time", "write the reciprocal: `1/<number> GHz`"),
        ("4 cyc", "ps", "cyc is a count of cycles, not a time", "cycles become time only at the device's own clock"),
        ("soon", "ps", "'soon' is not a time", "a number and a unit, such as `40 ns`"),
        ("nan ns", "ps", "'nan ns' is not a time", "a number and a unit"),
        ("1/0 ns", "hz", "'1/0 ns' is not a frequency", "a number and a unit"),
        ("1e999999999 ns", "ps", "is not a time", "a number and a unit"),
        ("9" * 101, "ps", "is not a time", "a number and a unit"),
        ("1_000 ns", "ps", "is not a time", "a number and a unit"),
        ("3 parsec", "ps", "unknown unit 'parsec'", "use one of ps, ns"),
        ("\u0664\u0660 ns", "ps", "is not a time", "a number and a unit"),
    ],
)
def test_refusals_name_cause_and_remedy(text: str, suffix: str, cause: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_quantity(text, unit(suffix), where="here")
    assert cause in caught.value.message
    assert remedy in str(caught.value.remedy)
    assert caught.value.where == "here"


@pytest.mark.parametrize(
    ("name", "stem", "symbol"),
    [
        ("t_read_ps", "t_read", "ps"),
        ("link_gb_per_s", "link", "GB/s"),
        ("read_energy_pj_per_byte", "read_energy", "pJ/B"),
        ("t_ccd_s_ps", "t_ccd_s", "ps"),
        ("act_bits", "act", "bit"),
        ("n_ccd_s", "n_ccd_s", None),
        ("n_bits", "n_bits", None),
        ("throughput_tokens_per_s", "throughput_tokens_per_s", None),
        ("energy_pj_per_op", "energy_pj_per_op", None),
        ("s", "s", None),
    ],
)
def test_suffixes(name: str, stem: str, symbol: str | None) -> None:
    found_stem, found = split_suffix(name)
    assert (found_stem, found.symbol if found else None) == (stem, symbol)


@given(st.fractions(), st.sampled_from(["ps", "ns", "us", "ms", "s"]), st.sampled_from(["ps", "ns", "us", "ms", "s"]))
def test_conversion_round_trips(value: Fraction, source: str, target: str) -> None:
    there = convert(value, unit(source), unit(target))
    assert convert(there, unit(target), unit(source)) == value


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
def test_floats_count_as_the_decimal_that_prints_them(value: float) -> None:
    assert convert(value, unit("ns"), unit("ps")) == Fraction(repr(value)) * 1000


def test_numbers_without_units() -> None:
    assert parse_number("1/3") == Fraction(1, 3)
    assert parse_number(" 2.5 ") == Fraction(5, 2)
    assert parse_number("2.5 ns") is None
    assert parse_number("1/0") is None
    assert parse_number("") is None


@given(st.integers(0, 10**12), st.fractions(min_value=Fraction(1, 1000), max_value=10**6))
def test_cycles_become_the_nearest_picosecond(cycles: int, period: Fraction) -> None:
    assert abs(cycles_to_ps(cycles, period) - cycles * period) <= Fraction(1, 2)
