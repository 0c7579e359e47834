"""Command programs of an AiM device, in run-length form, and their expansion to single host instructions.

A run is one instruction repeated: `repeat` times with the row growing by `row_step`, or, for plain reads and writes
of one burst, `repeat` rounds over a list of (channel, bank) targets. A program of a few thousand runs stands for
millions of commands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.memory.aim_isa import Opcode

Array = NDArray[np.int64]

# Columns of the run table.
OPCODE, N_COLUMNS, MASK, BANK, ROW, REPEAT, ROW_STEP, TARGET_FIRST, TARGET_COUNT = range(9)
N_RUN_FIELDS = 9


@dataclass(frozen=True, slots=True)
class AimProgram:
    """A program: `runs` int64[n, 9] (columns above), `targets` int64[m, 2] of (channel, bank), and named sections.

    Channel masks are least-significant-bit first: bit k is channel k. `section_ends[i]` is the run index at which
    section i ends.
    """

    runs: Array
    targets: Array
    sections: tuple[str, ...]
    section_ends: tuple[int, ...]

    @property
    def n_lines(self) -> int:
        """Host instructions of the program when written out one per line."""
        burst_rounds = np.maximum(self.runs[:, TARGET_COUNT], 1)
        return int((self.runs[:, REPEAT] * burst_rounds).sum())

    def lines(self) -> Array:
        """The program as single host instructions: int64[n_lines, 5] of opcode, columns, mask, bank, row.

        Plain reads and writes carry the mask of their one channel.
        """
        runs = self.runs
        is_burst = runs[:, TARGET_COUNT] > 0
        rounds = np.where(is_burst, runs[:, TARGET_COUNT], 1)
        counts = runs[:, REPEAT] * rounds
        run_of_line = np.repeat(np.arange(len(runs)), counts)
        step = np.arange(len(run_of_line)) - np.repeat(np.cumsum(counts) - counts, counts)
        lines = runs[run_of_line][:, [OPCODE, N_COLUMNS, MASK, BANK, ROW]]
        lines[:, 4] += step * runs[run_of_line, ROW_STEP]
        bursts = np.flatnonzero(is_burst[run_of_line])
        chosen = runs[run_of_line[bursts], TARGET_FIRST] + step[bursts] % rounds[run_of_line[bursts]]
        lines[bursts, 2] = np.int64(1) << self.targets[chosen, 0]
        lines[bursts, 3] = self.targets[chosen, 1]
        return lines

    @classmethod
    def from_lines(cls, lines: Array) -> AimProgram:
        """A program of single host instructions, one run each; the inverse of `lines`."""
        runs = np.zeros((len(lines), N_RUN_FIELDS), np.int64)
        runs[:, :5] = lines
        runs[:, REPEAT] = 1
        bursts = np.flatnonzero((lines[:, 0] == Opcode.W_MEM) | (lines[:, 0] == Opcode.R_MEM))
        runs[bursts, TARGET_FIRST] = np.arange(len(bursts))
        runs[bursts, TARGET_COUNT] = 1
        channels = np.log2(lines[bursts, 2].astype(np.float64)).astype(np.int64)
        targets = np.stack([channels, lines[bursts, 3]], axis=1) if len(bursts) else np.zeros((0, 2), np.int64)
        return cls(runs, targets, ("trace",), (len(runs),))


@dataclass(slots=True)
class AimProgramBuilder:
    """Collects runs section by section; `loop` repeats a body with other rows without growing Python lists per
    command."""

    _pending: list[tuple[int, ...]] = field(default_factory=list)
    _tables: list[Array] = field(default_factory=list)
    _targets: list[Array] = field(default_factory=list)
    _n_targets: int = 0
    _sections: list[str] = field(default_factory=list)
    _section_ends: list[int] = field(default_factory=list)

    def command(
        self,
        opcode: Opcode,
        *,
        mask: int,
        n_columns: int = 1,
        bank: int = 0,
        row: int = 0,
        repeat: int = 1,
        row_step: int = 0,
    ) -> None:
        """One host instruction, `repeat` times, the row growing by `row_step` each time."""
        self._pending.append((opcode, n_columns, mask, bank, row, repeat, row_step, 0, 0))

    def bursts(self, opcode: Opcode, targets: Array, *, row: int, rounds: int) -> None:
        """`rounds` rounds of one 32-byte burst to each target (channel, bank) in turn, all to the same row."""
        if rounds and len(targets):
            first = self._n_targets
            self._targets.append(targets)
            self._n_targets += len(targets)
            self._pending.append((opcode, 1, 0, 0, row, rounds, 0, first, len(targets)))

    @contextmanager
    def loop(self, row_offsets: Sequence[int] | Array) -> Iterator[None]:
        """Repeat what is declared inside once per row offset; the offset is added to every row of the body."""
        self._flush()
        outer_tables, self._tables = self._tables, []
        yield
        self._flush()
        body = np.concatenate(self._tables) if self._tables else np.zeros((0, N_RUN_FIELDS), np.int64)
        offsets = np.asarray(row_offsets, np.int64)
        tiled = np.tile(body, (len(offsets), 1))
        tiled[:, ROW] += np.repeat(offsets, len(body))
        self._tables = [*outer_tables, tiled]

    def section(self, name: str) -> None:
        """Close a section: everything since the last one belongs to `name`."""
        self._flush()
        self._sections.append(name)
        self._section_ends.append(sum(len(table) for table in self._tables))

    def build(self) -> AimProgram:
        """The program; the caller has closed its last section."""
        self._flush()
        runs = np.concatenate(self._tables) if self._tables else np.zeros((0, N_RUN_FIELDS), np.int64)
        targets = np.concatenate(self._targets) if self._targets else np.zeros((0, 2), np.int64)
        return AimProgram(runs, targets, tuple(self._sections), tuple(self._section_ends))

    def _flush(self) -> None:
        if self._pending:
            self._tables.append(np.array(self._pending, np.int64))
            self._pending = []
