"""PAPI, figure 10b: speed-up by the speculation length, four requests."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_papi_study import (
    BASE,
    CAUTIONS,
    CREATIVE,
    DESIGNS,
    grid,
    mean_values,
    ratios_to,
    runs_of,
)
from simulator.experiments.figure_study import Study

MEANS, PANEL = "PAPI over", "speed-up over A100+AttAcc"
GRID = grid("llama-65b", CREATIVE, (4,), tuple(range(1, 9)))
SHOWN = ("papi", "attacc-only")


def measure(study: Study) -> list[Value]:
    """Means of PAPI over both designs, and each over A100+AttAcc by the speculation length."""
    ratios = ratios_to(study, BASE, SHOWN, GRID, "time")
    lines = [Value(PANEL, DESIGNS[design], str(drawn.speculation), ratio) for (design, drawn), ratio in ratios.items()]
    return [*mean_values(MEANS, ratios, "papi", (BASE, "attacc-only"), "10b"), *lines]


FIGURE = Figure(
    name="papi-10b",
    title="PAPI's speed-up by speculation length",
    caption=(
        "Left: means over the lengths, with the paper's. Right: speed-up over A100+AttAcc (dashed) of four requests, "
        "LLaMA-65B, creative writing."
    ),
    source="PAPI (ASPLOS'25), figure 10b",
    panels=(
        Panel(MEANS, "bars", y="speed-up", reference=1.0),
        Panel(PANEL, "lines", x="tokens that a pass verifies", reference=1.0, log_y=True, labelled=False),
    ),
    runs=runs_of((BASE, *SHOWN), GRID),
    measure=measure,
    cautions=CAUTIONS,
    inches=(5.0, 2.7),
)
