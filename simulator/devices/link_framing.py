"""How a link dresses data for the wire: packets with headers, whole flits, or both, one inside the other.

Source: PCI Express Base (transaction-layer packets; flit mode since 6.0), CXL 2.0 and 3.0 (68- and 256-byte flits of
16-byte slots). Not modelled: acknowledgements and credit updates as traffic of their own, ordered sets, replays.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Framing:
    """Packets of at most `packet_payload_bytes` (None: data is one stream), each with `packet_overhead_bytes` around
    it and its payload padded to `packet_align_bytes`; then whole flits of `flit_bytes` carrying `flit_payload_bytes`
    (None: packets go onto the wire as they are)."""

    packet_payload_bytes: int | None = None
    packet_overhead_bytes: int = 0
    packet_align_bytes: int = 1
    flit_bytes: int | None = None
    flit_payload_bytes: int | None = None

    def __post_init__(self) -> None:
        complaint = self.complaint()
        if complaint:
            raise ValueError(complaint)

    def complaint(self) -> str | None:
        """What is impossible about these sizes, in words; None where nothing is."""
        flit, inside, payload = self.flit_bytes, self.flit_payload_bytes, self.packet_payload_bytes
        if (flit is None) != (inside is None):
            return "a flit needs both its size (`flit`) and its payload (`flit_payload`)"
        if flit is not None and inside is not None and inside > flit:
            return f"a flit of {flit} bytes cannot carry a payload of {inside} bytes"
        if payload is None and self.packet_overhead_bytes:
            return f"there are {self.packet_overhead_bytes} bytes of overhead a packet, and no `packet_payload`"
        if payload is not None and payload % self.packet_align_bytes:
            return f"a packet of {payload} bytes is not whole units of {self.packet_align_bytes} bytes (`packet_align`)"
        return None

    @property
    def unit_bytes(self) -> int:
        """Data of the largest unit that a receiver's credit stands for: a packet's, or else a flit's; else a byte."""
        return self.packet_payload_bytes or self.flit_payload_bytes or 1

    @property
    def unit_wire_bytes(self) -> Fraction:
        """Bytes on the wire of one unit in a long stream; flits may be shared, so it need not be whole."""
        packet = Fraction(self.unit_bytes + self.packet_overhead_bytes)
        if self.flit_bytes is not None and self.flit_payload_bytes is not None:
            return packet * self.flit_bytes / self.flit_payload_bytes
        return packet

    @property
    def efficiency(self) -> Fraction:
        """Data over bytes on the wire, in a long stream."""
        return self.unit_bytes / self.unit_wire_bytes

    def wire_bytes(self, n_bytes: int) -> int:
        """Bytes on the wire of one message: its packets with their headers, rounded up to whole flits.

        A message of no bytes puts none on the wire. It never shrinks where `n_bytes` grows.
        """
        if n_bytes <= 0:
            return 0
        stream = self._packets_bytes(n_bytes)
        if self.flit_bytes is None or self.flit_payload_bytes is None:
            return stream
        return -(-stream // self.flit_payload_bytes) * self.flit_bytes

    def head_bytes(self, n_bytes: int) -> int:
        """Bytes on the wire of what a switch must have before it forwards by packet: the first flit, or packet."""
        first = self.flit_bytes or self.wire_bytes(min(n_bytes, self.unit_bytes))
        return min(first, self.wire_bytes(n_bytes))

    def _packets_bytes(self, n_bytes: int) -> int:
        payload, align = self.packet_payload_bytes, self.packet_align_bytes
        if payload is None:
            return n_bytes
        full, rest = divmod(n_bytes, payload)
        padded = -(-rest // align) * align
        return full * (payload + self.packet_overhead_bytes) + (padded + self.packet_overhead_bytes if rest else 0)
