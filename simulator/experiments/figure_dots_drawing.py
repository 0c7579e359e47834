"""Panels of points in rows: a row per position, named in full, a point per series; and rows that compare two things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulator.experiments.figure_data import Value
from simulator.report.plot_style import COLOURS, GRID, INK, MARKERS, MUTED, PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABEL_POINTS = 6.5
_SPREAD = 0.56  # of a row's height, over which the series are spread
_OURS = tuple(colour for colour in COLOURS if colour != PAPER)
_OURS_MARKERS = tuple(marker for marker in MARKERS if marker != "D")
_PAPER_TINTS = (PAPER, "#efc08f")


def draw_dots(axes: Axes, values: Sequence[Value]) -> None:
    """A row per position; ours in the colours of their series, published numbers as rings, baselines as diamonds."""
    names, places = _names(values), _places(values)
    styles = _styles(values)
    for row in range(len(places)):
        axes.axhline(row, color=GRID, linewidth=0.6, zorder=0.5)
    for index, name in enumerate(names):
        offset = _SPREAD * (index - (len(names) - 1) / 2) / max(1, len(names))
        own = [value for value in values if value.series == name]
        ys = [places.index(value.at) + offset for value in own]
        axes.plot([value.ours for value in own], ys, linestyle="none", zorder=3, **styles[name])
        known = [(value.published, y) for value, y in zip(own, ys, strict=True) if value.published is not None]
        if known:
            axes.plot([x for x, _ in known], [y for _, y in known], linestyle="none", zorder=2.5, **_ring())
    axes.set_yticks(range(len(places)), places, fontsize=_LABEL_POINTS)
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.06)


def draw_orderings(axes: Axes, values: Sequence[Value]) -> None:
    """Rows of ratios, those of a paper among them: what is on the paper's side of 1 agrees with it, and a word at the
    end of the row says how many do not."""
    draw_dots(axes, values)
    for row, place in enumerate(_places(values)):
        said, stands_out = verdict(values, place)
        axes.annotate(
            said, (1.0, row), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
            fontsize=_LABEL_POINTS - 0.5, color=INK if stands_out else MUTED, weight="bold" if stands_out else "normal",
        )  # fmt: skip


def verdict(values: Sequence[Value], place: str) -> tuple[str, bool]:
    """Whether ours order two things as a paper does, in words, and whether some do not."""
    own = [value.ours for value in values if value.at == place and not value.is_baseline]
    paper = {value.ours < 1 for value in values if value.at == place and value.is_baseline and value.ours != 1}
    if len(paper) != 1:
        return "paper: even", False
    (smaller,) = paper
    n_reversed = sum((one < 1) != smaller for one in own)
    if not n_reversed:
        return "holds", False
    return f"reversed on {'all' if n_reversed == len(own) > 1 else f'{n_reversed} of {len(own)}'}", True


def dot_handles(values: Sequence[Value]) -> list[Any]:
    """Legend entries of a panel's series, and of rings if there are any."""
    from matplotlib.lines import Line2D

    styles = _styles(values)
    handles = [Line2D([], [], linestyle="none", label=name, **styles[name]) for name in _names(values)]
    if any(value.published is not None for value in values):
        handles.append(Line2D([], [], linestyle="none", label="published", **_ring()))
    return handles


def _styles(values: Sequence[Value]) -> dict[str, dict[str, Any]]:
    baselines = list(dict.fromkeys(value.series for value in values if value.is_baseline))
    styles: dict[str, dict[str, Any]] = {}
    for name in _names(values):
        if name in baselines:
            tint = _PAPER_TINTS[baselines.index(name) % len(_PAPER_TINTS)]
            styles[name] = {"marker": "D", "markersize": 3.4, "color": tint, "markeredgewidth": 0}
        else:
            at = sum(1 for other in styles if other not in baselines)
            styles[name] = {
                "marker": _OURS_MARKERS[at % len(_OURS_MARKERS)],
                "markersize": 3.8,
                "color": _OURS[at % len(_OURS)],
                "markeredgewidth": 0,
            }
    return styles


def _ring() -> dict[str, Any]:
    return {
        "marker": "o",
        "markersize": 7.0,
        "markerfacecolor": "none",
        "markeredgecolor": PAPER,
        "markeredgewidth": 0.8,
    }


def _names(values: Sequence[Value]) -> list[str]:
    return list(dict.fromkeys(value.series for value in values))


def _places(values: Sequence[Value]) -> list[str]:
    return list(dict.fromkeys(value.at for value in values))
