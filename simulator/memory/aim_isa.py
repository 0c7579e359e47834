"""Host instructions of a GDDR6-AiM device and the DRAM commands that they become: one row per instruction.

Source: AiM simulator as pinned by the CENT repository (instruction set and completion times).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Command(IntEnum):
    """DRAM commands of an AiM channel, in the order of every command table of the project."""

    ACT = 0
    PRE = 1
    PREA = 2
    ACT16 = 3
    MAC16 = 4
    AF16 = 5
    EWMUL16 = 6
    RD = 7
    WR = 8
    RDCP = 9
    WRCP = 10
    WRGB = 11
    WRMAC16 = 12
    RDMAC16 = 13
    RDAF16 = 14
    WRA16 = 15
    TMOD = 16
    REFAB = 17


N_COMMANDS = len(Command)


class Opcode(IntEnum):
    """Host instructions, in the order of `INSTRUCTIONS`."""

    WR_GB = 0
    WR_BIAS = 1
    RD_MAC = 2
    RD_AF = 3
    MAC_ABK = 4
    AF = 5
    EWMUL = 6
    COPY_BKGB = 7
    COPY_GBBK = 8
    WR_ABK = 9
    W_MEM = 10
    R_MEM = 11
    SYNC = 12
    EOC = 13
    NO_EFFECT = 14


@dataclass(frozen=True, slots=True)
class Instruction:
    """What one host instruction asks of a channel.

    `needs` is "all" (the row open in all banks), "one" (in one bank) or "" (no row); `done_cyc` the clocks from its
    DRAM command to completion; `posted_write` whether SYNC and EOC wait for it; `replies` whether a read reply comes
    back.
    """

    command: Command | None
    needs: str
    register_mode: bool
    blocking: bool
    done_cyc: int
    posted_write: bool = False
    replies: bool = False


INSTRUCTIONS: dict[Opcode, Instruction] = {
    Opcode.WR_GB: Instruction(Command.WRGB, "", True, False, 3, posted_write=True),
    Opcode.WR_BIAS: Instruction(Command.WRMAC16, "", True, False, 3, posted_write=True),
    Opcode.RD_MAC: Instruction(Command.RDMAC16, "", True, True, 2, replies=True),
    Opcode.RD_AF: Instruction(Command.RDAF16, "", True, True, 2, replies=True),
    Opcode.MAC_ABK: Instruction(Command.MAC16, "all", False, False, 1),
    Opcode.AF: Instruction(Command.AF16, "all", False, False, 1),
    Opcode.EWMUL: Instruction(Command.EWMUL16, "all", False, False, 1),
    Opcode.COPY_BKGB: Instruction(Command.RDCP, "one", False, False, 1),
    Opcode.COPY_GBBK: Instruction(Command.WRCP, "one", False, False, 1),
    Opcode.WR_ABK: Instruction(Command.WRA16, "all", False, False, 40, posted_write=True),
    Opcode.W_MEM: Instruction(Command.WR, "one", False, False, 8, posted_write=True),
    Opcode.R_MEM: Instruction(Command.RD, "one", False, False, 52, replies=True),
    Opcode.SYNC: Instruction(None, "", False, True, 1, replies=True),
    Opcode.EOC: Instruction(None, "", False, True, 1, replies=True),
    Opcode.NO_EFFECT: Instruction(None, "", False, False, 0),
}

# The activation function reads its look-up table from a row that no data uses.
AF_ROW = 1 << 29
