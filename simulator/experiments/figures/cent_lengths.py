"""CENT, latency of a query by the tokens that it decodes."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Run, Value
from simulator.experiments.figure_study import Study

PANEL = "query latency"
LENGTHS = (128, 512, 1024, 3584)
RUNS = {f"{length} out": Run("70B", sets={"workload.output_tokens": length}) for length in LENGTHS}


def measure(study: Study) -> list[Value]:
    """Minutes of the prompt and of decoding, on both machines."""
    values = []
    group = study.group("lengths")
    for case in group.cases:
        length = str(case.sets["workload.output_tokens"])
        for series, quantity in (("prefill", "prefill_latency_min"), ("decode", "decode_latency_min")):
            values.append(study.case_value(PANEL, series, f"{length}\nCENT", group, case, quantity))
        gpu = {"prefill": study.gpu.prefill_min, "decode": study.gpu.decode_min[length]}
        for series, minutes in gpu.items():
            values.append(Value(PANEL, series, f"{length}\nGPU", minutes, is_baseline=True))
    return values


FIGURE = Figure(
    name="cent-lengths",
    title="Latency by output length, 70B",
    caption="Minutes of a query of 512 tokens in, by tokens out: CENT with every layer a stage, GPUs at batch 128.",
    source="CENT repository, result tables (contexts 128 apart)",
    panels=(Panel(PANEL, "stacked", y="minutes per query", x="tokens out"),),
    runs=RUNS,
    measure=measure,
)
