"""PAPI, figure 12: what a decode pass consists of, on PAPI's stacks without GPUs and on AttAcc's."""

from __future__ import annotations

from simulator.experiments.drawn_batches import Drawn, DrawnTimes
from simulator.experiments.figure_data import DrawnRun, Figure, Panel, Value
from simulator.experiments.figure_papi_study import CAUTIONS, CREATIVE, runs_of
from simulator.experiments.figure_study import Study
from simulator.experiments.validate_papi_band import LINKS

PANEL = "time of a pass"
POINT = Drawn("llama-65b", CREATIVE, 4, 4)
NAMES = {"attacc-only": "AttAcc-only", "pim-only-papi": "PIM-only PAPI"}
PARTS = {"weights": ("fc pim",), "attention": ("pim",), "links": LINKS, "norms and activations": ("buffer die",)}


def measure(study: Study) -> list[Value]:
    """Milliseconds of each part of a pass, in the mean over a batch's passes, whatever runs beside it."""
    values = []
    for design, name in NAMES.items():
        times = study.drawn(DrawnRun(design, POINT))
        values += [Value(PANEL, part, name, ms) for part, ms in parts_ms(times).items()]
    return values


def parts_ms(times: DrawnTimes) -> dict[str, float]:
    """Mean time of each part of a pass."""
    return {
        part: sum(times.busy_ps.get(name, 0) for name in resources) / times.n_passes / 1e9
        for part, resources in PARTS.items()
    }


FIGURE = Figure(
    name="papi-12",
    title="A decode pass without GPUs",
    caption=(
        "Time of a pass of LLaMA-65B, four requests of creative writing, four tokens of each, in the mean over the "
        "passes of the batch, parts by themselves: some run beside others."
    ),
    source="PAPI (ASPLOS'25), figure 12",
    panels=(Panel(PANEL, "stacked", y="ms"),),
    runs=runs_of(NAMES, [POINT]),
    measure=measure,
    cautions=(
        *CAUTIONS,
        "The paper prints weights 2.9 times as fast, attention 1.7 times as slow, links 28.2 % of PIM-only PAPI's "
        "time; the bars themselves are not printed. `sim validate papi` compares all three.",
        "Requests end one after another: in the mean a pass has fewer than four, and so fewer tokens than 16.",
    ),
    inches=(3.5, 2.9),
)
