"""What tests of the AiM kernel share: the part's rules, random programs, and the twin's answer to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.memory.aim_isa import Command, Opcode
from simulator.memory.aim_program import AimProgram
from simulator.memory.aim_timing import AimControllerRules, AimTiming, kernel_table, time_program
from simulator.memory.timing import LEVELS, TimingRule, rule_matrices
from tests.twins import aim_tick

Array = NDArray[np.int64]
DETAILS = ("full", "class", "fast")
PART = Path(__file__).resolve().parents[2] / "hw_configs" / "parts" / "gddr6_aim.yaml"
COLUMN_OPCODES = (Opcode.WR_GB, Opcode.MAC_ABK, Opcode.EWMUL, Opcode.COPY_BKGB, Opcode.COPY_GBBK)
SINGLE_OPCODES = (Opcode.WR_BIAS, Opcode.RD_MAC, Opcode.RD_AF, Opcode.AF, Opcode.WR_ABK, Opcode.SYNC, Opcode.NO_EFFECT)


@cache
def part_rules() -> Array:
    """The rules of the GDDR6-AiM part: int64[3, 18, 18] at channel, bank-group and bank level."""
    part: dict[str, Any] = yaml.safe_load(PART.read_text())
    timing = {name: value["value"] if isinstance(value, dict) else value for name, value in part["timing"].items()}
    matrices = rule_matrices([TimingRule(**rule) for rule in part["rules"]], timing, [c.name for c in Command])
    return np.stack([matrices[level] for level in LEVELS])


def table_of(rules: AimControllerRules) -> Array:
    """The part's rules and a controller's as the kernel reads them."""
    return kernel_table(dict(zip(LEVELS, part_rules(), strict=True)), rules)


@cache
def compiled_twin() -> Any:
    """The twin through numba; compiling takes seconds."""
    return aim_tick.compiled()


@dataclass(frozen=True)
class TwinTiming:
    """What the twin says of a program; `log` is int64[n, 4] of (cycle, channel, command, bank)."""

    cycles: int
    commands: Array
    active_cyc: Array
    log: Array


def twin_time(
    program: AimProgram, n_channels: int, rules: AimControllerRules, *, n_logged: int = 0, twin: Any = None
) -> TwinTiming:
    """Tick a program through the (compiled) twin."""
    controller = aim_tick.Controller(
        rules.queue_entries, rules.write_low_watermark, rules.write_high_watermark, rules.dispatcher_width, rules.n_refi
    )
    log = np.zeros((n_logged, 4), np.int64)
    run = twin or compiled_twin()
    cycles, commands, active_cyc, n = run(program.lines(), n_channels, part_rules(), controller, log)
    return TwinTiming(int(cycles), commands, active_cyc, log[:n])


def all_details(program: AimProgram, n_channels: int, rules: AimControllerRules) -> dict[str, AimTiming]:
    """The kernel's answer in every detail."""
    table = table_of(rules)
    return {detail: time_program(program, n_channels, table, detail) for detail in DETAILS}


@st.composite
def masks(draw: st.DrawFn, n_channels: int) -> int:
    """Often all channels, sometimes one, sometimes any."""
    everyone = (1 << n_channels) - 1
    return draw(
        st.one_of(st.just(everyone), st.integers(0, n_channels - 1).map(lambda ch: 1 << ch), st.integers(1, everyone))
    )


@st.composite
def aim_runs(draw: st.DrawFn, n_channels: int) -> tuple[list[int], list[list[int]]]:
    """A run of one AiM instruction, without targets."""
    opcode = draw(st.sampled_from(COLUMN_OPCODES + SINGLE_OPCODES))
    n_columns = draw(st.one_of(st.integers(1, 4), st.integers(1, 200))) if opcode in COLUMN_OPCODES else 1
    mask = draw(masks(n_channels))
    if opcode == Opcode.WR_ABK:
        mask = 1 << draw(st.integers(0, n_channels - 1))
    repeat = draw(st.one_of(st.just(1), st.integers(1, 3), st.integers(1, 40) if n_columns < 5 else st.just(1)))
    row, step, bank = draw(st.integers(0, 2)), draw(st.integers(0, 1)), draw(st.integers(0, 15))
    return [opcode, n_columns, mask, bank, row, repeat, step, 0, 0], []


@st.composite
def burst_runs(draw: st.DrawFn, n_channels: int) -> tuple[list[int], list[list[int]]]:
    """Rounds of plain bursts over a few targets, of few or many channels and banks."""
    opcode = draw(st.sampled_from((Opcode.W_MEM, Opcode.R_MEM)))
    n_channels_used = draw(st.sampled_from((1, n_channels)))
    n_banks_used = draw(st.sampled_from((1, 2, 16)))
    target = st.tuples(st.integers(0, n_channels_used - 1), st.integers(0, n_banks_used - 1)).map(list)
    targets = draw(st.lists(target, min_size=1, max_size=12))
    rounds = draw(st.one_of(st.integers(1, 3), st.integers(1, 80)))
    return [opcode, 1, 0, 0, draw(st.integers(0, 2)), rounds, 0, 0, len(targets)], targets


@st.composite
def programs(draw: st.DrawFn, n_channels: int, *, max_runs: int = 24, with_bursts: bool = True) -> AimProgram:
    """Random programs of every instruction, with few rows so that hits and conflicts are common."""
    run = st.one_of(aim_runs(n_channels), burst_runs(n_channels)) if with_bursts else aim_runs(n_channels)
    drawn = draw(st.lists(run, min_size=0, max_size=max_runs))
    runs, targets = [], []
    for fields, own in drawn:
        runs.append([*fields[:7], len(targets), fields[8]])
        targets += own
    runs.append([Opcode.EOC, 1, 0, 0, 0, 1, 0, 0, 0])
    half = len(runs) // 2
    return AimProgram(
        np.array(runs, np.int64),
        np.array(targets, np.int64).reshape(-1, 2),
        ("first", "second"),
        (half, len(runs)) if half else (len(runs), len(runs)),
    )


@st.composite
def controllers(draw: st.DrawFn) -> AimControllerRules:
    """Controllers: mostly as the reference has it, with refresh or not, one or more lines a clock."""
    queue_entries, low, high = draw(st.sampled_from(((33, 7, 25), (33, 7, 25), (33, 7, 25), (4, 1, 2), (8, 3, 6))))
    return AimControllerRules(
        queue_entries=queue_entries,
        write_low_watermark=low,
        write_high_watermark=high,
        dispatcher_width=draw(st.sampled_from((1, 1, 1, 2, 3, 4))),
        n_refi=draw(st.sampled_from((0, 0, 700, 1500, 7800))),
    )


def wild_program(rng: np.random.Generator, n_channels: int) -> AimProgram:
    """A longer random program, without shrinking: up to 60 runs, half of them bursts."""
    runs: list[list[int]] = []
    targets: list[list[int]] = []
    everyone = (1 << n_channels) - 1
    for _ in range(rng.integers(1, 60)):
        row = int(rng.integers(3))
        if rng.random() < 0.5:
            opcode = int(rng.choice(COLUMN_OPCODES + SINGLE_OPCODES))
            is_long = opcode in COLUMN_OPCODES and rng.random() < 0.5
            n_columns = int(rng.integers(1, 201 if is_long else 5)) if opcode in COLUMN_OPCODES else 1
            one = 1 << int(rng.integers(n_channels))
            mask = int(rng.choice([everyone, everyone, everyone, one, int(rng.integers(1, everyone + 1))]))
            repeat = 1 if is_long or rng.random() < 0.6 else int(rng.integers(1, 41))
            mask = one if opcode == Opcode.WR_ABK else mask
            runs.append([opcode, n_columns, mask, int(rng.integers(16)), row, repeat, int(rng.integers(2)), 0, 0])
        else:
            n_channels_used, n_banks_used = int(rng.choice([1, n_channels])), int(rng.choice([1, 2, 16]))
            own = [
                [int(rng.integers(n_channels_used)), int(rng.integers(n_banks_used))]
                for _ in range(rng.integers(1, 13))
            ]
            if rng.random() < 0.3:
                own = [[channel, bank] for bank in range(0, n_banks_used, 2) for channel in range(n_channels)]
            rounds = int(rng.integers(1, 4)) if rng.random() < 0.7 else int(rng.integers(1, 80))
            opcode = int(rng.choice([Opcode.W_MEM, Opcode.R_MEM]))
            runs.append([opcode, 1, 0, 0, row, rounds, 0, len(targets), len(own)])
            targets += own
    runs.append([Opcode.EOC, 1, 0, 0, 0, 1, 0, 0, 0])
    ends = (len(runs) // 2, len(runs))
    return AimProgram(np.array(runs, np.int64), np.array(targets, np.int64).reshape(-1, 2), ("first", "second"), ends)


def wild_rules(rng: np.random.Generator) -> AimControllerRules:
    """A controller drawn like those of `controllers`, and a few stranger ones."""
    depths = ((33, 7, 25), (33, 7, 25), (33, 7, 25), (4, 1, 2), (8, 3, 6), (64, 7, 25), (1, 1, 0))
    queue_entries, low, high = depths[rng.integers(len(depths))]
    return AimControllerRules(
        queue_entries=queue_entries,
        write_low_watermark=low,
        write_high_watermark=high,
        dispatcher_width=int(rng.choice([1, 1, 1, 2, 3, 4])),
        n_refi=int(rng.choice([0, 0, 700, 1500, 7800])),
    )


def program_of(*lines: tuple[int, int, int, int, int]) -> AimProgram:
    """A program of single lines (opcode, columns, mask, bank, row), ended with EOC."""
    return AimProgram.from_lines(np.array([*lines, (Opcode.EOC, 1, 0, 0, 0)], np.int64))
