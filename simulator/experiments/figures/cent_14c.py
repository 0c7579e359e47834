"""CENT, figure 14c: where the minutes of a query go, from all stages in a pipeline to all devices on one layer."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_study import Study, mapped
from simulator.experiments.figures.cent_14a import RUNS as LONG

PANEL = "query latency"
RESOURCES = {"PIM": "pim_min", "PNM": "pnm_min", "CXL": "cxl_min", "CPU": "cpu_min"}
MAPPINGS = {"80x1": "pp", "16x2": "16x2", "8x4": "8x4", "4x8": "4x8", "2x16": "2x16", "1x32": "tp"}
RUNS = {shape: mapped("70B", mapping) for shape, mapping in MAPPINGS.items()}
# Contexts beyond the 4,096 of a query that the paper's bar of 80x1 averages in; 2,304 is one of the query's own.
BEYOND = {ends: run for ends, run in LONG.items() if ends != "4K"}
N_SAMPLED = 32  # contexts 128 apart up to 4,096
AS_DRAWN, CONSISTENT = "80x1 as drawn", "80x1 up to 4K"


def measure(study: Study) -> list[Value]:
    """Minutes per query by resource: for 80x1 both as the paper draws it, and over the query's own contexts."""
    values = []
    cases = {case.name.removeprefix("70B "): case for case in study.group("split").cases}
    for series, quantity in RESOURCES.items():
        own = study.metric(RUNS["80x1"], quantity)
        beyond = [study.metric(run, quantity) for run in BEYOND.values()]
        drawn = (N_SAMPLED * own + sum(beyond)) / (N_SAMPLED + len(beyond))
        values.append(Value(PANEL, series, AS_DRAWN, drawn))
        for mapping in MAPPINGS:
            at = CONSISTENT if mapping == "80x1" else mapping
            values.append(study.case_value(PANEL, series, at, study.group("split"), cases[mapping], quantity))
    return values


FIGURE = Figure(
    name="cent-14c",
    title="Where the minutes of a query go, 70B",
    caption="Latency of a query of 512 tokens in and 3,584 out by resource, pipeline stages x devices per stage.",
    source="CENT (ASPLOS'25), figure 14c",
    panels=(Panel(PANEL, "stacked", y="minutes per query", x="pipeline stages x devices per stage"),),
    runs={**RUNS, **{f"80x1 at {ends}": run for ends, run in BEYOND.items()}},
    measure=measure,
    cautions=(
        "The paper's bar for 80x1 (4.829 min PIM, 0.424 min PNM) averages in tokens at contexts of 6,400, 14,592 and "
        "30,976, which no query of 4,096 tokens has; the other bars do not. Both are shown: `as drawn` repeats that "
        "average, `up to 4K` is the mean over the query's contexts, which agrees with its 280.57 s.",
    ),
    inches=(7.16, 2.7),
)
