"""Figure 7 of PAPI: shares of DRAM access in a stack's energy, and the reuse from which on a stack keeps its budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pydantic import BaseModel, ConfigDict

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.errors import ConfigError
from simulator.devices.pim_area import design_name, fit_area
from simulator.devices.pim_energy import PimEnergy
from simulator.devices.pim_power import ColumnRate, StreamingPower, check_power, streaming_power
from simulator.experiments.validate_records import Group, Point
from simulator.workload.catalog import data_directory

PER_CENT = 100.0
READINGS: dict[ColumnRate, str] = {"fpu": "columns as units ask", "dram": "columns as banks give"}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shares(_Section):
    """Shares of DRAM access in the energy of one design, in per cent by reuse."""

    units_per_bank: float
    tolerance_frac: float
    published_pct: dict[int, float]


class LeastReuse(_Section):
    """The reuse from which on a design fits; `contradicts` is why ours cannot be that."""

    name: str
    units_per_bank: float
    column_rate: ColumnRate
    reuse: int
    contradicts: str = ""


class PowerTargets(_Section):
    """What PAPI prints of energy and power, the part that it is about, and the reuses that its figure sweeps."""

    title: str
    source: str
    part: str
    shares: Shares
    swept: list[int]
    reuses: list[LeastReuse]

    def config(self) -> PimEnergy.Config:
        """The part's constants."""
        return bind(load_part(data_directory("hw_configs") / self.part), PimEnergy.Config)


def power_points(targets: PowerTargets) -> Iterator[Point]:
    """Every number of the targets beside ours."""
    config = targets.config()
    group = Group("stack_power", targets.title, targets.source, folded=False)
    shares = targets.shares
    for reuse, published in shares.published_pct.items():
        ours = streaming_power(config, shares.units_per_bank, reuse).dram_frac * PER_CENT
        point = Point.printed(
            group, f"{design_name(shares.units_per_bank)}, reuse {reuse}", "DRAM access, %", published, ours
        )
        yield replace(point, tolerance=max(point.tolerance, published * shares.tolerance_frac))
    for one in targets.reuses:
        least = least_swept(config, one.units_per_bank, one.column_rate, targets.swept)
        yield Point(group, READINGS[one.column_rate], one.name, one.reuse, least, contradicts=one.contradicts)


def least_swept(config: PimEnergy.Config, units_per_bank: float, column_rate: ColumnRate, swept: list[int]) -> int:
    """The least of the reuses from which on a stack, as large as its area allows, keeps its budget at all of them.

    Raises ConfigError where it does not even at the last.
    """
    fitting = [
        check_power(stack_power(config, units_per_bank, reuse, column_rate), config).fits for reuse in sorted(swept)
    ]
    if not fitting[-1]:
        raise ConfigError(f"a {design_name(units_per_bank)} stack keeps its budget at none of the reuses")
    n_above = len(fitting) - fitting[::-1].index(False) if False in fitting else 0
    return sorted(swept)[n_above]


def stack_power(
    config: PimEnergy.Config, units_per_bank: float, reuse: float, column_rate: ColumnRate
) -> StreamingPower:
    """Power of a stack with as many banks as its area allows."""
    n_banks = fit_area(config.area, units_per_bank).n_stack_banks
    return streaming_power(config, units_per_bank, reuse, n_banks, column_rate=column_rate)
