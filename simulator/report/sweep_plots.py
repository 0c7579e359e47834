"""Plots of a sweep's table: lines over an axis, heat maps over two, Pareto fronts of two metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from simulator.core.errors import ConfigError
from simulator.core.spelling import did_you_mean
from simulator.report import wording
from simulator.report.plot_style import COLOURS, HEAT_MAP, INK, MARKERS, MUTED, plot_style, save

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MAX_SERIES = 12
_MOST_TICKS = 14
_MOST_CELLS = 60
_MOST_BANDS = 3
_SIZE_INCHES = (5.4, 3.4)
_THROUGHPUT = "throughput_tokens_per_s"
_HEADLINES = (_THROUGHPUT, "step_time_ms", "goodput_requests_per_s", "time_us")
_COSTS = ("energy_mj_per_token", "power_w", "token_latency_ms", "ttft_ms_p99")


class PlotRequest(BaseModel):
    """One entry of `plots:` in a sweep file.

    `lines`: `y` over `x`, a line for each value of `by`. `heatmap`: `z` over `x` and `y`. `pareto`: `y` over `x`,
    both metrics, with the points that no other beats; `minimise` says which of the two are better small (default: x).
    Where several points share a place, `reduce` picks what is drawn; up to three lines show the range behind it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["lines", "heatmap", "pareto"]
    x: str
    y: str
    by: str | None = None
    z: str | None = None
    minimise: list[str] | None = None
    reduce: Literal["median", "mean", "min", "max"] = "median"
    log: Literal["", "x", "y", "xy"] = ""
    title: str | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that it reads."""
        return [name for name in (self.x, self.y, self.by, self.z) if name]


@dataclass(frozen=True, slots=True)
class DrawnPlot:
    """A plot on the disk: its title and its PNG and PDF files."""

    title: str
    png: Path
    pdf: Path


def default_plots(varied: Sequence[str], numeric: Sequence[str], metrics: Sequence[str]) -> list[PlotRequest]:
    """What to draw where the sweep file asks for nothing: the first headline metric over the axes, and its price.

    `varied` are the inputs with more than one value, `numeric` those among them that are numbers.
    """
    headline = next((name for name in _HEADLINES if name in metrics), next(iter(metrics), None))
    if headline is None:
        return []
    plots = []
    if numeric:
        by = next((name for name in varied if name != numeric[-1]), None)
        plots.append(PlotRequest(kind="lines", x=numeric[-1], y=headline, by=by))
    if len(varied) > 1:
        x = numeric[-1] if numeric else varied[-1]
        y = next(name for name in varied if name != x)
        plots.append(PlotRequest(kind="heatmap", x=x, y=y, z=headline))
    cost = next((name for name in _COSTS if name in metrics), None)
    if headline == _THROUGHPUT and cost:
        plots.append(PlotRequest(kind="pareto", x=cost, y=headline, by=varied[0] if varied else None))
    return plots


def check_plot(request: PlotRequest, columns: Sequence[str]) -> None:
    """Refuse a plot of a column that the table does not have. Raises ConfigError with the nearest one."""
    for name in request.columns:
        if name not in columns:
            raise ConfigError(f"a plot asks for `{name}`", where="plots", remedy=did_you_mean(name, columns))
    if request.kind == "heatmap" and request.z is None:
        raise ConfigError("a heat map needs `z`", where="plots", remedy="name the metric that colours it")


def draw_plots(requests: Sequence[PlotRequest], table: Path, folder: Path) -> list[DrawnPlot]:
    """Draw plots of a Parquet table into a folder. Raises OSError where it cannot be written."""
    import pandas as pd

    drawn = []
    with plot_style():
        for number, request in enumerate(requests, start=1):
            frame = pd.read_parquet(table, columns=list(dict.fromkeys(request.columns)))
            if not frame.empty:
                drawn.append(_drawn(request, frame, folder / f"{number:02d}_{request.kind}"))
    return drawn


def _drawn(request: PlotRequest, frame: pd.DataFrame, stem: Path) -> DrawnPlot:
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_INCHES)
    axes = figure.add_subplot()
    {"lines": _lines, "heatmap": _heat_map, "pareto": _pareto}[request.kind](axes, request, frame)
    title = request.title or _title(request)
    places = [name for name in (request.x, request.by if request.kind == "lines" else request.y) if name]
    if request.kind != "pareto" and frame.duplicated(places).any():
        title += f" ({request.reduce})"
    axes.set_title(title)
    axes.set_xlabel(label(request.x))
    axes.set_ylabel(label(request.y))
    if request.kind != "heatmap":
        if "x" in request.log:
            axes.set_xscale("log")
        if "y" in request.log:
            axes.set_yscale("log")
    return DrawnPlot(title, *save(figure, stem))


def _lines(axes: Axes, request: PlotRequest, frame: pd.DataFrame) -> None:
    positions, names = _positions(frame[request.x])
    frame = frame.assign(_x=positions)
    series = _series(frame, request.by)
    for number, (name, part) in enumerate(series):
        grouped = part.groupby("_x")[request.y]
        middle = grouped.agg(request.reduce)
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        dash, every = "-" if number < len(COLOURS) else "--", max(1, len(middle) // 12)
        axes.plot(middle.index, middle.to_numpy(), dash, label=name, color=colour, marker=marker, markevery=every)
        if len(series) <= _MOST_BANDS and grouped.size().max() > 1:
            band = (grouped.min().to_numpy(), grouped.max().to_numpy())
            axes.fill_between(middle.index, *band, color=colour, alpha=0.12, linewidth=0)
    if names is not None:
        axes.set_xticks(range(len(names)), names)
    _legend(axes, request.by)


def _heat_map(axes: Axes, request: PlotRequest, frame: pd.DataFrame) -> None:
    import numpy as np

    # The row of each x and y is their rank; cells that no point reached stay white.
    table = frame.pivot_table(index=request.y, columns=request.x, values=request.z, aggfunc=request.reduce)
    values = table.to_numpy(float)
    image = axes.imshow(values, aspect="auto", origin="lower", cmap=HEAT_MAP, interpolation="nearest")
    for axis, entries in ((axes.xaxis, table.columns), (axes.yaxis, table.index)):
        step = max(1, -(-len(entries) // _MOST_TICKS))
        axis.set_ticks(range(0, len(entries), step), [_tick(entry) for entry in entries[::step]])
    axes.grid(visible=False)
    if values.size <= _MOST_CELLS:
        middle = (np.nanmin(values) + np.nanmax(values)) / 2
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                ink = INK if value > middle else "white"
                axes.text(column, row, f"{value:.4g}", ha="center", va="center", fontsize=6.5, color=ink)
    assert request.z is not None
    axes.figure.colorbar(image, ax=axes, label=label(request.z))


def _pareto(axes: Axes, request: PlotRequest, frame: pd.DataFrame) -> None:
    small_marks = len(frame) > 2000
    for number, (name, part) in enumerate(_series(frame, request.by)):
        axes.scatter(
            part[request.x], part[request.y], s=2 if small_marks else 9, label=name, alpha=0.45, linewidths=0,
            color=COLOURS[number % len(COLOURS)], marker=MARKERS[number % len(MARKERS)],
        )  # fmt: skip
    front = pareto_front(frame, request)
    axes.plot(front[request.x], front[request.y], color=INK, linewidth=1.0, marker=".", label="Pareto front", zorder=3)
    _legend(axes, request.by, always=True)


def pareto_front(frame: pd.DataFrame, request: PlotRequest) -> pd.DataFrame:
    """The rows that no other row beats in both metrics, in the order of x; equal rows once."""
    minimised = [request.x] if request.minimise is None else request.minimise
    ascending = [request.x in minimised, request.y in minimised]
    ordered = frame.dropna(subset=[request.x, request.y]).sort_values([request.x, request.y], ascending=ascending)
    best = ordered[request.y].cummin() if ascending[1] else ordered[request.y].cummax()
    # A row is on the front where it alone moved the best so far.
    moved = best.ne(best.shift())
    return ordered[moved].sort_values(request.x)


def label(column: str) -> str:
    """A column's name for an axis: the words after its last dot, with the unit in brackets."""
    return wording.heading(column.rpartition(".")[2])


def _title(request: PlotRequest) -> str:
    what = wording.take_apart((request.z or request.y).rpartition(".")[2]).words
    what = what[:1].upper() + what[1:]
    over = [wording.take_apart(name.rpartition(".")[2]).words for name in (request.x, request.y)]
    if request.kind == "heatmap":
        return f"{what} over {over[0]} and {over[1]}"
    return f"{what} over {over[0]}" if request.kind == "lines" else f"{what} against {over[0]}"


def _series(frame: pd.DataFrame, by: str | None) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each value of `by`; of many values, some from the smallest to the largest."""
    if by is None:
        return [("", frame)]
    groups = [(str(_tick(name)), part) for name, part in frame.groupby(by, sort=True)]
    if len(groups) <= MAX_SERIES:
        return groups
    return [groups[round(index * (len(groups) - 1) / (MAX_SERIES - 1))] for index in range(MAX_SERIES)]


def _positions(column: pd.Series[Any]) -> tuple[Any, list[str] | None]:
    """Places on the x axis: numbers as they are, texts by their rank with their names."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        return column, None
    names = sorted(column.astype(str).unique())
    return column.astype(str).map({name: rank for rank, name in enumerate(names)}), names


def _legend(axes: Axes, by: str | None, *, always: bool = False) -> None:
    if by is None and not always:
        return
    n_entries = len(axes.get_legend_handles_labels()[0])
    # A long legend stands beside the plot, where it hides no line.
    place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if n_entries > 6 else {"loc": "best"}
    legend = axes.legend(title=label(by) if by else None, fontsize=6.5, title_fontsize=7, **place)
    legend.get_title().set_color(MUTED)


def _tick(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
