"""What a die of an HBM stack has room for: banks beside the processing units that work on them.

Source: PAPI (ASPLOS'25), area rule: m banks of n units each take m (0.1025 n + 0.83) mm2 of the 121 mm2 of a die.

Not modelled: what else stands on a die (TSVs, I/O, test logic), wiring, units on the buffer die.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from simulator.core.errors import ConfigError, Position
from simulator.devices.pim_energy import AreaConfig


@dataclass(frozen=True, slots=True)
class StackArea:
    """Banks of a die and what follows for its stack: `n_banks_room` that there is room for, `n_banks` in whole bank
    groups and no more than a die without units has."""

    units_per_bank: float
    n_banks_room: int
    n_bank_groups: int
    n_banks: int
    n_stack_banks: int
    n_stack_units: int
    capacity_bytes: int
    area_mm2: float
    die_mm2: float

    @property
    def design(self) -> str:
        """The design as papers write it, such as 4P1B."""
        return design_name(self.units_per_bank)


def design_name(units_per_bank: float) -> str:
    """Units and banks that share them, as papers write it: 4P1B is four units for a bank, 1P2B one for two.

    Raises ConfigError where neither the units of a bank nor the banks of a unit are a whole number above 0.
    """
    if 0 < units_per_bank < math.inf:
        ratio = Fraction(units_per_bank).limit_denominator(1024)
        if min(ratio.numerator, ratio.denominator) == 1 and float(ratio) == units_per_bank:
            return f"{ratio.numerator}P{ratio.denominator}B"
    raise ConfigError(
        f"{units_per_bank:g} units for a bank cannot be built",
        where="units_per_bank",
        remedy="give a whole number of units, or a share such as 0.5 for one unit that two banks share",
    )


def die_area_mm2(area: AreaConfig, units_per_bank: float, n_banks: int) -> float:
    """Area of the banks of a die and their units."""
    return float(n_banks * _bank_mm2(area, units_per_bank))


def fit_area(area: AreaConfig, units_per_bank: float) -> StackArea:
    """The largest die and stack of whole bank groups with so many units for a bank.

    Raises ConfigError where not even one bank group has room.
    """
    name = design_name(units_per_bank)
    n_room = math.floor(Fraction(str(area.die_mm2)) / _bank_mm2(area, units_per_bank))
    n_groups = min(n_room, area.full_die_banks) // area.bank_group_banks
    if not n_groups:
        raise ConfigError(
            f"a die of {area.die_mm2:g} mm2 has room for {n_room} banks of a {name} stack, less than one bank group of "
            f"{area.bank_group_banks}",
            where="units_per_bank",
            remedy="give the banks fewer units",
        )
    return _stack(area, units_per_bank, n_room, n_groups)


def check_area(
    area: AreaConfig, units_per_bank: float, n_banks: int, *, where: Position | str | None = "area"
) -> StackArea:
    """The stack with `n_banks` banks on each die, as an organisation states it.

    Raises ConfigError where these do not make whole bank groups, or do not fit: by how much, and how many would.
    """
    most = fit_area(area, units_per_bank)
    n_groups, rest = divmod(n_banks, area.bank_group_banks)
    if n_banks <= 0 or rest:
        raise ConfigError(
            f"{n_banks} banks on a die are not whole bank groups of {area.bank_group_banks}",
            where=where,
            remedy=f"state up to {most.n_banks} banks, {area.bank_group_banks} at a time",
        )
    if n_banks > most.n_banks:
        raise ConfigError(_excess_words(area, most, n_banks), where=where, remedy=_remedy_words(area, most))
    return _stack(area, units_per_bank, most.n_banks_room, n_groups)


def _bank_mm2(area: AreaConfig, units_per_bank: float) -> Fraction:
    # By the decimals of the part: a die that is just full must not be lost to binary fractions.
    return Fraction(str(area.unit_mm2)) * Fraction(units_per_bank) + Fraction(str(area.bank_mm2))


def _stack(area: AreaConfig, units_per_bank: float, n_room: int, n_groups: int) -> StackArea:
    n_banks = n_groups * area.bank_group_banks
    n_stack_banks = n_banks * area.n_dies
    return StackArea(
        units_per_bank,
        n_room,
        n_groups,
        n_banks,
        n_stack_banks,
        int(n_stack_banks * units_per_bank),
        area.full_capacity_bytes * n_banks // area.full_die_banks,
        die_area_mm2(area, units_per_bank, n_banks),
        area.die_mm2,
    )


def _excess_words(area: AreaConfig, most: StackArea, n_banks: int) -> str:
    stated = f"{n_banks} banks of a {most.design} stack"
    excess_mm2 = die_area_mm2(area, most.units_per_bank, n_banks) - area.die_mm2
    if excess_mm2 <= 0:
        return f"{stated} are more than the {area.full_die_banks} of a die without units"
    return (
        f"{stated} take {excess_mm2 + area.die_mm2:.1f} mm2, {excess_mm2:.1f} mm2 more than the die's {area.die_mm2:g}"
    )


def _remedy_words(area: AreaConfig, most: StackArea) -> str:
    gib = most.capacity_bytes / (1 << 30)
    return (
        f"{most.n_banks_room} banks fit, in whole bank groups {most.n_bank_groups} x {area.bank_group_banks} = "
        f"{most.n_banks}, which makes a stack of {gib:g} GiB; state no more, or give the banks fewer units"
    )
