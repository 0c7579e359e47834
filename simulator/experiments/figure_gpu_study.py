"""What the figures of GPUs share: the measurements' place, steps and kernels as runs, a measured row as a value."""

from __future__ import annotations

import math
from pathlib import Path

from simulator.devices.gpu import Gpu
from simulator.devices.gpu_kernel_rows import KernelRow
from simulator.devices.gpu_replay import predict
from simulator.experiments.figure_data import ConfiguredRun, Replay, Value
from simulator.experiments.figure_study import Study
from simulator.experiments.validate_gpu import load_gpu_targets
from simulator.experiments.validate_gpu_kernels import ComparedKernel, compared_kernels, measured_kernels
from simulator.experiments.validate_gpu_measured import Compared
from simulator.experiments.validate_gpu_steps import MeasuredStep, measured_steps

_ROOT = Path(__file__).parents[2]
_DIGITS = 4  # of a measured number that are shown
SWEPT_TOKENS = tuple(2 ** (quarter / 4) for quarter in range(4 * 12 + 1))
"""Tokens of a curve over the rows of a matrix product, from 1 to 4,096."""


def steps_as_runs() -> dict[MeasuredStep, ConfiguredRun]:
    """Every measured step and the run that predicts it."""
    targets = load_gpu_targets()
    paths = [path for steps in targets.steps for path in targets.paths(steps)]
    return {step: ConfiguredRun(targets.configs[step.n_gpus], step.sets()) for step in measured_steps(paths)}


def kernels_as_runs() -> dict[str, Replay]:
    """The files of measured kernels and the replays that predict them."""
    targets = load_gpu_targets()
    return {
        path.stem: Replay(targets.part, trace=path.relative_to(_ROOT).as_posix())
        for kernels in targets.kernels
        for path in targets.paths(kernels)
    }


def kernels_of(study: Study) -> tuple[Gpu, list[ComparedKernel]]:
    """The GPU that the kernels ran on, and every measured kernel beside ours."""
    replays = kernels_as_runs().values()
    gpu: Gpu = [study.part(replay) for replay in replays][-1]  # all on the same one
    return gpu, compared_kernels(gpu, list(measured_kernels(gpu, [_ROOT / replay.trace for replay in replays])))


def measured_value(panel: str, row: Compared, series: str = "") -> Value:
    """Ours beside a measured number, which has an error but no verdict of its own."""
    n_decimals = max(0, _DIGITS - 1 - math.floor(math.log10(row.measured)))
    return Value(
        panel, series or row.series, row.label, row.ours, row.measured, n_decimals=n_decimals, is_judged=False
    )  # fmt: skip


def swept(gpu: Gpu, n: int, k: int) -> list[tuple[int, float, float]]:
    """(tokens, time in us, power in W) of a matrix product of 16-bit weights of `n` outputs and `k` inputs."""
    whole = sorted({round(one) for one in SWEPT_TOKENS})
    rows = [KernelRow("gemm", "gemm", {"M": m, "N": n, "K": k}) for m in whole]
    predicted = predict(gpu, rows)
    return list(zip(whole, predicted.t_us.tolist(), predicted.power_w.tolist(), strict=True))
