"""What M5 reports, as data: `targets/m5.yaml`, read by validation and figures only."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.experiments.validate_targets import FOLDER


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GoldenTargets(_Section):
    """The table of golden runs, and how far any column may be off."""

    file: str
    title: str
    source: str
    limit: float


class TrackerTargets(_Section):
    """Figure 7: ratios of a large sketch and of 50 entries, and the shape that is asked for."""

    title: str
    cm_counters: int
    ss_entries: int
    cm: float
    ss: float
    least_cm: float
    most_ss: float
    long_epochs: list[int]
    short_epoch: int
    small: int


class IdentificationTargets(_Section):
    """Figures 3 and 8: what CPU-driven policies and trackers pick; `*_known` say why ours differ."""

    title: str
    anb: float
    damon: float
    low: float
    high: float
    hot_cm: float
    hot_ss: float
    hot_cpu: float
    damon_known: str
    damon_most: float
    manager_known: str
    manager_most: dict[str, int]


class SparsityTargets(_Section):
    """Figure 4: P(words touched <= n) for each n of `words`, by the trace of ours that is nearest; the table shows
    those of `reported_words`, the figure all."""

    title: str
    words: list[int]
    reported_words: list[int]
    published: dict[str, list[float]]
    order_words: int
    why: str


class FootprintTargets(_Section):
    """Figure 11: copies of a footprint, how a tracker is asked on one of them, and what the ratio stays above."""

    title: str
    copies: list[int]
    epoch: int
    k: int
    least: float


class PerformanceTargets(_Section):
    """Figure 9 and what is asked of migration; gains are over no migration, `over` M5's over others."""

    title: str
    capacity_fracs: list[float]
    moves_us: list[float]
    gains: dict[str, float]
    over: dict[str, float]
    pagerank: str
    pagerank_most: float
    pagerank_known: str
    break_even: dict[int, int]
    why: str


class M5Targets(_Section):
    """A file of targets of kind `m5`."""

    kind: Literal["m5"]
    source: str
    golden: GoldenTargets
    trackers: TrackerTargets
    identification: IdentificationTargets
    sparsity: SparsityTargets
    footprints: FootprintTargets
    performance: PerformanceTargets


def load_m5_targets(path: Path = FOLDER / "m5.yaml") -> M5Targets:
    """The targets of a file. Raises ConfigError at the place of what is wrong."""
    return bind(load_part(path), M5Targets, ignore=())
