"""M5, figure 8: share of hot accesses that picks catch over a whole run, trackers beside CPU-driven policies."""

from __future__ import annotations

from functools import partial

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_m5_study import SECOND_HAND, SOURCE, TRACES, over_traces
from simulator.experiments.figure_study import Study
from simulator.experiments.m5_study import CPU_DRIVEN, M5Study
from simulator.experiments.m5_targets import load_m5_targets
from simulator.experiments.validate_m5_policies import UNION, union_ratio

PANEL = "whole-run ratio"


def measure(study: Study) -> list[Value]:
    """Ratios by the reads of a whole run, by trace."""
    m5, asked = study.m5, load_m5_targets().identification
    cm, ss = (partial(_union, m5, *tracker) for tracker in (("cm", 32_768), ("ss", 50)))
    return [
        *over_traces(m5, PANEL, "CM 32K", cm, asked.hot_cm),
        *over_traces(m5, PANEL, "SS 50", ss, asked.hot_ss),
        *over_traces(m5, PANEL, "best CPU-driven", partial(_best, m5), asked.hot_cpu),
        *over_traces(m5, PANEL, "M5's Manager", partial(_whole, m5, "m5_hpt")),
    ]


def _union(m5: M5Study, algorithm: str, n_counters: int, trace: str) -> float | None:
    return union_ratio(m5, trace, algorithm, n_counters)


def _whole(m5: M5Study, policy: str, trace: str) -> float:
    return m5.identified(trace, policy).in_whole


def _best(m5: M5Study, trace: str) -> float:
    return max(_whole(m5, policy, trace) for policy in CPU_DRIVEN)


FIGURE = Figure(
    name="m5-8",
    title="Hot accesses caught, by a whole run",
    caption=(
        f"Reads of a whole trace that go to the pages picked, over those of as many hottest pages. Trackers: all pages "
        f"ever among the K = {UNION[0]} of an epoch of {UNION[1]:,} reads. Policies: their picks of windows, as in m5-3. "
        f"{SECOND_HAND}"
    ),
    source=SOURCE.format(8),
    panels=(Panel(PANEL, "bars", y="access-count ratio", labelled=False),),
    runs={},
    measure=measure,
    cautions=(
        "The best CPU-driven is the better of ANB and DAMON on each trace; `sim validate m5` takes the better mean.",
        "Numbers of picks differ between trackers and policies, and of the paper they are not known.",
        TRACES,
    ),
    inches=(7.16, 2.8),
)
