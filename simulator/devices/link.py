"""Point-to-point link: lanes of one generation, framing, latency and credits. PCIe, CXL and NVLink are rows of data.

Both directions are alike and independent. Time is exact (fractions) until it is rounded up to whole picoseconds, once
for each message, so nothing is ever faster than the link.

Source: the parts in `hw_configs/parts/links`, number by number. Not modelled: acknowledgements and credit updates on
the opposite direction, replays after errors, power states, several virtual channels.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, model_validator

from simulator.core.quantities import Bytes, NonNegativeFloat, PositiveBytes, PositiveInt, Ps
from simulator.core.spelling import did_you_mean
from simulator.devices.link_framing import Framing

PS_PER_S = 10**12
Share = Annotated[Fraction, Gt(0), Le(1), Ge(Fraction(1, 10**6))]


class LinkGeneration(BaseModel):
    """What a generation of a standard fixes: bits of a lane, its encoding, and what stands around the data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lane_rate_gbit_per_s: Annotated[Fraction, Ge(Fraction(1, 10**6)), Le(10**6)]
    encoding: Share = Fraction(1)
    packet_overhead_bytes: Bytes = 0
    flit_bytes: PositiveBytes | None = None
    flit_payload_bytes: PositiveBytes | None = None
    n_lanes: PositiveInt | None = None
    """Lanes of a part of this generation, where the link itself names none."""


class Link:
    """A link between two ports: bytes on the wire, time, latency and credit-limited throughput, one direction."""

    class Config(BaseModel):
        """A part of kind `link`: which generation, how many lanes, and what the two ports add."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        kind: Literal["link"] = "link"
        generation: str
        n_lanes: PositiveInt | None = None
        packet_payload_bytes: PositiveBytes | None = None
        packet_align_bytes: PositiveBytes = 1
        efficiency: Share = Fraction(1)
        port_latency_ps: Ps
        wire_latency_ps: Ps = 0
        n_credits: PositiveInt | None = None
        credit_return_ps: Ps = 0
        energy_pj_per_bit: NonNegativeFloat = 0.0
        generations: dict[str, LinkGeneration]

        @model_validator(mode="after")
        def _possible(self) -> Link.Config:
            if self.generation not in self.generations:
                near = did_you_mean(self.generation, self.generations)
                raise ValueError(f"there is no generation {self.generation!r}: {near}")
            if self.n_lanes is None and self.generations[self.generation].n_lanes is None:
                raise ValueError("nobody says how many lanes there are: add `n_lanes`")
            self.framing()
            return self

        def framing(self) -> Framing:
            """Packets and flits of the chosen generation. Raises ValueError where their sizes are impossible."""
            chosen = self.generations[self.generation]
            return Framing(
                packet_payload_bytes=self.packet_payload_bytes,
                packet_overhead_bytes=chosen.packet_overhead_bytes,
                packet_align_bytes=self.packet_align_bytes,
                flit_bytes=chosen.flit_bytes,
                flit_payload_bytes=chosen.flit_payload_bytes,
            )

    def __init__(self, config: Config) -> None:
        self.config = config
        self.framing = config.framing()
        chosen = config.generations[config.generation]
        self.n_lanes: int = config.n_lanes or chosen.n_lanes or 0
        bits_per_s = chosen.lane_rate_gbit_per_s * 10**9 * self.n_lanes
        self.line_bytes_per_s: Fraction = bits_per_s * chosen.encoding * config.efficiency / 8
        """Rate of the wire, encoding and efficiency taken off."""
        self.bytes_per_s: Fraction = self._with_credits()
        """Rate of the wire, or what the receiver's credits allow of it where that is less."""
        self._ps_per_byte = (PS_PER_S / self.bytes_per_s).as_integer_ratio()
        self.latency_ps: int = 2 * config.port_latency_ps + config.wire_latency_ps
        """From one port's input to the other's output, of the first bit."""

    @property
    def is_credit_limited(self) -> bool:
        """Whether credits, not lanes, bound a long stream."""
        return self.bytes_per_s < self.line_bytes_per_s

    @property
    def payload_bytes_per_s(self) -> Fraction:
        """Data rate of a long stream of full packets: never reached, as latency and part-filled flits come on top."""
        return self.bytes_per_s * self.framing.efficiency

    @property
    def credit_round_trip_ps(self) -> Fraction:
        """From the start of sending a unit (a packet, or a flit) to the return of its credit."""
        config = self.config
        send_ps = self.framing.unit_wire_bytes * PS_PER_S / self.line_bytes_per_s
        return send_ps + 2 * (2 * config.port_latency_ps + config.wire_latency_ps) + config.credit_return_ps

    def credits_for_full_rate(self) -> int:
        """The fewest credits at which lanes, not credits, bound the link."""
        per_unit_ps = self.framing.unit_wire_bytes * PS_PER_S / self.line_bytes_per_s
        return -int(-self.credit_round_trip_ps // per_unit_ps)

    def wire_bytes(self, n_bytes: int) -> int:
        """Bytes on the wire of one message of `n_bytes`: packets with headers, whole flits."""
        return self.framing.wire_bytes(n_bytes)

    def exact_ps(self, wire_bytes: int) -> Fraction:
        """Time that bytes on the wire occupy one direction, exact."""
        return wire_bytes * PS_PER_S / self.bytes_per_s

    def occupancy_ps(self, n_bytes: int) -> int:
        """Whole picoseconds, rounded up, that a message of `n_bytes` occupies one direction."""
        return self._whole_ps(self.wire_bytes(n_bytes))

    def head_ps(self, n_bytes: int) -> int:
        """The same of a message's first flit or packet: what a switch waits for that checks before it forwards."""
        return self._whole_ps(self.framing.head_bytes(n_bytes))

    def message_ps(self, n_bytes: int) -> int:
        """Time from the start of sending to the arrival of the last byte, nothing else on the link."""
        return self.latency_ps + self.occupancy_ps(n_bytes)

    def energy_pj(self, n_bytes: int) -> float:
        """Energy of a message by its bits on the wire."""
        return self.wire_bytes(n_bytes) * 8 * self.config.energy_pj_per_bit

    def _whole_ps(self, wire_bytes: int) -> int:
        """`exact_ps` rounded up, in integers."""
        above, below = self._ps_per_byte
        return -(-wire_bytes * above // below)

    def _with_credits(self) -> Fraction:
        """A window of `n_credits` units in each round trip, as a steady pace: short bursts are not let through faster,
        so that many short messages together keep to it too."""
        if self.config.n_credits is None:
            return self.line_bytes_per_s
        paced = self.config.n_credits * self.framing.unit_wire_bytes * PS_PER_S / self.credit_round_trip_ps
        return min(self.line_bytes_per_s, paced)
