"""A GDDR6-AiM device: channels with a multiply-accumulate unit beside every bank, behind one dispatcher of host
instructions."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from simulator.contracts.results import RunRecord, Scalar
from simulator.core.errors import ConfigError
from simulator.core.quantities import NonNegativeInt, Period, PositiveBytes, PositiveInt
from simulator.core.spelling import did_you_mean
from simulator.devices.aim_mapping import AimGeometry
from simulator.memory.aim_isa import Command
from simulator.memory.aim_program import AimProgram
from simulator.memory.aim_timing import AimControllerRules, AimTiming, kernel_table, time_program
from simulator.memory.aim_trace import AimLimits, read_aim_trace
from simulator.memory.timing import TimingRule, rule_matrices

Detail = Literal["full", "class", "fast"]
# A millisecond at the part's clock: longer is a mistyped number, and sums of them must stay within 64 bits.
Clocks = Annotated[int, Ge(0), Le(1 << 21)]
PS_PER_S = 10**12
# Timings that the device reads by name: refresh, and what its bounds are told in.
CONTROLLER_TIMINGS = ("n_refi", "n_rfc", "n_ccd", "n_rcd_mac", "n_rtp", "n_rp", "n_mod", "n_bl")


class Organisation(BaseModel):
    """Channels, banks, rows, and what a row and a burst hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_channels: PositiveInt = 32
    n_bank_groups: PositiveInt = 4
    n_banks_per_group: PositiveInt = 4
    n_rows: PositiveInt = 16384
    row_bytes: PositiveBytes = 2048
    burst_bytes: PositiveBytes = 32
    element_bits: PositiveInt = 16
    n_accumulators: PositiveInt = 32
    n_accumulators_activated: PositiveInt = 16
    global_buffer_bytes: PositiveBytes = 2048


class AimDevice:
    """A device of many AiM channels: times command programs exactly, to the clock.

    Not modelled: values; what refresh does to data; row bounds (as in the reference).
    Source: AiM simulator pinned by the CENT repository (ASPLOS'25), a Ramulator 2.0 derivative.
    """

    class Config(BaseModel):
        """A part such as `hw_configs/parts/gddr6_aim.yaml`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        kind: Literal["aim_device"] = "aim_device"
        organisation: Organisation = Organisation()
        clock_period_ps: Period
        queue_entries: PositiveInt = 33
        write_low_watermark: NonNegativeInt = 7
        write_high_watermark: NonNegativeInt = 25
        dispatcher_width: PositiveInt = 1
        refresh: bool = False
        detail: Detail = "fast"
        timing: dict[str, Clocks]
        rules: list[TimingRule]

    def __init__(self, config: Config) -> None:
        self.config = config
        organisation = config.organisation
        if (organisation.n_bank_groups, organisation.n_banks_per_group) != (4, 4):
            raise ConfigError(
                "an AiM channel has 4 bank groups of 4 banks", remedy="leave n_bank_groups and n_banks_per_group at 4"
            )
        if organisation.n_channels > 62:
            raise ConfigError(
                f"{organisation.n_channels} channels, at most 62 are supported", remedy="use more devices"
            )
        if config.queue_entries > 64:
            raise ConfigError(
                f"queue_entries is {config.queue_entries}, at most 64 are supported", remedy="choose at most 64"
            )
        if config.refresh and not (config.timing.get("n_refi") and config.timing.get("n_rfc")):
            raise ConfigError("refresh is on, but the timing has no n_refi and n_rfc", remedy="state both in clocks")
        if organisation.burst_bytes * 8 < organisation.element_bits:
            raise ConfigError(
                f"a burst of {organisation.burst_bytes} bytes holds no element of {organisation.element_bits} bits",
                remedy="state a burst of at least one element",
            )
        self._check_timing_names()
        _ = self.table  # refuses rules and controllers that cannot work

    def _check_timing_names(self) -> None:
        """Refuse a timing that no rule uses: it would change nothing, and is most likely misspelt."""
        used = set(CONTROLLER_TIMINGS)
        for rule in self.config.rules:
            used.update(re.findall(r"[A-Za-z_]\w*", str(rule.latency)))
        for name in self.config.timing:
            if name not in used:
                raise ConfigError(
                    f"no rule uses the timing `{name}`", remedy=did_you_mean(name, sorted(used), noun="the timings")
                )

    @cached_property
    def geometry(self) -> AimGeometry:
        """What mappings must know of the device."""
        organisation = self.config.organisation
        return AimGeometry(
            n_channels=organisation.n_channels,
            n_banks=organisation.n_bank_groups * organisation.n_banks_per_group,
            row_elements=min(organisation.row_bytes, organisation.global_buffer_bytes) * 8 // organisation.element_bits,
            burst_elements=organisation.burst_bytes * 8 // organisation.element_bits,
            n_accumulators=organisation.n_accumulators,
            n_accumulators_activated=organisation.n_accumulators_activated,
            n_rows=organisation.n_rows,
            element_bits=organisation.element_bits,
        )

    @property
    def clock_ps(self) -> Fraction:
        """Clock period in picoseconds."""
        return self.config.clock_period_ps

    @property
    def channel_bytes(self) -> int:
        """Capacity of one channel."""
        return self.geometry.n_banks * self.config.organisation.n_rows * self.config.organisation.row_bytes

    @cached_property
    def table(self) -> NDArray[np.int64]:
        """Timing rules and controller constants as the kernel reads them."""
        config = self.config
        matrices = rule_matrices(config.rules, config.timing, [command.name for command in Command])
        rules = AimControllerRules(
            queue_entries=config.queue_entries,
            write_low_watermark=config.write_low_watermark,
            write_high_watermark=config.write_high_watermark,
            dispatcher_width=config.dispatcher_width,
            n_refi=config.timing["n_refi"] if config.refresh else 0,
        )
        return kernel_table(matrices, rules)

    def time(self, program: AimProgram, detail: Detail | None = None) -> AimTiming:
        """Cycles and commands of a program; every detail gives the same result, at different cost."""
        return time_program(program, self.geometry.n_channels, self.table, detail or self.config.detail)

    def to_ps(self, cycles: int) -> int:
        """Clock cycles as integer picoseconds."""
        return round(cycles * self.clock_ps)

    def busy_cycles(self, counts: NDArray[np.int64], n_lines: int) -> dict[str, int]:
        """Cycles of one channel by constraint, from its command counts int64[18] and the host instructions; they may
        overlap.

        `bank` columns beside the banks, `row` precharge and activation of all banks, `mode switch` between register
        and data mode, `bus` transfers over the data bus, `dispatcher` the host instructions of the whole device, one
        (or its width) a clock.
        """
        timing = self.config.timing
        columns = counts[[Command.MAC16, Command.EWMUL16, Command.RDCP, Command.WRCP]].sum()
        bus = counts[[Command.RD, Command.WR, Command.WRGB, Command.WRMAC16, Command.RDMAC16, Command.RDAF16]].sum()
        closing = timing["n_rtp"] + timing["n_rp"]
        return {
            "bank": int(columns) * timing["n_ccd"],
            "row": int(counts[Command.ACT16]) * timing["n_rcd_mac"] + int(counts[Command.PREA]) * closing,
            "mode switch": int(counts[Command.TMOD]) * timing["n_mod"],
            "bus": int(bus) * timing["n_bl"],
            "dispatcher": n_lines // self.config.dispatcher_width,
        }

    def replay(self, trace: str | Path, seed: int) -> RunRecord:
        """Run an AiM instruction trace: device cycles, commands by kind, achieved rates and what bound them.

        `seed` is unused: nothing here is random.
        """
        del seed
        organisation = self.config.organisation
        limits = AimLimits(organisation.n_channels, self.geometry.n_banks, organisation.n_rows)
        program = read_aim_trace(trace, limits)
        timing = self.time(program)
        seconds = float(timing.cycles * self.clock_ps) / PS_PER_S
        n_mac = int(timing.commands[:, Command.MAC16].sum())
        mac_bytes = n_mac * self.geometry.n_banks * organisation.burst_bytes
        pitch_s = float(max(1, self.config.timing["n_ccd"]) * self.clock_ps) / PS_PER_S
        peak_bytes_per_s = organisation.n_channels * self.geometry.n_banks * organisation.burst_bytes / pitch_s
        total = timing.commands.sum(axis=0)
        metrics: dict[str, int | float] = {
            "device_cycles": timing.cycles,
            "time_us": seconds * 1e6,
            "host_instructions": program.n_lines,
            "commands": int(total.sum()),
            "bank_bandwidth_gb_per_s": mac_bytes / seconds / 1e9,
            "bank_bandwidth_peak_gb_per_s": peak_bytes_per_s / 1e9,
            "bank_bandwidth_frac": mac_bytes / seconds / peak_bytes_per_s,
            "host_instructions_per_cycle": program.n_lines / timing.cycles,
        }
        busy = self.busy_cycles(timing.commands[0], program.n_lines)
        return RunRecord(
            system="aim_device",
            workload=Path(trace).name,
            metrics=metrics,
            breakdown={
                "channel0_commands": named_counts(timing.commands[0]),
                "all_commands": named_counts(total),
                "busy_cycles": dict(busy),
            },
            headlines=(
                f"{timing.cycles:,} device cycles ({seconds * 1e6:,.3f} us) for {program.n_lines:,} host instructions; "
                f"most of the time of channel 0 goes to: {max(busy, key=lambda name: busy[name])}",
            ),
        )


def named_counts(counts: NDArray[np.int64]) -> dict[str, Scalar]:
    """Command counts int64[18] by name; refresh only where it was sent."""
    return {command.name: int(counts[command]) for command in Command if command != Command.REFAB or counts[command]}
