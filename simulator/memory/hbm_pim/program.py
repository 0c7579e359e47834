"""A channel's program in runs: so many products on consecutive columns, so many moves, a barrier."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from simulator.kernels import hbm_pim_queue as kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class PimProgram:
    """`runs` int64[n, 7] as the kernel reads them, `patterns` int64[p, q]: the bank groups that moves go to in turn."""

    runs: NDArray[np.int64]
    patterns: NDArray[np.int64]

    def counts(self) -> dict[str, int]:
        """Commands by name, products as MAC."""
        names = ("MAC", "WRGB", "MVSB", "MVGB", "SFM", "BARRIER")
        total = np.bincount(self.runs[:, 0], weights=self.runs[:, 1], minlength=len(names)).astype(np.int64)
        return dict(zip(names, total.tolist(), strict=True))


@dataclass(slots=True)
class ProgramBuilder:
    """Collects the runs of a program. `patterns` are sequences of bank groups of one pseudo channel, of one length."""

    patterns: Sequence[Sequence[int]]
    runs: list[tuple[int, int, int, int, int, int, int]] = field(default_factory=list)

    def products(self, base_row: int, first_column: int, n: int, busy_ticks: int = 1) -> None:
        """`n` products on consecutive columns of the region that begins at `base_row`, each of which keeps the units
        busy for so many ticks."""
        if n > 0:
            self.runs.append((kernel.MAC, n, base_row, first_column, 0, busy_ticks, 0))

    def moves(self, kind: int, n: int, pattern: int, repeat: int = 1, first: int = 0) -> None:
        """Moves `first` to `first + n` of a list in which each group of the pattern stands `repeat` times in turn."""
        if n > 0:
            self.runs.append((kind, n, 0, 0, pattern, repeat, first))

    def barrier(self) -> None:
        """What stands behind waits for all that stands before, but for rows."""
        self.runs.append((kernel.BARRIER, 1, 0, 0, 0, 1, 0))

    def program(self) -> PimProgram:
        """The program so far."""
        runs = np.array(self.runs, np.int64).reshape(-1, kernel.N_RUN_COLUMNS)
        return PimProgram(runs, np.array(self.patterns, np.int64))
