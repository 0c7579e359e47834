"""CENT, table of whole queries: throughput, latency, energy and power by phase."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Run, Value
from simulator.experiments.figure_study import MODELS, PHASES, Study, mapped, phase_metric

PIPELINE, TENSOR = "every layer a stage", "all devices on one layer"
QUANTITIES = {
    "throughput_tokens_per_s": "tokens/s",
    "query_latency_s": "s a query",
    "energy_mj_per_token": "mJ/token",
    "power_w": "W",
}
RUNS = {
    **{f"{label} pp": Run(label) for label in MODELS},
    **{f"{label} tp": mapped(label, "tp") for label in MODELS},
}


def measure(study: Study) -> list[Value]:
    """A row per quantity and phase, a column per model."""
    values = []
    queries, mappings = study.group("queries"), study.group("mappings")
    for case in queries.cases:
        for quantity, unit in QUANTITIES.items():
            for phase in PHASES:
                name = (
                    phase_metric(phase, quantity).replace("prefill_query", "prefill").replace("decode_query", "decode")
                )
                values.append(study.case_value(PIPELINE, f"{phase} ({unit})", case.model, queries, case, name))
    for case in mappings.cases:
        if case.sets.get("system.parallelism") == "tp":
            for quantity, unit in QUANTITIES.items():
                series = f"end to end ({unit})"
                values.append(study.case_value(TENSOR, series, case.model, mappings, case, quantity))
    return values


FIGURE = Figure(
    name="cent-queries",
    title="Whole queries",
    caption="Queries of 512 tokens in and 3,584 out on 8, 20 and 32 devices.",
    source="CENT repository, result tables (contexts 128 apart)",
    panels=(Panel(PIPELINE, "table"), Panel(TENSOR, "table")),
    runs=RUNS,
    measure=measure,
    cautions=("Throughput, energy and power are means over sampled contexts, as the repository takes them.",),
    inches=(7.16, 5.2),
)
