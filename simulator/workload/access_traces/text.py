"""Plain addresses: one a line, decimal or 0x and hexadecimal, with R, W, LD or ST before or after it, or alone.

Words stand between blanks, tabs or commas; `#` begins a comment. An address alone is a read.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from simulator.workload.access_file import AccessFile, AccessHead
from simulator.workload.access_pages import AccessRecords
from simulator.workload.access_text import READ_WORDS, WRITE_WORDS, TextBlock, addresses, operations, text_blocks
from simulator.workload.accesses import AccessStream

_OPERATION = "(?:" + "|".join((*READ_WORDS, *WRITE_WORDS)) + ")"
_ADDRESS = r"(?:0x[0-9a-f]+|\d+)"
_LINE = re.compile(rf"(?:{_OPERATION}[\s,]+{_ADDRESS}|{_ADDRESS}(?:[\s,]+{_OPERATION})?)", re.IGNORECASE | re.ASCII)
_NINE, _ZERO = ord("9"), ord("0")


def matches(head: AccessHead) -> bool:
    """Whether the first line that is no comment is an address."""
    lines = (line.partition("#")[0].strip() for line in head.lines())
    return _LINE.fullmatch(next((line for line in lines if line), "")) is not None


def read(file: AccessFile) -> AccessStream:
    """All accesses of the file."""
    records = AccessRecords(file)
    n_told = n_all = 0
    for block in text_blocks(file):
        address, is_write, n_operations = _accesses(block.without_comments())
        records.add(address, is_write)
        n_told += n_operations
        n_all += len(address)
    if n_told == n_all:
        return records.stream(None)
    silent = "no line says" if not n_told else f"{n_all - n_told:,} of {n_all:,} lines do not say"
    return records.stream(None, [f"{silent} whether it reads or writes: taken for reads"])


def _accesses(block: TextBlock) -> tuple[NDArray[np.uint64], NDArray[np.bool_], int]:
    """Addresses, whether each writes, and how many lines say so."""
    start, end = block.words()
    n_before = np.searchsorted(start, block.end)
    n_words = np.diff(n_before, prepend=0)
    many = np.flatnonzero(n_words > 2)
    if len(many):
        third = int(start[n_before[many[0]] - n_words[many[0]] + 2])
        raise block.error(third, "more than an address and an operation", "write one access a line, such as 0x1f40 R")
    first = (n_before - n_words)[n_words > 0]
    has_two = n_words[n_words > 0] == 2
    letter = block.raw[start[first]]
    is_operation_first = has_two & ((letter > _NINE) | (letter < _ZERO)) & (letter != ord("-"))
    at = first + is_operation_first
    address = addresses(block, start[at], end[at])
    is_write = np.zeros(len(first), np.bool_)
    other = (first + ~is_operation_first)[has_two]
    is_write[has_two] = operations(block, start[other], end[other])
    return address, is_write, int(has_two.sum())
