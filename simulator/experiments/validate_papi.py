"""PAPI: what the paper prints of its machines, beside ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.experiments.validate_papi_band import BandTargets, band_rows
from simulator.experiments.validate_papi_micro import MicroTargets, micro_points
from simulator.experiments.validate_papi_power import PowerTargets, power_points
from simulator.experiments.validate_records import AnyPoint
from simulator.experiments.validate_targets import FOLDER


class PapiTargets(BaseModel):
    """A file of targets of kind `papi`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["papi"]
    power: PowerTargets
    micro: MicroTargets
    band: BandTargets


def load_papi_targets(path: Path = FOLDER / "papi.yaml") -> PapiTargets:
    """The targets of a file. Raises ConfigError at the place of what is wrong."""
    return bind(load_part(path), PapiTargets, ignore=())


def papi_points(path: Path) -> Iterator[AnyPoint]:
    """Every number of a file of targets beside ours."""
    targets = load_papi_targets(path)
    yield from power_points(targets.power)
    yield from micro_points(targets.micro)
    yield from band_rows(targets.band)
