"""PAPI, figure 10a: speed-up by the number of requests, without speculation."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_papi_study import BASE, CAUTIONS, CREATIVE, DESIGNS, grid, ratios_to, runs_of
from simulator.experiments.figure_study import Study

PANEL = "speed-up"
GRID = grid("llama-65b", CREATIVE, (4, 8, 16, 32, 64, 128), (1,))
SHOWN = ("papi", "a100-hbm-pim", "attacc-only")


def measure(study: Study) -> list[Value]:
    """Speed-up of each design over A100+AttAcc."""
    ratios = ratios_to(study, BASE, SHOWN, GRID, "time")
    return [Value(PANEL, DESIGNS[design], str(drawn.batch), ratio) for (design, drawn), ratio in ratios.items()]


FIGURE = Figure(
    name="papi-10a",
    title="PAPI's speed-up by requests",
    caption="Speed-up over A100+AttAcc (dashed) of a batch of LLaMA-65B, creative writing, speculation length 1.",
    source="PAPI (ASPLOS'25), figure 10a: only a plot; AttAcc-only is ahead of A100+AttAcc at 4 requests, then falls",
    panels=(
        Panel(PANEL, "lines", y="speed-up over A100+AttAcc", x="requests", reference=1.0, log_y=True, labelled=False),
    ),
    runs=runs_of((BASE, *SHOWN), GRID),
    measure=measure,
    cautions=CAUTIONS,
    inches=(3.5, 2.7),
)
