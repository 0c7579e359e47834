"""`sim figure`: figures of papers, ours beside what was published."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

from simulator.contracts.results import Table
from simulator.core.errors import ConfigError
from simulator.core.spelling import did_you_mean
from simulator.experiments import figures
from simulator.experiments.figure_data import Figure, Measured
from simulator.experiments.figure_study import Study
from simulator.experiments.figure_targets import all_figure_targets, with_published


def list_figures() -> list[str]:
    """Names of all figures, without importing any."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(figures.__path__))


def describe_figures() -> Table:
    """Names, titles and sources of all figures."""
    rows = [(one.name, one.title, one.source) for one in map(load_figure, list_figures())]
    return Table(("figure", "title", "source"), rows)


def load_figure(name: str) -> Figure:
    """A figure by its name, with hyphens or underscores.

    Raises ConfigError, with the nearest name, where there is none.
    """
    known, written = list_figures(), name.replace("_", "-")
    if written not in known:
        raise ConfigError(f"there is no figure {name!r}", where="sim figure", remedy=did_you_mean(written, known))
    module = importlib.import_module(f"{figures.__name__}.{written.replace('-', '_')}")
    figure: Figure = module.FIGURE
    return figure


def measure_figures(names: Sequence[str], study: Study | None = None) -> list[Measured]:
    """The figures of the names with their values; runs that several need are made once.

    Raises ConfigError for an unknown name, before anything runs.
    """
    chosen = [load_figure(name) for name in dict.fromkeys(name.replace("_", "-") for name in names)]
    study = Study() if study is None else study
    targets = all_figure_targets()
    return [
        Measured(figure, with_published(figure, figure.measure(study), targets.get(figure.name))) for figure in chosen
    ]
