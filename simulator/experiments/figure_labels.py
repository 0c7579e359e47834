"""Names beside points, placed so that they hide neither each other nor points and lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.report.plot_style import MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Box = tuple[float, float, float, float]  # left, bottom, right, top in pixels

_ANGLES = tuple(math.pi * eighth / 8 for eighth in range(16))
_DISTANCES_PT = (3.5, 6.0, 9.5, 14.0, 19.0, 26.0)
_LEADER_PT = 8.0  # from which distance a line leads to the point
_POINT_PT = 2.6  # half of a point's box
_AIR_PT = 0.8  # around a label
_PASSES = 3
_LEADER = {"arrowstyle": "-", "linewidth": 0.4, "color": MUTED, "shrinkA": 0.5, "shrinkB": 2.0}
_HIDES_LABEL, _HIDES_POINT, _HIDES_LINE, _OUTSIDE, _PER_POINT = 40.0, 25.0, 1.2, 100.0, 0.35


@dataclass(frozen=True, slots=True)
class Label:
    """A name, the points in data coordinates that it may stand at, and how it is written."""

    text: str
    anchors: tuple[tuple[float, float], ...]
    colour: str
    size: float
    weight: str = "normal"


@dataclass(slots=True)
class _Candidate:
    """A label's place: its box, the anchor in pixels, the distance in points, and what it costs by itself."""

    box: Box
    anchor: tuple[float, float]
    distance_pt: float
    cost: float = field(default=0.0)


def place_labels(axes: Axes, labels: Sequence[Label], lines: Sequence[NDArray[np.float64]]) -> None:
    """Write labels beside their anchors; `lines` [n, 2] in data coordinates are what they should not hide either.

    The drawing's layout is found first: places are in its pixels.
    """
    figure = axes.get_figure(root=True)
    if figure is None or not labels:
        return
    figure.draw_without_rendering()
    pixels_per_pt = figure.dpi / 72
    points = axes.transData.transform(np.array([anchor for label in labels for anchor in label.anchors]))
    on_lines = (
        np.concatenate([_sampled(axes.transData.transform(line)) for line in lines]) if lines else np.empty((0, 2))
    )
    frame = axes.get_window_extent()
    bounds = (frame.x0, frame.y0, frame.x1, frame.y1)
    found = [_candidates(axes, label, points, on_lines, bounds, pixels_per_pt) for label in labels]
    for label, chosen in zip(labels, _chosen(found), strict=True):
        _write(axes, label, chosen)


def _candidates(
    axes: Axes, label: Label, points: NDArray[np.float64], on_lines: NDArray[np.float64], bounds: Box, scale: float
) -> list[_Candidate]:
    """Places around the anchors with what they cost, other labels left out."""
    text = axes.text(0, 0, label.text, fontsize=label.size, weight=label.weight)
    extent = text.get_window_extent()
    text.remove()
    width, height = extent.width + 2 * _AIR_PT * scale, extent.height * 0.85 + 2 * _AIR_PT * scale
    found = []
    for x, y in axes.transData.transform(np.array(label.anchors)):
        for distance in _DISTANCES_PT:
            for angle in _ANGLES:
                dx, dy = math.cos(angle), math.sin(angle)
                # The label's nearest edge or corner, not its middle, is at the distance.
                middle = (x + dx * (distance * scale + width / 2), y + dy * (distance * scale + height / 2))
                box = (middle[0] - width / 2, middle[1] - height / 2, middle[0] + width / 2, middle[1] + height / 2)
                cost = (
                    _HIDES_POINT * _n_inside(points, box, _POINT_PT * scale)
                    + _HIDES_LINE * _n_inside(on_lines, box, 0.0)
                    + _OUTSIDE * (box[0] < bounds[0] or box[1] < bounds[1] or box[2] > bounds[2] or box[3] > bounds[3])
                    + _PER_POINT * distance
                )
                found.append(_Candidate(box, (float(x), float(y)), distance, cost))
    found.sort(key=lambda one: one.cost)
    return found[:90]


def _chosen(found: Sequence[Sequence[_Candidate]]) -> list[_Candidate]:
    """The cheapest place of each label given the others', those with the dearest first choice before others."""
    chosen: list[_Candidate | None] = [None] * len(found)
    order = sorted(range(len(found)), key=lambda index: -found[index][0].cost)
    for _ in range(_PASSES):
        for index in order:
            others = [one.box for at, one in enumerate(chosen) if one is not None and at != index]
            chosen[index] = min(
                found[index],
                key=lambda one: one.cost + _HIDES_LABEL * sum(_overlap(one.box, other) for other in others),
            )
    return [one for one in chosen if one is not None]


def _write(axes: Axes, label: Label, chosen: _Candidate) -> None:
    left, bottom, right, top = chosen.box
    to_points = 72 / axes.figure.dpi
    offset = (((left + right) / 2 - chosen.anchor[0]) * to_points, ((bottom + top) / 2 - chosen.anchor[1]) * to_points)
    anchor = axes.transData.inverted().transform(chosen.anchor)
    leads = chosen.distance_pt >= _LEADER_PT
    text = axes.annotate(
        label.text, tuple(anchor), offset, textcoords="offset points", ha="center", va="center", fontsize=label.size,
        color=label.colour, weight=label.weight, zorder=5,
        arrowprops=_LEADER if leads else None,
    )  # fmt: skip
    text.set_in_layout(False)


def _n_inside(points: NDArray[np.float64], box: Box, margin: float) -> int:
    left, bottom, right, top = box
    x, y = points[:, 0], points[:, 1]
    inside = (x > left - margin) & (x < right + margin) & (y > bottom - margin) & (y < top + margin)
    return int(inside.sum())


def _overlap(one: Box, other: Box) -> float:
    """The share of the smaller box that the other covers, at least a half where they touch."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return 0.5 + width * height / smaller


def _sampled(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points along a line, about three pixels apart."""
    parts = [line[:1]]
    for start, end in pairwise(line):
        n = max(1, int(np.hypot(*(end - start)) / 3))
        parts.append(start + (end - start) * (np.arange(1, n + 1) / n)[:, None])
    return np.concatenate(parts)
