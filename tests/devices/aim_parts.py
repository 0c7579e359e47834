"""AiM devices and random command programs for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.devices.aim_device import AimDevice
from simulator.memory.aim_isa import Opcode
from simulator.memory.aim_program import AimProgram

REPO_ROOT = Path(__file__).resolve().parents[2]
Line = tuple[int, int, int, int, int]
EOC: Line = (int(Opcode.EOC), 1, 0, 0, 0)


def aim_device(sets: dict[str, Any] | None = None) -> AimDevice:
    """The shipped GDDR6-AiM part with some changes."""
    tree = load_part(REPO_ROOT / "hw_configs" / "parts" / "gddr6_aim.yaml", sets or {})
    return AimDevice(bind(tree, AimDevice.Config))


def program_of(lines: list[Line]) -> AimProgram:
    """Instructions (opcode, columns, mask, bank, row) as a program; EOC is added."""
    return AimProgram.from_lines(np.array([*lines, EOC], np.int64))


@st.composite
def instructions(draw: st.DrawFn, n_channels: int, *, max_size: int = 40) -> list[Line]:
    """Random instructions that crowd a few rows and banks, so that rows conflict and queues fill."""
    whole = (1 << n_channels) - 1
    mask = st.one_of(st.just(whole), st.integers(1, whole))
    one = st.integers(0, n_channels - 1).map(lambda channel: 1 << channel)
    size, bank, row = st.sampled_from([1, 2, 7, 40]), st.integers(0, 15), st.integers(0, 2)
    zero = st.just(0)
    fields: dict[Opcode, Any] = {
        Opcode.WR_GB: (size, mask, zero, zero),
        Opcode.WR_BIAS: (st.just(1), mask, zero, zero),
        Opcode.RD_MAC: (st.just(1), mask, zero, zero),
        Opcode.RD_AF: (st.just(1), mask, zero, zero),
        Opcode.MAC_ABK: (size, mask, zero, row),
        Opcode.AF: (st.just(1), mask, zero, zero),
        Opcode.EWMUL: (size, mask, zero, row),
        Opcode.COPY_BKGB: (size, mask, bank, row),
        Opcode.COPY_GBBK: (size, mask, bank, row),
        Opcode.WR_ABK: (st.just(1), one, zero, row),
        Opcode.W_MEM: (st.just(1), one, bank, row),
        Opcode.R_MEM: (st.just(1), one, bank, row),
        Opcode.SYNC: (st.just(1), zero, zero, zero),
        Opcode.NO_EFFECT: (st.just(1), zero, zero, zero),
    }
    line = st.sampled_from(sorted(fields)).flatmap(lambda opcode: st.tuples(st.just(int(opcode)), *fields[opcode]))
    repeated = st.tuples(line, st.sampled_from([1, 1, 1, 3, 40]))
    drawn = draw(st.lists(repeated, max_size=max_size))
    return [one_line for line, times in drawn for one_line in [line] * times]
