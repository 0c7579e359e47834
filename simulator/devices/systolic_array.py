"""A systolic array behind double-buffered SRAM and a DRAM: replays lists of matrix products.

Cycles without a memory are those of SCALE-Sim, product by product. With one, every product's folds fetch what the SRAM
does not keep, at the rates that the tick-accurate DRAM sustains, while the fold before computes.

Not modelled: what one product leaves in the SRAM for the next (each starts with empty buffers, its first fetch is not
hidden); a fold that starts on part of its words; energy of cells and SRAM; banks of the SRAM; convolutions as such.
Source: SCALE-Sim (Samajdar et al., ISPASS 2020) for dataflows and folds; docs/systolic.md for the memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulator.contracts.results import RunRecord
from simulator.core.errors import ModelFault, WorkloadError
from simulator.core.quantities import PositiveBytes
from simulator.devices.dram import Dram
from simulator.devices.dram_stream import StreamedDram, streamed
from simulator.kernels import systolic as closed
from simulator.kernels import systolic_memory as memory
from simulator.kernels import systolic_walk as walked
from simulator.memory.dram.refusal import PartRefusal
from simulator.workload.gemm_list import GemmList, read_gemms

Dataflow = Literal["os", "ws", "is"]
FoldOrder = Literal["best", "rows_outer", "cols_outer"]
DATAFLOWS: dict[Dataflow, int] = {"os": closed.OS, "ws": closed.WS, "is": closed.IS}
ORDERS: dict[FoldOrder, int] = {
    "best": memory.EITHER,
    "rows_outer": memory.ROWS_OUTER,
    "cols_outer": memory.COLS_OUTER,
}
MOST_WALKED = 1 << 33  # ports looked at: minutes
MOST_FOLDS_WALKED = 1 << 24
Extent = Annotated[int, Ge(1), Le(1 << 14)]
WordBytes = Annotated[int, Ge(1), Le(8)]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """What came of a list: counts int64[n, closed.N_COUNTS], results int64[n, memory.N_RESULTS], and the most words
    of a cycle int64[n, walked.N_WALKED] where products were walked."""

    gemms: GemmList
    counts: Ints
    results: Ints
    most: Ints | None


class SystolicArray:
    """An array of rows x cols multiplying cells; `dataflow` says what stays in them: outputs, weights or inputs."""

    class Config(BaseModel):
        """A part such as `hw_configs/parts/systolic.yaml`.

        Operands are `word` bytes wide, sums `accumulator`, as long as they stay on the chip or have to come back.
        `fold_order` is along which side of the grid of folds the inner loop runs (best: whatever takes less time).
        `bandwidth` replaces what the DRAM sustains, both ways. With `walk` every cycle is walked and compared with
        the closed form.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        kind: Literal["systolic_array"] = "systolic_array"
        name: str = "systolic array"
        dataflow: Dataflow
        rows: Extent
        cols: Extent
        clock_hz: float = Field(ge=1e3, le=1e12)
        word_bytes: WordBytes
        accumulator_bytes: WordBytes
        ifmap_sram_bytes: PositiveBytes
        filter_sram_bytes: PositiveBytes
        ofmap_sram_bytes: PositiveBytes
        double_buffered: bool = True
        fold_order: FoldOrder = "best"
        walk: bool = False
        dram: Dram.Config
        bandwidth_gb_per_s: float | None = Field(None, ge=1e-6, le=1e9)

        @model_validator(mode="after")
        def _fits_together(self) -> SystolicArray.Config:
            try:
                if self.dram.window or self.dram.trace == "pointer_chase":
                    raise PartRefusal(
                        ("dram", "window"), "it paces itself", remedy="leave it at 0, and use trace: stream"
                    )
                if self.accumulator_bytes < self.word_bytes:
                    raise PartRefusal(
                        ("accumulator_bytes",), "sums are narrower than operands", remedy="give at least `word`"
                    )
            except PartRefusal as refusal:
                refusal.raise_at_place()
            return self

    def __init__(self, config: Config, dram: StreamedDram | None = None) -> None:
        self.config = config
        self._measured = dram

    @cached_property
    def dram(self) -> StreamedDram:
        """What the DRAM gives: handed over, or measured once."""
        return self._measured or streamed(self.config.dram)

    def changed(self, **fields: Any) -> SystolicArray:
        """Another array with fields of the configuration replaced, unchecked, before the same DRAM, measured once."""
        return SystolicArray(self.config.model_copy(update=fields), self.dram)

    @property
    def rates_gb_per_s(self) -> tuple[float, float]:
        """Bandwidth of reads and of writes."""
        given = self.config.bandwidth_gb_per_s
        return (given, given) if given is not None else (self.dram.read.gb_per_s, self.dram.write.gb_per_s)

    def replay(self, trace: str | Path, seed: int) -> RunRecord:
        """Replay a list of products (CSV: M, N, K). Nothing is drawn: `seed` changes nothing.

        Raises WorkloadError, at file, line and column, for what cannot be read or counted.
        """
        from simulator.devices.systolic_record import run_record

        return run_record(self, self.run(read_gemms(trace)))

    def run(self, gemms: GemmList) -> Replayed:
        """Count and time every product. Raises WorkloadError at a product that is too long for either."""
        config = self.config
        dataflow = DATAFLOWS[config.dataflow]
        shape = (gemms.m, gemms.n, gemms.k, config.rows, config.cols)
        counts = np.zeros((len(gemms), closed.N_COUNTS), np.int64)
        closed.count_products(dataflow, *shape, counts)
        results = np.zeros((len(gemms), memory.N_RESULTS), np.int64)
        memory.time_products(dataflow, *shape, ORDERS[config.fold_order], self._sizes(), self._speed(), results)
        too_long = np.flatnonzero(results[:, memory.TOTAL] < 0)
        if len(too_long):
            raise WorkloadError(
                f"the product takes more than 2^{int(math.log2(memory.MOST_CYCLES))} cycles",
                where=gemms.position(int(too_long[0])),
                remedy="split it, or give the memory more bandwidth",
            )
        return Replayed(gemms, counts, results, self._walked(gemms, counts) if config.walk else None)

    def _sizes(self) -> Ints:
        """Words that stay on the chip, and their bytes, as the kernel wants them."""
        config = self.config
        streamed_in = config.filter_sram_bytes if config.dataflow == "is" else config.ifmap_sram_bytes
        halves = 2 if config.double_buffered else 1
        if config.dataflow == "os":
            keep_y = config.filter_sram_bytes // halves // config.word_bytes
        else:
            keep_y = config.ofmap_sram_bytes // halves // config.accumulator_bytes
        keep_x = streamed_in // halves // config.word_bytes
        return np.array([keep_x, keep_y, config.word_bytes, config.accumulator_bytes, config.double_buffered], np.int64)

    def _speed(self) -> NDArray[np.float64]:
        """Cycles that a byte read, a byte written and the first of them take."""
        clock_hz = self.config.clock_hz
        read, write = (clock_hz / (rate * 1e9) for rate in self.rates_gb_per_s)
        return np.array([read, write, math.ceil(self.dram.latency_ps * 1e-12 * clock_hz)])

    def _walked(self, gemms: GemmList, counts: Ints) -> Ints:
        """The most words of a cycle, by walking; each shape once."""
        config = self.config
        shapes, first, which = np.unique(
            np.stack([gemms.m, gemms.n, gemms.k]), axis=1, return_index=True, return_inverse=True
        )
        most = np.zeros((len(first), walked.N_WALKED), np.int64)
        for at, place in enumerate(first.tolist()):
            n_folds, last_cyc = (int(counts[place, one]) for one in (closed.N_FOLDS, closed.CYCLES))
            if n_folds > MOST_FOLDS_WALKED or last_cyc * (config.rows + config.cols) > MOST_WALKED:
                raise WorkloadError(
                    f"{last_cyc:,} cycles are too many to walk",
                    where=gemms.position(place),
                    remedy="set walk=false: the closed form counts the same",
                )
            m, n, k = shapes[:, at].tolist()
            dataflow = DATAFLOWS[config.dataflow]
            grid_rows, grid_cols, stream = closed.grid(dataflow, m, n, k)
            by_fold = np.zeros((n_folds, walked.N_WALKED), np.int64)
            found = walked.walk(dataflow, grid_rows, grid_cols, stream, config.rows, config.cols, by_fold, most[at])
            if found != last_cyc:
                raise ModelFault(f"{m} x {n} x {k} take {last_cyc:,} cycles in closed form, and {found:,} walked")
        return most[which.reshape(-1)]
