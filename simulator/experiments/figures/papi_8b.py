"""PAPI, figure 8b: energy efficiency on creative writing, three models, nine batches."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_papi_study import (
    BASE,
    CAUTIONS,
    CREATIVE,
    DESIGNS,
    MODELS,
    grid,
    grid_values,
    mean_values,
    ratios_to,
    runs_of,
)
from simulator.experiments.figure_study import Study

MEANS = "PAPI over"
GRIDS = {model: grid(model, CREATIVE) for model in MODELS}
ALL = [drawn for drawns in GRIDS.values() for drawn in drawns]


def measure(study: Study) -> list[Value]:
    """Means of each design's energy over PAPI's, and the efficiency of each against A100+AttAcc at each batch."""
    ratios = ratios_to(study, BASE, DESIGNS, ALL, "energy")
    others = (BASE, "attacc-only")
    values = mean_values(MEANS, ratios, "papi", others, "8b")
    for model, drawns in GRIDS.items():
        own = {key: ratio for key, ratio in ratios.items() if key[1] in drawns}
        values += grid_values(MODELS[model], own, DESIGNS)
    return values


FIGURE = Figure(
    name="papi-8b",
    title="PAPI's energy efficiency on creative writing",
    caption=(
        "Left: means over all batches of the three models, with the paper's. Others: energy of A100+AttAcc over that "
        "of each, for a batch run to its end, prompts included, by requests / speculation length; static batches."
    ),
    source="PAPI (ASPLOS'25), figure 8b",
    panels=(
        Panel(MEANS, "bars", y="energy efficiency", reference=1.0, log_y=True, breadth=7.0),
        *(
            Panel(name, "bars", x="requests / speculation", reference=1.0, log_y=True, labelled=False)
            for name in MODELS.values()
        ),
    ),
    runs=runs_of(DESIGNS, ALL),
    measure=measure,
    cautions=CAUTIONS,
    inches=(7.16, 2.9),
)
