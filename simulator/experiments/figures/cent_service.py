"""CENT, quality of service: queries per minute against the latency of one."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_study import Study, mapped

RATE, LATENCY = "queries a minute", "latency (min)"
MAPPINGS = ("tp", "2x16", "4x8", "8x4", "16x2", "pp")
RUNS = {mapping: mapped("70B", mapping) for mapping in MAPPINGS}


def measure(study: Study) -> list[Value]:
    """Our mappings and the GPUs' batches, each a point of latency and rate."""
    values = []
    group, service = study.group("qos"), study.gpu.service
    for case in group.cases:
        at = case.name.removeprefix("70B ")
        values.append(study.case_value(RATE, "CENT by mapping", at, group, case, "queries_per_min"))
        values.append(study.case_value(LATENCY, "CENT by mapping", at, group, case, "query_latency_min"))
    for batch, seconds, rate in zip(service.batch, service.query_latency_s, service.queries_per_min, strict=True):
        values.append(Value(RATE, "GPU by batch", f"{batch}", rate, is_baseline=True))
        values.append(Value(LATENCY, "GPU by batch", f"{batch}", seconds / 60, is_baseline=True))
    return values


FIGURE = Figure(
    name="cent-service",
    title="Queries a minute against latency, 70B",
    caption="Queries of 512 tokens in and 3,584 out: CENT by mapping (pipeline stages x devices per stage), "
    "GPUs by batch.",
    source="CENT repository, quality-of-service table",
    panels=(
        Panel(RATE, "scatter", y="queries a minute", x="latency of a query (min)", log_x=True, x_from=LATENCY),
        Panel(LATENCY, "hidden"),
    ),
    runs=RUNS,
    measure=measure,
    inches=(3.5, 2.9),
)
