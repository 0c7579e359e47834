"""Tiers of memory: latency under load of the modelled ones beside what was measured on machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.quantities import Frac, GigabytesPerSecond, NonNegativeFloat, Ps
from simulator.devices.tier_memory import TierMemory
from simulator.experiments.validate_records import Group, Point
from simulator.experiments.validate_targets import FOLDER
from simulator.memory.tiers.latency_curve import PS_PER_NS, LatencyCurve
from simulator.workload.catalog import data_directory


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Latency(_Section):
    """A latency that was measured."""

    published_ps: Ps
    tolerance_ps: Ps


class Added(_Section):
    """Latency over the idle one at a share of the peak, in per cent of it; `known` is why ours misses it, as far as
    `known_pct`."""

    load_frac: Frac
    published_pct: float
    tolerance_pct: NonNegativeFloat
    known: str = ""
    known_pct: NonNegativeFloat = 0.0


class TierTargets(_Section):
    """A file of targets of kind `tiers`: modelled parts, the measured one, and numbers measured."""

    kind: Literal["tiers"]
    title: str
    source: str
    ddr: str
    cxl: str
    measured: str
    read_peak_gb_per_s: GigabytesPerSecond
    idle: Latency
    cxl_over_ddr: Latency
    loads: list[Added]


def load_tier_targets(path: Path = FOLDER / "tiers.yaml") -> TierTargets:
    """The targets of a file. Raises ConfigError at the place of what is wrong."""
    return bind(load_part(path), TierTargets, ignore=())


def tier_points(path: Path) -> Iterator[Point]:
    """Every number of a file of targets beside ours."""
    targets = load_tier_targets(path)
    group = Group("tiers", targets.title, targets.source, folded=False)
    ddr, cxl = one_channel(targets.ddr), one_channel(targets.cxl)
    yield _point(group, "DDR5, idle (fitted)", targets.idle, ddr.idle_ns)
    yield _point(group, "CXL over DDR, idle", targets.cxl_over_ddr, cxl.idle_ns - ddr.idle_ns)
    for added in targets.loads:
        yield Point(
            group,
            f"DDR5 at {added.load_frac:.0%} load",
            "over idle (%)",
            added.published_pct,
            added_pct(ddr, added.load_frac),
            added.tolerance_pct,
            known=added.known,
            known_tolerance=added.known_pct,
        )


def one_channel(part: str) -> LatencyCurve:
    """The curve of a tier's part of `hw_configs`, one of its channels."""
    tree = load_part(data_directory("hw_configs") / part, {"n_channels": 1})
    return TierMemory(bind(tree, TierMemory.Config)).curve()


def added_pct(curve: LatencyCurve, load_frac: float) -> float:
    """Latency over the idle one at a share of the peak, in per cent of the idle one."""
    return 100 * (curve.at(load_frac * curve.peak_gb_per_s) / curve.idle_ns - 1)


def _point(group: Group, case: str, asked: Latency, ours_ns: float) -> Point:
    return Point(
        group, case, "ns", asked.published_ps / PS_PER_NS, ours_ns, asked.tolerance_ps / PS_PER_NS, n_decimals=1
    )
