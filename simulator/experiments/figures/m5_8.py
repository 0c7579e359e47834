"""M5, figure 8: share of hot accesses that picks catch over a whole run, trackers beside CPU-driven policies."""

from __future__ import annotations

from functools import partial

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_m5_study import SECOND_HAND, SOURCE, TRACES, over_traces
from simulator.experiments.figure_study import Study
from simulator.experiments.m5_study import IDENTIFIERS, M5Study
from simulator.experiments.m5_targets import load_m5_targets
from simulator.experiments.validate_m5_policies import UNION, best_cpu_driven, union_ratio

PANEL = "whole-run ratio"


def measure(study: Study) -> list[Value]:
    """Ratios by the reads of a whole run, by trace."""
    m5, asked = study.m5, load_m5_targets().identification
    cm, ss = (partial(_union, m5, *tracker) for tracker in (("cm", 32_768), ("ss", 50)))
    return [
        *over_traces(m5, PANEL, "CM 32K", cm, asked.hot_cm),
        *over_traces(m5, PANEL, "SS 50", ss, asked.hot_ss),
        *over_traces(m5, PANEL, "best CPU-driven", partial(best_cpu_driven, m5), asked.hot_cpu),
        *(
            value
            for policy in ("m5_hpt", "m5_slowest")
            for value in over_traces(m5, PANEL, IDENTIFIERS[policy].name, partial(_whole, m5, policy))
        ),
    ]


def _union(m5: M5Study, algorithm: str, n_counters: int, trace: str) -> float | None:
    return union_ratio(m5, trace, algorithm, n_counters)


def _whole(m5: M5Study, policy: str, trace: str) -> float:
    return m5.identified(trace, policy).in_whole


FIGURE = Figure(
    name="m5-8",
    title="Hot accesses caught, by a whole run",
    caption=(
        f"Reads of a whole trace that go to the pages picked, over those of as many hottest pages. Trackers: all pages "
        f"ever among the K = {UNION[0]} of an epoch of {UNION[1]:,} reads. Policies: their picks of windows, as in "
        f"m5-3; the Manager asks its tracker every 3.1 ms, or at its slowest every 42 ms. {SECOND_HAND}"
    ),
    source=SOURCE.format(8),
    panels=(Panel(PANEL, "bars", y="access-count ratio", labelled=False),),
    runs={},
    measure=measure,
    cautions=(
        "The best CPU-driven is the better of ANB and DAMON on each trace.",
        "Numbers of picks differ between trackers and policies, and of the paper they are not known.",
        TRACES,
    ),
    inches=(7.16, 2.8),
)
