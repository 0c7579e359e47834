"""Golden rows of the reference through the timing kernel itself: its cycles and commands, in every detail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulator.devices.aim_block import AimBlock
from simulator.devices.aim_mapping import AimGeometry, ChannelGroup
from simulator.memory.aim_isa import Command
from simulator.memory.aim_program import AimProgram
from simulator.memory.aim_timing import AimControllerRules
from simulator.memory.aim_trace import AimLimits, read_aim_trace
from simulator.workload.catalog import load_model
from tests.kernels.aim_cases import DETAILS, all_details, twin_time
from tests.systems.golden_cases import Row, case_id, channel0, rows_of, trace_lines

N_CHANNELS = 32
REFERENCE = AimControllerRules()


def check(row: Row, program: AimProgram) -> None:
    timings = all_details(program, N_CHANNELS, REFERENCE)
    for detail in DETAILS:
        timing = timings[detail]
        assert timing.cycles == int(row["device_cycles"]), detail
        assert {name: int(timing.commands[0, Command[name]]) for name in channel0(row)} == channel0(row), detail
        assert timing.commands.sum() == int(row["all32_commands"]), detail
        assert (timing.active_cyc == timings["full"].active_cyc).all(), detail
        assert (timing.section_cyc == timings["full"].section_cyc).all(), detail
        assert (timing.section_commands == timings["full"].section_commands).all(), detail


def replayed(row: Row, folder: Path) -> AimProgram:
    trace = folder / "trace.txt"
    trace.write_text("\n".join(trace_lines(row)) + "\n")
    return read_aim_trace(trace, AimLimits())


def block_program(row: Row) -> AimProgram:
    """The program of the block that a row describes; matrices spread over several devices where it says so."""
    found = re.match(
        r"(\w+), (?:(\d+) channels per block|model parallel, FC_devices=(\d+)), S=(\d+)", row["description"]
    )
    assert found is not None, row["description"]
    n_channels = int(found[2] or N_CHANNELS)
    group = ChannelGroup(AimGeometry(), n_channels, N_CHANNELS // n_channels)
    block = AimBlock(load_model(f"llama2-{found[1].lower()}"), group, int(found[3] or 1))
    if row["category"] == "tp_fconly":
        return block.fc_program()
    part = re.search(r"only section (\w+)", row["description"])
    return block.program(int(found[4]), (part[1],)) if part else block.program(int(found[4]))


@pytest.mark.parametrize("row", rows_of("micro", "gemv", "attn_score", "attn_output"), ids=case_id)
def test_trace(row: Row, tmp_path: Path) -> None:
    check(row, replayed(row, tmp_path))


@pytest.mark.parametrize("row", rows_of("block", "block_part", "tp_block", "tp_fconly"), ids=case_id)
def test_block(row: Row) -> None:
    check(row, block_program(row))


@pytest.mark.parametrize("row", [*rows_of("micro"), *rows_of("tp_fconly")], ids=case_id)
def test_the_twin_gives_the_golden_cycles_too(row: Row, tmp_path: Path) -> None:
    program = replayed(row, tmp_path) if row["category"] == "micro" else block_program(row)
    twin = twin_time(program, N_CHANNELS, REFERENCE)
    assert twin.cycles == int(row["device_cycles"])
    assert {name: int(twin.commands[0, Command[name]]) for name in channel0(row)} == channel0(row)
