"""The memory behind an array: a published rate and energy per bit, or channels of DRAM that stream as simulated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from pydantic import BaseModel, ConfigDict

from simulator.core.errors import ConfigError
from simulator.core.quantities import PicojoulesPerByte, PositiveInt
from simulator.devices.dram import Dram
from simulator.memory.dram.controller import DramTiming
from simulator.memory.dram.steady import hit_stream

_SEED = 1
_N_KEPT = 16
_BACKGROUND_CLOSED = "all closed"


class PublishedMemory(BaseModel):
    """A memory as a figure per cycle and per byte, reads and writes alike."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes_per_cycle: PositiveInt
    energy_pj_per_byte: PicojoulesPerByte


@dataclass(frozen=True, slots=True)
class DramStream:
    """All channels of a DRAM while they stream from, or to, open rows, refresh included.

    Energies per byte are those of commands and of the bus; `standby_mw` flows always and holds refresh, `open_mw` on
    top of it while data moves. `peak_gb_per_s` is the bus's.
    """

    read_gb_per_s: float
    write_gb_per_s: float
    peak_gb_per_s: float
    read_pj_per_byte: float
    write_pj_per_byte: float
    standby_mw: float
    open_mw: float
    capacity_bytes: int

    def time_ps(self, read_bytes: int, write_bytes: int) -> float:
        """How long so many bytes take, reads and writes one after the other.

        Not modelled: the turns of the bus between them, as outputs leave in bursts; what both cost of a row.
        """
        return (read_bytes / self.read_gb_per_s + write_bytes / self.write_gb_per_s) * 1e3

    def dynamic_pj(self, read_bytes: int, write_bytes: int) -> float:
        """Energy of moving so many bytes, standby left out."""
        return read_bytes * self.read_pj_per_byte + write_bytes * self.write_pj_per_byte


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A DRAM part as the key of what was simulated of it: parts hold mappings, so that they have no hash."""

    dram: Dram.Config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and self.dram == other.dram

    def __hash__(self) -> int:
        dram = self.dram
        return hash((dram.standard, dram.org, dram.timing, dram.n_channels, dram.rank, dram.mapper, dram.n_requests))


def dram_stream(config: Dram.Config) -> DramStream:
    """What a part streams, simulated once a process: its own synthetic traffic, once reading and once writing.

    Raises ConfigError for a part without currents, or whose currents make no sense.
    """
    return _simulated(_Asked(config))


@lru_cache(maxsize=_N_KEPT)
def _simulated(asked: _Asked) -> DramStream:
    device = Dram(asked.dram)
    requests = device.synthetic_requests(_SEED)
    n = len(requests)
    reading = _streamed(device, device.time(replace(requests, is_write=np.zeros(n, np.bool_)), log=True), n)
    writing = _streamed(device, device.time(replace(requests, is_write=np.ones(n, np.bool_)), log=True), n)
    return DramStream(
        read_gb_per_s=reading.gb_per_s,
        write_gb_per_s=writing.gb_per_s,
        peak_gb_per_s=hit_stream(device.spec).peak_gb_per_s * asked.dram.n_channels,
        read_pj_per_byte=reading.pj_per_byte,
        write_pj_per_byte=writing.pj_per_byte,
        standby_mw=reading.standby_mw,
        open_mw=reading.open_mw,
        capacity_bytes=device.capacity_bytes,
    )


@dataclass(frozen=True, slots=True)
class _Streamed:
    gb_per_s: float
    pj_per_byte: float
    standby_mw: float
    open_mw: float


def _streamed(device: Dram, timing: DramTiming, n_requests: int) -> _Streamed:
    """Rates of one run: bandwidth, energy per byte, and powers."""
    ledger = device.energy(timing)
    if isinstance(ledger, str):
        raise ConfigError(ledger, where="system.memory.currents", remedy="give the part currents of its devices")
    duration_ps = float(device.spec.tick_period_ps) * timing.drain_cycles
    n_bytes = n_requests * device.spec.tx_bytes
    moving = sum(energy for part, energy in ledger.dynamic_pj.items() if part != "refresh")
    # pJ / ps is W. All ranks stand by with their rows closed, and pay for refresh and for open rows on top.
    closed_mw = next(entry.power_mw for entry in ledger.background if entry.state == _BACKGROUND_CLOSED)
    n_scopes = sum(entry.duration_ps for entry in ledger.background if entry.state != "each open row") / duration_ps
    background_mw = sum(entry.energy_pj for entry in ledger.background) / duration_ps * 1e3
    standby_mw = closed_mw * n_scopes
    refresh_mw = ledger.dynamic_pj.get("refresh", 0.0) / duration_ps * 1e3
    return _Streamed(
        gb_per_s=n_bytes / duration_ps * 1e3,
        pj_per_byte=moving / n_bytes,
        standby_mw=standby_mw + refresh_mw,
        open_mw=max(0.0, background_mw - standby_mw),
    )
