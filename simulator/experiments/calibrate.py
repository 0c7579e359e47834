"""Fit the efficiencies of a GPU's part to measured kernels, and say what that is worth on shapes left out of the fit.

The loss is the mean |log(predicted / measured)| of the times plus half that of the powers. A part's own values are the
start, and pull weakly: a parameter that the rows cannot tell stays where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from simulator.contracts.error_stats import ErrorStats, errors_by_kind
from simulator.core.binding import bind
from simulator.core.config import ConfigTree
from simulator.core.errors import WorkloadError
from simulator.devices.gpu import Gpu
from simulator.devices.gpu_config import GpuConfig
from simulator.devices.gpu_kernel_rows import KernelRow
from simulator.devices.gpu_replay import predict
from simulator.experiments.calibrate_parameters import (
    DECODE,
    FAMILIES,
    GEMM,
    MAX_PARAMETERS,
    FitParameter,
    parameters_of,
)
from simulator.experiments.calibrate_rows import FitRows, faulty_readings
from simulator.experiments.calibrate_search import least

if TYPE_CHECKING:
    from numpy.typing import NDArray

PULL = 0.01
"""What the square of a parameter's change (as a logarithm) adds to the loss: a change of 10 % costs as much as 0.01
points of mean error, far less than any row that tells it."""
FLAT = 0.05
"""A parameter's range holds the values at which the loss, the others fitted again, grows by no more than this share."""
MIN_UNCAPPED = 3
"""Products bound by arithmetic below the board's limit that it takes to tell the rate of the arithmetic."""
N_PROBES = 16
RESOLUTION = 0.01
"""To how much of its value the end of a parameter's range is found."""
By = Literal["shape", "row"]


@dataclass(frozen=True, slots=True)
class Refitted:
    """A parameter before and after, as a part writes it; the range in which the loss is flat; on how many rows.

    `at_bound` says that the rows would drive it beyond what is possible.
    """

    path: str
    before: str | float
    after: str | float
    range: tuple[str | float, str | float]
    n_rows: int
    at_bound: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A fit: the part with the new values, what changed, what stayed and why, and the loss before and after.

    `n_rows` rows of `n_shapes` different kernels told something; the power readings of `faults` were left out. `before`
    and `after` are the errors of the times, `power_before` and `power_after` of the powers, on all rows, by kind.
    """

    tree: ConfigTree
    refitted: tuple[Refitted, ...]
    kept: dict[str, str]
    loss_before: float
    loss_after: float
    n_rows: int
    n_shapes: int
    faults: tuple[KernelRow, ...]
    before: dict[str, ErrorStats] = field(default_factory=dict)
    after: dict[str, ErrorStats] = field(default_factory=dict)
    power_before: dict[str, ErrorStats] = field(default_factory=dict)
    power_after: dict[str, ErrorStats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Errors of times and powers on rows that the fit which predicts them has not seen, by kind; and what was left out,
    by kind in words."""

    errors: dict[str, ErrorStats]
    power_errors: dict[str, ErrorStats]
    left_out: dict[str, str]


def fit(part_tree: ConfigTree, rows: Sequence[KernelRow], *, source: str = "measured kernels") -> Fit:
    """Refit a part of kind `gpu` to rows of `devices.gpu_kernel_rows`; `source` is what the new values state.

    Raises WorkloadError where no row tells any parameter, ConfigError where the part is wrong.
    """
    problem = _Problem.of(part_tree, rows)
    vector = problem.solve(problem.rows)
    low, high = problem.flat_range(vector)
    start = problem.start
    refitted = []
    for number, one in enumerate(problem.parameters):
        after = one.written(start[number] * np.exp(vector[number]))
        ends = (
            one.written(start[number] * np.exp(low[number])),
            one.written(start[number] * np.exp(high[number])),
        )
        at_bound = bool(np.any(np.isclose(problem.bound[:, number], vector[number])))
        before = one.written(start[number])
        refitted.append(Refitted(one.path, before, after, ends, problem.n_rows_of(one), at_bound))
    tree = part_tree.with_sets({one.path: _stated(one, source) for one in refitted})
    errors = (*_errors(problem.gpu, rows), *_errors(Gpu(bind(tree, GpuConfig)), rows))
    return Fit(
        tree=tree,
        refitted=tuple(refitted),
        kept=problem.kept,
        loss_before=problem.loss(np.zeros_like(vector)),
        loss_after=problem.loss(vector),
        n_rows=len(problem.rows.rows),
        n_shapes=len({(row.family, *row.sizes.items()) for row in problem.rows.rows}),
        faults=tuple(faulty_readings(problem.gpu, rows)),
        before=errors[0],
        power_before=errors[1],
        after=errors[2],
        power_after=errors[3],
    )


def held_out(part_tree: ConfigTree, rows: Sequence[KernelRow], by: By = "shape") -> HeldOut:
    """Leave rows out, refit without them, predict them; for each shape in turn (for each row, by "row").

    A shape is the N x K of a product, the heads of decode attention (its context, where all rows have the same heads),
    or a row of prompt attention. Raises as `fit`.
    """
    problem = _Problem.of(part_tree, rows)
    told = problem.rows
    t_us, power_w = np.full((2, len(told.rows)), np.nan)
    left_out: dict[str, str] = {}
    for family in FAMILIES:
        mine = np.flatnonzero(told.families == family)
        words, groups = _groups(family, [told.rows[place] for place in mine.tolist()], by)
        if len(groups) < 2:
            continue
        left_out[family] = f"{len(groups)} times {words}"
        for members in groups:
            kept = np.ones(len(told.rows), dtype=bool)
            kept[mine[members]] = False
            vector = problem.solve(told.only(kept))
            time_ps, power_mw = problem.predicted(vector)
            t_us[~kept], power_w[~kept] = time_ps[~kept] / 1e6, power_mw[~kept] / 1e3
    kinds = [row.kind for row in told.rows]
    return HeldOut(
        errors=errors_by_kind(kinds, t_us / (told.measured_ps / 1e6) - 1),
        power_errors=errors_by_kind(kinds, power_w / (told.measured_mw / 1e3) - 1),
        left_out=left_out,
    )


def _stated(one: Refitted, source: str) -> dict[str, object]:
    low, high = one.range
    return {"value": one.after, "kind": "fitted", "source": f"{source}, {one.n_rows} rows", "range": [low, high]}


def _errors(gpu: Gpu, rows: Sequence[KernelRow]) -> tuple[dict[str, ErrorStats], dict[str, ErrorStats]]:
    """Errors of times and of powers, faults of the meter left out."""
    predicted = predict(gpu, rows)
    faults = {id(row) for row in faulty_readings(gpu, rows)}
    power_w = np.array([np.nan if id(row) in faults else row.power_w for row in rows])
    kinds = [row.kind for row in rows]
    t_us = np.array([row.t_us for row in rows])
    return errors_by_kind(kinds, predicted.t_us / t_us - 1), errors_by_kind(kinds, predicted.power_w / power_w - 1)


def _groups(family: str, rows: Sequence[KernelRow], by: By) -> tuple[str, list[list[int]]]:
    """What is left out together, in words and as numbers of rows."""
    keys: list[tuple[str, Callable[[KernelRow], Hashable]]] = []
    if by == "shape" and family == GEMM:
        keys = [("one N x K", lambda row: (row.sizes["N"], row.sizes["K"]))]
    elif by == "shape" and family == DECODE:
        keys = [
            ("one configuration of heads", lambda row: (row.sizes["Hq"], row.sizes["Hkv"], row.sizes["D"])),
            ("one context", lambda row: row.sizes["L"]),
        ]
    for words, key in keys:
        groups: dict[Hashable, list[int]] = {}
        for place, row in enumerate(rows):
            groups.setdefault(key(row), []).append(place)
        if len(groups) > 1:
            return words, list(groups.values())
    return "one row", [[place] for place in range(len(rows))]


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """What is fitted to which rows: the parameters, their starting values float64[p], bounds float64[2, p] on the
    logarithms of factors, and the parameters that stay, with the reason."""

    gpu: Gpu
    rows: FitRows
    parameters: Sequence[FitParameter]
    start: NDArray[np.float64]
    bound: NDArray[np.float64]
    kept: dict[str, str]

    @classmethod
    def of(cls, part_tree: ConfigTree, rows: Sequence[KernelRow]) -> _Problem:
        gpu = Gpu(bind(part_tree, GpuConfig))
        told = FitRows.of(gpu, rows)
        if not len(told.rows):
            raise WorkloadError(
                "no row tells a parameter of the GPU",
                remedy="give rows of gemm, attn_decode (cuDNN) or attn_prefill with `t_us` or `power_w`",
            )
        chosen, kept = _chosen(gpu.config, told)
        start = np.array([one.of(gpu.config) for one in chosen])
        ends = np.array([[one.least for one in chosen], [one.most for one in chosen]])
        return cls(gpu, told, chosen, start, np.log(ends / start), kept)

    def solve(self, rows: FitRows) -> NDArray[np.float64]:
        """The best vector for some rows, from the part's own values."""
        return least(rows.objective(self.parameters, PULL), np.zeros(len(self.start)), self.bound)[0]

    def loss(self, vector: NDArray[np.float64]) -> float:
        """The loss on all rows without the pull."""
        return float(self.rows.losses(self.parameters, vector[None], 0.0)[0])

    def n_rows_of(self, one: FitParameter) -> int:
        """How many rows a parameter's kernels have."""
        return int(np.isin(self.rows.families, one.families).sum())

    def predicted(self, vector: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times in ps and powers in mW float64[n] of all rows."""
        return self.rows.predicted(self.parameters, vector)

    def flat_range(self, vector: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """For each parameter the least and the largest logarithm at which the others can be chosen so that the loss
        grows by no more than FLAT."""
        limit = (1 + FLAT) * float(self.rows.losses(self.parameters, vector[None], PULL)[0])
        ends = [[self._flat_end(vector, number, sign, limit) for number in range(len(vector))] for sign in (-1, 1)]
        return np.array(ends[0]), np.array(ends[1])

    def _flat_end(self, vector: NDArray[np.float64], number: int, sign: int, limit: float) -> float:
        inside, outside, warm = vector[number], float(self.bound[(sign + 1) // 2, number]), vector
        step, probe = 0.04, vector[number]
        for _ in range(N_PROBES):
            widening = step > 0
            probe = inside + sign * step if widening else 0.5 * (inside + outside)
            if sign * probe >= sign * outside:
                step, probe = 0.0, 0.5 * (inside + outside)
            best, loss = self._with_fixed(warm, number, float(probe), limit)
            if loss <= limit:
                inside, warm, step = probe, best, 2 * step
            else:
                outside, step = float(probe), 0.0
            if abs(outside - inside) < RESOLUTION:
                break
        return float(inside)

    def _with_fixed(
        self, warm: NDArray[np.float64], number: int, value: float, limit: float
    ) -> tuple[NDArray[np.float64], float]:
        """The best of the others with one parameter held, or the first at which the loss is up to `limit`."""
        start, bound = warm.copy(), self.bound.copy()
        start[number] = bound[0, number] = bound[1, number] = value
        objective = self.rows.objective(self.parameters, PULL)
        return least(objective, start, bound, first_step=0.02, last_step=1e-3, max_restarts=0, enough=limit)


def _chosen(config: GpuConfig, rows: FitRows) -> tuple[list[FitParameter], dict[str, str]]:
    """The parameters that the rows tell, and why each of the others stays."""
    ratios, is_compute = rows.at_start()
    capped, has_power = bool(np.any(ratios < 1.0)), bool(np.any(~np.isnan(rows.measured_mw)))
    n_uncapped = int(np.sum(is_compute & (ratios >= 1.0) & (rows.families == GEMM)))
    chosen: list[FitParameter] = []
    kept: dict[str, str] = {}
    for one in parameters_of(config):
        if not np.isin(rows.families, one.families).any():
            kept[one.path] = f"there are no rows of {' or '.join(one.families)}"
        elif one.path.startswith("energies.") and not (capped or has_power):
            kept[one.path] = "no power was measured, and no row reaches the board's limit"
        elif one.path.endswith(".matmul_frac") and n_uncapped < MIN_UNCAPPED:
            kept[one.path] = f"{n_uncapped} products are bound by arithmetic below the board's limit, which hides it"
        elif one.of(config) <= 0:
            kept[one.path] = "it is 0, from which no factor leads away"
        elif len(chosen) == MAX_PARAMETERS:
            kept[one.path] = f"{MAX_PARAMETERS} others are refitted already"
        else:
            chosen.append(one)
    return chosen, kept
