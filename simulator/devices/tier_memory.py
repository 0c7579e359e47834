"""One tier of a tiered memory, told by its latency under load: measured points, or our DRAM behind our link.

A measured curve is scaled to the tier's channels and shifted by what lies on the way; another memory may take its
shape. A modelled one is that of random reads, which come as a Poisson process, on the tick-accurate DRAM; the link adds
its two flights and the wait for its busier direction, the processor what it takes between core and memory.

Not modelled: prefetching, which makes rows hit; the order in which a real program asks; responses to writes on the
link; back-pressure of the link on the memory.
Source: the parts in `hw_configs/parts/tiers`, number by number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

from simulator.core.quantities import GigabytesPerSecond, NonNegativeFloat, PositiveBytes, PositiveInt, PositivePs, Ps
from simulator.core.rounding import ceil_div
from simulator.devices.dram import Dram
from simulator.devices.dram_load import loaded_latency, saturated_gb_per_s
from simulator.devices.link import Link
from simulator.memory.dram.refusal import PartRefusal
from simulator.memory.tiers.latency_curve import PS_PER_NS, LatencyCurve
from simulator.workload.accesses import LINE_BYTES

LOADS = (0.02, 0.1, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.88, 0.94, 0.97)
"""Offered rates, as shares of what saturates; the first stands for an idle memory."""
_SEED = 1
_N_KEPT = 64
_BYTES_PER_GB = 10**9


class Reshaped(BaseModel):
    """How another memory takes the shape of a measured curve: its own `idle` and `peak` (of one channel) where given;
    `wait_scale` times the latency that the measured one adds to its idle at the same share of its peak."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    idle_ps: PositivePs | None = None
    peak_gb_per_s: GigabytesPerSecond | None = None
    wait_scale: NonNegativeFloat = 1.0


class TierMemory:
    """A tier of memory: `curve()` is its read latency against the bandwidth of all its channels."""

    class Config(BaseModel):
        """A part such as `hw_configs/parts/tiers/ddr5_spr.yaml` (measured) or `ddr5_model.yaml` (modelled).

        Measured: `bandwidth` and `latency` by point, `reshaped` for another memory. Modelled: `dram`, offered the
        traffic of its own keys (`trace`, `read_frac`, `n_requests`), the `link` before it, and `host`, the way between
        core and memory or link; `n_outstanding` reads of a channel wait where it is saturated. Either: so many times
        (`n_channels`), `adder` later.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        kind: Literal["tier_memory"] = "tier_memory"
        name: str = ""
        bandwidth_gb_per_s: tuple[NonNegativeFloat, ...] | None = None
        latency_ps: tuple[Ps, ...] | None = None
        reshaped: Reshaped | None = None
        dram: Dram.Config | None = None
        link: Link.Config | None = None
        host_ps: Ps | None = None
        n_outstanding: PositiveInt | None = None
        n_channels: PositiveInt = 1
        adder_ps: Ps = 0
        capacity_bytes: PositiveBytes | None = None

        @model_validator(mode="after")
        def _is_one_of_both(self) -> TierMemory.Config:
            try:
                if self.dram is None:
                    self._check_measured()
                else:
                    self._check_modelled(self.dram)
            except PartRefusal as refusal:
                refusal.raise_at_place()
            return self

        def measured(self) -> LatencyCurve:
            """The points of one channel, reshaped. Raises PartRefusal, at the key, for what is no curve."""
            latency_ns = np.array(self.latency_ps or (), np.float64) / PS_PER_NS
            curve = LatencyCurve(np.array(self.bandwidth_gb_per_s or (), np.float64), latency_ns)
            if self.reshaped is None:
                return curve
            how = self.reshaped
            idle_ns = None if how.idle_ps is None else how.idle_ps / PS_PER_NS
            return curve.reshaped(idle_ns=idle_ns, peak_gb_per_s=how.peak_gb_per_s, wait_scale=how.wait_scale)

        def _check_measured(self) -> None:
            if self.bandwidth_gb_per_s is None or self.latency_ps is None:
                raise PartRefusal(
                    (), "a tier is measured or modelled", remedy="give `bandwidth` and `latency`, or `dram`"
                )
            for name in ("link", "host_ps", "n_outstanding"):
                if getattr(self, name) is not None:
                    raise PartRefusal((name,), "the measured latency holds it", remedy="take it away, or give `dram`")
            self.measured()

        def _check_modelled(self, dram: Dram.Config) -> None:
            for name in ("bandwidth_gb_per_s", "latency_ps", "reshaped"):
                if getattr(self, name) is not None:
                    raise PartRefusal((name,), "`dram` gives the curve already", remedy="take one of the two away")
            if self.n_outstanding is None or self.host_ps is None:
                raise PartRefusal(
                    (), "a modelled tier needs `n_outstanding` and `host`", remedy="see parts/tiers/ddr5_model.yaml"
                )
            if dram.window or dram.trace == "pointer_chase":
                raise PartRefusal(("dram", "window"), "it paces itself", remedy="leave it at 0, and use trace: random")
            if not dram.read_frac:
                raise PartRefusal(("dram", "read_frac"), "no read has a latency", remedy="raise it")

    def __init__(self, config: Config) -> None:
        self.config = config

    @property
    def capacity_bytes(self) -> int | None:
        """Bytes of the tier: as the part says, or of its DRAM; None where neither tells."""
        config = self.config
        if config.capacity_bytes is not None or config.dram is None:
            return config.capacity_bytes
        return Dram(config.dram).capacity_bytes * config.n_channels

    def curve(self) -> LatencyCurve:
        """Read latency against the bandwidth of all channels, reads and writes together.

        A modelled one is simulated once a process.
        """
        config = self.config
        if config.dram is None:
            return config.measured().scaled(config.n_channels).shifted(config.adder_ps / PS_PER_NS)
        memory = _simulated(_Asked(config.dram.model_copy(update={"currents": None}))).scaled(config.n_channels)
        way_ns = ((config.host_ps or 0) + config.adder_ps) / PS_PER_NS
        if config.link is not None:
            memory = behind_link(memory, Link(config.link), config.dram.read_frac)
        return _saturating(memory.shifted(way_ns), (config.n_outstanding or 1) * config.n_channels)


def link_gb_per_s(link: Link, read_frac: float) -> float:
    """The most that a link moves in lines of 64 bytes, in GB/s of data.

    A read brings its line one way and sends a header (one packet's overhead) the other way, a write sends both
    together; many share a flit. The busier direction decides.
    """
    framing = link.framing
    flits = 1.0 if framing.flit_bytes is None else framing.flit_bytes / (framing.flit_payload_bytes or 1)
    header = flits * framing.packet_overhead_bytes
    data = flits * LINE_BYTES + header * ceil_div(LINE_BYTES, framing.packet_payload_bytes or LINE_BYTES)
    busier = max(read_frac * data, (1 - read_frac) * data + read_frac * header)
    return LINE_BYTES * float(link.bytes_per_s) / busier / _BYTES_PER_GB


def round_trip_ns(link: Link) -> float:
    """A request to the device and its line back, nothing else on the link: two flights, a flit or header, a line."""
    framing = link.framing
    request_ps = link.exact_ps(framing.flit_bytes or framing.packet_overhead_bytes)
    return (2 * link.latency_ps + float(request_ps) + link.occupancy_ps(LINE_BYTES)) / PS_PER_NS


def behind_link(memory: LatencyCurve, link: Link, read_frac: float) -> LatencyCurve:
    """A memory behind a link: no more than the link's peak, the round trip, and the wait for a line's turn on the
    busier direction.

    The wait is that of a queue with random arrivals and one service time s, s u / (2 (1 - u)) at utilisation u; up to
    the highest of LOADS: at the peak itself it would have no end.
    """
    peak = link_gb_per_s(link, read_frac)
    limited = memory.limited(peak)
    share = np.minimum(limited.gb_per_s / peak, LOADS[-1])
    wait_ns = LINE_BYTES / peak * share / (2 * (1 - share))
    return LatencyCurve(limited.gb_per_s, limited.latency_ns + wait_ns + round_trip_ns(link))


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A DRAM part as the key of what was simulated of it: parts hold mappings, so that they have no hash."""

    dram: Dram.Config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and self.dram == other.dram

    def __hash__(self) -> int:
        dram = self.dram
        return hash((dram.standard, dram.org, dram.timing, dram.n_channels, dram.read_frac, dram.n_requests))


@lru_cache(maxsize=_N_KEPT)
def _simulated(asked: _Asked) -> LatencyCurve:
    """The memory alone, up to what saturates it.

    A mean over finitely many requests may fall a little from one load to the next; the curve then stays level.
    """
    device = Dram(asked.dram)
    saturated = saturated_gb_per_s(device, device.synthetic_requests(_SEED))
    points = loaded_latency(device, loads=LOADS, seed=_SEED, saturation_gb_per_s=saturated)
    gb_per_s = [0.0, *(point.offered_gb_per_s for point in points[1:]), saturated]
    latency_ns = [point.latency_mean_ns for point in points]
    return LatencyCurve(np.array(gb_per_s), np.maximum.accumulate([*latency_ns, latency_ns[-1]]))


def _saturating(curve: LatencyCurve, n_outstanding: int) -> LatencyCurve:
    """The curve with the latency at its peak by Little's law: so many lines in flight, each served at the peak rate."""
    latency_ns = curve.latency_ns.copy()
    latency_ns[-1] = max(latency_ns[-1], n_outstanding * LINE_BYTES / curve.peak_gb_per_s)
    return LatencyCurve(curve.gb_per_s, latency_ns)
