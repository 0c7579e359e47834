"""Finding the readers and the data: every module beside this one that has `read` is a data set, under its own name."""

from __future__ import annotations

import importlib
import os
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from simulator.core.errors import ConfigError
from simulator.core.spelling import did_you_mean
from simulator.experiments.gpu_profiles.rows import GpuProfile

_PACKAGE = "simulator.experiments.gpu_profiles"
_NOT_PROFILES = ("llmservingsim", "reading", "rows", "table")


class ProfileReader(Protocol):
    """What a module of this package offers under its name."""

    FOLDER: str

    def read(self, folder: Path) -> GpuProfile:
        """The rows of the data set in `folder`; WorkloadError, with file and line, at the first bad line."""
        ...


@dataclass(frozen=True, slots=True)
class Absent:
    """A data set that was not found, and the sentence that says so."""

    name: str
    reason: str


def default_directory() -> Path:
    """`../shared/traces/serving/gpu_profiles` beside the checkout, or below what SIMULATOR_SHARED names."""
    beside = Path(__file__).resolve().parents[4] / "shared"
    return Path(os.environ.get("SIMULATOR_SHARED", beside)) / "traces" / "serving" / "gpu_profiles"


def profile_names() -> tuple[str, ...]:
    """Names of the data sets that can be read."""
    package = importlib.import_module(_PACKAGE)
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(name for name in found if name not in _NOT_PROFILES))


def read_profile(name: str, directory: Path | None = None) -> GpuProfile | Absent:
    """The data set `name` in `directory`, or the reason why it is not there (data sets are fetched, never shipped).

    Raises ConfigError on a name that no reader has, WorkloadError on text that is not as published.
    """
    names = profile_names()
    if name not in names:
        raise ConfigError(
            f"GPU profile {name!r} is not known", where="profile", remedy=did_you_mean(name, names, noun="one of")
        )
    reader = cast(ProfileReader, importlib.import_module(f"{_PACKAGE}.{name}"))
    folder = (default_directory() if directory is None else directory) / reader.FOLDER
    if not folder.is_dir():
        return Absent(name, f"{name} is left out: its folder {folder} is not there (published data, not shipped)")
    return reader.read(folder)
