"""CENT, figure 13b: throughput over GPUs, prompt and decoding apart."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Run, Value
from simulator.experiments.figure_study import MODELS, PHASES, Study, phase_metric, with_geomeans

RUNS = {label: Run(label) for label in MODELS}


def measure(study: Study) -> list[Value]:
    """Our tokens per second over the GPUs' at batch 128, by phase."""
    return with_geomeans(
        Value(
            "throughput",
            phase,
            label,
            study.metric(run, phase_metric(phase, "throughput_tokens_per_s"))
            / study.gpu.models[label].tokens_per_s[phase],
        )
        for phase in PHASES
        for label, run in RUNS.items()
    )


FIGURE = Figure(
    name="cent-13b",
    title="Throughput",
    caption="Tokens per second over those of GPUs at batch 128; every layer is a stage of our pipeline.",
    source="CENT (ASPLOS'25), figure 13b",
    panels=(Panel("throughput", "bars", y="throughput over GPU", reference=1.0),),
    runs=RUNS,
    measure=measure,
    cautions=("The published accounting averages tokens per second over sampled contexts, not tokens over time.",),
)
