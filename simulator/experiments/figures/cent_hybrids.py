"""CENT, tables of hybrid mappings: from all devices on one layer to one layer on part of a device."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_study import MODELS, Study, mapped

QUANTITIES = {"query_latency_s": "query (s)", "energy_mj_per_token": "mJ/token", "power_w": "W"}
_REST = "{}, beside it"
MAPPINGS = {
    "7B": ("tp", "2x4", "4x2", "8x1", "32x1"),
    "13B": ("tp", "2x10", "4x5", "5x4", "10x2", "20x1", "40x1"),
    "70B": ("tp", "2x16", "4x8", "8x4", "16x2", "32x1", "80x1"),
}
RUNS = {f"{label} {mapping}": mapped(label, mapping) for label, mappings in MAPPINGS.items() for mapping in mappings}


def measure(study: Study) -> list[Value]:
    """Throughput by mapping as bars; the other quantities stand beside it in the table of numbers."""
    values = []
    group = study.group("mappings")
    for case in group.cases:
        mapping = case.name.removeprefix(f"{case.model} ")
        name = "throughput_tokens_per_s"
        values.append(study.case_value(case.model, "tokens/s", mapping, group, case, name))
        for quantity, unit in QUANTITIES.items():
            values.append(study.case_value(_REST.format(case.model), unit, mapping, group, case, quantity))
    return values


FIGURE = Figure(
    name="cent-hybrids",
    title="Pipeline, tensor and hybrid mappings",
    caption="Throughput of queries of 512 tokens in and 3,584 out, pipeline stages x devices per stage.",
    source="CENT repository, result tables (contexts 128 apart)",
    panels=(
        *(Panel(label, "bars", y="tokens/s", x="pipeline stages x devices per stage") for label in MODELS),
        *(Panel(_REST.format(label), "hidden") for label in MODELS),
    ),
    runs=RUNS,
    measure=measure,
    cautions=("More stages than devices are several layers to a device, each in channels of its own.",),
    inches=(7.16, 2.5),
)
