"""Replays of a DRAM channel that a host and PIM share: metrics that hang together, and inputs refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.contracts.results import RunRecord
from simulator.core.errors import ConfigError, SimulatorError, WorkloadError
from simulator.devices.dram import SYNTHETIC, Dram
from simulator.devices.dram_pim import DramPim
from simulator.experiments.replay import load_device
from tests.devices.dram_parts import part

PART = part("gddr6_aim_host")
SMALL = {"n_requests": 2000, "pim.rows": 40, "offered_gb_per_s": 1.0, "read_frac": 0.67}


def shared(**sets: Any) -> DramPim:
    device = load_device(PART, {**SMALL, **{name.replace("__", "."): value for name, value in sets.items()}})[1]
    assert isinstance(device, DramPim)
    return device


def record_of(**sets: Any) -> RunRecord:
    return shared(**sets).replay(SYNTHETIC, 1)


@pytest.mark.parametrize("policy", ["pim_first", "host_first", "alternate"])
def test_metrics_hang_together(policy: str) -> None:
    record = record_of(policy=policy)
    metrics, breakdown = record.metrics, record.breakdown
    assert metrics["host_requests"] == 2000
    assert breakdown["sharing"]["policy"] == policy
    assert metrics["host_bandwidth_gb_per_s"] <= metrics["peak_bandwidth_gb_per_s"]
    assert metrics["host_bandwidth_gb_per_s"] == pytest.approx(2000 * 32 / metrics["host_time_us"] / 1000)
    assert metrics["pim_slowdown"] == pytest.approx(metrics["pim_cycles"] / metrics["pim_alone_cycles"])
    assert metrics["pim_launch_us_mean"] == pytest.approx(metrics["pim_time_us"])
    ratio = metrics["host_latency_ns_p99"] / metrics["host_alone_latency_ns_p99"]
    assert metrics["host_latency_ratio_p99"] == pytest.approx(ratio)
    assert metrics["cycles"] == max(metrics["host_cycles"], metrics["pim_cycles"])
    assert 0 < metrics["pim_turn_frac"] < 1
    sides = [breakdown[f"commands_{side}"] for side in ("host", "pim", "refresh")]
    for name, count in breakdown["commands"].items():
        assert sum(int(side.get(name, 0)) for side in sides) == count
    assert breakdown["commands_pim"]["MACab"] == 40 * 64
    assert breakdown["commands_pim"]["WRGB"] == 64
    assert breakdown["commands_pim"]["WRMAC"] == breakdown["commands_pim"]["RDMAC"] == 40
    assert set(breakdown["commands_host"]) <= {"ACT", "PREpb", "RD", "WR"}
    assert set(breakdown["commands_refresh"]) <= {"PREab", "REFab", "TMOD"}
    assert any("energy" in note for note in record.notes)


def test_without_rows_it_is_the_plain_memory() -> None:
    record = record_of(pim__rows=0)
    assert not any(name.startswith("pim_cycles") for name in record.metrics)
    assert record.metrics["host_slowdown"] == record.metrics["host_latency_ratio_p99"] == 1
    device = shared(pim__rows=0)
    plain = Dram(device.config).replay(SYNTHETIC, 1)
    assert record.breakdown["cmd_digest"] == plain.breakdown["cmd_digest"]
    assert record.metrics["host_latency_ns_p99"] == plain.metrics["offer_to_data_ns_p99"]


def test_a_share_spaces_the_launches() -> None:
    device = shared(policy="pim_first", pim__share=0.25, pim__launches=0)
    outcome = device.outcome(SYNTHETIC, 1)
    program = outcome.program
    alone = device.alone(device.launch).pim.end_cyc
    first = [int(program.release_cyc[program.launch == launch][0]) for launch in range(program.n_launches)]
    assert first[1] - first[0] == pytest.approx(4 * alone, abs=1)
    assert program.n_launches == -(-int(outcome.requests.offer_cyc[-1]) // (4 * alone))
    assert outcome.timing.interference.pim_ticks / (program.n_launches * 4 * alone) == pytest.approx(0.25, abs=0.01)


def test_starvation_is_told_and_can_be_bounded() -> None:
    starved = record_of(policy="pim_first", pim__rows=400)
    assert any("the host starved for up to" in note and "max_wait_cyc" in note for note in starved.notes)
    bounded = record_of(policy="pim_first", pim__rows=400, max_wait_cyc=1000)
    assert not any("starved" in note for note in bounded.notes)
    assert bounded.metrics["forced_turns"] > 0
    assert bounded.metrics["host_longest_wait_us"] < 3 < starved.metrics["host_longest_wait_us"]
    assert bounded.metrics["host_latency_ns_p99"] < starved.metrics["host_latency_ns_p99"] / 3
    busy = record_of(policy="host_first", offered_gb_per_s=6.0, n_requests=8000)
    assert any("PIM starved" in note for note in busy.notes)


def test_traces_of_both_sides(tmp_path: Path) -> None:
    host = tmp_path / "host.trace"
    host.write_text("LD 0x40\nST 0x1000\nLD 0x200000\n")
    aim = tmp_path / "aim.trace"
    aim.write_text(
        "# a product\nAiM WR_GB 64 0 0xffffffff\nAiM WR_BIAS 0 0xffffffff\nAiM MAC_ABK 64 0xffffffff 7\n"
        "AiM RD_MAC 0 0xffffffff\nAiM MAC_ABK 64 0x1 9\nAiM EOC\n"
    )
    device = load_device(PART, {"pim.trace": str(aim)})[1]
    record = device.replay(host, 1)
    assert record.metrics["host_requests"] == 3
    assert record.metrics["pim_rows"] == 1  # the other row is not of channel 0
    assert record.breakdown["commands_pim"]["MACab"] == 64


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("AiM EWMUL 4 0xffffffff 3", "EWMUL has no command"),
        ("W MEM 0 2 11", "W_MEM has no command"),
        ("AiM MAC_ABK 4 0xffffffff 20000", "row 20000 of 16384"),
        ("AiM MAC_ABK four 0xffffffff 2", "not an integer"),
    ],
)
def test_aim_instructions_without_a_command_are_refused(line: str, words: str, tmp_path: Path) -> None:
    trace = tmp_path / "aim.trace"
    trace.write_text(line + "\n")
    with pytest.raises(WorkloadError, match=words) as caught:
        load_device(PART, {**SMALL, "pim.trace": str(trace)})[1].replay(SYNTHETIC, 1)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"policy": "pim_frist"}, "policy"),
        ({"n_channels": 2}, "each channel has PIM work"),
        ({"compare": True}, "one accounting"),
        ({"host_quantum": 0}, "host_quantum"),
        ({"max_wait_cyc": -1}, "max_wait_cyc"),
        ({"pim.columns": 65}, "65 columns of a row of 64 bursts"),
        ({"pim.rows": 9000}, "rows 8192 to 17191 of 16384"),
        ({"pim.share": 1.5}, "more than all of the time"),
        ({"pim.share": 0.5, "pim.interval_cyc": 10}, "one of interval_cyc and share"),
        ({"pim.launches": 0}, "need a pace"),
        ({"pim.launches": 10_000_000}, "launch larger products less often"),
        ({"pim.interval_cyc": 1e18, "pim.launches": 10}, "beyond all time"),
        ({"pim.rowz": 3}, "rowz"),
        ({"refresh": "HBM34PerBankRefresh"}, "refresh"),
        ({"overrides.n_rcdmac": -1}, "n_rcdmac"),
    ],
)
def test_what_cannot_be_is_refused(sets: dict[str, Any], words: str) -> None:
    with pytest.raises(SimulatorError) as caught:
        load_device(PART, {**SMALL, **sets})[1].replay(SYNTHETIC, 1)
    assert words in f"{caught.value}"
    assert isinstance(caught.value, ConfigError)
    assert caught.value.remedy


def test_launches_without_end_need_a_paced_host() -> None:
    device = load_device(PART, {"n_requests": 100, "pim.share": 0.5, "pim.launches": 0})[1]
    with pytest.raises(ConfigError, match="at no times of their own"):
        device.replay(SYNTHETIC, 1)
