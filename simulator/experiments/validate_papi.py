"""PAPI: what the paper prints of its machines, beside ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.experiments.validate_papi_power import PowerTargets, power_points
from simulator.experiments.validate_records import Point
from simulator.experiments.validate_targets import FOLDER


class PapiTargets(BaseModel):
    """A file of targets of kind `papi`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["papi"]
    power: PowerTargets


def load_papi_targets(path: Path = FOLDER / "papi.yaml") -> PapiTargets:
    """The targets of a file. Raises ConfigError at the place of what is wrong."""
    return bind(load_part(path), PapiTargets, ignore=())


def papi_points(path: Path) -> Iterator[Point]:
    """Every number of a file of targets beside ours."""
    yield from power_points(load_papi_targets(path).power)
