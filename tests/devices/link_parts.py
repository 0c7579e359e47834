"""Links and fabrics that tests share: the shipped parts, and small plain ones drawn at random."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from hypothesis import strategies as st

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.devices.link import Link, LinkGeneration
from simulator.devices.link_fabric import Fabric
from simulator.devices.link_topology import LinkTopology

PARTS = Path(__file__).resolve().parents[2] / "hw_configs" / "parts" / "links"


def part(name: str, **sets: object) -> Link:
    return Link(bind(load_part(PARTS / f"{name}.yaml", sets), Link.Config))


def topology(name: str, **sets: object) -> LinkTopology:
    return LinkTopology(bind(load_part(PARTS / f"{name}.yaml", sets), LinkTopology.Config))


def plain(gbit_per_s: Fraction | int = 8, latency_ps: int = 0, *, lanes: int = 1, **config: object) -> Link:
    """A link without any framing: a byte takes 8 bits."""
    generation = LinkGeneration(lane_rate_gbit_per_s=Fraction(gbit_per_s))
    return Link(
        Link.Config(
            generation="plain",
            generations={"plain": generation},
            n_lanes=lanes,
            port_latency_ps=0,
            wire_latency_ps=latency_ps,
            **config,
        )
    )


def star(link: Link, n: int, switch_ps: int = 0, **how: object) -> Fabric:
    devices = [f"device{index}" for index in range(n)]
    return Fabric(devices, {"switch": switch_ps}, [(device, "switch", link) for device in devices], **how)


@st.composite
def configs(draw: st.DrawFn) -> Link.Config:
    """Any possible link: odd rates, packets, flits, both or neither, credits or none."""
    packets = draw(st.booleans())
    align = draw(st.sampled_from([1, 4, 16]))
    flit_payload = draw(st.integers(1, 300))
    flit = draw(st.sampled_from([None, flit_payload + draw(st.integers(0, 40))]))
    generation = LinkGeneration(
        lane_rate_gbit_per_s=Fraction(draw(st.integers(1, 900)), draw(st.integers(1, 30))),
        encoding=draw(st.sampled_from([Fraction(1), Fraction(128, 130), Fraction(8, 10)])),
        packet_overhead_bytes=draw(st.integers(0, 40)) if packets else 0,
        flit_bytes=flit,
        flit_payload_bytes=flit and flit_payload,
    )
    return Link.Config(
        generation="drawn",
        generations={"drawn": generation},
        n_lanes=draw(st.integers(1, 32)),
        packet_payload_bytes=align * draw(st.integers(1, 64)) if packets else None,
        packet_align_bytes=align,
        port_latency_ps=draw(st.integers(0, 100_000)),
        wire_latency_ps=draw(st.integers(0, 100_000)),
        n_credits=draw(st.sampled_from([None, 1, 4, 1000])) if packets or flit else None,
        credit_return_ps=draw(st.integers(0, 100_000)),
    )


def links() -> st.SearchStrategy[Link]:
    return configs().map(Link)
