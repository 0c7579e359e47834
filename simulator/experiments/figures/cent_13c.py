"""CENT, figure 13c: tokens that a dollar of ownership buys, over GPUs."""

from __future__ import annotations

from simulator.devices.cost import tokens_per_usd
from simulator.experiments.figure_data import Figure, Panel, Run, Value
from simulator.experiments.figure_study import MODELS, Study, with_geomeans

RUNS = {label: Run(label) for label in MODELS}
STATED, DERIVED = "stated cost", "derived cost"


def measure(study: Study) -> list[Value]:
    """Our tokens per dollar over the GPUs', with the published cost of an hour and with one derived from prices."""
    values = []
    for label, run in RUNS.items():
        gpu, tokens_per_s = study.gpu.models[label], study.metric(run, "throughput_tokens_per_s")
        gpu_tokens_per_s = gpu.tokens_per_s["end to end"]
        theirs = tokens_per_usd(gpu_tokens_per_s, study.gpu.usd_per_h_of(label))
        ours = tokens_per_usd(tokens_per_s, study.usd_per_h(label))
        values.append(Value("tokens per dollar", STATED, label, ours / theirs))
    for label, run in RUNS.items():
        gpu, tokens_per_s = study.gpu.models[label], study.metric(run, "throughput_tokens_per_s")
        theirs = tokens_per_usd(gpu.tokens_per_s["end to end"], study.derived_gpu_usd_per_h(label))
        ours = tokens_per_usd(tokens_per_s, study.derived_usd_per_h(label, study.metric(run, "power_w")))
        values.append(Value("tokens per dollar", DERIVED, label, ours / theirs))
    return with_geomeans(values)


FIGURE = Figure(
    name="cent-13c",
    title="Tokens per dollar",
    caption="Tokens that a dollar buys over those of GPUs, machines owned for three years.",
    source="CENT (ASPLOS'25), figure 13c",
    panels=(Panel("tokens per dollar", "bars", y="tokens per dollar over GPU", reference=1.0),),
    runs=RUNS,
    measure=measure,
    cautions=(
        "The cost of an hour (0.73 and 1.76 dollars) is a constant of the repository, in proportion to devices and "
        "GPUs; its parts are not given. Beside it: the price of the machine over three years and its electricity, an "
        "assumed price, which gives CENT a somewhat cheaper hour.",
    ),
)
