"""Small plots as SVG, drawn without a library: geometry and labels here, the markup in `templates/plot.svg.j2`.

A plot is as wide as a telephone, so that its text stays readable there; wide screens show several side by side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.contracts.results import Distribution, Series
from simulator.report import wording
from simulator.report.plot_style import COLOURS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

WIDTH, HEIGHT = 360, 232
WIDE = 2 * WIDTH
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 348, 14, 190
_MOST_POINTS = 400
_LOG_FROM_RATIO = 50.0
_FLAT, _NOTHING = 1e-9, 1e-90  # what varies less than this, or is less than this, is drawn as one value, or zero
_PIECES = 40
_DASHES = ("", "5 3", "2 2")
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Mark:
    """A point with words beside it, in pixels; `end` says that the words stand to its left."""

    x: float
    y: float
    words: str
    end: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One of several curves of a plot: its name, its path in pixels, colour, and dashes ("" for none)."""

    name: str
    path: str
    colour: str
    dashes: str


@dataclass(frozen=True, slots=True)
class Plot:
    """One curve, or several `lines`, ready to be drawn: paths in pixels, ticks as (pixel, label), and what it shows in
    words."""

    title: str
    summary: str
    x_label: str
    y_label: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    line: str
    area: str
    colour: str
    marks: tuple[Mark, ...] = ()
    points: tuple[tuple[float, float], ...] = ()
    lines: tuple[Line, ...] = ()
    width: int = WIDTH


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: from `low` to `high` of the quantity onto `first` to `last` in pixels, linear or logarithmic."""

    low: float
    high: float
    first: float
    last: float
    log: bool = False

    def pixels(self, values: Floats) -> Floats:
        """Where values stand."""
        low, high = self.low, self.high
        if self.log:
            values, low, high = np.log(values), math.log(low), math.log(high)
        return self.first + (values - low) * ((self.last - self.first) / (high - low))

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """(pixel, label) of the ticks within the axis."""
        values = _log_ticks(self.low, self.high) if self.log else _linear_ticks(self.low, self.high)
        pixels = self.pixels(np.array(values)).tolist()
        return tuple(zip((round(pixel, 1) for pixel in pixels), _labels(values), strict=True))


def cumulative_plot(name: str, distribution: Distribution, metrics: Mapping[str, float], colour: str = "") -> Plot:
    """Which share of the values is at most x; the percentiles that the run states are marked."""
    values = distribution.values
    share = np.cumsum(distribution.counts) / distribution.counts.sum()
    log = bool(values[0] > 0 and values[-1] / values[0] > _LOG_FROM_RATIO)
    x_axis = Axis(*_padded(float(values[0]), float(values[-1]), log=log), _LEFT, _RIGHT, log)
    y_axis = Axis(0.0, 1.0, _BOTTOM, _TOP)
    kept = _spread(share, _MOST_POINTS)
    x, y = x_axis.pixels(values[kept]), y_axis.pixels(share[kept])
    marks = []
    for percent in (50, 90, 99):
        value = metrics.get(f"{name}_p{percent}")
        if value is None or not x_axis.low <= value <= x_axis.high:
            continue
        at = float(x_axis.pixels(np.array([value]))[0])
        words = f"p{percent} {wording.number(float(value))}"
        marks.append(Mark(round(at, 1), round(float(y_axis.pixels(np.array([percent / 100]))[0]), 1), words, at > 230))
    named = wording.take_apart(name)
    n, ends = int(distribution.counts.sum()), [wording.number(float(value)) for value in (values[0], values[-1])]
    return Plot(
        title=_capital(wording.heading(name)),
        summary=f"Shares of {n:,} values of {named.words}, from {ends[0]} to {ends[1]} {named.unit}",
        x_label=wording.heading(name) + (", logarithmic" if log else ""),
        y_label="share of values (%)",
        x_ticks=x_axis.ticks(),
        y_ticks=tuple((pixel, _percent(label)) for pixel, label in y_axis.ticks()),
        line=_stepped_path(np.concatenate((x[:1], x)), np.concatenate(([_BOTTOM], y))),
        area="",
        colour=colour or COLOURS[0],
        marks=tuple(marks),
    )


def series_plot(name: str, series: Series, colour: str = "") -> Plot:
    """A quantity over another. Where there are more steps than pixels, the band from least to most and the mean."""
    x, y = series.x, series.y
    x_axis = Axis(*_padded(float(x[0]), float(x[-1])), _LEFT, _RIGHT)
    dense = series.stepped and len(x) > _MOST_POINTS
    largest, least = float(y.max()), float(y.min())
    # From zero, unless the curve would be flat.
    y_axis = Axis(*_padded(min(0.0, least), largest, above=1.05), _BOTTOM, _TOP)
    area, points = "", tuple[tuple[float, float], ...]()
    if dense:
        middle, low, mean, high = _buckets(x, y)
        pixels = x_axis.pixels(middle)
        area = _band(pixels, y_axis.pixels(low), y_axis.pixels(high))
        line = _path(pixels, y_axis.pixels(mean))
    else:
        pixels = x_axis.pixels(x)
        line = (_stepped_path if series.stepped else _path)(pixels, y_axis.pixels(y))
        if not series.stepped and len(x) <= 60:
            points = tuple(zip(_rounded(pixels), _rounded(y_axis.pixels(y)), strict=True))
    named = wording.take_apart(name)
    return Plot(
        title=_capital(wording.heading(name)),
        summary=f"{_capital(named.words)} over {wording.heading(series.x_name)}: from {wording.number(least)} to "
        f"{wording.number(largest)} {named.unit}",
        x_label=wording.heading(series.x_name),
        y_label="",
        x_ticks=x_axis.ticks(),
        y_ticks=y_axis.ticks(),
        line=line,
        area=area,
        colour=colour or COLOURS[0],
        points=points,
    )


def lines_plot(name: str, lines: Mapping[str, Series]) -> Plot:
    """A quantity of several things over another, a line each: means over as many even pieces of its x, so that lines
    which swing stay apart. A share has an axis from 0 to 100 %."""
    named = wording.take_apart(name)
    scale = 100.0 if named.unit == "%" else 1.0
    ends = [(float(series.x[0]), float(series.x[-1])) for series in lines.values()]
    means = [_means(series) for series in lines.values()]
    largest = 100.0 if named.unit == "%" else max(float(y.max()) for _, y in means)
    least = min(0.0, *(float(y.min()) * scale for _, y in means))
    x_axis = Axis(*_padded(min(low for low, _ in ends), max(high for _, high in ends)), _LEFT, WIDE - (WIDTH - _RIGHT))
    y_axis = Axis(*_padded(least, largest, above=1.0 if named.unit == "%" else 1.05), _BOTTOM, _TOP)
    drawn = tuple(
        Line(
            line,
            _path(x_axis.pixels(x), y_axis.pixels(y * scale)),
            COLOURS[index % len(COLOURS)],
            _DASHES[index // len(COLOURS) % len(_DASHES)],
        )
        for index, (line, (x, y)) in enumerate(zip(lines, means, strict=True))
    )
    x_label = wording.heading(next(iter(lines.values())).x_name)
    return Plot(
        title=_capital(wording.heading(name)),
        summary=f"{_capital(named.words)} over {x_label}: {', '.join(lines)}",
        x_label=x_label,
        y_label="",
        x_ticks=x_axis.ticks(),
        y_ticks=y_axis.ticks(),
        line="",
        area="",
        colour=COLOURS[0],
        lines=drawn,
        width=WIDE,
    )


def _means(series: Series) -> tuple[Floats, Floats]:
    """x and y of a series in at most so many points, each the mean of its piece."""
    pieces = min(len(series.x), _PIECES)
    edges = np.linspace(0, len(series.x), pieces + 1).astype(np.int64)
    counts = np.diff(edges)
    return np.add.reduceat(series.x, edges[:-1]) / counts, np.add.reduceat(series.y, edges[:-1]) / counts


def _buckets(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Centres of equal pieces of x, and the least, mean over x, and largest y of a stepped series in each."""
    edges = np.linspace(x[0], x[-1], _MOST_POINTS + 1)
    area = np.concatenate(([0.0], np.cumsum(y[:-1] * np.diff(x))))
    mean = np.diff(np.interp(edges, x, area)) / np.diff(edges)
    first = np.searchsorted(x, edges, side="right") - 1  # the step that holds at each edge
    low, high = np.empty(_MOST_POINTS), np.empty(_MOST_POINTS)
    for index, (start, end) in enumerate(zip(first[:-1].tolist(), first[1:].tolist(), strict=True)):
        held = y[start : end + 1]
        low[index], high[index] = held.min(), held.max()
    return (edges[:-1] + edges[1:]) / 2, low, mean, high


def _padded(low: float, high: float, *, log: bool = False, above: float = 1.0) -> tuple[float, float]:
    """The ends of an axis: never equal, and logarithmic ones never zero."""
    if log:
        return low, high
    high *= above if high > 0 else 1.0
    size = max(abs(low), abs(high))
    if high - low > max(_FLAT * size, _NOTHING):
        return low, high
    half = size / 2 if size > _NOTHING else 0.5
    return low - half, low + half


def _linear_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in _STEPS if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(decades) <= 3 else (1,)
    found = [factor * 10.0**decade for decade in decades for factor in factors]
    inside = [value for value in found if low <= value <= high]
    return inside[:: max(1, len(inside) // 5)] if len(inside) >= 2 else [low, high]


def _labels(values: Sequence[float]) -> list[str]:
    """Short labels: thousands as k, millions as M, as many decimals as the ticks need."""
    labels = []
    for value in values:
        scaled, suffix = next(
            ((value / size, letter) for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if abs(value) >= size),
            (value, ""),
        )
        labels.append(f"{scaled:.4g}{suffix}")
    return labels


def _percent(label: str) -> str:
    return f"{float(label) * 100:.0f}"


def _spread(share: Floats, most: int) -> NDArray[np.int64]:
    """Indices of at most about `most` points that are spread evenly over the shares, the ends included."""
    n = len(share)
    if n <= most:
        return np.arange(n)
    wanted = np.linspace(share[0], 1.0, most)
    return np.unique(np.concatenate(([0], np.minimum(np.searchsorted(share, wanted), n - 1), [n - 1])))


def _rounded(values: Floats) -> list[float]:
    rounded: list[float] = np.round(values, 1).tolist()
    return rounded


def _path(x: Floats, y: Floats) -> str:
    return "M" + "L".join(f"{a:g} {b:g}" for a, b in zip(_rounded(x), _rounded(y), strict=True))


def _stepped_path(x: Floats, y: Floats) -> str:
    """Each y holds until the next x."""
    across, up = _rounded(x), _rounded(y)
    steps = (f"H{a:g}V{b:g}" for a, b in zip(across[1:], up[1:], strict=True))
    return f"M{across[0]:g} {up[0]:g}" + "".join(steps)


def _band(x: Floats, low: Floats, high: Floats) -> str:
    return _path(np.concatenate((x, x[::-1])), np.concatenate((high, low[::-1]))) + "Z"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
