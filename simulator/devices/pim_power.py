"""Power of an HBM stack while all its banks stream to their units, against the budget of its cube.

A column that is read serves `reuse` tokens, one after the other, each taking one cycle of one unit. Of the two limits
the tighter holds: a bank gives a column each column period, and its units do so many tokens a second. That is
`column_rate: dram`. With `column_rate: fpu` units are never kept waiting, as if a bank gave columns as fast as they
take them: 32 B in each cycle of 666 MHz, the 20.8 GB/s for a bank and unit of PAPI. No bank does that at one unit and
little reuse; but power that falls with reuse, and 4P1B within 116 W from a reuse of 4 on, are had in this reading only.

In neither does 1P1B exceed 116 W at a reuse of 1, as PAPI has it: 48.6 W and 99.5 W, for 1,024 banks and 4.4 pJ a byte
of cells. It would from 10.7 and from 5.2 pJ a byte on. The shares of figures 7a and 7b mean 4.7 and 5.1: PAPI seems to
have had about 5.2 pJ, and the second reading.

Not modelled: standby, refresh and the buffer die's own power; rows that are opened and not read to their end.
Source: PAPI (ASPLOS'25), figure 7 and its budget; rates and energies of AttAcc (ASPLOS'24).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from simulator.core.errors import ConfigError, Position
from simulator.devices.pim_area import design_name
from simulator.devices.pim_energy import PimEnergy

ColumnRate = Literal["dram", "fpu"]
_PJ_PER_J = 1e12


@dataclass(frozen=True, slots=True)
class StreamingPower:
    """Power of a stack at a reuse, by what draws it; `columns_per_s` is of one bank, and `bound` what limits it."""

    units_per_bank: float
    n_banks: int
    reuse: float
    column_rate: ColumnRate
    bound: Literal["columns", "units"]
    columns_per_s: float
    dram_w: float
    transfer_w: float
    compute_w: float
    is_limited: bool = False
    transfer_bytes: float = 0.0

    @property
    def power_w(self) -> float:
        """All of it."""
        return self.dram_w + self.transfer_w + self.compute_w

    @property
    def dram_frac(self) -> float:
        """The share of DRAM access, in power as in energy."""
        return self.dram_w / self.power_w

    @property
    def design(self) -> str:
        """The design as papers write it, such as 4P1B."""
        return design_name(self.units_per_bank)


@dataclass(frozen=True, slots=True)
class PowerCheck:
    """A stack's power beside its budget, and the same in words."""

    power_w: float
    budget_w: float
    words: str

    @property
    def fits(self) -> bool:
        """Whether the stack stays within its budget."""
        return self.power_w <= self.budget_w


def streaming_power(
    config: PimEnergy.Config,
    units_per_bank: float,
    reuse: float,
    n_banks: int = 1024,
    *,
    column_rate: ColumnRate = "dram",
    is_limited: bool = False,
    transfer_bytes: float = 0.0,
) -> StreamingPower:
    """Power while `n_banks` banks of a stack stream, each column serving `reuse` tokens.

    With `is_limited` columns come at the spacing of AttAcc's power limit. `transfer_bytes` move between unit and buffer
    die for each column and token: 0 where inputs stay in the units, about 0.15 in AttAcc's attention. Raises
    ConfigError for a reuse or a number of banks below 1.
    """
    design_name(units_per_bank)  # raises where there is no such design
    if not (reuse >= 1 and n_banks >= 1):
        raise ConfigError(
            f"{n_banks} banks whose columns serve {reuse:g} tokens each draw no power to speak of",
            where="reuse",
            remedy="give at least 1 bank, and 1 token for a column",
        )
    dram_pj, token_pj, transfer_pj = _column_pj(config, transfer_bytes)
    bank_per_s = _PJ_PER_J / _period_ps(config, is_limited)
    unit_per_s = units_per_bank * config.power.unit_clock_hz / reuse
    is_column_bound = column_rate == "dram" and bank_per_s < unit_per_s
    columns_per_s = bank_per_s if is_column_bound else unit_per_s
    scale = n_banks * columns_per_s / _PJ_PER_J
    return StreamingPower(
        units_per_bank,
        n_banks,
        reuse,
        column_rate,
        "columns" if is_column_bound else "units",
        columns_per_s,
        dram_pj * scale,
        transfer_pj * reuse * scale,
        token_pj * reuse * scale,
        is_limited,
        transfer_bytes,
    )


def least_reuse(
    config: PimEnergy.Config,
    units_per_bank: float,
    n_banks: int = 1024,
    *,
    column_rate: ColumnRate = "dram",
    is_limited: bool = False,
    transfer_bytes: float = 0.0,
) -> float | None:
    """The reuse from which on a stack stays within its budget: 1 where it always does, None where it never does."""
    budget_w = config.power.budget_mw / 1e3
    balance = units_per_bank * config.power.unit_clock_hz * _period_ps(config, is_limited) / _PJ_PER_J
    # Up to `balance` the columns bind, and power grows with the arithmetic; from there on it falls.
    peak = max(1.0, balance) if column_rate == "dram" else 1.0
    at_peak = streaming_power(
        config, units_per_bank, peak, n_banks,
        column_rate=column_rate, is_limited=is_limited, transfer_bytes=transfer_bytes,
    )  # fmt: skip
    if at_peak.power_w <= budget_w:
        return 1.0
    dram_pj, token_pj, transfer_pj = _column_pj(config, transfer_bytes)
    tokens_per_s = n_banks * units_per_bank * config.power.unit_clock_hz
    left_pj = budget_w / tokens_per_s * _PJ_PER_J - token_pj - transfer_pj
    return dram_pj / left_pj if left_pj > 0 else None


def check_power(
    power: StreamingPower,
    config: PimEnergy.Config,
    *,
    enforce: bool = False,
    where: Position | str | None = "power_budget",
) -> PowerCheck:
    """A stack's power beside the budget of the part.

    Raises ConfigError where it is more and `enforce` is set: by how much, and which reuse would do.
    """
    budget_w = config.power.budget_mw / 1e3
    excess_w = power.power_w - budget_w
    drawn = (
        f"a {power.design} stack of {power.n_banks:,} banks draws {power.power_w:.1f} W at a reuse of {power.reuse:g}"
    )
    if excess_w <= 0:
        return PowerCheck(power.power_w, budget_w, f"{drawn}, {-excess_w:.1f} W below its budget of {budget_w:g} W")
    words = f"{drawn}, {excess_w:.1f} W above its budget of {budget_w:g} W"
    if enforce:
        enough = least_reuse(
            config, power.units_per_bank, power.n_banks,
            column_rate=power.column_rate, is_limited=power.is_limited, transfer_bytes=power.transfer_bytes,
        )  # fmt: skip
        # Rounded up: what is named must do.
        instead = f"from a reuse of {math.ceil(100 * enough) / 100:g} on it fits" if enough else "no reuse will do"
        raise ConfigError(words, where=where, remedy=f"{instead}; give banks fewer units, or do not enforce the budget")
    return PowerCheck(power.power_w, budget_w, words)


def _column_pj(config: PimEnergy.Config, transfer_bytes: float) -> tuple[float, float, float]:
    """Energy of reading a column, and for each token of the arithmetic on it and of transfers."""
    energies, organisation = config.energy, config.organisation
    segments = energies.segments_pj_per_bit
    way_pj_per_bit = segments["decoder_mux"] + segments["gio"] + segments["tsv"]
    return (
        organisation.burst_bytes * 8 * energies.cell_pj_per_bit,
        config.power.lanes * energies.mac_pj,
        transfer_bytes * 8 * way_pj_per_bit,
    )


def _period_ps(config: PimEnergy.Config, is_limited: bool) -> int:
    return config.power.limited_column_period_ps if is_limited else config.power.column_period_ps
