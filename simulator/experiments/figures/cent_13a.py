"""CENT, figure 13a: how much sooner a lone query is answered than by GPUs."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_study import MODELS, Study, mapped, with_geomeans

RUNS = {label: mapped(label, "tp") for label in MODELS}


def measure(study: Study) -> list[Value]:
    """GPU's latency at batch 1 over ours, every device at work on the one query."""
    return with_geomeans(
        Value(
            "latency",
            "speed-up",
            label,
            study.gpu.models[label].query_latency_s / study.metric(run, "query_latency_s"),
        )
        for label, run in RUNS.items()
    )


FIGURE = Figure(
    name="cent-13a",
    title="Latency of a lone query",
    caption="Speed-up over GPUs of a query of 512 tokens in and 3,584 out, batch 1, tensor parallel over all devices.",
    source="CENT (ASPLOS'25), figure 13a",
    panels=(Panel("latency", "bars", y="speed-up over GPU", reference=1.0),),
    runs=RUNS,
    measure=measure,
    cautions=(
        "The paper's spreadsheet, from a sweep over every context, has 4.70, 3.22 and 4.57 (headline 4.6) for 13B, 70B "
        "and the mean; the repository's tables, from contexts 128 apart, are what we compare with.",
    ),
)
