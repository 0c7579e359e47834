"""PAPI, figure 9: speed-up and energy efficiency on general questions, GPT-3 175B."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_papi_study import (
    BASE,
    CAUTIONS,
    DESIGNS,
    QA,
    QA_CAUTION,
    grid,
    grid_values,
    mean_values,
    ratios_to,
    runs_of,
)
from simulator.experiments.figure_study import Study

TIME_MEANS, TIME, ENERGY_MEANS, ENERGY = "PAPI over, time", "speed-up", "PAPI over, energy", "energy efficiency"
GRID = grid("gpt3-175b", QA)
OTHERS = {"9a": (BASE, "a100-hbm-pim", "attacc-only"), "9b": (BASE, "attacc-only")}


def measure(study: Study) -> list[Value]:
    """Means of PAPI over each design, and each over A100+AttAcc at each batch."""
    time, energy = (ratios_to(study, BASE, DESIGNS, GRID, of) for of in ("time", "energy"))
    return [
        *mean_values(TIME_MEANS, time, "papi", OTHERS["9a"], "9a"),
        *grid_values(TIME, time, DESIGNS),
        *mean_values(ENERGY_MEANS, energy, "papi", OTHERS["9b"], "9b"),
        *grid_values(ENERGY, energy, DESIGNS),
    ]


FIGURE = Figure(
    name="papi-9",
    title="PAPI on general questions, GPT-3 175B",
    caption=(
        "Means over all batches with the paper's, and speed-up and energy efficiency over A100+AttAcc of a batch run "
        "to its end, prompts included, by requests / speculation length; static batches."
    ),
    source="PAPI (ASPLOS'25), figure 9",
    panels=(
        Panel(TIME_MEANS, "bars", y="speed-up", reference=1.0, log_y=True, breadth=7.0),
        Panel(TIME, "bars", x="requests / speculation", reference=1.0, log_y=True, labelled=False),
        Panel(ENERGY_MEANS, "bars", y="energy efficiency", reference=1.0, log_y=True, breadth=5.5),
        Panel(ENERGY, "bars", x="requests / speculation", reference=1.0, log_y=True, labelled=False),
    ),
    runs=runs_of(DESIGNS, GRID),
    measure=measure,
    cautions=(
        *CAUTIONS,
        QA_CAUTION,
        "The four requests that are drawn have short outputs, so that prompts weigh more.",
    ),
    inches=(7.16, 2.9),
)
