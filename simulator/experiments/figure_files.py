"""Figures as files: a picture for the screen and one for print, the numbers as CSV, and an index page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.contracts.results import Table
from simulator.experiments.figure import measure_figures
from simulator.experiments.figure_data import Measured
from simulator.experiments.figure_drawing import draw
from simulator.experiments.figure_page import index_page
from simulator.experiments.figure_study import Study
from simulator.report.plot_style import plot_style, save
from simulator.report.provenance import provenance
from simulator.report.records import csv_text
from simulator.report.run_directory import run_target, whole_directory

DEFAULT_OUT = Path("results") / "figures"
INDEX = "index.html"
_COLUMNS = (
    "figure",
    "panel",
    "series",
    "at",
    "kind",
    "ours",
    "published",
    "error_frac",
    "tolerance",
    "verdict",
    "also_published",
)


@dataclass(frozen=True, slots=True)
class Written:
    """Figures that were written, and where."""

    measured: tuple[Measured, ...]
    folder: Path

    def summary(self) -> Table:
        """A row per figure: its title, and how many published numbers it has and meets."""
        rows = [(one.figure.name, one.figure.title, one.n_published, one.n_met) for one in self.measured]
        return Table(("figure", "title", "published", "met"), rows)


def write_figures(names: Sequence[str], out: str | Path | None = None) -> Written:
    """Measure and draw figures into `out` (by default `results/figures`, replaced whole).

    Raises ConfigError for an unknown name, or a place that cannot be written; nothing is written then.
    """
    target = run_target(out, DEFAULT_OUT)
    study = Study()
    measured = measure_figures(names, study)
    origin = provenance()
    changed = ", with changes" if origin.git_dirty else ""
    footer = f"Commit {origin.git_commit or 'unknown'}{changed}; source {origin.source_hash[:12]}."
    with whole_directory(target) as folder:
        pictures = {one.figure.name: _write(one, folder) for one in measured}
        page = index_page(measured, pictures, study.targets.models, footer)
        (folder / INDEX).write_text(page, encoding="utf-8")
    return Written(tuple(measured), target.path)


def numbers(measured: Measured) -> Table:
    """The values of a figure, a row each; `kind` tells what we simulated from what was measured on a baseline."""
    rows = [
        (
            measured.figure.name,
            value.panel,
            value.series,
            value.at.replace("\n", " "),
            "baseline" if value.is_baseline else "simulated",
            value.ours,
            value.published,
            value.error_frac,
            value.tolerance if value.published is not None else None,
            value.verdict,
            "; ".join(f"{who}: {number:g}" for who, number in value.others),
        )
        for value in measured.values
    ]
    return Table(_COLUMNS, rows)


def _write(measured: Measured, folder: Path) -> Path:
    """The picture's PNG, beside which its PDF and CSV are."""
    name = measured.figure.name
    (folder / f"{name}.csv").write_text(csv_text(numbers(measured)), encoding="utf-8")
    with plot_style():
        drawing = draw(measured)
        # The layout is found once and kept for both files.
        drawing.draw_without_rendering()
        drawing.set_layout_engine("none")
        png, _ = save(drawing, folder / name)
    return png
