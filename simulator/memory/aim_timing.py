"""The constants of an AiM part as the vector that the timing kernel reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.kernels import aim as kernel
from simulator.memory.aim_isa import INSTRUCTIONS, Command
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
    table = np.zeros(kernel.TABLE_WORDS, np.int64)
    n = len(Command)
    for depth, level in enumerate(LEVELS):
        matrix = matrices[level]
        offset = (kernel.T_CHANNEL, kernel.T_GROUP, kernel.T_BANK)[depth]
        table[offset : offset + n * n] = matrix.ravel()
        for before in range(n):
            first = kernel.T_LIST + depth * n * kernel.LIST_STRIDE + before * kernel.LIST_STRIDE
            after = np.flatnonzero(matrix[before] >= 0)
            table[first] = len(after)
            table[first + 1 : first + 1 + 2 * len(after) : 2] = after
            table[first + 2 : first + 2 + 2 * len(after) : 2] = matrix[before, after]
    own = np.stack([np.diagonal(matrices[level]) for level in LEVELS])
    table[kernel.T_PITCH : kernel.T_PITCH + n] = np.maximum(own.max(axis=0), 1)
    for opcode, instruction in INSTRUCTIONS.items():
        table[kernel.T_FINAL + opcode] = -1 if instruction.command is None else instruction.command
        table[kernel.T_DONE + opcode] = instruction.done_cyc
        table[kernel.T_REGISTER + opcode] = instruction.register_mode
        table[kernel.T_NEEDS + opcode] = NEEDS[instruction.needs]
        table[kernel.T_POSTED + opcode] = instruction.posted_write
        table[kernel.T_BLOCKING + opcode] = instruction.blocking
    table[kernel.T_DEPTH] = rules.queue_entries
    table[kernel.T_WRITE_LOW] = rules.write_low_watermark
    table[kernel.T_WRITE_HIGH] = rules.write_high_watermark
    table[kernel.T_REFI] = rules.n_refi
    table[kernel.T_WIDTH] = rules.dispatcher_width
    return table
