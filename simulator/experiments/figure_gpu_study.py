"""What the figures of GPUs share: the measurements' place, steps as runs, and a measured row as a value."""

from __future__ import annotations

import math

from simulator.experiments.figure_data import ConfiguredRun, Value
from simulator.experiments.validate_gpu import GpuTargets, load_gpu_targets
from simulator.experiments.validate_gpu_measured import Compared
from simulator.experiments.validate_gpu_steps import MeasuredStep, measured_steps

_DIGITS = 4  # of a measured number that are shown


def steps_as_runs(targets: GpuTargets | None = None) -> dict[MeasuredStep, ConfiguredRun]:
    """Every measured step and the run that predicts it."""
    found = load_gpu_targets() if targets is None else targets
    return {step: ConfiguredRun(found.steps.configs[step.n_gpus], step.sets()) for step in measured_steps(found.folder)}


def measured_value(panel: str, row: Compared) -> Value:
    """Ours beside a measured number, which has an error but no verdict of its own."""
    n_decimals = max(0, _DIGITS - 1 - math.floor(math.log10(row.measured)))
    return Value(
        panel, row.series, row.label, row.ours, row.measured, n_decimals=n_decimals, is_judged=False
    )  # fmt: skip
