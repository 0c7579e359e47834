"""Numbers that figures show, as targets of validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from simulator.experiments.figure import load_figure
from simulator.experiments.figure_study import Study
from simulator.experiments.figure_targets import group_of, load_figures_file, with_published
from simulator.experiments.validate_records import Point
from simulator.experiments.validate_targets import FOLDER


def figure_points(name: str, study: Study) -> Iterator[Point]:
    """Every published number of the figures in the targets `name`, beside ours; runs are shared with the study's.

    Raises ConfigError for a figure, or a value of one, that we do not have. Numbers that a figure takes from the
    targets of its machine, or that it shows without a verdict, are not repeated.
    """
    for figure_name, targets in load_figures_file(FOLDER / f"{name}.yaml").figures.items():
        figure = load_figure(figure_name)
        group = group_of(figure, targets)
        wanted = {
            (panel, series, at)
            for numbers in (targets.values, targets.contradicted)
            for panel, by_series in numbers.items()
            for series, by_position in by_series.items()
            for at in by_position
        }
        for value in with_published(figure, figure.measure(study), targets):
            point = value.point(group) if value.is_judged and value.key in wanted else None
            if point is not None:
                yield replace(
                    point, case=f"{value.panel}, {value.series}" if value.series != value.panel else value.series
                )
