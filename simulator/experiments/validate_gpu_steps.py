"""Measured steps of whole models beside ours, through what is behind `sim run`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.contracts.results import RunRecord
from simulator.experiments.validate_gpu_measured import Compared, read_rows
from simulator.experiments.validate_runs import ConfiguredRuns
from simulator.workload.catalog import load_model

TIME, POWER = "time", "power"


@dataclass(frozen=True, slots=True)
class MeasuredStep:
    """One step of a batch as it was measured: sequences, positions that each attends to, milliseconds, and watts of
    all boards together."""

    model: str
    phase: str
    batch: int
    context: int
    n_gpus: int
    time_ms: float
    power_w: float

    @property
    def series(self) -> str:
        """Model, phase and number of GPUs."""
        return f"{self.model} {self.phase}" + (f", TP{self.n_gpus}" if self.n_gpus > 1 else "")

    @property
    def label(self) -> str:
        """The step in a few words, contexts in units of 1,024."""
        context = f"{self.context // 1024}K" if self.context % 1024 == 0 else str(self.context)
        shared = f" TP{self.n_gpus}" if self.n_gpus > 1 else ""
        return f"{self.model.rpartition('-')[2].upper()}{shared} {self.phase} {self.batch} x {context}"

    @property
    def attention_kernel(self) -> str:
        """The kernel that the measuring program ran, as the measurements' README has it.

        One GPU: FlashAttention-2, for decodes of models whose queries share keys a chain of matrix products. Four:
        cuDNN's, which splits the keys.
        """
        if self.n_gpus > 1:
            return "split_kv"
        model = load_model(self.model)
        is_shared = model.n_kv_heads < model.n_heads
        return "matmul" if is_shared and self.phase == "decode" else "fa2"

    def sets(self) -> dict[str, Any]:
        """Overrides of the configuration that make this step."""
        return {
            "workload.model": self.model,
            "workload.phase": self.phase,
            "workload.batch": self.batch,
            "workload.context": self.context,
            "system.attention_kernel": self.attention_kernel,
        }


def measured_steps(folder: Path) -> Iterator[MeasuredStep]:
    """The steps of `h200_end_to_end.csv`, and those among the rows of `h200_tp4.csv`."""
    for row in read_rows(folder / "h200_end_to_end.csv"):
        yield _step(row, row["phase"], 1, float(row["t_ms"]))
    for row in read_rows(folder / "h200_tp4.csv"):
        kind, _, phase = row["kind"].partition("_")
        if kind == "tp":
            yield _step(row, phase, int(row["world"]), float(row["t_us"]) / 1e3)


def compared_steps(
    steps: Mapping[MeasuredStep, RunRecord],
) -> dict[str, list[Compared]]:
    """Time and power of steps beside those of their records."""
    return {
        TIME: [
            Compared(step.series, step.label, step.time_ms, float(record.metrics["step_time_ms"]))
            for step, record in steps.items()
        ],
        POWER: [
            Compared(step.series, step.label, step.power_w, float(record.metrics["power_w"]))
            for step, record in steps.items()
        ],
    }


def step_records(folder: Path, configs: Mapping[int, str], runs: ConfiguredRuns) -> dict[MeasuredStep, RunRecord]:
    """Our record of every measured step; `configs` has the configuration for each number of GPUs."""
    return {step: runs.record(configs[step.n_gpus], step.sets()) for step in measured_steps(folder)}


def _step(row: Mapping[str, str], phase: str, n_gpus: int, time_ms: float) -> MeasuredStep:
    return MeasuredStep(row["model"], phase, int(row["B"]), int(row["L"]), n_gpus, time_ms, float(row["power_w"]))
