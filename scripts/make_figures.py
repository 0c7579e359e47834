"""Regenerate a paper's figures: every figure whose name starts with the paper's, ours beside the published numbers.

python scripts/make_figures.py cent results/cent_paper
"""

from __future__ import annotations

import sys

from simulator.experiments.figure import list_figures
from simulator.experiments.figure_files import INDEX, write_figures


def main(paper: str = "cent", out: str | None = None) -> int:
    """Write the paper's figures into a folder, new or empty; 1 where a published number is missed."""
    names = [name for name in list_figures() if name.startswith(f"{paper}-")]
    written = write_figures(names, out)
    missed = [one.figure.name for one in written.measured if one.n_met < one.n_published]
    print(f"{len(names)} figures in {written.folder / INDEX}; missed: {', '.join(missed) or 'none'}")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
