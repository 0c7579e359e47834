"""Links: bytes on the wire, rates, credits, and what cannot be built."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import ConfigError
from simulator.devices.link import PS_PER_S, Link
from simulator.devices.link_framing import Framing

from .link_parts import PARTS, configs, links, part, plain, topology

GB = 10**9


@pytest.mark.parametrize(
    ("generation", "lanes", "gb_per_s"),
    [("gen3", 16, 15.754), ("gen4", 4, 7.877), ("gen5", 16, 63.015), ("gen6", 8, 64)],
)
def test_line_rates_of_pcie(generation: str, lanes: int, gb_per_s: float) -> None:
    """As every table of PCI Express has them."""
    link = part("pcie", generation=generation, n_lanes=lanes)
    assert float(link.line_bytes_per_s) / GB == pytest.approx(gb_per_s, rel=1e-4)
    assert not link.is_credit_limited


@pytest.mark.parametrize(
    ("generation", "gb_per_s"), [("nvlink2", 150), ("nvlink3", 300), ("nvlink4", 450), ("nvlink5", 900)]
)
def test_a_gpu_has_all_links_of_its_generation(generation: str, gb_per_s: int) -> None:
    link = part("nvlink", generation=generation)
    assert link.line_bytes_per_s == gb_per_s * GB
    assert part("nvlink", generation=generation, n_lanes=4).line_bytes_per_s < link.line_bytes_per_s


def test_packets_by_hand() -> None:
    """600 bytes over PCIe 5: packets of 256, 256 and 88 bytes, 24 bytes around each."""
    assert part("pcie").wire_bytes(600) == 600 + 3 * 24
    assert part("pcie").wire_bytes(1) == 4 + 24


def test_packets_within_flits_by_hand() -> None:
    """600 bytes over PCIe 6: 648 bytes of packets, three flits of 236."""
    assert part("pcie", generation="gen6").wire_bytes(600) == 3 * 256


@pytest.mark.parametrize(
    ("n_bytes", "n_flits"), [(1, 1), (64, 1), (65, 1), (192, 1), (193, 2), (8192, 43), (16384, 86)]
)
def test_a_cxl3_flit_carries_three_lines(n_bytes: int, n_flits: int) -> None:
    """What CENT's repository charges, 192 bytes a flit, follows from fifteen slots: four and a header for each line."""
    assert part("cxl").wire_bytes(n_bytes) == n_flits * 256
    assert Framing(flit_bytes=256, flit_payload_bytes=192).wire_bytes(n_bytes) == n_flits * 256


def test_cxl2_by_hand() -> None:
    """One line: five slots of 16, so two flits of four slots."""
    assert part("cxl", generation="cxl2").wire_bytes(64) == 2 * 68
    assert part("cxl", generation="cxl2").framing.efficiency == Fraction(64, 80) * Fraction(64, 68)


def test_no_bytes_take_no_time_on_the_wire() -> None:
    assert part("pcie").wire_bytes(0) == part("pcie").occupancy_ps(0) == 0
    assert part("pcie").message_ps(0) == part("pcie").latency_ps == 105_000


def test_a_pinned_host_copy_is_below_the_link() -> None:
    """An H200 behind PCIe 5 x16 was measured at 1 GiB in 19.37 ms (55.4 GB/s): the link allows 57.6."""
    measured_ps = 19_373_643_239
    assert 0.95 < part("pcie").message_ps(2**30) / measured_ps < 1


def test_energy_counts_bits_on_the_wire() -> None:
    assert part("nvlink").energy_pj(256) == pytest.approx(10.4 * 272)


@settings(max_examples=200, deadline=None)
@given(links(), st.lists(st.integers(0, 100_000), min_size=2, max_size=2))
def test_what_holds_of_every_link(link: Link, sizes: list[int]) -> None:
    small, large = sorted(sizes)
    assert link.wire_bytes(small) >= small
    assert link.wire_bytes(large) >= link.wire_bytes(small)
    assert link.wire_bytes(small) + link.wire_bytes(large) >= link.wire_bytes(small + large)
    assert link.occupancy_ps(large) >= link.occupancy_ps(small)
    assert link.head_ps(large) <= link.occupancy_ps(large)
    assert link.message_ps(large) >= link.latency_ps
    assert link.wire_bytes(large) * PS_PER_S <= link.bytes_per_s * link.occupancy_ps(large)
    assert large * PS_PER_S <= link.payload_bytes_per_s * link.occupancy_ps(large)
    assert link.bytes_per_s <= link.line_bytes_per_s


@settings(max_examples=100, deadline=None)
@given(links(), st.integers(1, 10**7))
def test_long_streams_near_the_payload_rate(link: Link, n_units: int) -> None:
    """Full units waste nothing but the last flit."""
    n_bytes = n_units * link.framing.unit_bytes
    flit = link.framing.flit_bytes or 0
    assert link.wire_bytes(n_bytes) <= n_units * link.framing.unit_wire_bytes + flit
    ideal_ps = n_bytes * PS_PER_S / link.payload_bytes_per_s
    assert link.occupancy_ps(n_bytes) <= ideal_ps + link.exact_ps(flit) + 1


@settings(max_examples=150, deadline=None)
@given(configs(), st.integers(1, 64), st.integers(0, 10**6))
def test_more_lanes_are_never_slower(config: Link.Config, more: int, n_bytes: int) -> None:
    assert config.n_lanes is not None
    wider = Link(config.model_copy(update={"n_lanes": config.n_lanes + more}))
    assert wider.message_ps(n_bytes) <= Link(config).message_ps(n_bytes)


@settings(max_examples=100, deadline=None)
@given(configs(), st.integers(1, 5000))
def test_credits_pace_a_stream_as_the_window_does(config: Link.Config, n_units: int) -> None:
    """The twin: a unit may leave when the line is free and the credit of the unit `n_credits` before it is back."""
    link = Link(config)
    n_credits, send_ps = config.n_credits, link.framing.unit_wire_bytes * PS_PER_S / link.line_bytes_per_s
    if n_credits is None:
        assert link.bytes_per_s == link.line_bytes_per_s
        return
    n_units = min(n_units, 20 * n_credits)
    starts: list[Fraction] = []
    for unit in range(n_units):
        free = starts[-1] + send_ps if starts else Fraction(0)
        back = starts[unit - n_credits] + link.credit_round_trip_ps if unit >= n_credits else Fraction(0)
        starts.append(max(free, back))
    paced = n_units * link.framing.unit_wire_bytes * PS_PER_S / link.bytes_per_s
    assert starts[-1] + send_ps <= paced < starts[-1] + send_ps + link.credit_round_trip_ps
    assert link.is_credit_limited == (n_credits < link.credits_for_full_rate())


def test_throughput_of_few_credits_is_credits_times_payload_over_the_round_trip() -> None:
    link = part("pcie", n_credits=8)
    expected = 8 * 256 * PS_PER_S / link.credit_round_trip_ps
    assert link.payload_bytes_per_s == expected
    assert float(expected) / GB == pytest.approx(6.51, abs=0.05)


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"n_lanes": 0}, ["n_lanes", "above 0"]),
        ({"n_lanes": -4}, ["n_lanes", "above 0"]),
        ({"generation": "gen55"}, ["gen55", "did you mean `gen5`"]),
        ({"generations.gen5.encoding": "130/128"}, ["encoding", "at most 1"]),
        ({"generations.gen5.lane_rate": "32 GB"}, ["lane_rate"]),
        ({"generation": "gen6", "generations.gen6.flit_payload": "300 B"}, ["256", "cannot carry", "300"]),
        ({"packet_payload": "30 B"}, ["30 bytes", "4 bytes", "packet_align"]),
        ({"packet_payload": None}, ["overhead", "packet_payload"]),
        ({"n_credits": 0}, ["n_credits", "above 0"]),
        ({"lanes": 4}, ["lanes", "did you mean `n_lanes`"]),
        ({"port_latency": "-1 ns"}, ["port_latency", "at least 0"]),
    ],
)
def test_what_is_refused(sets: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        part("pcie", **sets)
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_a_link_without_lanes_is_refused() -> None:
    with pytest.raises(ConfigError, match="how many lanes"):
        part("pcie", n_lanes=None)


def test_half_a_flit_is_refused() -> None:
    with pytest.raises(ConfigError, match="both its size"):
        part("pcie", **{"generations.gen5.flit": "64 B"})


@pytest.mark.parametrize(
    ("name", "sets", "words"),
    [
        ("nvswitch", {"n_devices": 1}, ["n_devices", "at least 2"]),
        ("nvswitch", {"shape": "starr"}, ["shape", "did you mean `star`"]),
        ("nvswitch", {"shape": "shared_uplink"}, ["no `uplink`"]),
        ("pcie_switch", {"shape": "star"}, ["takes no `uplink`"]),
        ("nvswitch", {"shape": "point_to_point"}, ["joins 2 devices, not 8"]),
        ("nvswitch", {"shape": "ring", "n_devices": 2}, ["at least 3"]),
        ("nvswitch", {"shape": "fully_connected", "n_devices": 100}, ["up to 64"]),
        ("nvswitch", {"link.generation": "nvlink44"}, ["nvlink44", "did you mean `nvlink4`"]),
    ],
)
def test_shapes_that_are_refused(name: str, sets: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        topology(name, **sets)
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_every_part_is_sound(sim) -> None:
    for path in sorted(PARTS.glob("*.yaml")):
        outcome = sim("check", str(path), "--json")
        assert (outcome.code, outcome.err) == (0, "")
        said = sim("check", str(path)).out
        assert ("a part of another part" if path.name.startswith("nccl") else "bound as a device") in said


def test_a_plain_link_is_its_rate() -> None:
    assert plain(8).occupancy_ps(1000) == 1000 * 1000
    assert plain(8, lanes=4).occupancy_ps(1000) == 250 * 1000
