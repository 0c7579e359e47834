"""M5, figure 3: how hot the pages are that ANB and DAMON pick, and those that M5 picks."""

from __future__ import annotations

from functools import partial

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_m5_study import SECOND_HAND, SOURCE, TRACES, over_traces
from simulator.experiments.figure_study import Study
from simulator.experiments.m5_study import IDENTIFIERS, PICK_WINDOW_READS, PICKS_FRAC, M5Study
from simulator.experiments.m5_targets import load_m5_targets
from simulator.experiments.validate_m5_policies import tracker_in_windows

PANEL = "access-count ratio"


def measure(study: Study) -> list[Value]:
    """Ratios by trace of the policies that only identify, and of M5's tracker by itself."""
    m5, asked = study.m5, load_m5_targets().identification
    published = {"anb": asked.anb, "damon": asked.damon, "m5_hpt": None, "m5_slowest": None}
    values = []
    for policy, number in published.items():
        values += over_traces(m5, PANEL, IDENTIFIERS[policy].name, partial(_picked, m5, policy), number)
    return values + over_traces(m5, PANEL, "M5's tracker", partial(tracker_in_windows, m5))


def _picked(m5: M5Study, policy: str, trace: str) -> float:
    return m5.identified(trace, policy).in_window


FIGURE = Figure(
    name="m5-3",
    title="How hot the pages are that policies pick",
    caption=(
        f"Reads of the pages picked over those of as many of the hottest, in windows of {PICK_WINDOW_READS:,} reads: "
        f"the first picks of a window count, up to {PICKS_FRAC:.0%} of the footprint. Nothing moves. M5's tracker (CM "
        f"32K) is asked once a window; the Manager asks it every 3.1 ms, or at its slowest every 42 ms. {SECOND_HAND}"
    ),
    source=SOURCE.format(3),
    panels=(Panel(PANEL, "bars", y="access-count ratio", labelled=False),),
    runs={},
    measure=measure,
    cautions=(
        "A policy that only identifies ends up picking every page, so that its picks are judged window by window. The "
        "paper's windows and numbers of picks are not known. Windows without a pick do not count.",
        "Periods and sizes of the policies shrink as the footprint does against the paper's 8 GB (periods=scaled).",
        "In 3.1 ms these programs, of one thread, read some 10,000 lines and 20 threads of the testbed some 500,000: a "
        "page that is read through once is among the hottest then. At 42 ms they read some 150,000.",
        "DAMON's 1,000 regions have 9 to 28 pages here and 2,000 in 8 GB; with 20 regions its mean is 0.34.",
        TRACES,
    ),
    inches=(7.16, 2.8),
)
