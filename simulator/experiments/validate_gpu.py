"""GPUs against measured kernels, steps and boards: what is claimed of the errors, a row each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.contracts.results import RunRecord
from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.devices.gpu import Gpu
from simulator.experiments.replay import load_device
from simulator.experiments.validate_gpu_held_out import HeldOutClaims, held_out_claims
from simulator.experiments.validate_gpu_host import HostClaims, host_claims
from simulator.experiments.validate_gpu_kernels import ComparedKernel, compared_kernels, measured_kernels
from simulator.experiments.validate_gpu_measured import Limits, claims_of
from simulator.experiments.validate_gpu_profiles import ProfileClaim, Profiles, profile_claims
from simulator.experiments.validate_gpu_steps import MeasuredStep, compared_steps, step_records
from simulator.experiments.validate_records import Claim, Group
from simulator.experiments.validate_runs import ConfiguredRuns
from simulator.experiments.validate_targets import FOLDER
from simulator.workload.catalog import data_directory


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KernelClaim(_Section):
    """A claim of the time or the power of the rows of some kinds that move at least `min_bytes`."""

    name: str
    kinds: list[str]
    min_bytes: int = 0
    of: Literal["time", "power"] = "time"
    rows: str
    errors: Limits


class KernelClaims(_Section):
    """Claims of the kernels of some files, by themselves."""

    name: str
    title: str
    source: str
    files: list[str]
    claims: list[KernelClaim]


class StepClaims(_Section):
    """Claims of time and power of the whole steps of some files; `known` and `why` are as `Claim` has them."""

    name: str
    title: str
    source: str
    files: list[str]
    rows: str
    claims: dict[str, Limits]
    known: dict[str, dict[str, float]] = {}
    why: str = ""


class ProfileClaims(_Section):
    """Claims of other GPUs."""

    title: str
    source: str
    claims: list[ProfileClaim]


class GpuTargets(_Section):
    """A file of targets of kind `gpu`: the folder of measurements, the part and, by how many GPUs, the configurations
    that these are about, and claims. The part's fit is on the first of `kernels`."""

    kind: Literal["gpu"]
    measured: str
    part: str
    configs: dict[int, str]
    kernels: list[KernelClaims]
    held_out: HeldOutClaims
    steps: list[StepClaims]
    profiles: ProfileClaims
    splitwise: HostClaims

    def paths(self, asked: KernelClaims | StepClaims) -> list[Path]:
        """The files of measurements of some claims."""
        return [FOLDER / self.measured / name for name in asked.files]

    def gpu(self) -> Gpu:
        """The GPU whose kernels were measured."""
        found: Gpu = load_device(data_directory("hw_configs") / self.part)[1]
        return found


def load_gpu_targets(path: Path = FOLDER / "gpu.yaml") -> GpuTargets:
    """The claims of a file. Raises ConfigError at the place of what is wrong."""
    return bind(load_part(path), GpuTargets, ignore=())


def gpu_claims(path: Path, folder: Path | None = None) -> Iterator[Claim]:
    """Every claim of a file of targets beside what our errors are; `folder` is where published profiles lie."""
    targets, profiles = load_gpu_targets(path), Profiles(folder)
    gpu, runs = targets.gpu(), ConfiguredRuns()
    for kernels in targets.kernels:
        yield from kernel_claims(kernels, compared_kernels(gpu, list(measured_kernels(gpu, targets.paths(kernels)))))
    fitted = list(measured_kernels(gpu, targets.paths(targets.kernels[0])))
    yield from held_out_claims(targets.held_out, targets.part, gpu, fitted)
    for steps in targets.steps:
        yield from step_claims(steps, step_records(targets.paths(steps), targets.configs, runs))
    asked = targets.profiles
    yield from profile_claims(Group("profiles", asked.title, asked.source, folded=False), asked.claims, profiles)
    yield from host_claims(targets.splitwise, profiles)


def kernel_claims(asked: KernelClaims, kernels: list[ComparedKernel]) -> Iterator[Claim]:
    """Every claim of kernels by themselves beside our errors."""
    group = Group(asked.name, asked.title, asked.source, folded=False)
    for claim in asked.claims:
        mine = [
            one
            for one in kernels
            if one.row.kind in claim.kinds and one.row.sizes.get("bytes", claim.min_bytes) >= claim.min_bytes
        ]
        if claim.of == "time":
            rows = [one.time for one in mine]
        else:
            rows = [one.power for one in mine if one.power is not None]
        yield from claims_of(group, claim.name, rows, claim.errors, claim.rows)


def step_claims(asked: StepClaims, records: Mapping[MeasuredStep, RunRecord]) -> Iterator[Claim]:
    """Every claim of whole steps beside our errors."""
    group = Group(asked.name, asked.title, asked.source, folded=False)
    compared = compared_steps(records)
    for name, limits in asked.claims.items():
        known = asked.known.get(name)
        why = asked.why if known else ""
        yield from claims_of(group, name, compared[name], limits, asked.rows, known=known, why=why)
