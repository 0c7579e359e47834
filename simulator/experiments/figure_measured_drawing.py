"""Panels of ours against measurements: parity, with what is furthest off, and what a measured quantity is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simulator.experiments.figure_data import Panel, Value
from simulator.report.plot_style import COLOURS, GRID, INK, MARKERS, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAND_FRAC = 0.1
_N_NAMED = 3
_LABEL_POINTS = 5.5
_AROUND = 1.25  # of the least and the largest value, on logarithmic axes
_PADDING = 0.06  # of the range, on linear ones
N_LEGEND_ROWS = {"parity": 0, "achieved": 0, "rows": 2}
"""Rows that the legend of a kind of panel takes above its axes."""
_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.2, 1, 1.2)))
_ROW_HEIGHT = 0.7  # of the distance between two rows


def draw_parity(axes: Axes, panel: Panel, values: Sequence[Value]) -> None:
    """Points of ours over `published`, a colour and a marker per series, on axes of equal limits; the legend and the
    rows that are furthest off (filled) stand in the corners, which are empty."""
    pairs = [(value.published, value.ours) for value in values if value.published is not None]
    low, high = min(map(min, pairs)), max(map(max, pairs))
    if panel.log_x:
        low, high = low / _AROUND, high * _AROUND
    else:
        low, high = low - _PADDING * (high - low), high + _PADDING * (high - low)
    ends = [low, high]
    axes.fill_between(
        ends, [end * (1 - BAND_FRAC) for end in ends], [end * (1 + BAND_FRAC) for end in ends], color=GRID, zorder=0.5
    )
    axes.plot(ends, ends, color=MUTED, linewidth=0.7, zorder=1)
    far = sorted(values, key=lambda value: -abs(value.error_frac or 0.0))[:_N_NAMED]
    names = list(dict.fromkeys(value.series for value in values))
    for value in values:
        style = _marker(names.index(value.series), filled=value in far)
        axes.plot([value.published or 0.0], [value.ours], zorder=3 if value in far else 2, **style)
    said = "\n".join(f"{value.at}  {value.error_frac or 0.0:+.0%}" for value in far)
    axes.text(
        0.98, 0.02, said, transform=axes.transAxes, ha="right", va="bottom", fontsize=_LABEL_POINTS, color=INK,
        linespacing=1.25,
    )  # fmt: skip
    handles = [_handle(name, **_marker(index, filled=False)) for index, name in enumerate(names)]
    _legend_inside(axes, handles, "upper left", handletextpad=0.1)
    axes.set(xlim=(low, high), ylim=(low, high))


def draw_achieved(axes: Axes, values: Sequence[Value], abscissae: Mapping[tuple[str, str], Value]) -> None:
    """A line per series of ours, and the measured ones as diamonds of its colour."""
    diamond: dict[str, Any] = {
        "linestyle": "none",
        "marker": "D",
        "markersize": 3.4,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
    }
    handles = []
    for index, name in enumerate(dict.fromkeys(value.series for value in values)):
        own = sorted(
            (abscissae[value.key[1:]].ours, value.ours, value.published) for value in values if value.series == name
        )
        # The later lie below: where lines are equal the first is the one to see.
        style: dict[str, Any] = {"color": COLOURS[index], "linestyle": _DASHES[index % len(_DASHES)], "linewidth": 1.1}
        axes.plot([x for x, _, _ in own], [ours for _, ours, _ in own], zorder=2.5 - 0.1 * index, **style)
        known = [(x, theirs) for x, _, theirs in own if theirs is not None]
        axes.plot([x for x, _ in known], [y for _, y in known], color=COLOURS[index], zorder=3, **diamond)
        handles.append(_handle(name, **style))
    _legend_inside(axes, [*handles, _handle("measured", color=MUTED, **diamond)], "lower right", handlelength=1.4)


def draw_rows(axes: Axes, values: Sequence[Value]) -> None:
    """A bar per position from left to right, a part per series, the whole as a number at its end."""
    from matplotlib.patches import Patch

    places = list(dict.fromkeys(value.at for value in values))
    names = list(dict.fromkeys(value.series for value in values))
    totals = []
    for row, place in enumerate(places):
        left = 0.0
        for value in values:
            if value.at == place:
                axes.barh(row, value.ours, _ROW_HEIGHT, left=left, color=COLOURS[names.index(value.series)])
                left += value.ours
        totals.append(left)
    for row, total in enumerate(totals):
        axes.annotate(
            f"{total:.2f}", (max(totals), row), (5, 0), textcoords="offset points", va="center", fontsize=_LABEL_POINTS
        )
    handles = [Patch(color=COLOURS[index], label=name) for index, name in enumerate(names)]
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=-(-len(names) // N_LEGEND_ROWS["rows"]),
        fontsize=_LABEL_POINTS + 0.5, borderaxespad=0.2, handlelength=1.0, columnspacing=0.9, handletextpad=0.4,
        labelspacing=0.3, borderpad=0.1,
    )  # fmt: skip
    axes.set_yticks(range(len(places)), places, fontsize=_LABEL_POINTS + 0.5)
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.margins(x=0.08)
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")


def _marker(index: int, *, filled: bool) -> dict[str, Any]:
    """The style of a series' points: rings, so that points behind each other stay visible, or filled."""
    colour = COLOURS[index % len(COLOURS)]
    return {
        "linestyle": "none",
        "marker": MARKERS[index % len(MARKERS)],
        "markersize": 3.2,
        "markerfacecolor": colour if filled else "none",
        "markeredgecolor": colour,
        "markeredgewidth": 0.7,
    }


def _legend_inside(axes: Axes, handles: list[Any], place: Any, **style: Any) -> None:
    axes.legend(
        handles=handles, loc=place, fontsize=_LABEL_POINTS + 0.5, borderpad=0.1, labelspacing=0.25, borderaxespad=0.3,
        **style,
    )  # fmt: skip


def _handle(label: str, **style: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **style)
