"""CXL fabric of a CENT system: devices behind one switch, whole vectors sent point to point, broadcast or gathered.

Source: CENT (ASPLOS'25) repository, latency formulas. Not modelled: contention for the switch, credits, retries.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.core.quantities import PositiveBytes, PositiveFloat, PositiveInt, Ps
from simulator.devices.aim_mapping import ceil_div


class CxlConfig(BaseModel):
    """Lanes, flits and latencies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["cxl_link"] = "cxl_link"
    n_lanes: PositiveInt
    lane_gib_per_s: PositiveFloat
    port_latency_ps: Ps
    n_port_crossings: PositiveInt
    link_latency_ps: Ps
    n_link_crossings: PositiveInt
    switch_latency_ps: Ps
    flit_bytes: PositiveBytes
    flit_payload_bytes: PositiveBytes


class CxlLink:
    """Time and bytes of vector transfers between `n_devices` devices."""

    def __init__(self, config: CxlConfig, n_devices: int) -> None:
        self.config = config
        self.n_devices = n_devices
        self.lanes_per_device = max(1, config.n_lanes // n_devices)

    @property
    def hop_ps(self) -> int:
        """Latency of an empty message."""
        config = self.config
        return (
            config.n_port_crossings * config.port_latency_ps
            + config.n_link_crossings * config.link_latency_ps
            + config.switch_latency_ps
        )

    @property
    def bytes_per_s(self) -> float:
        """Rate of one device's lanes."""
        return self.config.lane_gib_per_s * 2**30 * self.lanes_per_device

    def send_bytes(self, n_bytes: int) -> int:
        """Bytes on the wire for one vector: whole flits."""
        return ceil_div(n_bytes, self.config.flit_payload_bytes) * self.config.flit_bytes

    def gather_bytes(self, n_bytes: int, n_parts: int) -> int:
        """Bytes on the wire into the one device that gathers a vector spread over `n_parts` devices, its own share
        aside."""
        return (
            ceil_div(ceil_div(n_bytes, n_parts), self.config.flit_payload_bytes)
            * (n_parts - 1)
            * self.config.flit_bytes
        )

    def transfer_ps(self, wire_bytes: int) -> Fraction:
        """Time of one transfer, exact: the hop's latency and its bytes at the link's rate."""
        return self.hop_ps + wire_bytes * 10**12 / Fraction(self.bytes_per_s)
