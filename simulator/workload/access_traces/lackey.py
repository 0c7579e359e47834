"""What `valgrind --tool=lackey --trace-mem=yes` prints: instructions (I), loads (L), stores (S) and modifies (M).

Lines are `I  0401ab70,3` or ` L 1fff000768,8`: hexadecimal address and size. An access that spans lines gives one
record a line, a modify a read and a write; instructions are the clock. Lines of valgrind itself are passed over.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from simulator.workload.access_file import AccessFile, AccessHead
from simulator.workload.access_pages import AccessRecords, ClockSamples
from simulator.workload.access_text import TextBlock, decimals, hexadecimals, text_blocks
from simulator.workload.accesses import LINE_BYTES, AccessStream

_LINE = re.compile(r"(?:I  | [LSM] )[0-9a-f]+,\d+\s*")
_MESSAGE = re.compile(r"(?:==|--|\*\*)\d+(?:==|--|\*\*).*")
_INSTRUCTION, _BLANK, _COMMA, _RETURN = ord("I"), ord(" "), ord(","), ord("\r")
_LOAD, _STORE, _MODIFY = ord("L"), ord("S"), ord("M")
_ADDRESS_AT = 3
_LINE_MASK = np.uint64(LINE_BYTES - 1)
_MAX_SIZE = 1 << 16
_NOTE = (
    "every access of the program, before any cache: a memory behind caches sees far fewer; "
    "`sim trace convert --cache` filters them"
)


def matches(head: AccessHead) -> bool:
    """Whether the first line that is not valgrind's own is an instruction or an access."""
    line = next((line for line in head.lines() if line.strip() and not _MESSAGE.match(line)), "")
    return _LINE.fullmatch(line) is not None


def read(file: AccessFile) -> AccessStream:
    """All loads and stores of the file."""
    records = AccessRecords(file)
    clock = ClockSamples()
    n_instructions = 0
    for block in text_blocks(file):
        kind, line = _kinds(block)
        is_instruction = kind == _INSTRUCTION
        at = np.flatnonzero(~is_instruction)
        instructions = n_instructions + np.cumsum(is_instruction)[at]
        n_instructions += int(is_instruction.sum())
        address, is_write, record_of = _accesses(block, line[at], kind[at])
        records.add(address, is_write)
        clock.add(instructions[record_of])
    stream_clock = clock.clock("instructions") if n_instructions and clock.n_records else None
    return records.stream(stream_clock, [_NOTE])


def _kinds(block: TextBlock) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """The letter of every line that is an instruction or an access, and which lines of the block they are."""
    start = block.start
    raw = block.raw
    first, second, third = raw[start], raw[start + 1], raw[start + 2]
    is_instruction = (first == _INSTRUCTION) & (second == _BLANK)
    is_access = (first == _BLANK) & ((second == _LOAD) | (second == _STORE) | (second == _MODIFY))
    is_ours = (is_instruction | is_access) & (third == _BLANK)
    for line in np.flatnonzero(~is_ours).tolist():
        text = block.line_text(line).rstrip()
        if text and not _MESSAGE.match(text):
            raise block.error(
                int(start[line]),
                f"{text[:40]!r} is no line of lackey",
                "keep the program's own output out of the trace: valgrind --log-file=FILE",
            )
    lines = np.flatnonzero(is_ours)
    return np.where(is_instruction, first, second)[lines], lines


def _accesses(
    block: TextBlock, line: NDArray[np.intp], kind: NDArray[np.uint8]
) -> tuple[NDArray[np.uint64], NDArray[np.bool_], NDArray[np.intp]]:
    """Addresses and whether each writes, one record per line of memory, and which of the accesses each belongs to."""
    start = block.start[line] + _ADDRESS_AT
    end = block.end[line]
    end = end - (block.raw[end - 1] == _RETURN)
    commas = np.flatnonzero(block.raw == _COMMA)
    comma = commas[np.minimum(np.searchsorted(commas, start), len(commas) - 1)] if len(commas) else end
    wrong = np.flatnonzero((comma >= end) | (comma < start))
    if len(wrong):
        at = int(start[wrong[0]])
        text = block.text(at, int(end[wrong[0]]))
        raise block.error(at, f"{text} is no address and size", "give lackey's own lines, such as 04222cac,8")
    address = hexadecimals(block, start, comma, "address")
    size = decimals(block, comma + 1, end, "size")
    wrong = np.flatnonzero((size < 1) | (size > _MAX_SIZE) | (address + size - np.uint64(1) < address))
    if len(wrong):
        at = int(comma[wrong[0]]) + 1
        raise block.error(at, f"an access of {int(size[wrong[0]])} bytes here", "give the size in bytes, 1 to 65,536")
    n_lines = (((address & _LINE_MASK) + size + _LINE_MASK) // np.uint64(LINE_BYTES)).astype(np.intp)
    n_records = n_lines * np.where(kind == _MODIFY, 2, 1)
    record_of = np.repeat(np.arange(len(line)), n_records)
    within = np.arange(len(record_of)) - (np.cumsum(n_records) - n_records)[record_of]
    is_modify = kind[record_of] == _MODIFY
    is_write = np.where(is_modify, within % 2 == 1, kind[record_of] == _STORE)
    nth_line = np.where(is_modify, within // 2, within)
    return address[record_of] + (nth_line * LINE_BYTES).astype(np.uint64), is_write, record_of
