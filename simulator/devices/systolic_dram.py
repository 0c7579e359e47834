"""What a DRAM gives a device that moves whole tiles: sustained rates of reads and of writes, first latency, energy.

Both rates are those of the tick-accurate DRAM serving the part's own pattern (a stream, say) without a pause, all reads
and then all writes, refresh included.

Not modelled: the turn of the data bus between a tile's reads and another's writes, some ten ns a tile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.core.energy import BackgroundPower, EnergyLedger
from simulator.devices.dram import Dram
from simulator.devices.dram_counting import account
from simulator.memory.dram.controller import NO_OFFERS
from simulator.memory.dram.steady import latency

_SEED = 1


@dataclass(frozen=True, slots=True)
class Stream:
    """One direction at its best: its rate, and what a byte of it costs by part (None where the part has no currents).

    `standing_mw` are background and refresh while the stream flows.
    """

    gb_per_s: float
    pj_per_byte: dict[str, float] | None
    standing_mw: dict[str, float]


@dataclass(frozen=True, slots=True)
class StreamedDram:
    """A DRAM for tiles: both directions, and from the first request to its data, no row being open."""

    read: Stream
    write: Stream
    latency_ps: float

    def ledger(self, read_bytes: int, write_bytes: int, time_ps: float) -> EnergyLedger | None:
        """Energy of so many bytes within a time, or None where the part has no currents.

        Background and refresh are those of the reading stream all the time: rows stay open between tiles.
        """
        if self.read.pj_per_byte is None or self.write.pj_per_byte is None:
            return None
        dynamic = {name: pj * read_bytes for name, pj in self.read.pj_per_byte.items()}
        for name, pj in self.write.pj_per_byte.items():
            dynamic[name] = dynamic.get(name, 0.0) + pj * write_bytes
        standing = (BackgroundPower(name, "streaming", mw, time_ps) for name, mw in self.read.standing_mw.items())
        return EnergyLedger(dynamic, tuple(standing))


def streamed(config: Dram.Config) -> StreamedDram:
    """Measure a part's streams. Raises ConfigError for currents that make no sense."""
    device = Dram(config)
    spec = device.spec
    activate = "ACT" if "ACT" in spec.commands else "ACT1"
    first_cyc = latency(spec, activate, "RD", len(spec.levels)) + spec.read_latency
    return StreamedDram(_stream(config, 1.0), _stream(config, 0.0), first_cyc * float(spec.tick_period_ps))


def _stream(config: Dram.Config, read_frac: float) -> Stream:
    device = Dram(config.model_copy(update={"read_frac": read_frac}))
    requests = replace(device.synthetic_requests(_SEED), offer_cyc=NO_OFFERS)
    timing = device.time(requests, log=True)
    counted = account("corrected", device.spec, config.n_channels, timing)
    energy = device.energy(timing)
    if isinstance(energy, str):
        return Stream(counted.bandwidth_gb_per_s, None, {})
    n_bytes = (counted.tally.reads_served + counted.tally.writes_served) * device.spec.tx_bytes
    # 1 pJ in 1 ps is 1 W.
    standing = {"refresh": energy.dynamic_pj["refresh"] / counted.time_ps * 1e3}
    standing["background"] = sum(entry.energy_pj for entry in energy.background) / counted.time_ps * 1e3
    moving = {name: pj / n_bytes for name, pj in energy.dynamic_pj.items() if name != "refresh" and pj}
    return Stream(counted.bandwidth_gb_per_s, moving, standing)
