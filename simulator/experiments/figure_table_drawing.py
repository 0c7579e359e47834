"""Tables drawn as a paper prints them: rules above, below and under the head, ours with the error beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulator.experiments.figure_data import Value
from simulator.report.plot_style import GRID, INK, MUTED, PAPER
from simulator.report.wording import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_SIZE = 7.0
_FIRST_COLUMN = 0.2  # of the width
_NARROW_COLUMNS, _NARROW_SIZE, _NARROW_FIRST = 4, 6.0, 0.13  # from so many columns of three cells on
_TITLE_LINES, _ROW_MIDDLE = 1.0, 0.55


def draw_tables(drawing: Drawing, tables: Sequence[tuple[str, list[Value]]]) -> None:
    """Tables below each other, each with its title: a row per series, a column per position."""
    heights = [_head_lines(values) + 0.2 + len(dict.fromkeys(value.series for value in values)) for _, values in tables]
    all_axes = drawing.subplots(len(tables), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (title, values), n_lines in zip(all_axes, tables, heights, strict=True):
        _table(axes, title, values, n_lines)


def ours_text(value: Value) -> str:
    """Our number with the digits of the published one and one more, or as many as a reader uses."""
    if value.is_baseline:
        return f"{value.ours:,.6g}"
    if value.published is None or not value.tolerance:
        return number(value.ours)
    return f"{value.ours:,.{value.n_decimals + 1 if value.n_decimals else 0}f}"


def published_text(value: Value) -> str:
    """The published number as it was printed, or nothing."""
    return "" if value.published is None else f"{value.published:,.{value.n_decimals}f}"


def error_text(value: Value) -> str:
    """The error in per cent, or nothing."""
    if value.error_frac is None:
        return ""
    per_cent = value.error_frac * 100
    return "0 %" if abs(per_cent) < 5e-5 else f"{per_cent:+.4f} %" if abs(per_cent) < 0.001 else f"{per_cent:+.3f} %"


def _is_compared(values: Sequence[Value]) -> bool:
    return any(value.published is not None for value in values)


def _head_lines(values: Sequence[Value]) -> float:
    """Lines above the first row: the title, the columns, and what their cells are."""
    return _TITLE_LINES + (2.0 if _is_compared(values) else 1.0)


def _table(axes: Axes, title: str, values: list[Value], n_lines: float) -> None:
    rows = list(dict.fromkeys(value.series for value in values))
    columns = list(dict.fromkeys(value.at for value in values))
    compared, head = _is_compared(values), _head_lines(values)
    narrow = compared and len(columns) >= _NARROW_COLUMNS
    size, left = (_NARROW_SIZE, _NARROW_FIRST) if narrow else (_SIZE, _FIRST_COLUMN)
    pitch = (1 - left) / len(columns)
    axes.set(xlim=(0, 1), ylim=(n_lines, 0))
    axes.axis("off")
    _text(axes, 0, 0.5, title, fontsize=_SIZE, weight="bold")
    for y, width in ((_TITLE_LINES - 0.05, 0.9), (head - 0.05, 0.5), (n_lines - 0.05, 0.9)):
        axes.plot([0, 1], [y, y], color=INK, linewidth=width, clip_on=False)
    for line, row in enumerate(rows):
        _text(axes, 0, head + _ROW_MIDDLE + line, row, fontsize=size)
    for index, column in enumerate(columns):
        start = left + index * pitch
        own = {value.series: value for value in values if value.at == column}
        # Right edges of ours, published and error.
        edges = [start + share * pitch for share in ((0.34, 0.67, 1.0) if compared else (0.98,))]
        _text(axes, edges[-1] if not compared else start + 0.56 * pitch, _TITLE_LINES + 0.45, column,
              fontsize=size, weight="bold", ha="center" if compared else "right")  # fmt: skip
        if compared:
            axes.plot([start + 0.1 * pitch, start + pitch], [head - 1.1] * 2, color=GRID, linewidth=0.6)
            _cells(axes, edges, head - 0.6, ("ours", "published", "error"), INK, size)
        for line, row in enumerate(rows):
            if row in own:
                texts = (ours_text(own[row]), published_text(own[row]), error_text(own[row]))
                _cells(axes, edges, head + _ROW_MIDDLE + line, texts, MUTED if own[row].is_baseline else INK, size)


def _cells(axes: Axes, edges: Sequence[float], y: float, texts: Sequence[str], ink: str, size: float) -> None:
    for edge, text, colour in zip(edges, texts, (ink, PAPER, MUTED), strict=False):
        _text(axes, edge, y, text, fontsize=size, color=colour, ha="right")


def _text(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
    axes.text(x, y, text, **{"va": "center", "color": INK, **style})
