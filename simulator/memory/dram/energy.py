"""Energy of a DRAM run by command: currents of a data sheet as data, commands counted, rows' open time from the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from simulator.core.binding import bind
from simulator.core.config import ConfigTree
from simulator.core.energy import BackgroundPower, EnergyLedger
from simulator.core.errors import ConfigError
from simulator.kernels import dram_bounds as kernel
from simulator.memory.dram.bounds import effects, nodes_of_banks
from simulator.memory.dram.controller import CommandLog, DramTiming
from simulator.memory.dram.spec import DramSpec

PARTS = ("act_pre", "read", "write", "refresh", "io", "background_open", "background_closed")
"""Parts of the ledger. Everything but `io` is spent in the DRAM; `io` on both ends of the data bus."""

_ACTIVATES = ("ACT", "ACT1")
_READS, _WRITES = ("RD", "RDA"), ("WR", "WRA")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DeviceCurrents(_Record):
    """Currents of one device (mA, each supply's own) and the conditions under which its data sheet states them.

    `channels` of one device share its currents (GDDR6: 2). `idd5b` flows during an all-bank refresh, not averaged over
    the refresh interval. `i2` is a second supply (VPP of DDR, VDD1 of LPDDR), 0 V where there is none.
    `shared_standby_frac` of the difference between IDD3N and IDD2N flows as soon as one bank is open, the rest in
    proportion to the open banks (DRAMPower's rho). `act_pre_pj`, where given, is an activation of one channel and
    replaces what follows from IDD0.
    """

    width: PositiveInt
    rate: PositiveInt
    density_bits: PositiveInt
    channels: PositiveInt = 1
    vdd_v: PositiveFloat
    idd0_ma: PositiveFloat
    idd2n_ma: NonNegativeFloat
    idd3n_ma: NonNegativeFloat
    idd4r_ma: PositiveFloat
    idd4w_ma: PositiveFloat
    idd5b_ma: PositiveFloat
    v2_v: NonNegativeFloat = 0.0
    i2_0_ma: NonNegativeFloat = 0.0
    i2_2n_ma: NonNegativeFloat = 0.0
    i2_3n_ma: NonNegativeFloat = 0.0
    i2_4r_ma: NonNegativeFloat | None = None
    i2_4w_ma: NonNegativeFloat | None = None
    i2_5b_ma: NonNegativeFloat | None = None
    t_rc_ps: PositiveInt
    t_ras_ps: PositiveInt
    t_rfc_ps: PositiveInt
    shared_standby_frac: float = Field(1.0, ge=0, le=1)
    act_pre_pj: PositiveFloat | None = None

    @model_validator(mode="after")
    def _ordered(self) -> DeviceCurrents:
        if self.t_ras_ps > self.t_rc_ps:
            raise ValueError("t_ras is longer than t_rc")
        for name, value in (("idd4r_ma", self.idd4r_ma), ("idd4w_ma", self.idd4w_ma), ("idd5b_ma", self.idd5b_ma)):
            if value < self.idd3n_ma:
                raise ValueError(f"{name} is below idd3n_ma, so the command would give energy back")
        for low, high in ((self.idd2n_ma, self.idd3n_ma), (self.i2_2n_ma, self.i2_3n_ma)):
            if low > high:
                raise ValueError("the standby current with rows closed is above that with rows open")
        return self


class PseudoChannelEnergies(_Record):
    """Energies of one pseudo channel of a stack, where papers and measurements give these and no currents.

    `row_bits` is the row that `act_pre_pj` opens; `refresh_all_pj` is one all-bank refresh of a pseudo channel with
    `density_bits` of cells. The stack's base die is spread over its pseudo channels in the background powers.
    """

    row_bits: PositiveInt
    density_bits: PositiveInt
    act_pre_pj: NonNegativeFloat
    read_pj_per_bit: NonNegativeFloat
    write_pj_per_bit: NonNegativeFloat
    refresh_all_pj: NonNegativeFloat
    background_open_mw: NonNegativeFloat
    background_closed_mw: NonNegativeFloat

    @model_validator(mode="after")
    def _ordered(self) -> PseudoChannelEnergies:
        if self.background_closed_mw > self.background_open_mw:
            raise ValueError("the background with rows closed is above that with rows open")
        return self


class TerminatedBus(_Record):
    """A data bus that draws current through driver and termination while a line is at the level that conducts.

    `conducting_frac` of the data bits are at that level; `strobe_pairs_per_dq` differential pairs, of which one line
    always conducts, are shared by the data lines. Energy of a bit: V^2 / (driver + termination) x time x share.
    Source: Micron TN-40-07, section on I/O termination power; JESD8-24 (POD12), where a low line conducts.
    """

    vddq_v: PositiveFloat
    read_driver_ohm: PositiveFloat
    read_termination_ohm: PositiveFloat
    write_driver_ohm: PositiveFloat
    write_termination_ohm: PositiveFloat
    strobe_pairs_per_dq: NonNegativeFloat
    conducting_frac: NonNegativeFloat = 0.5


class MeteredBus(_Record):
    """A data bus whose energy is known by the bit: unterminated, or measured."""

    read_pj_per_bit: NonNegativeFloat
    write_pj_per_bit: NonNegativeFloat


class DramCurrents(_Record):
    """Section `currents` of a DRAM part: devices by name, or the energies of a pseudo channel, and the data bus."""

    devices: dict[str, DeviceCurrents] = {}
    pseudo_channel: PseudoChannelEnergies | None = None
    terminated_bus: TerminatedBus | None = None
    metered_bus: MeteredBus | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> DramCurrents:
        if bool(self.devices) == (self.pseudo_channel is not None):
            raise ValueError("give either `devices` or `pseudo_channel`")
        if (self.terminated_bus is None) == (self.metered_bus is None):
            raise ValueError("give either `terminated_bus` or `metered_bus`")
        return self


@dataclass(frozen=True, slots=True)
class CommandEnergies:
    """Energy of each command (pJ, all devices that it reaches) and background power (mW) of one rank or pseudo channel.

    Commands come on top of the background, in which a refreshing bank counts as open: `background_closed_mw` always,
    `open_mw` while any bank is open, `bank_open_mw` for every open bank. `device` names the data sheet's device.
    """

    device: str
    act_pre_pj: float
    read_pj: float
    write_pj: float
    refresh_all_pj: float
    refresh_bank_pj: float
    io_read_pj: float
    io_write_pj: float
    background_closed_mw: float
    open_mw: float
    bank_open_mw: float

    def of(self, command: str) -> tuple[str, float]:
        """Part of the ledger and energy of one command; a precharge is paid with its activation."""
        if command in _ACTIVATES:
            return "act_pre", self.act_pre_pj
        if command in _READS:
            return "read", self.read_pj
        if command in _WRITES:
            return "write", self.write_pj
        if command in ("REFab", "RFMab"):
            return "refresh", self.refresh_all_pj
        if command in ("REFpb", "RFMpb"):
            return "refresh", self.refresh_bank_pj
        return "act_pre", 0.0


def read_currents(tree: ConfigTree) -> DramCurrents:
    """Section `currents` of a part. Raises ConfigError, at its place, for what is missing or makes no sense."""
    return bind(tree, DramCurrents)


def command_energies(spec: DramSpec, currents: DramCurrents) -> CommandEnergies:
    """Energies of the commands of one channel. Raises ConfigError where no device is as wide as the organisation's.

    Per device, after DRAMPower and Micron's notes, with V the supply (a second supply likewise, added):
    activation and precharge V (IDD0 tRC - I1 tRAS - IDD2N (tRC - tRAS)), I1 the standby current with one bank open
    (IDD3N, where `shared_standby_frac` is 1); read V (IDD4R - IDD3N) burst; write likewise; refresh V (IDD5B - IDD3N)
    tRFC, in proportion to the density; one bank's refresh is its share of the rows. A burst costs what it costs at the
    data sheet's rate (energy per bit does not depend on the clock); the terminated bus is paid at the grade's own rate.

    Source: Chandrasekar et al., DRAMPower (DSD 2011, and drampower.info); Micron TN-46-03, TN-41-01, TN-40-07.
    """
    bits = spec.tx_bytes * 8
    n_banks = prod(spec.level_sizes[spec.refresh_level :])
    io_read, io_write = _bus_pj_per_bit(spec, currents)
    if currents.pseudo_channel is not None:
        core = _of_pseudo_channel(spec, currents.pseudo_channel)
    else:
        name, device = _device(spec, currents.devices)
        core = _of_devices(spec, name, device)
    return CommandEnergies(
        **core,  # type: ignore[arg-type]
        refresh_bank_pj=float(core["refresh_all_pj"]) / n_banks,
        io_read_pj=io_read * bits,
        io_write_pj=io_write * bits,
    )


@dataclass(frozen=True, slots=True, eq=False)
class OpenTime:
    """Ticks with a row open or a refresh going on, int64[n_channels, ranks or pseudo channels]: `any_cyc` with at least
    one such bank, `bank_cyc` summed over banks."""

    any_cyc: NDArray[np.int64]
    bank_cyc: NDArray[np.int64]


def open_time(spec: DramSpec, log: CommandLog, n_channels: int, end_cyc: int) -> OpenTime:
    """How long rows were open up to `end_cyc`, from the command log."""
    nodes = nodes_of_banks(spec)[spec.refresh_level]
    n_scopes = int(nodes[-1]) + 1
    found = OpenTime(np.zeros((n_channels, n_scopes), np.int64), np.zeros((n_channels, n_scopes), np.int64))
    kernel.open_residency(
        log.cyc, log.command, log.bank, log.channel, effects(spec), _refresh_cyc(spec), nodes,
        np.searchsorted(nodes, np.arange(n_scopes + 1)).astype(np.int32), np.zeros(spec.n_banks, np.int8),
        np.zeros(n_scopes, np.int64), np.zeros(n_scopes, np.int64), np.zeros(n_scopes, np.int64),
        found.any_cyc, found.bank_cyc, end_cyc,
    )  # fmt: skip
    return found


def dram_energy(
    spec: DramSpec, currents: DramCurrents, timing: DramTiming, *, n_channels: int = 1, open_frac: float | None = None
) -> EnergyLedger:
    """What a run spent up to its drain, all its channels: a ledger with the parts PARTS.

    How long rows were open is read from the command log; without one, all banks were open `open_frac` of the time.

    Not modelled: power-down and self refresh (the reference never enters them), the data's bit pattern, temperature,
    the controller and its PHY beyond the driven line. Data sheets state maxima: measured modules draw about half as
    much (Ghose et al., SIGMETRICS 2018).
    """
    energies = command_energies(spec, currents)
    duration_cyc = int(timing.drain_cycles)
    n_scopes = prod(spec.level_sizes[: spec.refresh_level]) * n_channels
    if timing.log is not None:
        found = open_time(spec, timing.log, n_channels, duration_cyc)
        any_cyc, bank_cyc = float(found.any_cyc.sum()), float(found.bank_cyc.sum())
    elif open_frac is not None:
        any_cyc = open_frac * duration_cyc * n_scopes
        bank_cyc = any_cyc * spec.n_banks * n_channels / n_scopes
    else:
        raise ConfigError(
            "how long rows were open is read from the command log", remedy="simulate with log=True, or give open_frac"
        )
    dynamic = dict.fromkeys(PARTS[:5], 0.0)
    for command, count in zip(spec.commands, timing.commands.tolist(), strict=True):
        part, energy_pj = energies.of(command)
        dynamic[part] += count * energy_pj
        if part in ("read", "write"):
            dynamic["io"] += count * (energies.io_read_pj if part == "read" else energies.io_write_pj)
    tick_ps = float(spec.tick_period_ps)
    whole_ps = n_scopes * duration_cyc * tick_ps
    background = (
        ("background_open", "one row open", energies.background_closed_mw + energies.open_mw, any_cyc * tick_ps),
        ("background_open", "each open row", energies.bank_open_mw, bank_cyc * tick_ps),
        ("background_closed", "all closed", energies.background_closed_mw, whole_ps - any_cyc * tick_ps),
    )
    return EnergyLedger(dynamic, tuple(BackgroundPower(*entry) for entry in background))


def pj_per_bit(spec: DramSpec, timing: DramTiming, ledger: EnergyLedger) -> float:
    """Energy of a run over the bits that its column commands moved; 0 where none did."""
    counts = dict(zip(spec.commands, timing.commands.tolist(), strict=True))
    bits = sum(counts.get(name, 0) for name in (*_READS, *_WRITES)) * spec.tx_bytes * 8
    return ledger.total_pj / bits if bits else 0.0


def _device(spec: DramSpec, devices: Mapping[str, DeviceCurrents]) -> tuple[str, DeviceCurrents]:
    """The device of the organisation's width whose rate is nearest to the grade's (of two, the slower)."""
    fitting = [(name, device) for name, device in devices.items() if device.width == spec.dq_bits]
    if not fitting:
        widths = ", ".join(str(width) for width in sorted({device.width for device in devices.values()}))
        raise ConfigError(
            f"there are no currents of a {spec.standard} device with {spec.dq_bits} data lines",
            remedy=f"add one under currents.devices; there are widths {widths}",
        )
    rate = spec.timing["rate"]
    return min(fitting, key=lambda entry: (abs(entry[1].rate - rate), entry[1].rate))


def _of_devices(spec: DramSpec, name: str, device: DeviceCurrents) -> dict[str, float | str]:
    n_devices = spec.channel_width_bits / (device.width * device.channels)
    burst_ps = spec.prefetch * 1e6 / device.rate
    supplies = (
        (
            device.vdd_v, device.idd0_ma, device.idd2n_ma, device.idd3n_ma,
            device.idd4r_ma, device.idd4w_ma, device.idd5b_ma,
        ),
        (
            device.v2_v, max(device.i2_0_ma, device.i2_3n_ma), device.i2_2n_ma, device.i2_3n_ma,
            *(device.i2_3n_ma if i2 is None else i2 for i2 in (device.i2_4r_ma, device.i2_4w_ma, device.i2_5b_ma)),
        ),
    )  # fmt: skip
    # 1 mA x 1 V x 1 ps = 1e-3 pJ.
    unit = 1e-3 * n_devices
    n_banks = prod(spec.level_sizes[spec.refresh_level :])
    act_pre = read = write = refresh = closed = open_mw = bank_open_mw = 0.0
    for volt, i0, i2n, i3n, i4r, i4w, i5b in supplies:
        shared = device.shared_standby_frac * (i3n - i2n)
        of_a_bank = (i3n - i2n - shared) / n_banks
        act_pre += volt * (i0 * device.t_rc_ps - i2n * device.t_rc_ps - (shared + of_a_bank) * device.t_ras_ps) * unit
        read += volt * (i4r - i3n) * burst_ps * unit
        write += volt * (i4w - i3n) * burst_ps * unit
        refresh += volt * (i5b - i3n) * device.t_rfc_ps * unit
        closed += volt * i2n * n_devices
        open_mw += volt * shared * n_devices
        bank_open_mw += volt * of_a_bank * n_devices
    if device.act_pre_pj is not None:
        act_pre = device.act_pre_pj * n_devices * device.channels
    if act_pre < 0:
        raise ConfigError(
            f"the currents of {name} give an activation of {act_pre:.0f} pJ: idd0_ma is below the standby currents",
            remedy="correct idd0_ma, or give act_pre_pj",
        )
    return {
        "device": name,
        "act_pre_pj": act_pre,
        "read_pj": read,
        "write_pj": write,
        "refresh_all_pj": refresh * spec.density_bits / device.density_bits,
        "background_closed_mw": closed,
        "open_mw": open_mw,
        "bank_open_mw": bank_open_mw,
    }


def _of_pseudo_channel(spec: DramSpec, energies: PseudoChannelEnergies) -> dict[str, float | str]:
    bits = spec.tx_bytes * 8
    n_scopes = prod(spec.level_sizes[: spec.refresh_level])
    density = spec.capacity_bytes * 8 / n_scopes
    return {
        "device": "pseudo channel",
        "act_pre_pj": energies.act_pre_pj * spec.n_columns * spec.channel_width_bits / energies.row_bits,
        "read_pj": energies.read_pj_per_bit * bits,
        "write_pj": energies.write_pj_per_bit * bits,
        "refresh_all_pj": energies.refresh_all_pj * density / energies.density_bits,
        "background_closed_mw": energies.background_closed_mw,
        "open_mw": energies.background_open_mw - energies.background_closed_mw,
        "bank_open_mw": 0.0,
    }


def _bus_pj_per_bit(spec: DramSpec, currents: DramCurrents) -> tuple[float, float]:
    """Energy of a bit read and written on the data bus."""
    if currents.metered_bus is not None:
        return currents.metered_bus.read_pj_per_bit, currents.metered_bus.write_pj_per_bit
    bus = currents.terminated_bus
    assert bus is not None, "DramCurrents gives one of both"
    share = bus.conducting_frac + bus.strobe_pairs_per_dq
    # V^2 / ohm is W; a bit lasts 1e6 / rate ps; 1 W x 1 ps = 1 pJ.
    bit_ps = 1e6 / spec.timing["rate"]
    square = bus.vddq_v**2
    return (
        square / (bus.read_driver_ohm + bus.read_termination_ohm) * share * bit_ps,
        square / (bus.write_driver_ohm + bus.write_termination_ohm) * share * bit_ps,
    )


def _refresh_cyc(spec: DramSpec) -> NDArray[np.int64]:
    """How long each command keeps its rank refreshing, in ticks."""
    names = {"REFab": ("n_rfc", "n_rfcab"), "REFpb": ("n_rfcpb",), "RFMab": ("n_rfmab",), "RFMpb": ("n_rfmpb",)}
    lasting = [
        next((spec.timing[name] for name in names.get(command, ()) if name in spec.timing), 0)
        for command in spec.commands
    ]
    return np.array(lasting, np.int64) * spec.ticks_per_ck
