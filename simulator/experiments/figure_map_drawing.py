"""Maps of trade-offs: a loss over a cost, a line per machine through its formats, and what none of a family beats.

A series is `machine (family)`. Losses are drawn as their increase over the panel's first value, on an axis that is
linear near 0 and logarithmic far away; costs are relative, 1 being the family's baseline. A position `4b, KV8` is a
variant of `4b`: drawn hollow, joined to it, not named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.experiments.figure_data import Panel, Value
from simulator.experiments.figure_labels import Label, place_labels
from simulator.report.plot_style import COLOURS, GRID, INK, MARKERS, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Abscissae = Mapping[tuple[str, str], Value]

_VARIANT = ", "
_LINEAR = 0.01  # nats up to which the axis of losses is about linear
_TICKS = (-0.1, -0.03, -0.01, -0.003, 0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_FAMILY_MARKERS = ("o", "s", "^")
_SIZE, _SERIES_SIZE = 5.6, 7.2
_POINT_COLOURS = {"refused": MUTED, "accepted": COLOURS[0], "found": COLOURS[3]}


def draw_map(axes: Axes, values: Sequence[Value], abscissae: Abscissae) -> None:
    """Points of a map, the lines of machines and the fronts of families; `label_map` names them later."""
    names = _names(values)
    families = list(dict.fromkeys(map(family_of, names)))
    points = _points(values, abscissae)
    for name in names:
        style: dict[str, Any] = {
            "color": _colour(name, names),
            "marker": _FAMILY_MARKERS[families.index(family_of(name))],
        }
        own = {at: points[name, at] for series, at in points if series == name}
        plain = [own[at] for at in own if _VARIANT not in at]
        is_baseline = not _is_no_baseline(name, names)
        axes.plot(*zip(*plain, strict=True), linewidth=1.1, markersize=5.6 if is_baseline else 4.4, zorder=3, **style)
        for at, point in own.items():
            if _VARIANT in at:
                base = own[at.split(_VARIANT)[0]]
                axes.plot(*zip(base, point, strict=True), color=style["color"], linewidth=0.7, zorder=2.6)
                axes.plot(
                    *point, linestyle="none", markersize=3.6, markerfacecolor="white", markeredgewidth=0.9, zorder=3.2,
                    markeredgecolor=style["color"], marker=style["marker"],
                )  # fmt: skip
    for family in families:
        front = pareto_front([points[key] for key in points if family_of(key[0]) == family])
        axes.plot(*_steps(front), color=MUTED, linewidth=4.5, alpha=0.28, solid_capstyle="round", zorder=1.5)
    axes.axhline(0, color=MUTED, linewidth=0.6, zorder=1)
    axes.axvline(1, color=MUTED, linewidth=0.6, linestyle=(0, (4, 2)), zorder=1)
    _loss_axis(axes, [y for _, y in points.values()])
    axes.grid(visible=True, axis="both", color=GRID)


def label_map(axes: Axes, values: Sequence[Value], abscissae: Abscissae) -> None:
    """Name machines and their points, once the layout is known."""
    names, points = _names(values), _points(values, abscissae)
    labels, lines = [], []
    for name in names:
        own = {at: point for (series, at), point in points.items() if series == name}
        colour = _colour(name, names)
        plain = {at: point for at, point in own.items() if _VARIANT not in at}
        short = name.split(" (")[0]
        labels.append(Label(short, tuple(plain.values()), colour, _SERIES_SIZE, "bold"))
        if len(plain) > 1:
            labels += [Label(at, (point,), colour, _SIZE) for at, point in plain.items()]
            lines.append(np.array(list(plain.values())))
        lines += [np.array([own[at.split(_VARIANT)[0]], point]) for at, point in own.items() if _VARIANT in at]
    place_labels(axes, labels, lines)


def draw_points(axes: Axes, values: Sequence[Value], abscissae: Abscissae) -> None:
    """Points of a search by what became of them; `label_points` names them later."""
    for name in _names(values):
        own = [value for value in values if value.series == name]
        axes.plot(
            [abscissae[value.key[1:]].ours for value in own], [value.ours for value in own], linestyle="none",
            marker=MARKERS[0], markersize=6.0 if name == "found" else 4.0, color=_point_colour(name), label=name,
            zorder=3,
        )  # fmt: skip
    axes.margins(x=0.1, y=0.12)
    axes.grid(visible=True, axis="both", color=GRID)


def label_points(axes: Axes, values: Sequence[Value], abscissae: Abscissae) -> None:
    """Name the points of a search, once the layout is known."""
    labels = [
        Label(
            value.at, ((abscissae[value.key[1:]].ours, value.ours),), _point_colour(value.series), _SIZE,
            "bold" if value.series == "found" else "normal",
        )
        for value in values
    ]  # fmt: skip
    place_labels(axes, labels, [])


def map_handles(panel: Panel, values: Sequence[Value]) -> list[Any]:
    """Legend entries of what is not named beside a point."""
    from matplotlib.lines import Line2D

    if panel.kind == "points":
        return [
            Line2D([], [], linestyle="none", marker=MARKERS[0], color=_point_colour(name), label=name)
            for name in _names(values)
        ]
    families = list(dict.fromkeys(map(family_of, _names(values))))
    handles = [
        Line2D([], [], linestyle="none", marker=marker, markersize=4.4, color=INK, label=family)
        for family, marker in zip(families, _FAMILY_MARKERS, strict=False)
    ]
    variants = list(dict.fromkeys(value.at.split(_VARIANT)[1] for value in values if _VARIANT in value.at))
    handles += [
        Line2D([], [], linestyle="none", marker="o", markersize=3.6, markerfacecolor="white", markeredgewidth=0.9,
               markeredgecolor=INK, label=variant)
        for variant in variants
    ]  # fmt: skip
    return [*handles, Line2D([], [], color=MUTED, linewidth=4.5, alpha=0.28, label="not beaten in its family")]


def family_of(series: str) -> str:
    """The family in a series' brackets, or nothing."""
    return series.split(" (")[1].rstrip(")") if " (" in series else ""


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points that no other has both less of, by the first coordinate."""
    found: list[tuple[float, float]] = []
    for point in sorted(points):
        if not found or point[1] < found[-1][1]:
            found.append(point)
    return found


def _steps(front: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """A front as a staircase: what is up and right of it is beaten."""
    xs, ys = [front[0][0]], [front[0][1]]
    for x, y in front[1:]:
        xs += [x, x]
        ys += [ys[-1], y]
    return xs, ys


def _points(values: Sequence[Value], abscissae: Abscissae) -> dict[tuple[str, str], tuple[float, float]]:
    """Cost and increase of the loss by series and position."""
    first = values[0].ours
    return {(value.series, value.at): (abscissae[value.key[1:]].ours, value.ours - first) for value in values}


def _loss_axis(axes: Axes, increases: Sequence[float]) -> None:
    """Increases of a loss on an asinh axis, with ticks that a reader knows."""
    low, high = 1.5 * min(0.0, *increases) - 0.002, 1.2 * max(0.01, *increases)
    axes.set_yscale("asinh", linear_width=_LINEAR)
    inside = [tick for tick in _TICKS if low <= tick <= high]
    axes.set_yticks(inside, [f"{tick:+g}" if tick else "0" for tick in inside])
    axes.minorticks_off()
    axes.set_ylim(low, high)


def _colour(name: str, names: Sequence[str]) -> str:
    """A machine's colour, a family's first being its baseline in ink."""
    of_family = [one for one in names if family_of(one) == family_of(name)]
    if of_family[0] == name:
        return INK
    others = [one for one in names if _is_no_baseline(one, names)]
    return COLOURS[others.index(name) % len(COLOURS)]


def _is_no_baseline(name: str, names: Sequence[str]) -> bool:
    return next(one for one in names if family_of(one) == family_of(name)) != name


def _point_colour(name: str) -> str:
    return _POINT_COLOURS.get(name, INK)


def _names(values: Sequence[Value]) -> list[str]:
    return list(dict.fromkeys(value.series for value in values))
