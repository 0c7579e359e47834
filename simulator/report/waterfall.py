"""Waterfall pictures: how the parts of one result lead to another one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_STEPS = 10
_PANEL_INCHES = (7.16, 2.9)
_SAME_FRAC = 1e-9
_SMALL_FRAC = 0.01  # of all changes together: too small to be seen
_CUT_BELOW_FRAC = 0.25  # where all changes happen within this part of the totals, the axis does not start at zero
_FEWEST_PLACES = 7


@dataclass(frozen=True, slots=True)
class Step:
    """One bar between two results: what it is, and by how much it changes the total."""

    name: str
    change: float


@dataclass(frozen=True, slots=True)
class Waterfall:
    """From `start` to `end` (totals in `unit`, with their names) by steps whose changes sum to the difference."""

    title: str
    unit: str
    start_name: str
    start: float
    steps: tuple[Step, ...]
    end_name: str
    end: float


def waterfall_steps(
    start: float, before: Mapping[str, float], end: float, after: Mapping[str, float], rest: str
) -> tuple[Step, ...]:
    """The changes of each part, largest first, small ones together, and under the name `rest` what the parts do not
    explain of the difference of the totals `start` and `end`; parts that do not change are left out."""
    changes = {name: after.get(name, 0.0) - before.get(name, 0.0) for name in {**before, **after}}
    scale = max(abs(start), abs(end))
    changed = [(name, change) for name, change in changes.items() if abs(change) > _SAME_FRAC * scale]
    changed.sort(key=lambda entry: -abs(entry[1]))
    least = _SMALL_FRAC * sum(abs(change) for _, change in changed)
    shown = [entry for entry in changed[:_MOST_STEPS] if abs(entry[1]) >= least]
    small = changed[len(shown) :]
    if len(small) == 1:
        shown, small = changed, []
    steps = [Step(name, change) for name, change in shown]
    if small:
        steps.append(Step(f"{len(small)} others", sum(change for _, change in small)))
    unexplained = (end - start) - sum(step.change for step in steps)
    if abs(unexplained) > _SAME_FRAC * scale:
        steps.append(Step(rest, unexplained))
    return tuple(steps)


def write_waterfalls(panels: Sequence[Waterfall], stem: Path) -> tuple[Path, Path]:
    """Draw the panels below each other and write `stem`.png and `stem`.pdf. Raises OSError where it cannot."""
    from matplotlib.figure import Figure

    from simulator.report.plot_style import plot_style, save

    with plot_style():
        width, height = _PANEL_INCHES
        figure = Figure(figsize=(width, height * len(panels)), layout="constrained")
        axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axis, panel in zip(axes, panels, strict=True):
            _draw(axis, panel)
        return _saved(figure, stem, save)


def _saved(figure: Figure, stem: Path, save: Any) -> tuple[Path, Path]:
    paths: tuple[Path, Path] = save(figure, stem)
    return paths


def _draw(axis: Any, panel: Waterfall) -> None:
    from simulator.report.plot_style import COLOURS, INK, MUTED

    totals, more, less = COLOURS[0], COLOURS[3], COLOURS[2]
    levels = [panel.start]
    for step in panel.steps:
        levels.append(levels[-1] + step.change)
    lows = [0.0, *(min(pair) for pair in pairwise(levels)), 0.0]
    heights = [panel.start, *(abs(step.change) for step in panel.steps), panel.end]
    colours = [totals, *(more if step.change > 0 else less for step in panel.steps), totals]
    places = range(len(heights))
    axis.bar(places, heights, bottom=lows, color=colours, width=0.62)
    for index, level in enumerate(levels):
        axis.plot([index - 0.31, index + 1.31], [level, level], color=MUTED, linewidth=0.6)
    top, bottom = max(levels), min(levels)
    cut = bool(panel.steps) and bottom > 0 and top - bottom < _CUT_BELOW_FRAC * top
    floor = max(0.0, bottom - (top - bottom)) if cut else 0.0
    n_decimals = _decimals(top - floor)
    labels = [f"{panel.start:,.{n_decimals}f}", *(f"{step.change:+,.{n_decimals}f}" for step in panel.steps)]
    labels.append(f"{panel.end:,.{n_decimals}f}")
    for index, label in enumerate(labels):
        axis.annotate(
            label,
            (index, lows[index] + heights[index]),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7,
            color=INK,
        )
    axis.set_ylim(floor, floor + (top - floor) * 1.14 or 1.0)
    axis.set_xlim(-0.6, max(len(heights), _FEWEST_PLACES) - 0.4)
    names = [panel.start_name, *(step.name.replace("_", " ") for step in panel.steps), panel.end_name]
    axis.set_xticks(list(places), names, rotation=30, ha="right", rotation_mode="anchor")
    axis.grid(visible=False, axis="x")
    axis.set_ylabel(f"{panel.unit} (from {floor:,.{n_decimals}f})" if cut else panel.unit)
    axis.set_title(panel.title)


def _decimals(scale: float) -> int:
    """Decimals that show three digits of what the axis spans."""
    return min(9, max(0, 2 - math.floor(math.log10(scale)))) if scale > 0 else 0
