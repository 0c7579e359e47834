"""Published numbers of figures, and the baseline machines that they are relative to: read here, for figures only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.errors import ConfigError
from simulator.experiments.figure_data import Figure, Value, printed
from simulator.experiments.validate_records import Group, Number
from simulator.experiments.validate_targets import FOLDER

Numbers = dict[str, dict[str, dict[str, Number]]]  # by panel, series and position


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FigureTargets(_Section):
    """What a source published for one figure.

    A number is met within `tolerance_frac` of it or within `tolerance`, or where ours rounds to its digits.
    `contradicts` says why none of it can be met, or why those that are `contradicted` cannot.
    """

    source: str
    tolerance_frac: float = 0.0
    tolerance: float = 0.0
    values: Numbers
    others: dict[str, Numbers] = {}
    contradicted: Numbers = {}
    contradicts: str = ""


class FiguresFile(_Section):
    """A file of figures' targets."""

    kind: Literal["figures"]
    figures: dict[str, FigureTargets]


class GpuModel(_Section):
    """GPUs measured with one model: latency of a lone query, and rates by phase at full batch."""

    n_gpus: int
    query_latency_s: float
    tokens_per_s: dict[str, float]
    watts: dict[str, float]
    tokens_per_joule: dict[str, float]


class GpuService(_Section):
    """Latency against throughput of GPUs, by batch."""

    batch: list[int]
    query_latency_s: list[float]
    queries_per_min: list[float]


class Gpu(_Section):
    """A GPU machine as the authors of a paper measured it, and its price. Models by label."""

    machine: str
    source: str
    usd_per_h: float
    usd_per_h_gpus: int
    rental_usd_per_h: float
    machine_usd: dict[str, float]
    models: dict[str, GpuModel]
    decode_tokens_per_s: dict[str, float]
    prefill_min: float
    decode_min: dict[str, float]
    service: GpuService

    def usd_per_h_of(self, label: str) -> float:
        """Dollars of an hour of the GPUs that a model needs."""
        return self.usd_per_h * self.models[label].n_gpus / self.usd_per_h_gpus


def load_baseline(name: str, folder: Path = FOLDER) -> Gpu:
    """A baseline machine. Raises ConfigError at the place of what is wrong in its file."""
    return bind(load_part(folder / "baselines" / f"{name}.yaml"), Gpu)


def load_figures_file(path: Path) -> FiguresFile:
    """A file of figures' targets. Raises ConfigError at the place of what is wrong."""
    return bind(load_part(path), FiguresFile, ignore=())


def all_figure_targets(folder: Path = FOLDER) -> dict[str, FigureTargets]:
    """Targets of all figures, by figure."""
    found: dict[str, FigureTargets] = {}
    for path in sorted(folder.glob("*_figures.yaml")):
        found.update(load_figures_file(path).figures)
    return found


def with_published(figure: Figure, values: Sequence[Value], targets: FigureTargets | None) -> tuple[Value, ...]:
    """The values with the published numbers beside them.

    Raises ConfigError where a published number is for a value that the figure does not have.
    """
    if targets is None:
        return tuple(values)
    by_key = {value.key: value for value in values}
    groups = (
        (targets.values, "" if targets.contradicted else targets.contradicts),
        (targets.contradicted, targets.contradicts),
    )
    for numbers, contradicts in groups:
        for key, number in _numbers(figure, numbers, by_key):
            published, tolerance, n_decimals = printed(number, targets.tolerance_frac)
            by_key[key] = replace(
                by_key[key],
                published=published,
                tolerance=max(tolerance, targets.tolerance),
                n_decimals=n_decimals,
                contradicts=contradicts,
            )
    for who, numbers in targets.others.items():
        for key, number in _numbers(figure, numbers, by_key):
            by_key[key] = replace(by_key[key], others=(*by_key[key].others, (who, float(number))))
    return tuple(by_key.values())


def group_of(figure: Figure, targets: FigureTargets) -> Group:
    """The table that a figure's targets make in validation."""
    return Group(figure.name, figure.title, targets.source, folded=False)


def _numbers(
    figure: Figure, numbers: Numbers, known: dict[tuple[str, str, str], Value]
) -> Iterator[tuple[tuple[str, str, str], Number]]:
    for panel, by_series in numbers.items():
        for series, by_position in by_series.items():
            for at, number in by_position.items():
                key = (panel, series, at)
                if key not in known:
                    raise ConfigError(
                        f"figure {figure.name} has no value {' / '.join(key)}",
                        where="targets of figures",
                        remedy="choose one of: " + "; ".join(" / ".join(one) for one in known),
                    )
                yield key, number
