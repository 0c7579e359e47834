"""Energy of one CENT device: AiM channels, their controllers and buffers, and the near-memory unit.

Source: CENT (ASPLOS'25) repository, energy model. Two ways of accounting exist because the published one has defects:
it divides standby power by the number of channels twice, counts PCIe energy per element instead of per bit, and lets
background power flow during in-memory work only.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.core.energy import BackgroundPower, EnergyLedger
from simulator.core.quantities import Milliwatts, NonNegativeFloat, PositiveInt
from simulator.devices.aim_device import AimDevice
from simulator.devices.pnm import Pnm, PnmConfig, PnmWork
from simulator.memory.aim_isa import Command, Opcode
from simulator.memory.aim_program import OPCODE, REPEAT, AimProgram
from simulator.memory.aim_timing import AimTiming


@dataclass(frozen=True, slots=True)
class Accounting:
    """How energy and time are added up.

    `standby_share` of the standby power is counted; a PCIe element counts as `pcie_bits_per_element` bits; background
    power flows for the in-memory time only (`background` "pim") or for all the time between two tokens ("interval");
    `whole_devices` charges every copy on a device even where the model has fewer blocks; `mean` of a query is over
    per-context values or over time.
    """

    name: str
    standby_share: float
    pcie_bits_per_element: int
    background: str
    whole_devices: bool
    mean: str
    slot_policy: str
    capacity: str


ACCOUNTINGS = {
    "published": Accounting("published", 1 / 32, 1, "pim", True, "contexts", "independent", "report"),
    "corrected": Accounting("corrected", 1.0, 16, "interval", False, "time", "slowest_stage", "enforce"),
}


class CentPower(BaseModel):
    """Currents of the DRAM as power, and of its interface, controllers and global buffers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    active_standby_mw: Milliwatts
    precharged_standby_mw: Milliwatts
    activate_mw: Milliwatts
    write_mw: Milliwatts
    read_mw: Milliwatts
    row_cycle_ns: NonNegativeFloat
    burst_ns: NonNegativeFloat
    column_ns: NonNegativeFloat
    mac_power_ratio: NonNegativeFloat
    ewmul_share: NonNegativeFloat
    dq_pj_per_bit: NonNegativeFloat
    pcie_pj_per_bit: NonNegativeFloat
    controller_transaction_mw: Milliwatts
    controller_phy_mw: Milliwatts
    channels_per_controller: PositiveInt
    global_buffer_static_mw: Milliwatts
    global_buffer_read_mw: Milliwatts
    global_buffer_write_mw: Milliwatts


ROW_COMMANDS = (Command.ACT, Command.PRE, Command.PREA, Command.ACT16, Command.TMOD, Command.REFAB)


class CentDevice:
    """One CXL device of a CENT system."""

    class Config(BaseModel):
        """A part such as `hw_configs/parts/cent_device.yaml`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        kind: Literal["cent_device"] = "cent_device"
        dram: AimDevice.Config
        power: CentPower
        pnm: PnmConfig

    def __init__(self, config: Config) -> None:
        self.config = config
        self.dram = AimDevice(config.dram)
        self.pnm = Pnm(config.pnm)

    @property
    def n_channels(self) -> int:
        """Channels of the device."""
        return self.dram.geometry.n_channels

    def command_energy_pj(self, timing: AimTiming, accounting: Accounting) -> dict[str, float]:
        """Energy of the DRAM commands of all channels, by component; rows held open count here as standby above
        precharged."""
        power = self.config.power
        n = {command: int(timing.commands[:, command].sum()) for command in Command}
        n_all = sum(n.values())
        n_column = n_all - sum(n[command] for command in ROW_COMMANDS)
        bits = self.dram.config.organisation.burst_bytes * 8
        n_banks = self.dram.geometry.n_banks
        clock_ns = float(self.dram.clock_ps) * 1e-3
        reads = n[Command.RDCP] + n[Command.RD] + n[Command.RDMAC16] + n[Command.RDAF16] + n_banks * n[Command.AF16]
        writes = n[Command.WRCP] + n[Command.WR] + n[Command.WRMAC16] + n_banks * n[Command.WRA16]
        transfers = sum(
            n[command]
            for command in (
                Command.RD,
                Command.WR,
                Command.WRGB,
                Command.RDMAC16,
                Command.RDAF16,
                Command.WRMAC16,
                Command.WRA16,
            )
        )
        open_ns = int(timing.active_cyc.sum()) * clock_ns
        standby_above = power.active_standby_mw - power.precharged_standby_mw
        buffer = power.global_buffer_read_mw * n[Command.WRCP]
        buffer += power.global_buffer_write_mw * (n[Command.WRGB] + n[Command.RDCP])
        # mW times ns is pJ.
        return {
            "dram_activate": power.activate_mw * power.row_cycle_ns * (n[Command.ACT] + n_banks * n[Command.ACT16]),
            "dram_read": power.read_mw * power.burst_ns * reads,
            "dram_write": power.write_mw * power.burst_ns * writes,
            "pim": power.mac_power_ratio * power.read_mw * power.column_ns
            * (n[Command.MAC16] + power.ewmul_share * n[Command.EWMUL16]),
            "dq": power.dq_pj_per_bit * bits * transfers,
            "dram_standby": standby_above * open_ns * accounting.standby_share,
            "controller": (power.controller_transaction_mw * n_column + power.controller_phy_mw * n_all)
            / power.channels_per_controller * clock_ns,
            "global_buffer": buffer * clock_ns,
        }  # fmt: skip

    def work_energy_pj(
        self, program: AimProgram, timing: AimTiming, work: PnmWork, accounting: Accounting
    ) -> dict[str, float]:
        """Dynamic energy of one program and the near-memory work that goes with it."""
        energy = self.command_energy_pj(timing, accounting)
        energy.update(self.pnm.energy_pj(work, aim_instructions(program)))
        return energy

    def pcie_pj(self, n_elements: float, accounting: Accounting) -> float:
        """Energy of sending elements over the device's PCIe pins."""
        return self.config.power.pcie_pj_per_bit * accounting.pcie_bits_per_element * n_elements

    def background_mw(self, accounting: Accounting) -> dict[str, float]:
        """Power of one idle device by component: precharged banks, buffers and leakage."""
        power = self.config.power
        standby = power.precharged_standby_mw * self.n_channels * accounting.standby_share
        return {
            "dram_standby": standby,
            "global_buffer": power.global_buffer_static_mw * self.n_channels,
            **self.pnm.static_mw,
        }

    def background(self, accounting: Accounting, duration_ps: float) -> EnergyLedger:
        """Background energy of one device over a time."""
        return EnergyLedger(
            {},
            tuple(
                BackgroundPower(name, "idle", power_mw, duration_ps)
                for name, power_mw in self.background_mw(accounting).items()
            ),
        )

    @property
    def clock_ps(self) -> Fraction:
        """Clock of the DRAM and its controllers."""
        return self.dram.clock_ps


def aim_instructions(program: AimProgram) -> int:
    """Instructions of a program that the device's instruction buffer holds: all but plain reads and writes."""
    opcodes = program.runs[:, OPCODE]
    is_aim = (opcodes != Opcode.W_MEM) & (opcodes != Opcode.R_MEM)
    return int(program.runs[is_aim, REPEAT].sum())
