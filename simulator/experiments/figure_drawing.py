"""Figures drawn in the project's style: our numbers as bars and lines, what a source published as marks on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from simulator.experiments.figure_data import Measured, Panel, Value
from simulator.experiments.figure_dots_drawing import dot_handles, draw_dots, draw_orderings
from simulator.experiments.figure_map_drawing import draw_map, draw_points, label_map, label_points, map_handles
from simulator.experiments.figure_measured_drawing import N_LEGEND_ROWS, draw_achieved, draw_parity, draw_rows
from simulator.experiments.figure_table_drawing import draw_tables
from simulator.report.plot_style import COLOURS, INK, MARKERS, MUTED, OURS, PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_SERIES = tuple(colour for colour in COLOURS if colour != PAPER)  # that one is kept for what is published
_TINTS = {1: (1.0,), 2: (1.0, 0.5), 3: (0.45, 0.72, 1.0)}  # shares of one colour, by the number of series
_PUBLISHED, _BASELINE = "published", "GPU"
_NAMED = {"points": label_points, "map": label_map}  # by how points are named, once all panels have their places
_SIDEWAYS = ("rows", "dots", "orderings")  # a row per position
_BAR_GROUP = 0.8  # of the distance between two positions
_LABEL_POINTS = 6.0
_BESIDE = 0.1  # of the highest bar: a diamond that is no further above its bar would hide the label
_PLOT_BREADTH = 5.0  # of a panel of points, against 8 of one with many bars
_WIDE_SCALE = 300.0  # ratio of the ends of an axis from which only powers of ten are labelled
_NARROW_SCALE = 2.5  # and below which 1, 2 and 5 would leave no two ticks
_MARGIN_INCHES = 0.45  # that an axis takes with its label
_LEGEND_INCHES, _LETTER_INCHES = 0.38, 0.052  # of a legend's entry, beside its letters


def draw(measured: Measured) -> Drawing:
    """The figure with all its panels side by side, tables below each other. Call it inside `plot_style()`."""
    from matplotlib.figure import Figure as Drawing

    panels = [panel for panel in measured.figure.panels if panel.kind != "hidden"]
    width = measured.figure.inches[0]
    drawing = Drawing(figsize=measured.figure.inches)
    if panels[0].kind == "table":
        draw_tables(drawing, [(panel.name, measured.of_panel(panel.name)) for panel in panels])
        return drawing
    ratios = [_breadth(panel, measured.of_panel(panel.name)) for panel in panels]
    all_axes = drawing.subplots(1, len(panels), squeeze=False, width_ratios=ratios)[0]
    for axes, panel in zip(all_axes, panels, strict=True):
        _draw_panel(axes, panel, measured)
    n_rows = [
        _legend(axes, panel, measured.of_panel(panel.name), width * ratio / sum(ratios) - _MARGIN_INCHES)
        for axes, panel, ratio in zip(all_axes, panels, ratios, strict=True)
    ]
    if len(panels) > 1:
        for axes, panel in zip(all_axes, panels, strict=True):
            axes.set_title(panel.name, pad=8 + 11 * max(n_rows))
    for axes, panel in zip(all_axes, panels, strict=True):
        if panel.kind in _NAMED:
            abscissae = {value.key[1:]: value for value in measured.of_panel(panel.x_from)}
            _NAMED[panel.kind](axes, measured.of_panel(panel.name), abscissae)
    return drawing


def positions(values: Sequence[Value]) -> list[str]:
    """Positions in the order in which they come."""
    return list(dict.fromkeys(value.at for value in values))


def series_names(values: Sequence[Value]) -> list[str]:
    """Series in the order in which they come."""
    return list(dict.fromkeys(value.series for value in values))


def short(value: float) -> str:
    """A number of three digits, for a bar's label."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")


def _breadth(panel: Panel, values: list[Value]) -> float:
    """How wide a panel is beside others: as it says, or by its bars, if it has any."""
    if panel.breadth:
        return panel.breadth
    if panel.kind in ("parity", "curves", "achieved", *_NAMED):
        return _PLOT_BREADTH
    n_bars = len(positions(values)) * (len(series_names(values)) ** 0.7 if panel.kind == "bars" else 1)
    return float(min(8.0, max(3.0, n_bars)))


def _draw_panel(axes: Axes, panel: Panel, measured: Measured) -> None:
    values = measured.of_panel(panel.name)
    if panel.kind == "parity":
        draw_parity(axes, panel, values)
    elif panel.kind == "rows":
        draw_rows(axes, values)
    elif panel.x_from:
        abscissae = {value.key[1:]: value for value in measured.of_panel(panel.x_from)}
        draw_over: dict[str, Callable[[Axes, list[Value], dict[tuple[str, str], Value]], None]] = {
            "scatter": _scatter,
            "curves": _curves,
            "achieved": draw_achieved,
            "points": draw_points,
            "map": draw_map,
        }
        draw_over[panel.kind](axes, values, abscissae)
    else:
        draw_values: dict[str, Callable[[Axes, list[Value]], None]] = {
            "bars": partial(_bars, labelled=panel.labelled),
            "stacked": _stacked,
            "lines": partial(_lines, labelled=panel.labelled),
            "dots": draw_dots,
            "orderings": draw_orderings,
        }
        draw_values[panel.kind](axes, values)
    if panel.reference is not None:
        along = axes.axvline if panel.kind in _SIDEWAYS else axes.axhline
        along(panel.reference, color=MUTED, linewidth=0.8, linestyle=(0, (4, 2)), zorder=2.5)
    if panel.kind not in (*_SIDEWAYS, "map"):
        _scale(axes.yaxis, axes.set_yscale if panel.log_y else None)
    if panel.log_x:
        _scale(axes.xaxis, axes.set_xscale)
    axes.set_ylabel(panel.y)
    axes.set_xlabel(panel.x)


def _scale(axis: Any, set_logarithmic: Callable[..., Any] | None) -> None:
    """Plain numbers with commas on an axis; a logarithmic one has ticks at 1, 2 and 5, a long one at powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

    if set_logarithmic is not None:
        set_logarithmic("log")
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1,) if high / low > _WIDE_SCALE else (1, 2, 5)))
        axis.set_minor_formatter(NullFormatter())
        if high / low < _NARROW_SCALE:
            axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            axis.set_minor_locator(NullLocator())
    if set_logarithmic is not None or max(axis.get_view_interval()) >= 1000:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))


def _bars(axes: Axes, values: list[Value], *, labelled: bool) -> None:
    """Bars of series beside each other at each position, ours labelled or not, published numbers as diamonds."""
    names, places = series_names(values), positions(values)
    width = _BAR_GROUP / len(names)
    small = len(names) > 2 or len(places) > 5
    highest = max(value.ours for value in values)
    for index, name in enumerate(names):
        own = [value for value in values if value.series == name]
        xs = [places.index(value.at) + (index - (len(names) - 1) / 2) * width for value in own]
        colours = [_bar_colour(value, index, len(names)) for value in own]
        bars = axes.bar(xs, [value.ours for value in own], width * 0.92, color=colours)
        labels = [short(value.ours) if labelled else "" for value in own]
        texts = axes.bar_label(bars, labels, padding=3.5, fontsize=_LABEL_POINTS - small, color=INK)
        for text, value in zip(texts, own, strict=True):
            if value.published is not None and 0 < value.published - value.ours < _BESIDE * highest:
                text.xy = (text.xy[0], value.published)  # else the diamond hides it
        _mark_published(axes, xs, own)
    crowded = len(places) > 5
    axes.set_xticks(range(len(places)), places, rotation=45 if crowded else 0)
    axes.margins(y=0.08)


def _bar_colour(value: Value, index: int, n_series: int) -> Any:
    tints = _TINTS.get(n_series)
    if value.is_baseline:
        return _tint(MUTED, tints[index] if tints else 1.0)
    return _tint(OURS, tints[index]) if tints else _SERIES[index]


def _stacked(axes: Axes, values: list[Value]) -> None:
    """Our parts on top of each other, beside them what was published; a baseline is grey."""
    names, places = series_names(values), positions(values)
    has_published = any(value.published is not None for value in values)
    for index, place in enumerate(places):
        here = [value for value in values if value.at == place]
        beside = has_published and any(value.published is not None for value in here)
        width, offset = (0.36, 0.2) if beside else (0.6, 0.0)
        colours = [_stack_colour(value, names) for value in here]
        _pile(axes, index - offset, width, [value.ours for value in here], colours)
        total = sum(value.ours for value in here)
        axes.annotate(
            short(total), (index - offset, total), (0, 2), textcoords="offset points", ha="center",
            fontsize=_LABEL_POINTS,
        )  # fmt: skip
        theirs = [value for value in here if value.published is not None]
        pale = [_tint(_SERIES[names.index(value.series)], 0.3) for value in theirs]
        _pile(axes, index + offset, width, [value.published or 0.0 for value in theirs], pale, edge=PAPER)
    axes.set_xticks(range(len(places)), [place.replace(" ", "\n", 1) for place in places])
    axes.margins(y=0.08)


def _stack_colour(value: Value, names: list[str]) -> Any:
    index = names.index(value.series)
    return _tint(MUTED, 0.4 + 0.4 * (index % 2)) if value.is_baseline else _SERIES[index]


def _pile(
    axes: Axes, x: float, width: float, heights: Sequence[float], colours: Sequence[Any], *, edge: str | None = None
) -> None:
    bottom = 0.0
    for height, colour in zip(heights, colours, strict=True):
        axes.bar(
            x, height, width, bottom=bottom, color=colour, edgecolor=edge, linewidth=0.9 if edge else 0.0
        )  # fmt: skip
        bottom += height


def _lines(axes: Axes, values: list[Value], *, labelled: bool) -> None:
    """A line per series over the positions, labelled or not; published numbers as diamonds."""
    places = positions(values)
    for index, name in enumerate(series_names(values)):
        own = [value for value in values if value.series == name]
        xs = [float(places.index(value.at)) for value in own]
        _line(axes, xs, own, index, [short(value.ours) if labelled else "" for value in own])
        _mark_published(axes, xs, own)
    axes.set_xticks(range(len(places)), places)
    axes.margins(x=0.08, y=0.12)


def _scatter(axes: Axes, values: list[Value], abscissae: dict[tuple[str, str], Value]) -> None:
    """A line per series through points of two quantities, each named; published points as diamonds."""
    for index, name in enumerate(series_names(values)):
        own = [value for value in values if value.series == name]
        at = [abscissae[value.key[1:]] for value in own]
        _line(axes, [x.ours for x in at], own, index, [value.at for value in own], sideways=True)
        pairs = [(x.published, y) for x, y in zip(at, own, strict=True) if x.published is not None]
        _mark_published(axes, [x for x, _ in pairs], [y for _, y in pairs])
    axes.margins(x=0.2, y=0.1)


def _curves(axes: Axes, values: list[Value], abscissae: dict[tuple[str, str], Value]) -> None:
    """A line per series through points of two quantities, none of them named."""
    for index, name in enumerate(series_names(values)):
        own = [value for value in values if value.series == name]
        xs = [abscissae[value.key[1:]].ours for value in own]
        baseline = own[0].is_baseline
        axes.plot(
            xs, [value.ours for value in own], color=MUTED if baseline else _SERIES[index], marker=MARKERS[index],
            markersize=2.6, linestyle="--" if baseline else "-",
        )  # fmt: skip


def _line(
    axes: Axes, xs: Sequence[float], own: list[Value], index: int, labels: list[str], *, sideways: bool = False
) -> None:
    """A series, its points labelled: ours above or left of the line, a baseline below or right of it."""
    baseline = own[0].is_baseline
    axes.plot(
        xs,
        [value.ours for value in own],
        color=MUTED if baseline else _SERIES[index],
        marker=MARKERS[index],
        linestyle="--" if baseline else "-",
    )
    sign = -1 if baseline else 1
    offset = (-6 * sign, 1.0 - 2 * (sign < 0)) if sideways else (0, 5 * sign)
    for x, value, label in zip(xs, own, labels, strict=True):
        axes.annotate(
            label,
            (x, value.ours),
            offset,
            textcoords="offset points",
            ha=("left" if baseline else "right") if sideways else "center",
            va="center" if sideways else ("top" if baseline else "bottom"),
            fontsize=_LABEL_POINTS,
            color=MUTED if baseline else INK,
        )


def _mark_published(axes: Axes, xs: Sequence[float], values: Sequence[Value]) -> None:
    pairs = [(x, value.published) for x, value in zip(xs, values, strict=True) if value.published is not None]
    if pairs:
        axes.plot(
            [x for x, _ in pairs],
            [y for _, y in pairs],
            linestyle="none",
            marker="D",
            markersize=3.6,
            markerfacecolor=PAPER,
            markeredgecolor="white",
            markeredgewidth=0.6,
            zorder=4,
            label="_",
        )


def _legend(axes: Axes, panel: Panel, values: Sequence[Value], inches: float) -> int:
    """The legend above the axes, where no value can hide it; returns how many rows it takes."""
    if panel.kind in N_LEGEND_ROWS:  # drawn with the panel
        return N_LEGEND_ROWS[panel.kind]
    if panel.kind in _SIDEWAYS:
        handles = dot_handles(values)
    elif panel.kind in _NAMED:
        handles = map_handles(panel, values)
    else:
        handles = [*_series_handles(panel, values), *_other_handles(panel, values)]
    widest = max(_LEGEND_INCHES + _LETTER_INCHES * len(str(handle.get_label())) for handle in handles)
    n_rows = -(-len(handles) // max(1, int(inches / widest)))
    n_columns = -(-len(handles) // n_rows)
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=n_columns, borderaxespad=0.2,
        handlelength=1.3, columnspacing=1.0, handletextpad=0.5, borderpad=0.1,
    )  # fmt: skip
    return n_rows


def _series_handles(panel: Panel, values: Sequence[Value]) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    names = series_names(values)
    if panel.kind in ("lines", "scatter", "curves"):
        baselines = {value.series for value in values if value.is_baseline}
        return [
            Line2D(
                [], [], marker=MARKERS[index], color=MUTED if name in baselines else _SERIES[index],
                linestyle="--" if name in baselines else "-", label=name,
            )
            for index, name in enumerate(names)
        ]  # fmt: skip
    labels = names if len(names) > 1 else ["ours"]
    n_tints = len(names) if panel.kind == "bars" else 0
    tints = _TINTS.get(n_tints)
    return [
        Patch(color=_tint(OURS, tints[index]) if tints else _SERIES[index], label=label)
        for index, label in enumerate(labels)
    ]


def _other_handles(panel: Panel, values: Sequence[Value]) -> list[Any]:
    """Legend entries of published numbers and of a baseline's bars."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    if any(value.published is not None for value in values):
        if panel.kind == "stacked":
            handles.append(Patch(facecolor="white", edgecolor=PAPER, linewidth=1.0, label=_PUBLISHED))
        else:
            handles.append(Line2D([], [], label=_PUBLISHED, marker="D", markersize=3.6, color=PAPER, linestyle="none"))
    if panel.kind in ("bars", "stacked") and any(value.is_baseline for value in values):
        handles.append(Patch(color=MUTED, label=_BASELINE))
    return handles


def _tint(colour: str, share: float) -> Any:
    """A colour mixed with white."""
    from matplotlib.colors import to_rgb

    return tuple(1 - share * (1 - part) for part in to_rgb(colour))
