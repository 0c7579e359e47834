"""The project's own plot style: colours, fonts and lines that the report, the figures and the sweeps share.

matplotlib is imported only when a plot is drawn with it; the colours are plain text, so that HTML uses the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Told apart by colour-blind readers too, and each dark enough for a line on white; in order of use.
COLOURS = ("#2166ac", "#d9822b", "#2a9d8f", "#b2456e", "#7a5ea8", "#8c6d31", "#5b8db8", "#6b7280")
OURS, PAPER = COLOURS[0], COLOURS[1]
"""What we computed, and what a paper published: the same two colours in every picture."""
INK, MUTED, GRID = "#1f2933", "#52606d", "#e1e6eb"
HEAT_MAP = "cividis"
"""matplotlib's name of the colour map of heat maps: even steps of lightness, also in grey."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
COLUMN_INCHES, PAGE_INCHES = 3.5, 7.16
"""Widths of one and of two columns of a paper."""

_PNG_DPI = 200
_RC: dict[Any, Any] = {  # matplotlib types its keys one by one
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so that every machine draws the same picture
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.0,
    "patch.linewidth": 0.0,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "image.cmap": HEAT_MAP,
    "figure.figsize": (COLUMN_INCHES, 2.4),
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": _PNG_DPI,
    "pdf.fonttype": 42,  # text that can be searched and edited, as publishers ask for
    "svg.fonttype": "none",
    "svg.hashsalt": "simulator",  # else the same picture has other bytes each time
}


@contextmanager
def plot_style() -> Iterator[None]:
    """What is drawn and saved inside `with plot_style():` has the project's style; the outside keeps its own."""
    import matplotlib as mpl
    from cycler import cycler

    with mpl.rc_context({**_RC, "axes.prop_cycle": cycler(color=list(COLOURS))}):
        yield


def save(fig: Figure, stem: str | Path) -> tuple[Path, Path]:
    """Write a figure as `stem`.png and `stem`.pdf and return both paths.

    The same figure gives the same bytes each time: no date and no version of a library is written. Folders on the way
    are made. Call it inside `plot_style()`. Raises OSError where the place cannot be written.
    """
    stem = Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    # with_suffix would cut a stem such as `fig_13.a`.
    png, pdf = stem.parent / f"{stem.name}.png", stem.parent / f"{stem.name}.pdf"
    fig.savefig(png, dpi=_PNG_DPI, metadata={"Software": None})
    fig.savefig(pdf, metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return png, pdf
