"""Measured kernels as arrays: what each row measured, and the terms of its prediction that follow each parameter.

The terms are those of the kernels that a replay builds, at the part's own values; nothing here knows a formula of a
kernel but how its parameters enter (`kernels.gpu_calibration`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.devices.gpu import Gpu
from simulator.devices.gpu_kernel_rows import KernelRow
from simulator.devices.gpu_replay import decode_kernel, kernels_of
from simulator.experiments.calibrate_parameters import DECODE, FAMILIES, GEMM, PREFILL, FitParameter
from simulator.experiments.calibrate_search import Objective
from simulator.kernels import gpu_calibration as kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

POWER_WEIGHT = 0.5
"""Of the mean error of power against that of time: there are fewer readings, and the meter's noise is 3 to 4 %."""
FAULTY_POWER = 1.15
"""A reading above the board's limit by more than this is the meter's: boards do not exceed it for long."""


@dataclass(frozen=True, slots=True, eq=False)
class FitRows:
    """Rows that tell parameters, as `kernels.gpu_calibration` takes them.

    `rows` are the rows, `measured_ps` and `measured_mw` float64[n] what they measured (NaN: nothing, or a fault of the
    meter), `base` float64[6, n] their terms at the part's values, `families` str[n].
    """

    rows: Sequence[KernelRow]
    families: NDArray[np.str_]
    measured_ps: NDArray[np.float64]
    measured_mw: NDArray[np.float64]
    base: NDArray[np.float64]
    active_mw: float
    limit_mw: float

    @classmethod
    def of(cls, gpu: Gpu, rows: Sequence[KernelRow]) -> FitRows:
        """The rows among `rows` that tell a parameter of this GPU."""
        told = [row for row in rows if tells(gpu, row)]
        plain = gpu.config.attention.model_copy(update={"prefill_tail": 0.0})
        without_tail = Gpu(gpu.config.model_copy(update={"attention": plain}))
        base = np.empty((kernel.N_TERMS, len(told)))
        for place, row in enumerate(told):
            whole, main = kernels_of(gpu, row)[0], kernels_of(without_tail, row)[0]
            dram_pj, compute_pj = gpu.dynamic_pj(whole, 1.0)
            tail_ps = whole.compute_ps - main.compute_ps
            base[:, place] = (whole.latency_ps, whole.memory_ps, main.compute_ps, tail_ps, dram_pj, compute_pj)
        limit_mw = float(gpu.config.board_limit_mw)
        power_mw = np.array([row.power_w * 1e3 for row in told])
        power_mw[power_mw > FAULTY_POWER * limit_mw] = np.nan
        return cls(
            rows=told,
            families=np.array([row.family for row in told], dtype="<U16"),
            measured_ps=np.array([row.t_us * 1e6 for row in told]),
            measured_mw=power_mw,
            base=base,
            active_mw=float(gpu.config.energies.active_mw),
            limit_mw=limit_mw,
        )

    def index(self, parameters: Sequence[FitParameter]) -> NDArray[np.int64]:
        """Which of the parameters each term of each row follows, int64[6, n]; -1 where none."""
        found = np.full((kernel.N_TERMS, len(self.rows)), -1, np.int64)
        for number, one in enumerate(parameters):
            found[one.term, np.isin(self.families, one.families)] = number
        return found

    def losses(
        self, parameters: Sequence[FitParameter], vectors: NDArray[np.float64], pull: float
    ) -> NDArray[np.float64]:
        """The loss of each vector float64[m, p] of logarithms of factors on the parameters' starting values."""
        return self.objective(parameters, pull)(vectors)

    def objective(self, parameters: Sequence[FitParameter], pull: float) -> Objective:
        """`losses` as a function of the vectors alone."""
        index = self.index(parameters)

        def losses(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
            found = np.empty(len(vectors))
            kernel.losses(
                vectors, self.base, index, self.active_mw, self.limit_mw, self.measured_ps, self.measured_mw,
                POWER_WEIGHT, pull, found,
            )  # fmt: skip
            return found

        return losses

    def predicted(
        self, parameters: Sequence[FitParameter], vector: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times in ps and powers in mW float64[n] at a vector float64[p]."""
        _, time_ps, power_mw = self._at(parameters, vector)
        return time_ps, power_mw

    def at_start(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """At the part's own values the clock ratios float64[n], and bool[n] whether arithmetic takes longest."""
        ratios, _, _ = self._at((), np.zeros(0))
        compute_ps = self.base[kernel.COMPUTE] + self.base[kernel.TAIL]
        return ratios, compute_ps > np.maximum(self.base[kernel.MEMORY], self.base[kernel.LATENCY])

    def _at(
        self, parameters: Sequence[FitParameter], vector: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        n = len(self.rows)
        ratios, time_ps, power_mw = np.empty(n), np.empty(n), np.empty(n)
        kernel.predict_rows(
            np.exp(vector), self.base, self.index(parameters), self.active_mw, self.limit_mw, np.arange(n + 1),
            np.ones(n), np.empty((kernel.N_TERMS, n)), ratios, time_ps, power_mw,
        )  # fmt: skip
        return ratios, time_ps, power_mw

    def only(self, kept: NDArray[np.bool_]) -> FitRows:
        """Some of the rows."""
        return FitRows(
            [row for row, is_kept in zip(self.rows, kept.tolist(), strict=True) if is_kept],
            self.families[kept],
            self.measured_ps[kept],
            self.measured_mw[kept],
            np.ascontiguousarray(self.base[:, kept]),
            self.active_mw,
            self.limit_mw,
        )


def tells(gpu: Gpu, row: KernelRow) -> bool:
    """Whether a row tells a parameter: a 16-bit product, or attention by the kernel whose parameters are fitted, with a
    time or a power."""
    if row.family not in FAMILIES or (np.isnan(row.t_us) and np.isnan(row.power_w)):
        return False
    if row.family == GEMM:
        return row.number_format in (None, gpu.config.base_format)
    if row.family == DECODE:
        return decode_kernel(gpu, row) == "split_kv"
    return row.family == PREFILL and row.backend != "fa2" and gpu.config.replay.prefill_kernel == "cudnn"


def faulty_readings(gpu: Gpu, rows: Sequence[KernelRow]) -> list[KernelRow]:
    """Rows whose power no board of this limit draws."""
    return [row for row in rows if row.power_w * 1e3 > FAULTY_POWER * gpu.config.board_limit_mw]
