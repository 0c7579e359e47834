"""BitMoD, figure 7: speed-up over FP16, six models, four designs."""

from __future__ import annotations

from simulator.experiments.bitmod_study import CAUTIONS, MEANS, SHOWN
from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_study import Study


def measure(study: Study) -> list[Value]:
    """Speed-ups by model, and their means where what the figure leaves out is mended."""
    return [*study.bitmod.bars("speed-up"), *study.bitmod.means(MEANS, "speed-up")]


FIGURE = Figure(
    name="bitmod-7",
    title="BitMoD's speed-up over FP16",
    caption=(
        "A prompt of 256 (discriminative), and with 20 tokens after it, each at a context of 256 (generative): our "
        "cycles by the sums of the authors' simulator as of 2024, with the paper's bars (diamonds). The mean is "
        "arithmetic. Right: means of what the paper's text says instead, 256 tokens, and of our corrected accounting."
    ),
    source="BitMoD (HPCA'25), figure 7",
    panels=(
        Panel("discriminative", "bars", y="speed-up over FP16", reference=1.0, labelled=False, breadth=8.0),
        Panel("generative", "bars", reference=1.0, labelled=False, breadth=8.0),
        Panel(MEANS, "bars", reference=1.0, labelled=False, breadth=5.0),
    ),
    runs={},
    measure=measure,
    cautions=CAUTIONS,
    inches=SHOWN,
)
