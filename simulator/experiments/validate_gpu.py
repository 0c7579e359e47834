"""GPUs against measured kernels, steps and boards: what is claimed of the errors, a row each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.experiments.validate_gpu_measured import Limits, claims_of
from simulator.experiments.validate_gpu_steps import compared_steps, step_records
from simulator.experiments.validate_records import Claim, Group
from simulator.experiments.validate_runs import ConfiguredRuns
from simulator.experiments.validate_targets import FOLDER


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StepClaims(_Section):
    """Claims of time and power of whole steps; `rows` says whether anything was fitted on them."""

    title: str
    source: str
    rows: str
    claims: dict[str, Limits]


class GpuTargets(_Section):
    """A file of targets of kind `gpu`: configurations by number of GPUs, the folder of measurements, and claims."""

    kind: str
    one_gpu: str
    four_gpus: str
    measured: str
    steps: StepClaims

    @property
    def folder(self) -> Path:
        """Where the measurements lie."""
        return FOLDER / self.measured

    @property
    def configs(self) -> dict[int, str]:
        """Configurations by how many GPUs they have."""
        return {1: self.one_gpu, 4: self.four_gpus}


def load_gpu_targets(path: Path = FOLDER / "gpu.yaml") -> GpuTargets:
    """The claims of a file. Raises ConfigError at the place of what is wrong."""
    return bind(load_part(path), GpuTargets, ignore=())


def gpu_claims(path: Path, profiles: Path | None = None) -> Iterator[Claim]:
    """Every claim of a file of targets beside what our errors are."""
    targets = load_gpu_targets(path)
    yield from _step_claims(targets, ConfiguredRuns())


def _step_claims(targets: GpuTargets, runs: ConfiguredRuns) -> Iterator[Claim]:
    steps = targets.steps
    group = Group("steps", steps.title, steps.source, folded=False)
    compared = compared_steps(step_records(targets.folder, targets.configs, runs))
    for name, limits in steps.claims.items():
        yield from claims_of(group, name, compared[name], limits, steps.rows)
