"""AiM instruction traces as text: the grammar that users of the AiM simulator have files in, read and written.

One instruction a line; blank lines and lines that begin with # are skipped; integers are decimal or 0x hexadecimal.
In the text a channel mask is most-significant-bit first (channel 0 is 0x80000000 of a 32-channel device); in programs
it is the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.core.errors import Position, WorkloadError
from simulator.core.spelling import did_you_mean
from simulator.memory.aim_isa import Opcode
from simulator.memory.aim_program import AimProgram

# Operands after "AiM NAME", in order. "gpr" and "value" have no effect on timing.
AIM_OPERANDS: dict[str, tuple[Opcode, tuple[str, ...]]] = {
    "WR_GB": (Opcode.WR_GB, ("n", "gpr", "mask")),
    "WR_BIAS": (Opcode.WR_BIAS, ("gpr", "mask")),
    "RD_MAC": (Opcode.RD_MAC, ("gpr", "mask")),
    "RD_AF": (Opcode.RD_AF, ("gpr", "mask")),
    "MAC_ABK": (Opcode.MAC_ABK, ("n", "mask", "row")),
    "AF": (Opcode.AF, ("mask",)),
    "EWMUL": (Opcode.EWMUL, ("n", "mask", "row")),
    "COPY_BKGB": (Opcode.COPY_BKGB, ("n", "mask", "bank", "row")),
    "COPY_GBBK": (Opcode.COPY_GBBK, ("n", "mask", "bank", "row")),
    "WR_ABK": (Opcode.WR_ABK, ("gpr", "mask", "row")),
    "EWADD": (Opcode.NO_EFFECT, ("n", "gpr", "gpr")),
    "SYNC": (Opcode.SYNC, ()),
    "EOC": (Opcode.EOC, ()),
}
MEM_OPERANDS = ("channel", "bank", "row")
REGISTER_OPERANDS = {"GPR": ("id",), "CFR": ("id", "value")}
MAX_COLUMNS = 1 << 20
MAX_ROW = (1 << 29) - 1
MAX_FREE = (1 << 62) - 1


@dataclass(frozen=True, slots=True)
class AimLimits:
    """What operands must stay below: the device's channels, banks per channel and rows per bank."""

    n_channels: int = 32
    n_banks: int = 16
    n_rows: int = 16384

    def bounds(self, operand: str) -> tuple[int, int]:
        """Smallest and largest value of an operand."""
        return {
            "n": (1, MAX_COLUMNS),
            "mask": (1, (1 << self.n_channels) - 1),
            "channel": (0, self.n_channels - 1),
            "bank": (0, self.n_banks - 1),
            # The reference does not check rows: a trace may name more than the device has.
            "row": (0, MAX_ROW),
        }.get(operand, (0, MAX_FREE))


def read_aim_trace(path: str | Path, limits: AimLimits) -> AimProgram:
    """The program that a trace file holds, ended with EOC where the file does not end it.

    Raises WorkloadError, at file:line:column, for a file that cannot be read, an unknown instruction, a missing,
    surplus or impossible operand, and an empty trace.
    """
    name = str(path)
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise WorkloadError(
            f"cannot read the trace: {error.strerror}", where=name, remedy="name an existing file"
        ) from None
    except UnicodeDecodeError as error:
        raise WorkloadError(
            f"byte {error.start} is not UTF-8 text", where=name, remedy="give an AiM instruction trace in text form"
        ) from None
    lines: list[tuple[int, int, int, int, int]] = []
    remembered: dict[str, tuple[int, int, int, int, int]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        known = remembered.get(line)
        if known is None:
            stripped = line.strip()
            if not stripped or stripped.startswith("#"):
                continue
            known = remembered[line] = _instruction(line, Position(name, number, 1), limits)
        lines.append(known)
        if known[0] == Opcode.EOC:
            break
    if not lines:
        raise WorkloadError(
            "the trace holds no instruction", where=name, remedy="write one instruction a line, e.g. AiM SYNC"
        )
    if lines[-1][0] != Opcode.EOC:
        lines.append((Opcode.EOC, 1, 0, 0, 0))
    return AimProgram.from_lines(np.array(lines, np.int64))


def _instruction(line: str, where: Position, limits: AimLimits) -> tuple[int, int, int, int, int]:
    """One line as (opcode, columns, mask, bank, row), mask least-significant-bit first."""
    words = line.split()
    columns = _columns(line, words)

    def at(index: int) -> Position:
        return Position(where.file, where.line, columns[index] if index < len(columns) else len(line.rstrip()) + 1)

    first = words[0]
    if first in ("W", "R"):
        kind = words[1] if len(words) > 1 else ""
        if kind == "MEM":
            values = _operands(words, 2, MEM_OPERANDS, limits, at)
            opcode = Opcode.W_MEM if first == "W" else Opcode.R_MEM
            return opcode, 1, 1 << values["channel"], values["bank"], values["row"]
        if kind in REGISTER_OPERANDS:
            names = REGISTER_OPERANDS[kind]
            # A read of a control register names no value.
            _operands(words, 2, names[:1] if first == "R" and len(words) == 3 else names, limits, at)
            return Opcode.NO_EFFECT, 1, 0, 0, 0
        raise WorkloadError(
            f"{first} does not reach {kind!r}", where=at(1), remedy=f"write {first} MEM, {first} GPR or {first} CFR"
        )
    if first != "AiM":
        raise WorkloadError(
            f"unknown instruction {first!r}", where=at(0), remedy="begin a line with AiM, W or R (or # for a comment)"
        )
    name = words[1].removeprefix("ISR_") if len(words) > 1 else ""
    if name not in AIM_OPERANDS:
        raise WorkloadError(
            f"unknown AiM instruction {name!r}",
            where=at(1),
            remedy=did_you_mean(name, AIM_OPERANDS, noun="the instructions"),
        )
    opcode, names = AIM_OPERANDS[name]
    values = _operands(words, 2, names, limits, at)
    mask = _reversed_bits(values["mask"], limits.n_channels) if "mask" in values else 0
    if opcode == Opcode.WR_ABK and mask.bit_count() != 1:
        raise WorkloadError("WR_ABK addresses exactly one channel", where=at(3), remedy="give a mask with one bit set")
    return opcode, values.get("n", 1), mask, values.get("bank", 0), values.get("row", 0)


def _operands(
    words: list[str], first: int, names: Sequence[str], limits: AimLimits, at: Callable[[int], Position]
) -> dict[str, int]:
    """The operands of a line by name, each checked against its bounds."""
    given = words[first:]
    if len(given) != len(names):
        cause = f"{' '.join(words[:first])} takes {len(names)} operands ({' '.join(names)}), not {len(given)}"
        raise WorkloadError(cause, where=at(first + min(len(given), len(names))), remedy="give exactly these operands")
    values = {}
    for index, (word, name) in enumerate(zip(given, names, strict=True)):
        low, high = limits.bounds(name)
        digits = word[2:] if word[:2] in ("0x", "0X") else word
        base = 16 if digits is not word else 10
        try:
            value = int(digits, base) if digits.isascii() and digits.isalnum() else None
        except ValueError:
            value = None
        if value is None:
            raise WorkloadError(
                f"{name} is {word!r}, not an integer",
                where=at(first + index),
                remedy="write decimal digits, or 0x and hexadecimal digits",
            )
        if not low <= value <= high:
            raise WorkloadError(
                f"{name} is {word}, outside {low} to {high}", where=at(first + index), remedy="check the device's size"
            )
        values[name] = value
    return values


def _columns(line: str, words: list[str]) -> list[int]:
    """1-based column of each word."""
    columns = []
    start = 0
    for word in words:
        start = line.index(word, start)
        columns.append(start + 1)
        start += len(word)
    return columns


def _reversed_bits(mask: int, n_channels: int) -> int:
    """Turn a most-significant-first mask into a least-significant-first one, or back."""
    return int(format(mask, f"0{n_channels}b")[::-1], 2)


def aim_trace_lines(program: AimProgram, n_channels: int) -> Iterator[str]:
    """The program as trace text, one line per host instruction."""
    spelling = {opcode: (name, names) for name, (opcode, names) in AIM_OPERANDS.items()}
    cache: dict[tuple[int, ...], str] = {}
    for row in program.lines().tolist():
        key = tuple(row)
        text = cache.get(key)
        if text is None:
            opcode, n, mask, bank, dram_row = key
            if opcode in (Opcode.W_MEM, Opcode.R_MEM):
                text = f"{'W' if opcode == Opcode.W_MEM else 'R'} MEM {mask.bit_length() - 1} {bank} {dram_row}"
            else:
                name, names = spelling[Opcode(opcode)]
                mask_text = f"0x{_reversed_bits(mask, n_channels):0{-(-n_channels // 4)}x}"
                values = {"n": n, "gpr": 0, "mask": mask_text, "bank": bank, "row": dram_row}
                text = " ".join(["AiM", name, *(str(values[operand]) for operand in names)])
            cache[key] = text
        yield text
