"""Random programs of a channel with processing units, and channels to run them on."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import strategies as st

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.devices.dram import Dram
from simulator.kernels import hbm_pim_queue as kernel
from simulator.memory.dram.standard import DramSpec, resolve
from simulator.memory.hbm_pim.program import PimProgram
from tests.systems.golden_cases import REPO_ROOT

PART = REPO_ROOT / "hw_configs" / "parts" / "dram" / "hbm3_pim.yaml"
MOVES = (kernel.WRGB, kernel.MVSB, kernel.MVGB, kernel.SFM)
# Bank groups of two ranks in four orders, or one group of one where the units are on the buffer die.
PATTERNS = ([0] * 8, [4, 0, 5, 1, 6, 2, 7, 3], [0, 4, 0, 4, 0, 4, 0, 4], list(range(8)))


@cache
def spec(accounting: str = "published", **overrides: int) -> DramSpec:
    """The standard with some timings set."""
    config = bind(load_part(PART), Dram.Config)
    return resolve(config.model_copy(update={"accounting": accounting, "overrides": overrides}))


@st.composite
def runs(draw: st.DrawFn, placement: str, most_products: int = 80) -> list[int]:
    """A run: mostly products, then moves and barriers."""
    kind = draw(st.sampled_from((kernel.MAC, kernel.MAC, kernel.MAC, kernel.BARRIER, *MOVES)))
    if kind == kernel.MAC:
        base = draw(st.sampled_from((0, 0, 1, 2, 8192)))
        column = draw(st.integers(0, 200))
        return [
            kind,
            draw(st.integers(1, most_products)),
            base,
            column,
            0,
            draw(st.sampled_from((1, 1, 1, 3, 11, 40))),
            0,
        ]
    if kind == kernel.BARRIER:
        return [kind, 1, 0, 0, 0, 1, 0]
    pattern = 0 if placement == "buffer" else draw(st.integers(0, 3))
    return [kind, draw(st.integers(1, 12)), 0, 0, pattern, draw(st.integers(1, 3)), draw(st.integers(0, 20))]


@st.composite
def programs(draw: st.DrawFn, placement: str, most_runs: int = 14) -> PimProgram:
    """Some runs in a row, sometimes windows as attention has them."""
    table: list[list[int]] = []
    for _ in range(draw(st.integers(0, most_runs))):
        table.append(draw(runs(placement)))
        if draw(st.booleans()):
            table.append([kernel.BARRIER, 1, 0, 0, 0, 1, 0])
    return PimProgram(np.array(table, np.int64).reshape(-1, kernel.N_RUN_COLUMNS), np.array(PATTERNS, np.int64))
