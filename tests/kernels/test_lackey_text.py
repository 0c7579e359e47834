"""Lackey's text: the accesses that its lines say, however the text is cut, and what is passed over."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import WorkloadError
from simulator.memory.lackey_text import MAX_TEXT_LINE_BYTES, LackeyText

Access = tuple[int, bool, int]


def fed(blocks: list[bytes], accesses_at_once: int = 64) -> tuple[list[Access], int]:
    text, found = LackeyText(accesses_at_once), []
    for block in blocks:
        for piece in text.feed(block):
            found += list(zip(piece.line.tolist(), piece.is_store.tolist(), piece.instructions.tolist(), strict=True))
    return found, text.n_instructions


def expected(rows: list[tuple[str, int, int]]) -> tuple[list[Access], int]:
    found, n_instructions = [], 0
    for kind, address, size in rows:
        n_instructions += kind == "I "
        lines = range(address // 64, (address + size - 1) // 64 + 1)
        stores = {" L": [False], " S": [True], " M": [False, True]}.get(kind, [])
        found += [(line, is_store, n_instructions) for line in lines for is_store in stores]
    return found, n_instructions


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["I ", " L", " S", " M"]), st.integers(0, (1 << 47) - 1), st.integers(1, 200)),
        max_size=60,
    ),
    cuts=st.lists(st.integers(0, 1000), max_size=6),
)
@settings(max_examples=100, deadline=None)
def test_however_the_text_is_cut(rows: list[tuple[str, int, int]], cuts: list[int]) -> None:
    text = "".join(f"{kind} {address:08x},{size}\n" for kind, address, size in rows).encode()
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    blocks = [text[first:end] for first, end in itertools.pairwise(bounds)]
    assert fed(blocks) == expected(rows)


def test_an_access_over_the_end_of_a_line_is_one_to_each() -> None:
    assert fed([b" L 0000003c,8\n S 00000040,8\n M 0000007f,2\n"])[0] == [
        (0, False, 0),
        (1, False, 0),
        (1, True, 0),
        (1, False, 0),
        (1, True, 0),
        (2, False, 0),
        (2, True, 0),
    ]


def test_other_lines_are_passed_over() -> None:
    junk = b"==12== Lackey\n\nL 40,8\n L 40\n L zz,8\n L 40,0\n L 40,8x\n X 40,8\nI 40,8\n L 11112222333344445,8\n"
    assert fed([junk + b"I  00000040,3\n S 1ffeffe7e8,8\n L 00000080,8"]) == ([(0x1FFEFFE7E8 // 64, True, 1)], 1)


def test_text_without_ends_of_lines_is_refused() -> None:
    text = LackeyText()
    with pytest.raises(WorkloadError, match="no output of valgrind"):
        list(text.feed(bytes(np.full(MAX_TEXT_LINE_BYTES + 1, ord("x"), np.uint8))))
