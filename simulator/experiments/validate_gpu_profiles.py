"""Other GPUs against profiles that others published, which are looked for and never shipped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from simulator.core.errors import ConfigError
from simulator.devices.gpu import Gpu
from simulator.devices.gpu_kernel_rows import KernelRow
from simulator.devices.gpu_replay import predict
from simulator.experiments.gpu_profiles.reading import Absent, read_profile
from simulator.experiments.gpu_profiles.rows import GpuProfile, ProfileRow
from simulator.experiments.replay import load_device
from simulator.experiments.validate_gpu_measured import Compared, Limits, claims_of, unchecked
from simulator.experiments.validate_records import Claim, Group
from simulator.workload.catalog import data_directory


class ProfileClaim(BaseModel):
    """A claim of the rows of one kind that a profile has for one GPU.

    `only` and `without` are regular expressions of rows' labels, `min_bytes` the least that a row moves; `sets` change
    the part. `known` and `why` are as `Claim` has them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    profile: str
    gpu: str
    part: str
    kind: str
    only: str = ""
    without: str = "$^"
    min_bytes: int = 0
    sets: dict[str, Any] = {}
    rows: str
    errors: Limits
    known: dict[str, float] = {}
    why: str = ""

    def takes(self, row: ProfileRow) -> bool:
        """Whether a row is one of those that the claim is about."""
        (kernel,) = row.kernels
        return (
            row.gpu == self.gpu
            and kernel.kind == self.kind
            and kernel.moved_bytes >= self.min_bytes
            and re.search(self.only, row.label) is not None
            and re.search(self.without, row.label) is None
        )


class Profiles:
    """The published profiles below one folder, each read once."""

    def __init__(self, folder: Path | None = None) -> None:
        if folder is not None and not folder.is_dir():
            raise ConfigError(f"there is no folder {folder}", where="--profiles", remedy="name the profiles' folder")
        self.read = lru_cache(maxsize=None)(lambda name: _read(name, folder))


def _read(name: str, folder: Path | None) -> GpuProfile | Absent:
    return read_profile(name, folder)


def profile_claims(group: Group, asked: list[ProfileClaim], profiles: Profiles) -> Iterator[Claim]:
    """Every claim beside our errors, or why it could not be checked."""
    for one in asked:
        profile = profiles.read(one.profile)
        if isinstance(profile, Absent):
            yield from unchecked(group, one.name, one.errors, one.rows, profile.reason)
            continue
        rows = [row for row in profile.rows if one.takes(row)]
        if not rows:
            raise ConfigError(
                f"profile {one.profile} has no rows for the claim {one.name!r}",
                where="targets of GPUs",
                remedy="correct `only`, `without` or `min_bytes`",
            )
        compared = compared_rows(one.part, one.sets, rows)
        yield from claims_of(group, one.name, compared, one.errors, one.rows, known=one.known, why=one.why)


def compared_rows(part: str, sets: Mapping[str, Any], rows: list[ProfileRow]) -> list[Compared]:
    """Times in us of a profile's rows beside ours, on a part with overrides."""
    gpu: Gpu = load_device(data_directory("hw_configs") / part, sets)[1]
    kernels = [KernelRow(kernel.kind, kernel.kind, kernel.columns()) for row in rows for kernel in row.kernels]
    times_us = predict(gpu, kernels, part).t_us.tolist()
    return [
        Compared(row.kernels[0].kind, row.label, row.measured_us, t_us)
        for row, t_us in zip(rows, times_us, strict=True)
    ]
