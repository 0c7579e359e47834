"""The index page of figures: every picture with its numbers, ours beside the published ones, source and cautions."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.experiments.figure_data import AnyRun, ConfiguredRun, DrawnRun, Measured, Replay, Value
from simulator.experiments.figure_html import render
from simulator.experiments.figure_table_drawing import error_text, ours_text, published_text
from simulator.experiments.validate_records import FAIL

_N_ROWS_OPEN = 16  # longer tables are folded
_WIDE_INCHES = 5.0
_CONFIG = "hw_configs/cent.yaml"


@dataclass(frozen=True, slots=True)
class NumberRow:
    """A row of a figure's table of numbers."""

    panel: str
    series: str
    at: str
    ours: str
    published: str
    error: str
    verdict: str
    remark: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A figure on the page; `picture` is a data address."""

    name: str
    title: str
    caption: str
    source: str
    cautions: tuple[str, ...]
    n_published: int
    n_met: int
    picture: str
    width: int
    height: int
    is_wide: bool
    is_open: bool
    has_panels: bool
    rows: tuple[NumberRow, ...]
    runs: tuple[str, ...]


def index_page(
    measured: Sequence[Measured], pictures: Mapping[str, Path], models: Mapping[str, Mapping[str, object]], footer: str
) -> str:
    """The page of the figures, their PNG files by name inside it.

    `models` are the overrides that a model's label means.
    """
    n_met, n_published = sum(one.n_met for one in measured), sum(one.n_published for one in measured)
    counts = f"{len(measured)} figure{'' if len(measured) == 1 else 's'}"
    if n_published:
        counts += f" with {n_published} published numbers: {n_met} met, {n_published - n_met} missed"
    return render(
        "Figures, ours beside the published",
        "figures.html.j2",
        {
            "title": "Figures, ours beside the published",
            "subtitle": "Simulator of memory-centric machines",
            "counts": counts + ".",
            "entries": [_entry(one, pictures[one.figure.name], models) for one in measured],
            "footer": footer,
        },
    )


def command_of(run: AnyRun, models: Mapping[str, Mapping[str, object]]) -> str:
    """The command line that repeats a run."""
    if isinstance(run, Replay):
        words = ["sim", "replay", f"hw_configs/{run.part}", run.trace, *_set_options(run.sets)]
        return shlex.join([*words, "--seed", str(run.seed)])
    if isinstance(run, ConfiguredRun | DrawnRun):
        return shlex.join(["sim", "run", f"hw_configs/{run.config}", *_set_options(run.sets)])
    sets = {**models[run.model], "workload.scope": run.scope, **run.sets}
    return shlex.join(["sim", "run", _CONFIG, *_set_options(sets)])


def _set_options(sets: Mapping[str, object]) -> list[str]:
    return [word for path, value in sets.items() for word in ("--set", f"{path}={value}")]


def _entry(one: Measured, picture: Path, models: Mapping[str, Mapping[str, object]]) -> Entry:
    figure = one.figure
    width, height = (round(inches * 100) for inches in figure.inches)
    encoded = base64.b64encode(picture.read_bytes()).decode("ascii")
    return Entry(
        name=figure.name,
        title=figure.title,
        caption=figure.caption,
        source=figure.source,
        cautions=figure.cautions,
        n_published=one.n_published,
        n_met=one.n_met,
        picture=f"data:image/png;base64,{encoded}",
        width=width,
        height=height,
        is_wide=figure.inches[0] > _WIDE_INCHES,
        has_panels=len(figure.panels) > 1,
        is_open=len(one.values) <= _N_ROWS_OPEN,
        rows=tuple(_row(value) for value in one.values),
        runs=tuple(dict.fromkeys(command_of(run, models) for run in figure.runs.values())),
    )


def _row(value: Value) -> NumberRow:
    remarks = [f"{who}: {number:g}" for who, number in value.others]
    if value.is_baseline:
        remarks.append("measured")
    if value.verdict:
        remarks.insert(0, "missed" if value.verdict == FAIL else "met" if value.verdict == "pass" else value.verdict)
    return NumberRow(
        panel=value.panel,
        series=value.series,
        at=value.at.replace("\n", " "),
        ours=ours_text(value),
        published=published_text(value),
        error=error_text(value),
        verdict=value.verdict,
        remark="; ".join(remarks),
    )
