"""The constants of an AiM part as the vector that the timing kernel reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ConfigError
from simulator.kernels import aim_state as layout
from simulator.kernels.aim import run_program
from simulator.memory.aim_isa import INSTRUCTIONS, Command
from simulator.memory.aim_program import TARGET_COUNT, AimProgram
from simulator.memory.timing import LEVELS, Level

NEEDS = {"": 0, "one": 1, "all": 2}


@dataclass(frozen=True, slots=True)
class AimControllerRules:
    """Queue depth, write-mode watermarks, host instructions per clock, and the refresh interval (0: no refresh)."""

    queue_entries: int = 33
    write_low_watermark: int = 7
    write_high_watermark: int = 25
    dispatcher_width: int = 1
    n_refi: int = 0


def kernel_table(matrices: Mapping[Level, NDArray[np.int64]], rules: AimControllerRules) -> NDArray[np.int64]:
    """Pack rule matrices (int64[18, 18] per level) and controller rules into int64[TABLE_WORDS]."""
    _check(rules)
    table = np.zeros(layout.TABLE_WORDS, np.int64)
    n = len(Command)
    never = -layout.NEVER
    channel, group, bank = (matrices[level] for level in LEVELS)
    local = np.flatnonzero((group >= 0).any(axis=0) | (bank >= 0).any(axis=0))
    if len(local) >= layout.N_LOCAL:
        raise ConfigError(
            f"rules below channel level constrain {len(local)} commands, the kernel has room for {layout.N_LOCAL - 1}",
            remedy="state rules of all-bank commands at channel level",
        )
    table[layout.T_CHANNEL : layout.T_GROUP] = np.where(channel >= 0, channel, never).ravel()
    for offset, flag, matrix in (
        (layout.T_GROUP, layout.T_HAS_GROUP, group),
        (layout.T_BANK, layout.T_HAS_BANK, bank),
    ):
        rows = np.full((n, layout.N_LOCAL), never, np.int64)
        rows[:, : len(local)] = np.where(matrix[:, local] >= 0, matrix[:, local], never)
        table[offset : offset + rows.size] = rows.ravel()
        table[flag : flag + n] = (matrix >= 0).any(axis=1)
    # A command without rules below channel level reads a place that no rule ever raises.
    table[layout.T_LOCAL : layout.T_LOCAL + n] = layout.N_LOCAL - 1
    table[layout.T_LOCAL + local] = np.arange(len(local))
    longest = [int(value) for value in np.unique(channel[: layout.REFAB])[-4:]]
    if rules.n_refi and rules.n_refi < channel[layout.REFAB].max() + sum(longest):
        raise ConfigError(
            f"n_refi is {rules.n_refi} clocks, in which a row cannot be opened and used between two refreshes",
            remedy="choose a longer interval, or a shorter n_rfc",
        )
    own = np.stack([np.diagonal(matrix) for matrix in (channel, group, bank)])
    table[layout.T_PITCH : layout.T_PITCH + n] = np.maximum(own.max(axis=0), 1)
    for opcode, instruction in INSTRUCTIONS.items():
        table[layout.T_FINAL + opcode] = -1 if instruction.command is None else instruction.command
        table[layout.T_DONE + opcode] = instruction.done_cyc
        table[layout.T_REGISTER + opcode] = instruction.register_mode
        table[layout.T_NEEDS + opcode] = NEEDS[instruction.needs]
        table[layout.T_POSTED + opcode] = instruction.posted_write
        table[layout.T_BLOCKING + opcode] = instruction.blocking
    table[layout.T_DEPTH] = rules.queue_entries
    table[layout.T_WRITE_LOW] = rules.write_low_watermark
    table[layout.T_WRITE_HIGH] = rules.write_high_watermark
    table[layout.T_REFI] = rules.n_refi
    table[layout.T_WIDTH] = rules.dispatcher_width
    return table


def _check(rules: AimControllerRules) -> None:
    """Refuse controllers that would stand still, and queues for which the kernel has no room."""
    if not 1 <= rules.queue_entries <= layout.MAX_ENTRIES:
        raise ConfigError(f"queue_entries is {rules.queue_entries}", remedy=f"choose 1 to {layout.MAX_ENTRIES}")
    if rules.dispatcher_width < 1:
        raise ConfigError(f"dispatcher_width is {rules.dispatcher_width}", remedy="choose at least 1 a clock")
    if not 1 <= rules.write_low_watermark <= rules.write_high_watermark + 1:
        raise ConfigError(
            f"write_low_watermark is {rules.write_low_watermark} with a write_high_watermark of "
            f"{rules.write_high_watermark}: reads and writes would never or always take turns",
            remedy="choose a low mark of at least 1 and not above the high one",
        )


@dataclass(frozen=True, slots=True)
class AimTiming:
    """What a program costs on one device: `cycles` to the reply that ends it.

    Per channel: `commands` int64[n_channels, 18] and `active_cyc` int64[n_channels], the clocks with a row open. Per
    section of the program: `section_cyc`, the cycle in which it has left the dispatcher, and `section_commands`
    int64[n_sections, 18], those of channel 0 up to then.
    """

    cycles: int
    commands: NDArray[np.int64]
    active_cyc: NDArray[np.int64]
    section_cyc: NDArray[np.int64]
    section_commands: NDArray[np.int64]
    n_classes: int


def time_program(program: AimProgram, n_channels: int, table: NDArray[np.int64], detail: str = "fast") -> AimTiming:
    """Time a program; `detail` is full (every channel, every command), class (equal channels once) or fast (jumps too).

    Runs of columns and repeated rounds of bursts are jumped over in fast detail only; all three give the same result.
    """
    section_ends = np.array(program.section_ends, np.int64)
    n_sections = len(section_ends)
    state = np.empty(n_channels * layout.WORDS, np.int64)
    snapshot = np.empty((n_channels + 1) * layout.WORDS, np.int64)
    order = np.empty(program.runs[:, TARGET_COUNT].max(initial=0), np.int64)
    roster = np.empty(layout.ROSTER_WORDS, np.int64)
    tallies = np.zeros((n_channels, layout.TALLY_WORDS), np.int64)
    section_cyc = np.zeros(n_sections, np.int64)
    section_commands = np.zeros((n_sections, layout.N_COMMANDS), np.int64)
    cycles, n_classes = run_program(
        program.runs, program.targets, section_ends, n_channels, table, detail != "full", detail == "fast",
        state, snapshot, order, roster, tallies, section_cyc, section_commands,
    )  # fmt: skip
    commands, active_cyc = tallies[:, : layout.N_COMMANDS], tallies[:, layout.TALLY_ACTIVE]
    return AimTiming(int(cycles), commands, active_cyc, section_cyc, section_commands, int(n_classes))
