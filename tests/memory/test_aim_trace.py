"""The text form of AiM instruction traces: every form of the grammar, errors by place, text that means to break it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.core.errors import Position, SimulatorError, WorkloadError
from simulator.memory.aim_isa import Opcode
from simulator.memory.aim_program import AimProgram
from simulator.memory.aim_trace import AimLimits, aim_trace_lines, read_aim_trace

LIMITS = AimLimits()
EOC = (Opcode.EOC, 1, 0, 0, 0)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# One line of every form, and what it says: opcode, columns, mask (bit k is channel k), bank, row.
FORMS: dict[str, tuple[int, int, int, int, int]] = {
    "AiM WR_GB 64 0 0xffffffff": (Opcode.WR_GB, 64, 0xFFFFFFFF, 0, 0),
    "AiM WR_BIAS 0 0x80000000": (Opcode.WR_BIAS, 1, 1, 0, 0),
    "AiM RD_MAC 0 0x00000001": (Opcode.RD_MAC, 1, 1 << 31, 0, 0),
    "AiM RD_AF 7 0xff000000": (Opcode.RD_AF, 1, 0xFF, 0, 0),
    "AiM MAC_ABK 64 0xffffffff 5": (Opcode.MAC_ABK, 64, 0xFFFFFFFF, 0, 5),
    "AiM EWMUL 0x10 0xc0000000 0x20": (Opcode.EWMUL, 16, 0b11, 0, 32),
    "AiM AF 0xffffffff": (Opcode.AF, 1, 0xFFFFFFFF, 0, 0),
    "AiM EWADD 4 0 8": (Opcode.NO_EFFECT, 4, 0, 0, 0),
    "AiM COPY_BKGB 64 0xffffffff 2 0": (Opcode.COPY_BKGB, 64, 0xFFFFFFFF, 2, 0),
    "AiM COPY_GBBK 64 4294967295 1 9": (Opcode.COPY_GBBK, 64, 0xFFFFFFFF, 1, 9),
    "AiM WR_ABK 0 0x80000000 392": (Opcode.WR_ABK, 1, 1, 0, 392),
    "AiM SYNC": (Opcode.SYNC, 1, 0, 0, 0),
    "AiM EOC": EOC,
    "W MEM 3 2 11": (Opcode.W_MEM, 1, 8, 2, 11),
    "R MEM 31 15 0x3fff": (Opcode.R_MEM, 1, 1 << 31, 15, 16383),
    "W GPR 0": (Opcode.NO_EFFECT, 1, 0, 0, 0),
    "R GPR 0x1f": (Opcode.NO_EFFECT, 1, 0, 0, 0),
    "W CFR 0 1": (Opcode.NO_EFFECT, 1, 0, 0, 0),
    "R CFR 0 1": (Opcode.NO_EFFECT, 1, 0, 0, 0),
}


def read(folder: Path, text: str | bytes, limits: AimLimits = LIMITS) -> list[tuple[int, ...]]:
    """The instructions of a trace."""
    return [tuple(line) for line in program(folder, text, limits).lines().tolist()]


def program(folder: Path, text: str | bytes, limits: AimLimits = LIMITS) -> AimProgram:
    path = folder / "trace.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_aim_trace(path, limits)


def refusal(folder: Path, text: str | bytes, limits: AimLimits = LIMITS) -> tuple[int, int, str]:
    """Line, column and text of the error that a trace gives."""
    with pytest.raises(WorkloadError) as caught:
        program(folder, text, limits)
    where = caught.value.where
    assert isinstance(where, Position), caught.value
    assert str(caught.value).startswith(f"{folder / 'trace.txt'}:{where.line}:{where.column}: ")
    assert caught.value.remedy
    assert caught.value.exit_code == 3
    return where.line, where.column, str(caught.value)


@pytest.mark.parametrize("line", FORMS)
def test_every_form(line: str, tmp_path: Path) -> None:
    said = read(tmp_path, line + "\n")
    assert said[0][0] == FORMS[line][0]
    assert said == [FORMS[line]] if FORMS[line] == EOC else said == [FORMS[line], EOC]


@pytest.mark.parametrize("line", [line for line in FORMS if line.startswith("AiM ")])
def test_an_opcode_may_carry_the_prefix(line: str, tmp_path: Path) -> None:
    assert read(tmp_path, line.replace("AiM ", "AiM ISR_")) == read(tmp_path, line)


def test_blank_lines_comments_and_line_ends(tmp_path: Path) -> None:
    plain = read(tmp_path, "AiM SYNC\nW MEM 0 0 0\nAiM EOC\n")
    assert plain == [(Opcode.SYNC, 1, 0, 0, 0), (Opcode.W_MEM, 1, 1, 0, 0), EOC]
    for text in (
        "AiM SYNC\r\nW MEM 0 0 0\r\nAiM EOC\r\n",
        "# AiM SYNC\n\nAiM SYNC\n   \n\t\n#\n  # W MEM\nW MEM 0 0 0\nAiM EOC",
        "  AiM \t SYNC  \nW\tMEM 0   0 0x0\n\nAiM EOC\n\n",
        "AiM SYNC\nW MEM 0 0 0",
    ):
        assert read(tmp_path, text) == plain, text


def test_nothing_after_the_end_counts(tmp_path: Path) -> None:
    assert read(tmp_path, "AiM SYNC\nAiM EOC\nAiM SYNC\nwhatever\n") == [(Opcode.SYNC, 1, 0, 0, 0), EOC]


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        ("AiM MAC_ABC 64 0xffffffff 0", 5, "MAC_ABK"),
        ("AiM", 4, "unknown AiM instruction"),
        ("AIM SYNC", 1, "unknown instruction 'AIM'"),
        ("MAC_ABK 64 0xffffffff 0", 1, "unknown instruction"),
        ("W", 2, "W MEM"),
        ("W DRAM 0 0 0", 3, "W MEM"),
        ("AiM MAC_ABK 64 0xffffffff", 26, "n mask row"),
        ("AiM MAC_ABK 64 0xffffffff 0 1", 29, "n mask row"),
        ("AiM SYNC 0xffffffff", 10, "SYNC takes 0 operands"),
        ("AiM MAC_ABK x 0xffffffff 0", 13, "'x', not an integer"),
        ("AiM MAC_ABK 6.4 0xffffffff 0", 13, "not an integer"),
        ("AiM MAC_ABK 1e3 0xffffffff 0", 13, "not an integer"),
        ("AiM MAC_ABK 1_0 0xffffffff 0", 13, "not an integer"),
        ("AiM MAC_ABK nan 0xffffffff 0", 13, "not an integer"),
        ("AiM MAC_ABK \u0665 0xffffffff 0", 13, "not an integer"),
        ("AiM MAC_ABK 64 0xfffffffg 0", 16, "not an integer"),
        ("AiM MAC_ABK 64 0x 0", 16, "not an integer"),
        ("AiM MAC_ABK -1 0xffffffff 0", 13, "n is"),
        ("AiM MAC_ABK 0 0xffffffff 0", 13, "outside 1 to"),
        ("AiM MAC_ABK 64 0 0", 16, "mask is 0"),
        ("AiM MAC_ABK 64 0x1ffffffff 0", 16, "outside"),
        ("AiM MAC_ABK 64 0xffffffff -4", 27, "row is"),
        ("AiM MAC_ABK 64 0xffffffff 0x20000000", 27, "outside"),
        ("AiM COPY_BKGB 64 0xffffffff 16 0", 29, "outside 0 to 15"),
        ("W MEM 32 0 0", 7, "channel is 32, outside 0 to 31"),
        ("R MEM 0 16 0", 9, "bank is 16"),
        ("AiM WR_ABK 0 0xc0000000 1", 14, "exactly one channel"),
        ("  AiM   MAC_ABK   64  0xffffffff  -9", 35, "row is"),
    ],
)
def test_what_is_wrong_is_named_by_place(line: str, column: int, words: str, tmp_path: Path) -> None:
    at_line, at_column, text = refusal(tmp_path, f"# a comment\nAiM SYNC\n\n{line}\nAiM EOC\n")
    assert (at_line, at_column) == (4, column)
    assert words in text


def test_traces_without_instructions(tmp_path: Path) -> None:
    for text in ("", "\n\n", "# nothing\n"):
        with pytest.raises(WorkloadError, match="no instruction"):
            program(tmp_path, text)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="UTF-8"):
        program(tmp_path, b"AiM SYNC\n\xff\xfe\n")
    with pytest.raises(WorkloadError, match="cannot read"):
        read_aim_trace(tmp_path / "absent.txt", LIMITS)
    with pytest.raises(WorkloadError, match="cannot read"):
        read_aim_trace(tmp_path, LIMITS)


def test_limits_are_the_device_s_own(tmp_path: Path) -> None:
    small = AimLimits(n_channels=6, n_banks=16)
    # Six channels: channel 0 is the mask's sixth bit.
    assert read(tmp_path, "AiM AF 0x20\n", small)[0][2] == 1
    assert refusal(tmp_path, "AiM AF 0x40\n", small)[:2] == (1, 8)
    assert refusal(tmp_path, "W MEM 6 0 0\n", small)[:2] == (1, 7)


WORDS = st.sampled_from(
    ["AiM", "W", "R", "MEM", "GPR", "CFR", "ISR_", "ISR_AF", "WR_GB", "MAC_ABK", "WR_ABK", "EWADD", "SYNC", "EOC", "AF",
     "0", "1", "-1", "64", "0x1", "0xffffffff", "0x", "99999999999999999999999", "1.5", "#", "\u00b2", "\x00", "\x0b",
     "\x85", "\u2028"]
)  # fmt: skip


@QUICK
@given(
    st.one_of(
        st.lists(st.lists(WORDS, max_size=7).map(" ".join), max_size=6).map("\n".join),
        st.text(max_size=60),
        st.binary(max_size=60),
    )
)
def test_nothing_but_a_named_error(tmp_path: Path, text: str | bytes) -> None:
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        lines = read(tmp_path, raw)
    except SimulatorError as error:
        code, lines = error.exit_code, [EOC]
    else:
        code = 3
    assert code == 3
    assert lines[-1] == EOC


@st.composite
def programs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int, int, int, int]]]:
    """A number of channels and instructions that fit them."""
    n_channels = draw(st.integers(1, 62))
    whole = (1 << n_channels) - 1
    size, bank, row = st.integers(1, 300), st.integers(0, 15), st.integers(0, 20000)
    mask, one = st.integers(1, whole), st.integers(0, n_channels - 1).map(lambda channel: 1 << channel)
    zero, no_mask, single = st.just(0), st.just(0), st.just(1)
    fields: dict[Opcode, tuple[Any, ...]] = {
        Opcode.WR_GB: (size, mask, zero, zero),
        Opcode.WR_BIAS: (single, mask, zero, zero),
        Opcode.RD_MAC: (single, mask, zero, zero),
        Opcode.RD_AF: (single, mask, zero, zero),
        Opcode.MAC_ABK: (size, mask, zero, row),
        Opcode.AF: (single, mask, zero, zero),
        Opcode.EWMUL: (size, mask, zero, row),
        Opcode.COPY_BKGB: (size, mask, bank, row),
        Opcode.COPY_GBBK: (size, mask, bank, row),
        Opcode.WR_ABK: (single, one, zero, row),
        Opcode.W_MEM: (single, one, bank, row),
        Opcode.R_MEM: (single, one, bank, row),
        Opcode.SYNC: (single, no_mask, zero, zero),
        Opcode.NO_EFFECT: (size, no_mask, zero, zero),
    }
    line = st.sampled_from(sorted(fields)).flatmap(lambda opcode: st.tuples(st.just(int(opcode)), *fields[opcode]))
    return n_channels, draw(st.lists(line, min_size=1, max_size=12))


@QUICK
@given(programs())
def test_written_and_read_back(tmp_path: Path, drawn: tuple[int, list[tuple[int, int, int, int, int]]]) -> None:
    n_channels, lines = drawn
    given_lines = [*lines, (int(Opcode.EOC), 1, 0, 0, 0)]
    text = list(aim_trace_lines(AimProgram.from_lines(np.array(given_lines, np.int64)), n_channels))
    assert read(tmp_path, "\n".join(text), AimLimits(n_channels=n_channels)) == given_lines
