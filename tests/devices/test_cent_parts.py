"""Near-memory unit, CXL fabric and energy of a CENT device against the repository's formulas, typed from their text."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.errors import ConfigError
from simulator.devices.cent_device import ACCOUNTINGS, CentDevice
from simulator.devices.cxl_link import CxlConfig, CxlLink
from simulator.devices.link import Link
from simulator.devices.link_transfers import Transfer, run_transfers
from simulator.devices.pnm import NO_WORK
from simulator.memory.aim_isa import Command, Opcode

from .aim_parts import program_of

PARTS = Path(__file__).resolve().parents[2] / "hw_configs" / "parts"
ALL = (1 << 32) - 1


def cent_device() -> CentDevice:
    return CentDevice(bind(load_part(PARTS / "cent_device.yaml"), CentDevice.Config))


def link(n_devices: int) -> CxlLink:
    return CxlLink(bind(load_part(PARTS / "cent_cxl.yaml"), CxlConfig), n_devices)


@pytest.mark.parametrize(("hidden", "heads", "kv_heads", "context"), [(4096, 32, 32, 512), (8192, 64, 8, 4096)])
def test_near_memory_cycles(hidden: int, heads: int, kv_heads: int, context: int) -> None:
    pnm = cent_device().pnm
    assert pnm.norm(hidden).cycles == pytest.approx(hidden / 8192 * 66 + 3 + 26)
    assert pnm.softmax(context, heads).cycles == pytest.approx(context * heads / 512 * 110 + heads * 18.25)
    assert pnm.rope(hidden + hidden * kv_heads // heads).cycles == pytest.approx(
        0.375 * hidden * (1 + kv_heads / heads)
    )
    assert pnm.duration_ps(pnm.norm(hidden)) == pytest.approx(pnm.norm(hidden).cycles * 500)


def test_near_memory_work_adds_up() -> None:
    pnm = cent_device().pnm
    one = pnm.norm(4096)
    assert one + NO_WORK == one
    assert (one + one).cycles == one.scaled(2).cycles
    assert pnm.duration_ps(NO_WORK) == 0
    assert all(value == 0 for value in pnm.energy_pj(NO_WORK, 0).values())


@pytest.mark.parametrize(("n_devices", "lanes"), [(8, 18), (20, 7), (32, 4), (144, 1), (200, 1)])
def test_lanes(n_devices: int, lanes: int) -> None:
    assert link(n_devices).lanes_per_device == lanes
    assert link(n_devices).hop_ps == 180_000


@pytest.mark.parametrize("n_devices", [8, 20, 32])
@pytest.mark.parametrize("elements", [1, 96, 97, 4096, 5120, 8192])
def test_a_vector_over_the_fabric(n_devices: int, elements: int) -> None:
    fabric = link(n_devices)
    lanes = 144 // n_devices
    expected_ns = 180 + -(-2 * elements // 192) * 256 / (4 * lanes) * 1e9 / 2**30
    assert float(fabric.transfer_ps(fabric.send_bytes(2 * elements))) / 1e3 == pytest.approx(expected_ns)


def test_gathering_a_vector() -> None:
    fabric = link(8)
    assert fabric.gather_bytes(2 * 4096, 8) == -(-1024 // 192) * 7 * 256
    assert fabric.gather_bytes(2 * 4096, 1) == 0
    assert fabric.send_bytes(0) == 0


@pytest.mark.parametrize("elements", [1, 97, 4096, 8192, 28672])
@pytest.mark.parametrize("n_devices", [8, 32])
def test_the_fabric_is_one_of_the_links(n_devices: int, elements: int) -> None:
    """The same transfer as tasks on links, and as a CXL 3 part frames it."""
    fabric, n_bytes = link(n_devices), 2 * elements
    plan = run_transfers(fabric.fabric, [Transfer("vector", "sender", ("receiver",), n_bytes)])
    assert plan.schedule.makespan_ps == math.ceil(fabric.transfer_ps(fabric.send_bytes(n_bytes)))
    cxl3 = Link(bind(load_part(PARTS / "links" / "cxl.yaml"), Link.Config))
    assert fabric.send_bytes(n_bytes) == cxl3.wire_bytes(n_bytes)
    assert fabric.hop_ps == 2 * cxl3.latency_ps + fabric.config.switch_latency_ps


def test_blocks_in_lock_step_share_the_lanes_of_their_device() -> None:
    alone = link(32)
    shared = CxlLink(alone.config.model_copy(update={"contention": True}), 32)
    wire_bytes = alone.send_bytes(16384)
    assert alone.transfer_ps(wire_bytes, 3) == alone.transfer_ps(wire_bytes) == shared.transfer_ps(wire_bytes)
    three = [Transfer(f"vector {index}", "sender", ("receiver",), 16384) for index in range(3)]
    assert shared.transfer_ps(wire_bytes, 3) == pytest.approx(
        run_transfers(shared.fabric, three).schedule.makespan_ps, abs=3
    )


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"flit_payload": "300 B"}, "256 bytes cannot carry a payload of 300 bytes"),
        ({"n_lanes": 0}, "above 0"),
        ({"n_switches": 100}, "at most 64"),
    ],
)
def test_impossible_fabrics_are_refused(sets: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        bind(load_part(PARTS / "cent_cxl.yaml", sets), CxlConfig)


def test_command_energy_by_hand() -> None:
    """Ten all-bank multiplications on 32 channels: activation, MACs, interface."""
    device = cent_device()
    program = program_of([(Opcode.MAC_ABK, 10, ALL, 0, 0), (Opcode.RD_MAC, 1, ALL, 0, 0)])
    timing = device.dram.time(program)
    energy = device.command_energy_pj(timing, ACCOUNTINGS["published"])
    assert energy["dram_activate"] == pytest.approx(66.3 * 16 * 32 * 44.5)
    assert energy["pim"] == pytest.approx(3 * 438.15 * 320)
    assert energy["dram_read"] == pytest.approx(438.15 * 32 * 1.25)
    assert energy["dq"] == pytest.approx(5.5 * 256 * 32)
    assert energy["dram_write"] == 0
    n_all = int(timing.commands.sum())
    n_column = int(timing.commands[:, [Command.MAC16, Command.RDMAC16]].sum())
    assert energy["controller"] == pytest.approx((267.7082 * n_column + 381.045 * n_all) / 2 * 0.5)


def test_the_two_accountings_of_standby_and_of_pcie() -> None:
    device = cent_device()
    published, corrected = (device.background_mw(ACCOUNTINGS[name]) for name in ("published", "corrected"))
    assert corrected["dram_standby"] == pytest.approx(32 * published["dram_standby"])
    assert corrected["dram_standby"] == pytest.approx(32 * 183.15)
    assert device.pcie_pj(4096, ACCOUNTINGS["corrected"]) == pytest.approx(16 * 4.4 * 4096)
    assert device.pcie_pj(4096, ACCOUNTINGS["published"]) == pytest.approx(4.4 * 4096)
    ledger = device.background(ACCOUNTINGS["corrected"], 1e6)
    assert ledger.total_pj == pytest.approx(sum(corrected.values()) * 1e6 * 1e-3)
