"""CENT, table of tokens at long contexts."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_study import Study
from simulator.experiments.figures.cent_14a import RUNS

PANEL = "one token, 70B"
QUANTITIES = {
    "block_cycles": "block (cycles)",
    "token_latency_ms": "token (ms)",
    "throughput_tokens_per_s": "tokens/s",
    "energy_mj_per_token": "mJ/token",
}


def measure(study: Study) -> list[Value]:
    """A row per quantity, a column per context."""
    group = study.group("long_context")
    return [
        study.case_value(PANEL, label, f"{case.sets['workload.context']:,}", group, case, quantity)
        for quantity, label in QUANTITIES.items()
        for case in group.cases
    ]


FIGURE = Figure(
    name="cent-contexts",
    title="A token at long contexts, 70B",
    caption="One token half-way through 3,584 decoded tokens whose context ends at 4K, 8K, 16K and 32K.",
    source="CENT repository, result tables",
    panels=(Panel(PANEL, "table"),),
    runs=RUNS,
    measure=measure,
    inches=(7.16, 1.6),
)
