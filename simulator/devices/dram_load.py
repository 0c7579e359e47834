"""Latency of a DRAM under load: requests offered at random times, at rates from idle to nearly saturated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from simulator.core.errors import ConfigError
from simulator.devices.dram import Dram
from simulator.devices.dram_counting import Latencies, account
from simulator.memory.dram.controller import NO_OFFERS, Requests

LOADS = (0.05, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.88, 0.94)
"""Offered rates, as shares of the rate at which the memory takes no more."""


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """Reads at one offered rate: latency from the offer to the data, the wait for room in the queue included."""

    load_frac: float
    offered_gb_per_s: float
    achieved_gb_per_s: float
    latency_mean_ns: float
    latency_p50_ns: float
    latency_p99_ns: float


def saturated_gb_per_s(device: Dram, requests: Requests) -> float:
    """What the memory moves where the next request is always there."""
    timing = device.time(replace(requests, offer_cyc=NO_OFFERS))
    return account("corrected", device.spec, device.config.n_channels, timing).bandwidth_gb_per_s


def loaded_latency(
    device: Dram, *, loads: Sequence[float] = LOADS, seed: int = 1, saturation_gb_per_s: float | None = None
) -> list[LoadPoint]:
    """Latency against bandwidth for the synthetic traffic that a part describes.

    `loads` are shares of the saturated rate, which is measured first unless it is given; requests come as a Poisson
    process. Beyond saturation latency grows with the number of requests, and says nothing. Raises ConfigError for
    traffic without reads, or with a window: that paces itself.
    """
    requests = device.synthetic_requests(seed)
    if requests.window:
        raise ConfigError(
            "a window of outstanding reads paces itself", where="window", remedy="leave window at 0, and trace=random"
        )
    if requests.is_write.all():
        raise ConfigError("traffic without reads has no read latency", where="read_frac", remedy="raise read_frac")
    saturation = saturation_gb_per_s or saturated_gb_per_s(device, requests)
    return [_point(device, requests, load, load * saturation, seed) for load in loads]


def _point(device: Dram, requests: Requests, load: float, offered_gb_per_s: float, seed: int) -> LoadPoint:
    paced = replace(requests, offer_cyc=device.offers(len(requests), offered_gb_per_s, "poisson", seed))
    timing = device.time(paced)
    waited = Latencies.of_offers(device.spec, paced, timing)
    tick_ns = float(device.spec.tick_period_ps) / 1000
    return LoadPoint(
        load_frac=load,
        offered_gb_per_s=offered_gb_per_s,
        achieved_gb_per_s=account("corrected", device.spec, device.config.n_channels, timing).bandwidth_gb_per_s,
        latency_mean_ns=float(waited.cyc.mean()) * tick_ns,
        latency_p50_ns=waited.at(0.5) * tick_ns,
        latency_p99_ns=waited.at(0.99) * tick_ns,
    )
