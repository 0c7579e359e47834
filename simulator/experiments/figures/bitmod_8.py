"""BitMoD, figure 8: energy relative to FP16, six models, four designs."""

from __future__ import annotations

from simulator.experiments.bitmod_study import MEANS, ratio_figure
from simulator.experiments.figure_data import Value
from simulator.experiments.figure_study import Study


def measure(study: Study) -> list[Value]:
    """Energies by model, and their means where what the figure leaves out is mended."""
    return [*study.bitmod.bars("energy"), *study.bitmod.means(MEANS, "energy")]


FIGURE = ratio_figure(
    "bitmod-8",
    "BitMoD's energy relative to FP16",
    "BitMoD (HPCA'25), figure 8",
    "energy",
    "energy over that of FP16",
    measure,
)
