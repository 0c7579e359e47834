"""The AiM timing kernel against its twin, which ticks every cycle of every channel: equal, whatever the program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import int64, njit

from simulator.core.errors import ConfigError
from simulator.kernels.aim_classes import merge
from simulator.kernels.aim_plain import advance
from simulator.memory.aim_isa import Command, Opcode
from simulator.memory.aim_program import AimProgram
from simulator.memory.aim_timing import AimControllerRules, time_program
from tests.kernels.aim_cases import (
    DETAILS,
    all_details,
    controllers,
    part_rules,
    program_of,
    programs,
    table_of,
    twin_time,
    wild_program,
    wild_rules,
)
from tests.twins import aim_tick

REFERENCE = AimControllerRules()
WITH_REFRESH = AimControllerRules(n_refi=700)


def check(program: AimProgram, n_channels: int, rules: AimControllerRules) -> None:
    """Cycles, commands and clocks with a row open of every channel: every detail as the twin says."""
    twin = twin_time(program, n_channels, rules)
    timings = all_details(program, n_channels, rules)
    for detail in DETAILS:
        timing = timings[detail]
        assert timing.cycles == twin.cycles, detail
        assert timing.commands.tolist() == twin.commands.tolist(), detail
        assert timing.active_cyc.tolist() == twin.active_cyc.tolist(), detail
        assert timing.section_cyc.tolist() == timings["full"].section_cyc.tolist(), detail
        assert timing.section_commands.tolist() == timings["full"].section_commands.tolist(), detail


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_random_programs(data: st.DataObject) -> None:
    n_channels = data.draw(st.integers(1, 6))
    check(data.draw(programs(n_channels)), n_channels, data.draw(controllers()))


@pytest.mark.parametrize("seed", range(60))
def test_wild_programs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_channels = int(rng.integers(1, 7))
    check(wild_program(rng, n_channels), n_channels, wild_rules(rng))


# Each case is a trap of the controller's rules: (opcode, columns, mask, bank, row) line by line, on two channels.
TRAPS: dict[str, list[tuple[int, int, int, int, int]]] = {
    "a read is answered by any waiting write": [
        (Opcode.W_MEM, 1, 1, 0, 0), (Opcode.R_MEM, 1, 1, 5, 2), (Opcode.R_MEM, 1, 1, 5, 2), (Opcode.SYNC, 1, 0, 0, 0),
    ],
    "an instruction while an activated write waits": [
        (Opcode.W_MEM, 1, 1, 3, 1), (Opcode.MAC_ABK, 40, 3, 0, 0), (Opcode.RD_MAC, 1, 3, 0, 0),
    ],
    "a copy from a bank while a write waits for another": [
        (Opcode.W_MEM, 1, 1, 3, 1), (Opcode.COPY_BKGB, 5, 1, 3, 2), (Opcode.COPY_GBBK, 5, 1, 7, 2),
    ],
    "an activation falls between a SYNC and its reply": [
        (Opcode.W_MEM, 1, 1, 0, 0), *[(Opcode.SYNC, 1, 0, 0, 0)] * 13,
    ],
    "a queue overflows": [*[(Opcode.W_MEM, 1, 1, k % 2, k % 3) for k in range(90)], (Opcode.SYNC, 1, 0, 0, 0)],
    "reads of one bank in turn with another row": [(Opcode.R_MEM, 1, 1, k % 2, k % 3) for k in range(90)],
    "more writes than the watermark, and reads": [
        *[(Opcode.R_MEM, 1, 1, k % 3, k % 2) for k in range(12)],
        *[(Opcode.W_MEM, 1, 1, k % 3, k % 2) for k in range(40)],
        *[(Opcode.R_MEM, 1, 1, k % 3, k % 2) for k in range(12)],
    ],
    "a write with its own precharge, then a read": [
        (Opcode.WR_ABK, 1, 1, 0, 4), (Opcode.R_MEM, 1, 1, 2, 4), (Opcode.WR_ABK, 1, 2, 0, 4),
        (Opcode.WR_ABK, 1, 1, 0, 4),
    ],
    "the activation function's row is no row of data": [
        (Opcode.MAC_ABK, 2, 3, 0, 0), (Opcode.AF, 1, 3, 0, 0), (Opcode.RD_AF, 1, 3, 0, 0), (Opcode.MAC_ABK, 2, 3, 0, 0),
    ],
    "columns for longer than a refresh interval": [
        (Opcode.EWMUL, 2000, 3, 0, 1), (Opcode.W_MEM, 1, 2, 0, 1), (Opcode.RD_MAC, 1, 3, 0, 0),
    ],
    "an activation during a refresh": [
        (Opcode.WR_GB, 330, 3, 0, 0), *[(Opcode.W_MEM, 1, 1, 0, k % 2) for k in range(9)], (Opcode.MAC_ABK, 9, 1, 0, 0),
    ],
    "one channel works, the other waits for its reply": [
        (Opcode.MAC_ABK, 200, 1, 0, 0), (Opcode.RD_MAC, 1, 2, 0, 0), (Opcode.WR_BIAS, 1, 3, 0, 0),
        (Opcode.RD_MAC, 1, 1, 0, 0),
    ],
}  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("n_refi", [0, 700])
def test_traps_after_every_line(trap: str, width: int, n_refi: int) -> None:
    """Every beginning of the case too, so that a wrong moment cannot hide behind a later, right one."""
    rules = AimControllerRules(dispatcher_width=width, n_refi=n_refi)
    lines = TRAPS[trap]
    for end in range(0, len(lines) + 1, max(1, len(lines) // 12)):
        check(program_of(*lines[:end]), 2, rules)


@pytest.mark.parametrize("rules", [REFERENCE, WITH_REFRESH], ids=["reference", "refresh"])
def test_the_compiled_twin_is_the_plain_one(rules: AimControllerRules) -> None:
    some = ("a queue overflows", "the activation function's row is no row of data", "an activation during a refresh")
    program = program_of(*(line for trap in some for line in TRAPS[trap]))
    plain = twin_time(program, 2, rules, n_logged=10**4, twin=aim_tick.run_device)
    compiled = twin_time(program, 2, rules, n_logged=10**4)
    assert plain.cycles == compiled.cycles
    assert (plain.active_cyc == compiled.active_cyc).all()
    assert (plain.log == compiled.log).all()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_rule_is_violated(data: st.DataObject) -> None:
    """Every pair of commands that the twin issued, and what they find open, checked without the controller's logic."""
    n_channels = data.draw(st.integers(1, 2))
    rules = data.draw(controllers())
    program = data.draw(programs(n_channels, max_runs=8))
    twin = twin_time(program, n_channels, rules, n_logged=2000)
    for channel in range(n_channels):
        cycle, _, command, bank = twin.log[twin.log[:, 1] == channel].T
        assert (np.diff(cycle) > 0).all(), "one command a cycle"
        check_rules(cycle, command, bank)
        check_rows(command, bank)
        refreshes = cycle[command == Command.REFAB]
        assert (refreshes >= rules.n_refi * np.arange(1, len(refreshes) + 1)).all()


def check_rules(cycle: np.ndarray, command: np.ndarray, bank: np.ndarray) -> None:
    gap = cycle[None, :] - cycle[:, None]
    is_later = gap > 0
    same_group, same_bank = bank[:, None] // 4 == bank[None, :] // 4, bank[:, None] == bank[None, :]
    for rule, scope in zip(part_rules(), (True, same_group, same_bank), strict=True):
        latency = rule[command[:, None], command[None, :]]
        assert not (is_later & scope & (latency >= 0) & (gap < latency)).any()


def check_rows(command: np.ndarray, bank: np.ndarray) -> None:
    is_open = np.zeros(16, bool)
    register_mode = False
    for name, where in zip((Command(c).name for c in command), bank, strict=True):
        if name in ("WRGB", "WRMAC16", "RDMAC16", "RDAF16"):
            assert register_mode
        elif name in ("MAC16", "AF16", "EWMUL16", "WRA16"):
            assert is_open.all()
            assert not register_mode
            is_open &= name != "WRA16"
        elif name in ("RD", "WR", "RDCP", "WRCP"):
            assert is_open[where]
            assert not register_mode
        elif name == "ACT":
            assert not is_open[where]
            is_open[where] = True
        elif name == "PRE":
            assert is_open[where]
            is_open[where] = False
        elif name == "ACT16":
            assert not is_open.all()
            is_open[:] = True
        elif name == "PREA":
            assert is_open.any()
            is_open[:] = False
        elif name == "REFAB":
            assert not is_open.any()
        else:
            assert name == "TMOD"
            register_mode = not register_mode


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_time_is_monotone_in_what_is_sent_in_order(data: st.DataObject) -> None:
    """Only of AiM instructions: reads and writes are reordered, and an order may be lucky."""
    n_channels = data.draw(st.integers(1, 4))
    program = data.draw(programs(n_channels, max_runs=12, with_bursts=False))
    table = table_of(data.draw(controllers()))
    lines = program.lines()[:-1].tolist()
    cycles = [
        time_program(program_of(*map(tuple, lines[:end])), n_channels, table).cycles
        for end in range(0, len(lines) + 1, max(1, len(lines) // 8))
    ]
    assert cycles == sorted(cycles)


def test_only_the_end() -> None:
    check(program_of(), 32, REFERENCE)
    assert time_program(program_of(), 32, table_of(REFERENCE)).cycles == 2
    assert time_program(program_of((Opcode.SYNC, 1, 0, 0, 0)), 32, table_of(REFERENCE)).cycles == 4


def test_refresh_takes_its_share() -> None:
    lines = [(Opcode.MAC_ABK, 64, 3, 0, row) for row in range(400)]
    without = time_program(program_of(*lines), 2, table_of(REFERENCE))
    refreshed = time_program(program_of(*lines), 2, table_of(AimControllerRules(n_refi=7800)))
    n_refreshes = int(refreshed.commands[0, Command.REFAB])
    assert n_refreshes == refreshed.cycles // 7800
    assert 1 + 240 / 7800 < refreshed.cycles / without.cycles < 1.06


def test_equal_channels_are_one_class() -> None:
    lines = [line for row in range(20) for line in ((Opcode.WR_BIAS, 1, 15, 0, 0), (Opcode.MAC_ABK, 64, 15, 0, row))]
    lines += [(Opcode.W_MEM, 1, 1 << (k % 4), k // 4, 7) for k in range(64)]
    lines += [(Opcode.SYNC, 1, 0, 0, 0), (Opcode.RD_MAC, 1, 15, 0, 0)]
    program = program_of(*lines)
    timings = all_details(program, 4, REFERENCE)
    assert {detail: timings[detail].n_classes for detail in DETAILS} == {"full": 4, "class": 1, "fast": 1}
    check(program, 4, REFERENCE)


@pytest.mark.parametrize(
    ("rules", "cause"),
    [
        (AimControllerRules(write_low_watermark=0), "write_low_watermark"),
        (AimControllerRules(write_low_watermark=27), "write_low_watermark"),
        (AimControllerRules(queue_entries=0), "queue_entries"),
        (AimControllerRules(queue_entries=65), "queue_entries"),
        (AimControllerRules(dispatcher_width=0), "dispatcher_width"),
        (AimControllerRules(n_refi=500), "n_refi"),
    ],
)
def test_a_controller_that_would_stand_still_is_refused(rules: AimControllerRules, cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        table_of(rules)


def test_the_compiled_kernel_counts_no_references() -> None:
    """`_nrt` is a private option of numba: should it go, the kernel gets three times slower and nothing else tells."""
    vector, matrix = int64[::1], int64[:, ::1]
    for function, signature in (
        (advance, (vector, vector, int64, int64, int64)),
        (merge, (vector, vector, vector, matrix, int64)),
    ):
        counted = {}
        for with_references in (False, True):
            options: dict[str, Any] = {"_nrt": with_references}
            fresh = njit(**options)(function.py_func)
            fresh.compile(signature)
            counted[with_references] = sum(text.count("NRT_incref") for text in fresh.inspect_llvm().values())
        assert function.targetoptions["_nrt"] is False
        assert counted[False] == 0
        assert counted[True] > 0
