"""BitMoD, figure 7: speed-up over FP16, six models, four designs."""

from __future__ import annotations

from simulator.experiments.bitmod_study import MEANS, ratio_figure
from simulator.experiments.figure_data import Value
from simulator.experiments.figure_study import Study


def measure(study: Study) -> list[Value]:
    """Speed-ups by model, and their means where what the figure leaves out is mended."""
    return [*study.bitmod.bars("speed-up"), *study.bitmod.means(MEANS, "speed-up")]


FIGURE = ratio_figure(
    "bitmod-7", "BitMoD's speed-up over FP16", "BitMoD (HPCA'25), figure 7", "cycles", "speed-up over FP16", measure
)
