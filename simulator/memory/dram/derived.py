"""Timings that a standard derives from rate, density and width: tables of cases, the first that fits counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from math import ceil, floor, prod
from typing import Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, model_validator

from simulator.memory.dram.organisation import Shape
from simulator.memory.dram.refusal import PartRefusal

Accounting = Literal["published", "corrected"]


class DerivedCase(BaseModel):
    """One row of a derived timing's table: conditions, all of which must hold, and the value in clocks.

    The value is `clocks`, or `time_ps` over the clock's period rounded `up` or `down` and at least `min_clocks`, or
    what `same_as` has. `divided_by` names levels whose sizes divide the time (a refresh interval shared by the banks).
    `clock: rate` takes the exact period 2/rate where the standard's own table does, `tck` the grade's whole ps.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dq_min_bits: PositiveInt | None = None
    dq_max_bits: PositiveInt | None = None
    density_max_bits: PositiveInt | None = None
    rate: PositiveInt | None = None
    rate_max: PositiveInt | None = None
    refresh: str | None = None
    accounting: Accounting | None = None
    clocks: NonNegativeInt | None = None
    time_ps: PositiveInt | None = None
    min_clocks: NonNegativeInt = 0
    divided_by: list[str] = []
    rounding: Literal["up", "down"] = "up"
    clock: Literal["tck", "rate"] = "tck"
    same_as: str | None = None
    source: str | None = None

    @model_validator(mode="after")
    def _one_value(self) -> DerivedCase:
        if sum(value is not None for value in (self.clocks, self.time_ps, self.same_as)) != 1:
            raise ValueError("a case has one of `clocks`, `time` and `same_as`")
        return self

    def fits(self, rate: int, dq_bits: int, density_bits: Fraction, refresh: str, accounting: Accounting) -> bool:
        """Whether every condition of the row holds."""
        return (
            (self.dq_min_bits is None or dq_bits >= self.dq_min_bits)
            and (self.dq_max_bits is None or dq_bits <= self.dq_max_bits)
            and (self.density_max_bits is None or density_bits <= self.density_max_bits)
            and self.rate in (None, rate)
            and (self.rate_max is None or rate <= self.rate_max)
            and self.refresh in (None, refresh)
            and self.accounting in (None, accounting)
        )

    def value(self, timing: Mapping[str, int], shape: Shape) -> int:
        """The timing in clocks."""
        if self.clocks is not None:
            return self.clocks
        if self.same_as is not None:
            return timing[self.same_as]
        assert self.time_ps is not None
        period_ps = Fraction(timing["tck_ps"]) if self.clock == "tck" else Fraction(2_000_000, timing["rate"])
        exact = Fraction(self.time_ps, prod(shape.size(level) for level in self.divided_by)) / period_ps
        return max(self.min_clocks, ceil(exact) if self.rounding == "up" else floor(exact))


def derive(
    tables: Mapping[str, Sequence[DerivedCase]],
    preset: Mapping[str, int],
    shape: Shape,
    *,
    over_preset: bool,
    density_per: Sequence[str],
    refresh: str,
    accounting: Accounting,
    overridden: Collection[str] = (),
) -> dict[str, int]:
    """The preset with derived timings, in the order of the tables: over the preset's own, or only where it has none.

    A case of corrected accounting is taken over the preset in any case. Raises PartRefusal where no case fits, and
    neither the preset nor an override (`overridden` are their names) has the timing.
    """
    timing = dict(preset)
    density = Fraction(shape.organisation.density_bits, prod(shape.size(level) for level in density_per))
    for name, cases in tables.items():
        for number, case in enumerate(cases):
            _check_names(case, timing, shape, ("derived", name, number))
        fitting = [
            case
            for case in cases
            if case.fits(preset["rate"], shape.organisation.dq_bits, density, refresh, accounting)
        ]
        if name in preset and not over_preset and not (fitting and fitting[0].accounting == "corrected"):
            continue
        if fitting:
            timing[name] = fitting[0].value(timing, shape)
        elif name not in preset and name not in overridden and any(case.accounting is None for case in cases):
            raise PartRefusal(
                ("derived", name),
                f"no case fits {preset['rate']} MT/s, {shape.organisation.dq_bits} data pins and {density} bits",
                remedy="add a case, or choose another organisation or speed grade",
            )
    return timing


def _check_names(case: DerivedCase, timing: Mapping[str, int], shape: Shape, key: tuple[str | int, ...]) -> None:
    if case.same_as is not None and case.same_as not in timing:
        raise PartRefusal(
            (*key, "same_as"), f"there is no timing {case.same_as!r} yet", remedy="name one of the preset or above"
        )
    for level in case.divided_by:
        if level not in shape.levels:
            raise PartRefusal((*key, "divided_by"), f"unknown level {level!r}", remedy="use " + ", ".join(shape.levels))
