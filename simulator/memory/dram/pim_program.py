"""PIM work of one DRAM channel: a program of runs of column commands, as matrix-vector products or from AiM traces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ConfigError, WorkloadError
from simulator.memory.aim_isa import Opcode
from simulator.memory.aim_trace import AimLimits, read_aim_trace
from simulator.memory.dram.spec import DramSpec

Ints = NDArray[np.int64]
REGISTER_COMMANDS = ("WRGB", "WRMAC", "RDMAC")
ALL_BANK_COMMANDS = ("MACab",)
NEEDED = ("ACTab", "MACab", "PREab", "REFab")
NO_ROW = -1
_OF_INSTRUCTION = {
    Opcode.WR_GB: "WRGB",
    Opcode.WR_BIAS: "WRMAC",
    Opcode.RD_MAC: "RDMAC",
    Opcode.MAC_ABK: "MACab",
}
_WITHOUT_COMMAND = (Opcode.SYNC, Opcode.EOC, Opcode.NO_EFFECT)


@dataclass(frozen=True, slots=True, eq=False)
class PimProgram:
    """Operations in their order: `command` int16[k] (place in the standard's commands), `row` int64[k] (open in all
    banks; -1: none), `count` int64[k] column commands, `release_cyc` int64[k] (never falling) the first tick at which
    each may be served. `launch` int32[k] numbers the launches from 0."""

    command: NDArray[np.int16]
    row: Ints
    count: Ints
    release_cyc: Ints
    launch: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.command)

    @property
    def n_rows(self) -> int:
        """Operations on rows."""
        return int(np.count_nonzero(self.row >= 0))

    @property
    def n_launches(self) -> int:
        """Launches."""
        return int(self.launch[-1]) + 1 if len(self.launch) else 0

    def launched(self, n_launches: int, interval_cyc: float, first_cyc: int = 1) -> PimProgram:
        """The operations over and over, a launch every `interval_cyc` ticks from `first_cyc` on (0: all at once)."""
        n = len(self)
        launch = np.repeat(np.arange(n_launches, dtype=np.int32), n)
        return PimProgram(
            np.tile(self.command, n_launches),
            np.tile(self.row, n_launches),
            np.tile(self.count, n_launches),
            first_cyc + np.floor(launch * interval_cyc).astype(np.int64),
            launch,
        )


def no_program() -> PimProgram:
    """Nothing to do."""
    nothing = np.empty(0, np.int64)
    return PimProgram(nothing.astype(np.int16), nothing, nothing, nothing, nothing.astype(np.int32))


def program_of(spec: DramSpec, operations: list[tuple[str, int, int]]) -> PimProgram:
    """A program of (command, row or -1, count), all of it from the first tick on. Raises ConfigError for commands that
    the standard lacks and rows that it has not."""
    check_pim(spec)
    for command, row, count in operations:
        if command not in spec.commands or command not in (*REGISTER_COMMANDS, *ALL_BANK_COMMANDS):
            raise ConfigError(f"{spec.standard} has no PIM command {command!r}", remedy="name one that it has")
        if (row >= 0) != (command in ALL_BANK_COMMANDS) or row >= spec.n_rows:
            raise ConfigError(f"{command} on row {row} of {spec.n_rows}", remedy="give rows to all-bank commands only")
        if count < 1:
            raise ConfigError(f"{count} times {command}", remedy="give at least one")
    n = len(operations)
    return PimProgram(
        np.array([spec.command_index(name) for name, _, _ in operations], np.int16),
        np.array([row for _, row, _ in operations], np.int64),
        np.array([count for _, _, count in operations], np.int64),
        np.ones(n, np.int64),
        np.zeros(n, np.int32),
    )


def check_pim(spec: DramSpec) -> None:
    """Refuse a standard without the commands of a PIM program."""
    if missing := [name for name in NEEDED if name not in spec.commands]:
        raise ConfigError(
            f"{spec.standard} has no {' and no '.join(missing)}",
            where="commands",
            remedy="take a part with PIM commands, such as hw_configs/parts/dram/gddr6_aim_host.yaml",
        )


def gemv_program(spec: DramSpec, *, n_rows: int, n_columns: int, n_accumulators: int, first_row: int) -> PimProgram:
    """A matrix-vector product whose matrix lies spread over all banks, `n_columns` bursts of a row in each.

    The vector is written to the channel's buffer; then for every `n_accumulators` rows their sums are set, the rows
    multiplied one after another, and the sums read. Without accumulators there are the rows only.
    Source: CENT's order of a GEMV ("reuse of the global buffer"), one segment of the vector.
    """
    rows = [first_row + k for k in range(n_rows)]
    if not n_accumulators:
        return program_of(spec, [("MACab", row, n_columns) for row in rows])
    operations = [("WRGB", NO_ROW, n_columns)]
    for start in range(0, n_rows, n_accumulators):
        group = rows[start : start + n_accumulators]
        operations.append(("WRMAC", NO_ROW, len(group)))
        operations += [("MACab", row, n_columns) for row in group]
        operations.append(("RDMAC", NO_ROW, len(group)))
    return program_of(spec, operations)


def traced_program(spec: DramSpec, path: str | Path) -> PimProgram:
    """What an AiM instruction trace asks of channel 0. Raises WorkloadError for an instruction without a command here:
    all but WR_GB, WR_BIAS, MAC_ABK and RD_MAC."""
    limits = AimLimits(n_banks=spec.n_banks, n_rows=spec.n_rows)
    operations: list[tuple[str, int, int]] = []
    for opcode, count, mask, _, row in read_aim_trace(path, limits).lines().tolist():
        if opcode in _WITHOUT_COMMAND or not mask & 1:
            continue
        command = _OF_INSTRUCTION.get(Opcode(opcode))
        if command is None:
            raise WorkloadError(
                f"{Opcode(opcode).name} has no command in {spec.standard} beside host traffic",
                where=str(path),
                remedy=f"keep to {', '.join(one.name for one in _OF_INSTRUCTION)}, or replay it on gddr6_aim.yaml",
            )
        if command in ALL_BANK_COMMANDS and row >= spec.n_rows:
            raise WorkloadError(f"row {row} of {spec.n_rows}", where=str(path), remedy="name rows that the part has")
        row = row if command in ALL_BANK_COMMANDS else NO_ROW
        if operations and operations[-1][:2] == (command, row) and row == NO_ROW:
            count += operations.pop()[2]
        operations.append((command, row, count))
    return program_of(spec, operations)
