"""Units: quantities as text or as bare numbers under a unit suffix become exact numbers in the unit that a field names.

All arithmetic is on rationals, so `0.769 ns` is 769 ps and `1/285 MHz` keeps its period exactly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from simulator.core.errors import ConfigError, Position
from simulator.core.spelling import nearest


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: `scale` times its dimension's base unit; a value carries `symbol`, a key ends in `suffix`."""

    symbol: str
    suffix: str
    dimension: str
    scale: Fraction


TIME, CYCLES, SIZE, ENERGY, POWER = "time", "count of cycles", "data size", "energy", "power"
FREQUENCY, BANDWIDTH, ENERGY_PER_DATA, FRACTION = "frequency", "bandwidth", "energy per data", "fraction"

# symbol (and its other spellings), suffix, dimension, scale to the dimension's base unit
_ROWS: tuple[tuple[str, str, str, int | Fraction], ...] = (
    ("ps", "ps", TIME, 1),
    ("ns", "ns", TIME, 10**3),
    ("us \u00b5s \u03bcs", "us", TIME, 10**6),
    ("ms", "ms", TIME, 10**9),
    ("s", "s", TIME, 10**12),
    ("cyc cycle cycles", "cyc", CYCLES, 1),
    ("bit bits", "bits", SIZE, 1),
    ("Kibit", "kibit", SIZE, 2**10),
    ("Mibit", "mibit", SIZE, 2**20),
    ("Gibit", "gibit", SIZE, 2**30),
    ("B byte bytes", "bytes", SIZE, 8),
    ("kB KB", "kb", SIZE, 8 * 10**3),
    ("MB", "mb", SIZE, 8 * 10**6),
    ("GB", "gb", SIZE, 8 * 10**9),
    ("TB", "tb", SIZE, 8 * 10**12),
    ("KiB", "kib", SIZE, 8 * 2**10),
    ("MiB", "mib", SIZE, 8 * 2**20),
    ("GiB", "gib", SIZE, 8 * 2**30),
    ("TiB", "tib", SIZE, 8 * 2**40),
    ("fJ", "fj", ENERGY, Fraction(1, 10**3)),
    ("pJ", "pj", ENERGY, 1),
    ("nJ", "nj", ENERGY, 10**3),
    ("uJ \u00b5J \u03bcJ", "uj", ENERGY, 10**6),
    ("mJ", "mj", ENERGY, 10**9),
    ("J", "j", ENERGY, 10**12),
    ("uW \u00b5W \u03bcW", "uw", POWER, Fraction(1, 10**3)),
    ("mW", "mw", POWER, 1),
    ("W", "w", POWER, 10**3),
    ("kW", "kw", POWER, 10**6),
    ("Hz", "hz", FREQUENCY, 1),
    ("kHz", "khz", FREQUENCY, 10**3),
    ("MHz", "mhz", FREQUENCY, 10**6),
    ("GHz", "ghz", FREQUENCY, 10**9),
    ("B/s", "bytes_per_s", BANDWIDTH, 8),
    ("MB/s", "mb_per_s", BANDWIDTH, 8 * 10**6),
    ("GB/s", "gb_per_s", BANDWIDTH, 8 * 10**9),
    ("TB/s", "tb_per_s", BANDWIDTH, 8 * 10**12),
    ("MiB/s", "mib_per_s", BANDWIDTH, 8 * 2**20),
    ("GiB/s", "gib_per_s", BANDWIDTH, 8 * 2**30),
    ("Mbit/s Mb/s Mbps", "mbit_per_s", BANDWIDTH, 10**6),
    ("Gbit/s Gb/s Gbps", "gbit_per_s", BANDWIDTH, 10**9),
    ("fJ/bit", "fj_per_bit", ENERGY_PER_DATA, Fraction(1, 10**3)),
    ("pJ/bit", "pj_per_bit", ENERGY_PER_DATA, 1),
    ("pJ/B pJ/byte", "pj_per_byte", ENERGY_PER_DATA, Fraction(1, 8)),
    ("nJ/B nJ/byte", "nj_per_byte", ENERGY_PER_DATA, Fraction(1000, 8)),
    ("frac", "frac", FRACTION, 1),
    ("%", "pct", FRACTION, Fraction(1, 100)),
)


def _tables() -> tuple[dict[str, Unit], dict[str, Unit]]:
    by_symbol: dict[str, Unit] = {}
    by_suffix: dict[str, Unit] = {}
    for symbols, suffix, dimension, scale in _ROWS:
        spellings = symbols.split()
        row = Unit(spellings[0], suffix, dimension, Fraction(scale))
        by_suffix[suffix] = row
        by_symbol.update(dict.fromkeys(spellings, row))
    return by_symbol, by_suffix


_BY_SYMBOL, _BY_SUFFIX = _tables()

EXAMPLES = {
    TIME: "40 ns",
    CYCLES: "4 cyc",
    SIZE: "16 GiB",
    ENERGY: "3 pJ",
    POWER: "250 mW",
    FREQUENCY: "2 GHz",
    BANDWIDTH: "32 GB/s",
    ENERGY_PER_DATA: "0.55 pJ/bit",
    FRACTION: "50 %",
}
"""One quantity of each dimension, for remedies."""

_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"
_QUANTITY = re.compile(rf"({_NUMBER})(?:\s*/\s*({_NUMBER}))?\s*(\S*)")
_LONGEST_QUANTITY = 100
_RECIPROCAL = {TIME: FREQUENCY, FREQUENCY: TIME}
# Bases are ps and Hz, so the reciprocal of one counts 10^12 of the other.
_PS_TIMES_HZ = 10**12


def unit(symbol: str) -> Unit:
    """The unit with this symbol (`ns`, `GB/s`) or key suffix (`gb_per_s`); KeyError for anything else."""
    return _BY_SYMBOL.get(symbol) or _BY_SUFFIX[symbol]


def split_suffix(name: str) -> tuple[str, Unit | None]:
    """A field's or key's name without its unit suffix, and the unit: `t_read_us` is (`t_read`, us).

    Counts (`n_...`, such as JEDEC's `n_ccd_s`) and rates outside the table (`tokens_per_s`) have no unit: (name, None).
    """
    if name.startswith("n_"):
        return name, None
    parts = name.split("_")
    for first in range(max(1, len(parts) - 3), len(parts)):
        found = _BY_SUFFIX.get("_".join(parts[first:]))
        if found is not None and parts[first - 1] != "per":
            return "_".join(parts[:first]), found
    return name, None


def parse_number(text: str) -> Fraction | None:
    """A bare number, or a quotient such as `1/3`; None where the text is anything else."""
    match = _matched(text)
    return None if match is None or match[3] else _evaluated(match)[0]


def parse_quantity(text: str, target: Unit, *, where: Position | str | None = None) -> Fraction:
    """The number of `target` units that `text`, such as `18 ns`, says.

    A quotient over a clock is a reciprocal: `1/285 MHz` is the period of 285 MHz, `1/0.5 ns` that period's frequency.
    Raises ConfigError (at `where`) for text that is no quantity, an unknown unit, or a unit of another dimension.
    """
    value, found = split_quantity(text, target, where=where)
    if found is None:
        raise bare_number(text.strip(), target, where=where)
    return convert(value, found, target, where=where)


def split_quantity(text: str, target: Unit, *, where: Position | str | None = None) -> tuple[Fraction, Unit | None]:
    """The number and unit that `text` says, unconverted; unit None where it names none. Raises as `parse_quantity`."""
    match = _matched(text)
    if match is None:
        raise ConfigError(
            f"{text[:_LONGEST_QUANTITY]!r} is not {_a(target.dimension)}",
            where=where,
            remedy=f"write a number and a unit, such as `{EXAMPLES[target.dimension]}`",
        )
    symbol = match[3]
    if symbol and symbol not in _BY_SYMBOL:
        raise ConfigError(
            f"unknown unit {symbol!r} in {text.strip()!r}", where=where, remedy=_unit_remedy(symbol, target)
        )
    return _evaluated(match)


def base_quantity(text: str, *, where: Position | str | None = None) -> tuple[Fraction, str]:
    """The value of any quantity in its dimension's base unit, and the dimension's name (empty for a bare number).

    Raises ConfigError for text that is no quantity.
    """
    match = _matched(text)
    if match is None or (match[3] and match[3] not in _BY_SYMBOL):
        raise ConfigError(
            f"{text[:_LONGEST_QUANTITY]!r} is no quantity",
            where=where,
            remedy="write a number and a unit, such as `18 ns`",
        )
    value, found = _evaluated(match)
    return (value, "") if found is None else (value * found.scale, found.dimension)


def _matched(text: str) -> re.Match[str] | None:
    """The parts of a quantity (number, divisor, unit); None where the text is none, or divides by zero."""
    match = _QUANTITY.fullmatch(text.strip()) if len(text) <= _LONGEST_QUANTITY else None
    return None if match is None or (match[2] is not None and Fraction(match[2]) == 0) else match


def _evaluated(match: re.Match[str]) -> tuple[Fraction, Unit | None]:
    above, below, found = Fraction(match[1]), Fraction(match[2] or 1), _BY_SYMBOL.get(match[3])
    other = _RECIPROCAL.get(found.dimension) if found is not None and match[2] is not None else None
    if found is None or other is None:
        return above / below, found
    base = next(row for row in _BY_SUFFIX.values() if row.dimension == other and row.scale == 1)
    return above * _PS_TIMES_HZ / (below * found.scale), base


def convert(
    value: Fraction | int | float, source: Unit, target: Unit, *, where: Position | str | None = None
) -> Fraction:
    """`value` in `source` units as an exact number of `target` units; ConfigError where the dimensions differ.

    A float counts as the decimal that prints it, not as the binary fraction behind it.
    """
    if source.dimension != target.dimension:
        raise ConfigError(
            f"wrong unit: {source.symbol} is {_a(source.dimension)}, not {_a(target.dimension)}",
            where=where,
            remedy=_dimension_remedy(source, target),
        )
    exact = Fraction(repr(value)) if isinstance(value, float) else Fraction(value)
    return exact * source.scale / target.scale


def bare_number(
    shown: str, target: Unit, *, name: str | None = None, where: Position | str | None = None
) -> ConfigError:
    """The error for a number that names no unit where a quantity is due (`name` is the key without its suffix)."""
    example = EXAMPLES[target.dimension].split(" ")[1]
    remedy = f"write `{shown} {example}`"
    if name is not None:
        remedy = f"write `{name}: {shown} {example}` or `{name}_{unit(example).suffix}: {shown}`"
    return ConfigError(f"{shown} has no unit, and {_a(target.dimension)} needs one", where=where, remedy=remedy)


def cycles_to_ps(cycles: int, period_ps: Fraction) -> int:
    """Integer picoseconds of `cycles` at a clock's rational period, rounded to the nearest, halves up."""
    doubled = 2 * cycles * period_ps.numerator + period_ps.denominator
    return doubled // (2 * period_ps.denominator)


def _a(dimension: str) -> str:
    return f"an {dimension}" if dimension.startswith("e") else f"a {dimension}"


def _unit_remedy(symbol: str, target: Unit) -> str:
    symbols = [known for known, row in _BY_SYMBOL.items() if row.dimension == target.dimension]
    same_letters = [known for known in symbols if known.casefold() == symbol.casefold()]
    guess = same_letters[0] if same_letters else nearest(symbol, symbols)
    if target.dimension == SIZE and symbol in ("Kb", "Mb", "Gb", "Tb", "b"):
        return f"say which: `{symbol[:-1]}B` (bytes) or `{symbol[:-1]}{'i' if symbol != 'b' else ''}bit` (bits)"
    if guess is not None:
        return f"did you mean `{guess}`? (units tell capitals from small letters)"
    return f"use one of {', '.join(row.symbol for row in _BY_SUFFIX.values() if row.dimension == target.dimension)}"


def _dimension_remedy(source: Unit, target: Unit) -> str:
    if {source.dimension, target.dimension} == {TIME, FREQUENCY}:
        return f"write the reciprocal: `1/<number> {source.symbol}`"
    if {source.dimension, target.dimension} == {TIME, CYCLES}:
        return f"cycles become time only at the device's own clock; write it as `{EXAMPLES[target.dimension]}`"
    return f"write {_a(target.dimension)}, such as `{EXAMPLES[target.dimension]}`"
