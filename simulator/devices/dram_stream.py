"""What a DRAM gives a device that moves whole tiles: sustained rates of reads and of writes, first latency, energy.

Both rates are those of the tick-accurate DRAM serving the part's own pattern (a stream, say) without a pause, all reads
and then all writes, refresh included.

Not modelled: the turns of the data bus between reads and writes, some ten ns a tile; what both cost of a row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from simulator.core.energy import BackgroundPower, EnergyLedger
from simulator.core.errors import ConfigError
from simulator.devices.dram import Dram
from simulator.devices.dram_counting import account
from simulator.memory.dram.controller import NO_OFFERS
from simulator.memory.dram.steady import hit_stream, latency

_SEED = 1
_N_KEPT = 16
_CLOSED, _OPEN = "all closed", "each open row"


@dataclass(frozen=True, slots=True)
class Stream:
    """One direction at its best: its rate, and what a byte of it costs by part (None where the part has no currents).

    While it flows, `refresh_mw` and `closed_mw`, of ranks whose rows are closed, are drawn, and `open_mw` on top for
    the rows that are open.
    """

    gb_per_s: float
    pj_per_byte: dict[str, float] | None
    refresh_mw: float = 0.0
    closed_mw: float = 0.0
    open_mw: float = 0.0


@dataclass(frozen=True, slots=True)
class StreamedDram:
    """All channels of a DRAM for tiles: both directions, from the first request to its data with no row open, the
    bus's peak, and what fits."""

    read: Stream
    write: Stream
    latency_ps: float
    peak_gb_per_s: float
    capacity_bytes: int

    @property
    def standby_mw(self) -> float:
        """Power that always flows, refresh included."""
        return self.read.refresh_mw + self.read.closed_mw

    def time_ps(self, read_bytes: int, write_bytes: int) -> float:
        """How long so many bytes take, reads and writes one after the other."""
        return (read_bytes / self.read.gb_per_s + write_bytes / self.write.gb_per_s) * 1e3

    def dynamic_pj(self, read_bytes: int, write_bytes: int) -> dict[str, float]:
        """Energy of moving so many bytes by part, standby left out. Raises ConfigError where there are no currents."""
        if self.read.pj_per_byte is None or self.write.pj_per_byte is None:
            raise ConfigError(
                "the memory's part has no currents", where="currents", remedy="give the part currents of its devices"
            )
        found = {name: pj * read_bytes for name, pj in self.read.pj_per_byte.items()}
        for name, pj in self.write.pj_per_byte.items():
            found[name] = found.get(name, 0.0) + pj * write_bytes
        return found

    def ledger(self, read_bytes: int, write_bytes: int, time_ps: float) -> EnergyLedger | None:
        """Energy of so many bytes within a time, or None where the part has no currents.

        Background and refresh are those of the reading stream all the time: rows stay open between tiles.
        """
        if self.read.pj_per_byte is None:
            return None
        standing = {"refresh": self.read.refresh_mw, "background": self.read.closed_mw + self.read.open_mw}
        background = (BackgroundPower(name, "streaming", mw, time_ps) for name, mw in standing.items())
        return EnergyLedger(self.dynamic_pj(read_bytes, write_bytes), tuple(background))


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A DRAM part as the key of what was simulated of it: parts hold mappings, so that they have no hash."""

    dram: Dram.Config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and self.dram == other.dram

    def __hash__(self) -> int:
        dram = self.dram
        return hash((dram.standard, dram.org, dram.timing, dram.n_channels, dram.rank, dram.mapper, dram.n_requests))


def streamed(config: Dram.Config) -> StreamedDram:
    """A part's streams, simulated once a process. Raises ConfigError for currents that make no sense."""
    return _simulated(_Asked(config))


@lru_cache(maxsize=_N_KEPT)
def _simulated(asked: _Asked) -> StreamedDram:
    device = Dram(asked.dram)
    spec = device.spec
    activate = "ACT" if "ACT" in spec.commands else "ACT1"
    first_cyc = latency(spec, activate, "RD", len(spec.levels)) + spec.read_latency
    return StreamedDram(
        read=_stream(asked.dram, 1.0),
        write=_stream(asked.dram, 0.0),
        latency_ps=first_cyc * float(spec.tick_period_ps),
        peak_gb_per_s=hit_stream(spec).peak_gb_per_s * asked.dram.n_channels,
        capacity_bytes=device.capacity_bytes,
    )


def _stream(config: Dram.Config, read_frac: float) -> Stream:
    device = Dram(config.model_copy(update={"read_frac": read_frac}))
    requests = replace(device.synthetic_requests(_SEED), offer_cyc=NO_OFFERS)
    timing = device.time(requests, log=True)
    counted = account("corrected", device.spec, config.n_channels, timing)
    energy = device.energy(timing)
    if isinstance(energy, str):
        return Stream(counted.bandwidth_gb_per_s, None)
    n_bytes = (counted.tally.reads_served + counted.tally.writes_served) * device.spec.tx_bytes
    moving = {name: pj / n_bytes for name, pj in energy.dynamic_pj.items() if name != "refresh" and pj}
    # 1 pJ in 1 ps is 1 W. All ranks stand by with their rows closed, and pay for open rows on top.
    background_mw = sum(entry.energy_pj for entry in energy.background) / counted.time_ps * 1e3
    closed_mw = next(entry.power_mw for entry in energy.background if entry.state == _CLOSED)
    closed_mw *= sum(entry.duration_ps for entry in energy.background if entry.state != _OPEN) / counted.time_ps
    return Stream(
        counted.bandwidth_gb_per_s,
        moving,
        refresh_mw=energy.dynamic_pj["refresh"] / counted.time_ps * 1e3,
        closed_mw=closed_mw,
        open_mw=max(0.0, background_mw - closed_mw),
    )
