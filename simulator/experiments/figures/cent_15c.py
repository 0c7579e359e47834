"""CENT, figure 15c: tokens that a joule gives, over GPUs."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Run, Value
from simulator.experiments.figure_study import MODELS, PHASES, Study, phase_metric, with_geomeans

RUNS = {label: Run(label) for label in MODELS}


def measure(study: Study) -> list[Value]:
    """Our tokens per joule over the GPUs', by phase."""
    return with_geomeans(
        Value(
            "tokens per joule",
            phase,
            label,
            1e3
            / study.metric(run, phase_metric(phase, "energy_mj_per_token"))
            / study.gpu.models[label].tokens_per_joule[phase],
        )
        for phase in PHASES
        for label, run in RUNS.items()
    )


FIGURE = Figure(
    name="cent-15c",
    title="Tokens per joule",
    caption="Tokens per joule over those of GPUs at batch 128; energy of the devices that hold layers.",
    source="CENT (ASPLOS'25), figure 15c",
    panels=(Panel("tokens per joule", "bars", y="tokens per joule over GPU", reference=1.0),),
    runs=RUNS,
    measure=measure,
    cautions=(
        "The first version of the paper has 2.3 where the third has 2.9: the repository's last commit halved the "
        "energy of the 13B GPUs. We use the constants as corrected.",
        "The published accounting counts standby energy 32 times too low and PCIe elements as if they were bits; "
        "cent_corrected.yaml mends both.",
    ),
)
