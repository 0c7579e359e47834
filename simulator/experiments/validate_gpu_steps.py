"""Measured steps of whole models beside ours, through what is behind `sim run`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    all boards together. `n_layers` is how many of the model's layers ran, where not all did."""

    model: str
    phase: str
    batch: int
    context: int
    n_gpus: int
    time_ms: float
    power_w: float
    n_layers: int | None = None

    @property
    def series(self) -> str:
        """Model and number of GPUs; on one GPU also the phase, and how many layers ran where not all did."""
        if self.n_gpus > 1:
            return f"{self.model}, TP{self.n_gpus}"
        layers = f", {self.n_layers} layers" if self.n_layers is not None else ""
        return f"{self.model} {self.phase}{layers}"

    @property
    def label(self) -> str:
        """The step in a few words, contexts in units of 1,024."""
        context = f"{self.context // 1024}K" if self.context % 1024 == 0 else str(self.context)
        part = f" TP{self.n_gpus}" if self.n_gpus > 1 else f":{self.n_layers}" if self.n_layers is not None else ""
        return f"{self.model.rpartition('-')[2].upper()}{part} {self.phase} {self.batch} x {context}"

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
        layers = {} if self.n_layers is None else {"workload.overrides.n_layers": self.n_layers}
        return {
            "workload.model": self.model,
            **layers,
            "workload.phase": self.phase,
            "workload.batch": self.batch,
            "workload.context": self.context,
            "system.attention_kernel": self.attention_kernel,
        }


def measured_steps(paths: Sequence[Path]) -> Iterator[MeasuredStep]:
    """The steps among the rows of files: those with a phase, on one GPU, and those of kind `tp_decode` and
    `tp_prefill`."""
    for path in paths:
        for row in read_rows(path):
            if "phase" in row:
                yield _step(row, row["phase"], 1, float(row["t_ms"]))
            elif row["kind"].startswith("tp_"):
                yield _step(row, row["kind"].removeprefix("tp_"), int(row["world"]), float(row["t_us"]) / 1e3)


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


def step_records(
    paths: Sequence[Path], configs: Mapping[int, str], runs: ConfiguredRuns
) -> dict[MeasuredStep, RunRecord]:
    """Our record of every measured step; `configs` has the configuration for each number of GPUs."""
    return {step: runs.record(configs[step.n_gpus], step.sets()) for step in measured_steps(paths)}


def _step(row: Mapping[str, str], phase: str, n_gpus: int, time_ms: float) -> MeasuredStep:
    model, _, layers = row["model"].partition(":")
    n_layers, power_w = int(layers) if layers else None, float(row["power_w"])
    return MeasuredStep(model, phase, int(row["B"]), int(row["L"]), n_gpus, time_ms, power_w, n_layers)
