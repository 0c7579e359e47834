"""CXL fabric of a CENT system: devices behind switches, whole vectors sent point to point, broadcast or gathered.

The numbers are CENT's, the arithmetic that of every link: whole flits, lanes, and cut-through switches on the way. The
published sums let each transfer have its links alone; `contention` makes blocks that work in lock-step on one
device share that device's lanes.

Source: CENT (ASPLOS'25) repository, latency formulas. Not modelled: contention for the switch, credits, retries.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, model_validator

from simulator.core.quantities import PositiveBytes, PositiveFloat, PositiveInt, Ps
from simulator.core.rounding import ceil_div
from simulator.devices.link import Link, LinkGeneration
from simulator.devices.link_fabric import Fabric
from simulator.devices.link_framing import Framing

_BITS_PER_GIB = 8 * 2**30


class CxlConfig(BaseModel):
    """Lanes, flits and latencies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["cxl_link"] = "cxl_link"
    n_lanes: PositiveInt
    lane_gib_per_s: PositiveFloat
    port_latency_ps: Ps
    link_latency_ps: Ps
    switch_latency_ps: Ps
    n_switches: Annotated[int, Ge(1), Le(64)] = 1
    flit_bytes: PositiveBytes
    flit_payload_bytes: PositiveBytes
    contention: bool = False

    @model_validator(mode="after")
    def _possible(self) -> CxlConfig:
        Framing(flit_bytes=self.flit_bytes, flit_payload_bytes=self.flit_payload_bytes)
        return self

    def link(self, n_lanes: int) -> Link:
        """The link of a device that has `n_lanes` of the switch."""
        generation = LinkGeneration(
            lane_rate_gbit_per_s=Fraction(self.lane_gib_per_s) * _BITS_PER_GIB / 10**9,
            flit_bytes=self.flit_bytes,
            flit_payload_bytes=self.flit_payload_bytes,
        )
        return Link(
            Link.Config(
                generation="cent",
                generations={"cent": generation},
                n_lanes=n_lanes,
                port_latency_ps=self.port_latency_ps,
                wire_latency_ps=self.link_latency_ps,
            )
        )


class CxlLink:
    """Time and bytes of vector transfers between `n_devices` devices."""

    def __init__(self, config: CxlConfig, n_devices: int) -> None:
        self.config = config
        self.n_devices = n_devices
        self.lanes_per_device = max(1, config.n_lanes // n_devices)
        self.link = config.link(self.lanes_per_device)
        self.fabric = self._between_two_devices()

    @property
    def hop_ps(self) -> int:
        """Latency of an empty message."""
        return self.fabric.latency_ps("sender", "receiver")

    @property
    def bytes_per_s(self) -> float:
        """Rate of one device's lanes."""
        return float(self.link.bytes_per_s)

    def send_bytes(self, n_bytes: int) -> int:
        """Bytes on the wire for one vector: whole flits."""
        return self.link.wire_bytes(n_bytes)

    def gather_bytes(self, n_bytes: int, n_parts: int) -> int:
        """Bytes on the wire into the one device that gathers a vector spread over `n_parts` devices, its own share
        aside: they queue for that device's lanes."""
        return self.link.wire_bytes(ceil_div(n_bytes, n_parts)) * (n_parts - 1)

    def transfer_ps(self, wire_bytes: int, n_sharing: int = 1) -> Fraction:
        """Time of one transfer, exact: the hop's latency and its bytes at the link's rate.

        `n_sharing` equal transfers start at once on one device's lanes; with `contention` this is the last one's time.
        """
        n_before_it = n_sharing if self.config.contention else 1
        return self.hop_ps + self.link.exact_ps(wire_bytes * n_before_it)

    def _between_two_devices(self) -> Fabric:
        """Two devices and the switches between them: no route of the system is longer, and all are alike."""
        switches = [f"switch{index}" for index in range(self.config.n_switches)]
        nodes = ["sender", *switches, "receiver"]
        return Fabric(
            ["sender", "receiver"],
            dict.fromkeys(switches, self.config.switch_latency_ps),
            [(one, other, self.link) for one, other in pairwise(nodes)],
        )
