"""What a machine costs: a chip from its area, a machine from its parts, an hour of use, tokens for a dollar.

Every constant stands in a part such as `hw_configs/parts/cent_cost.yaml`; here are only the formulas.
Dollars are US dollars of the source's year.

Source: CENT (ASPLOS'25), cost model; the yield is Stapper's negative binomial (IBM J. Res. Dev. 27(6), 1983).

Not modelled: test and assembly yield, volume discounts, the building, staff, interest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Lt
from pydantic import BaseModel, ConfigDict

from simulator.core.errors import ConfigError
from simulator.core.quantities import Frac, NonNegativeFloat, PositiveFloat, PositiveInt

HOURS_PER_YEAR = 8760
SECONDS_PER_HOUR = 3600

Pricing = Literal["published", "derived", "rental"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DieConfig(_Section):
    """A die: the areas of its blocks, its wafer, and how often a defect kills it."""

    area_mm2: dict[str, NonNegativeFloat]
    wafer_usd: PositiveFloat
    wafer_diameter_mm: PositiveFloat
    defects_per_mm2: NonNegativeFloat
    clustering: PositiveFloat


class ChipConfig(_Section):
    """A packaged chip: its die, the package's share of their sum, and one-time costs over the chips made."""

    die: DieConfig
    package_share_frac: Annotated[Frac, Lt(1)]
    nre_musd: dict[str, NonNegativeFloat]
    n_made: PositiveInt


class MachineConfig(_Section):
    """A machine: controllers and bought parts."""

    n_controllers: PositiveInt
    parts_usd: dict[str, NonNegativeFloat]


class OwnershipConfig(_Section):
    """An hour of use: the years that the price is spread over, and what a source states for `n_devices` devices."""

    n_devices: PositiveInt
    years: PositiveFloat
    published_usd_per_h: PositiveFloat
    rental_usd_per_h: PositiveFloat
    electricity_usd_per_kwh: NonNegativeFloat


@dataclass(frozen=True, slots=True)
class ChipCost:
    """Dollars of one chip, by what they are paid for."""

    die_usd: float
    package_usd: float
    nre_usd: float

    @property
    def total_usd(self) -> float:
        """Price of the chip."""
        return self.die_usd + self.package_usd + self.nre_usd


class Cost:
    """The cost of a machine with one kind of controller chip."""

    class Config(_Section):
        """A part of kind `cost`."""

        kind: Literal["cost"] = "cost"
        controller: ChipConfig
        machine: MachineConfig
        ownership: OwnershipConfig

    def __init__(self, config: Config) -> None:
        self.config = config

    def controller(self) -> ChipCost:
        """What one controller costs."""
        return chip_cost(self.config.controller)

    def machine_usd(self) -> dict[str, float]:
        """Price of the machine by part, controllers first."""
        machine = self.config.machine
        return {"controllers": machine.n_controllers * self.controller().total_usd, **machine.parts_usd}

    def usd_per_h(self, n_devices: int, pricing: Pricing = "published", power_w: float = 0.0) -> float:
        """Dollars of an hour of `n_devices` devices, in proportion to the machine's.

        `published` and `rental` are constants of the source; `derived` is the machine's price over its years and the
        electricity of `power_w`, which is that of the `n_devices` devices. Host, switch and controllers count in full
        proportion, as the source has it.
        """
        own = self.config.ownership
        share = n_devices / own.n_devices
        if pricing == "published":
            return own.published_usd_per_h * share
        if pricing == "rental":
            return own.rental_usd_per_h * share
        price_per_h = sum(self.machine_usd().values()) / (own.years * HOURS_PER_YEAR)
        return price_per_h * share + power_w / 1000 * own.electricity_usd_per_kwh


def dies_per_wafer(area_mm2: float, diameter_mm: float) -> int:
    """Whole dies of a square wafer grid: the wafer's area over the die's, less those that its edge cuts."""
    whole = math.pi * (diameter_mm / 2) ** 2 / area_mm2 - math.pi * diameter_mm / math.sqrt(2 * area_mm2)
    return max(0, math.floor(whole))


def yield_frac(area_mm2: float, defects_per_mm2: float, clustering: float) -> float:
    """Share of dies without a defect, where defects cluster (negative binomial; a large `clustering` is Poisson)."""
    return float((1 + area_mm2 * defects_per_mm2 / clustering) ** -clustering)


def die_usd(die: DieConfig) -> float:
    """Dollars of one good die. Raises ConfigError for a die that no wafer holds, or that has no area."""
    area_mm2 = sum(die.area_mm2.values())
    n_dies = dies_per_wafer(area_mm2, die.wafer_diameter_mm) if area_mm2 else 0
    if not n_dies:
        raise ConfigError(
            f"a wafer of {die.wafer_diameter_mm:g} mm holds no die of {area_mm2:g} mm2",
            where="controller.die.area_mm2",
            remedy="correct the areas or the wafer's diameter",
        )
    return die.wafer_usd / (n_dies * yield_frac(area_mm2, die.defects_per_mm2, die.clustering))


def chip_cost(chip: ChipConfig) -> ChipCost:
    """Dollars of one packaged chip with its share of the one-time costs."""
    die = die_usd(chip.die)
    package = die * chip.package_share_frac / (1 - chip.package_share_frac)
    return ChipCost(die, package, sum(chip.nre_musd.values()) * 1e6 / chip.n_made)


def tokens_per_usd(tokens_per_s: float, usd_per_h: float) -> float:
    """Tokens that a dollar buys at a rate of tokens and of dollars."""
    return tokens_per_s * SECONDS_PER_HOUR / usd_per_h
