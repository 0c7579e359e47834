"""Anda's comparison of systems: what the energy of LLaMA-13B goes into, design by design."""

from __future__ import annotations

from simulator.experiments.figure_anda_study import BARS, FITTED, SCOPE, chosen, energy_split
from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_study import Study

MODEL, PANEL = "llama-13b", "LLaMA-13B"
NAMES = {"compute": "compute", "sram": "SRAM", "dram": "DRAM"}


def measure(study: Study) -> list[Value]:
    """Energy by component, in % of all that FP-FP takes."""
    splits = {name: energy_split(design, MODEL, chosen(MODEL, tolerance)) for name, (design, tolerance) in BARS.items()}
    return [
        # What is fitted, or equal by construction, is shown beside the paper's and not judged.
        Value(PANEL, shown, name, split[component], is_judged=name != "FP-FP" and not is_fitted(component, name))
        for component, shown in NAMES.items()
        for name, split in splits.items()
    ]


def is_fitted(component: str, name: str) -> bool:
    """Whether a share follows from a fit: DRAM of all, and SRAM of the baselines, which is FP-FP's."""
    return component == "dram" or (component == "sram" and not name.startswith("Anda"))


FIGURE = Figure(
    name="anda-energy-split",
    title="Where the energy of LLaMA-13B goes",
    caption=(
        "A prompt of 2,048 tokens: energy in % of FP-FP's. Left of each pair ours, right (outlined) what the paper "
        "prints; met within three points, as far as it is no fit: compute of all but FP-FP, and Anda's SRAM."
    ),
    source="Anda (HPCA'25), energy of LLaMA-13B",
    panels=(Panel(PANEL, "stacked", y="% of FP-FP"),),
    runs={},
    measure=measure,
    cautions=(
        SCOPE,
        FITTED,
        "The paper's parts add up to 101 % for FP-FP: they are rounded.",
    ),
    inches=(7.16, 3.0),
)
