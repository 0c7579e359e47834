"""A resolved DRAM channel: all that a kernel or a device needs to know of a standard, an organisation and a grade."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Controller = Literal["one_bus", "two_bus", "half_clock", "split_activate"]


@dataclass(frozen=True, slots=True, eq=False)
class DramSpec:
    """One channel of a DRAM standard, every number decided.

    `levels` are those below the channel, outermost first, `level_sizes` how many of each its parent holds; the flat
    bank index is their mixed radix, outermost most significant. `timing` is in clocks (and `rate` in MT/s, `tck_ps`).
    `rules` int64[k, 6]: level (0 the channel, i + 1 `levels[i]`), preceding, following (places in `commands`), latency
    in ticks after the slot correction, window, sibling; `rule_names` names each row. `read_latency` in ticks.
    `tick_ps` is the whole number that the published reference counts with, `tick_period_ps` the exact period.
    `address_maps` are the standard's, by name; `channel_bit` moves the channel's bits to that bit of the address.
    `refresh_level` is the level that one all-bank refresh covers (0 the channel). `refuses_beyond_capacity` tells
    whether addresses past the end are an error (corrected accounting) or come round again (published).
    """

    standard: str
    organisation: str
    speed_grade: str
    commands: tuple[str, ...]
    slot_ticks: tuple[int, ...]
    buses: tuple[tuple[str, ...], ...]
    levels: tuple[str, ...]
    level_sizes: tuple[int, ...]
    n_banks: int
    n_rows: int
    n_columns: int
    prefetch: int
    dq_bits: int
    density_bits: int
    channel_width_bits: int
    tx_bytes: int
    n_data_buses: int
    burst_cyc: int
    timing: dict[str, int]
    ticks_per_ck: int
    tick_ps: int
    tick_period_ps: Fraction
    rules: NDArray[np.int64]
    rule_names: tuple[str, ...]
    read_latency: int
    controller: Controller
    refresh_level: int
    capacity_bytes: int
    accounting: Literal["published", "corrected"]
    address_maps: dict[str, str]
    channel_bit: int | None

    @property
    def refuses_beyond_capacity(self) -> bool:
        """Whether an address past the last byte is an error."""
        return self.accounting == "corrected"

    @property
    def peak_gb_per_s(self) -> float:
        """What one channel's data buses carry at most, by the grade's clock: bursts back to back."""
        return self.n_data_buses * self.tx_bytes * 1000 / (self.burst_cyc * self.timing["tck_ps"])

    def level_index(self, level: str) -> int:
        """0 for the channel, i + 1 for `levels[i]`."""
        return ("channel", *self.levels).index(level)

    def command_index(self, command: str) -> int:
        """Place of a command in `commands`."""
        return self.commands.index(command)
