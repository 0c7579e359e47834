"""M5, figure 4: how many of a page's words are read, in a window and in the whole trace."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_m5_study import SECOND_HAND, SOURCE, TRACES
from simulator.experiments.figure_study import Study
from simulator.experiments.m5_study import SPARSITY_WINDOW
from simulator.experiments.m5_targets import load_m5_targets
from simulator.experiments.memory_traces import short_name

WINDOW, WHOLE = f"windows of {SPARSITY_WINDOW:,} reads", "the whole trace"


def measure(study: Study) -> list[Value]:
    """P(words read <= n) by trace, a bar for each n."""
    asked, values = load_m5_targets().sparsity, []
    for index, panel in enumerate((WINDOW, WHOLE)):
        for trace in study.m5.names:
            sparsity = study.m5.summary(trace).sparsity[index]
            published = asked.published.get(trace)
            for place, n_words in enumerate(asked.words):
                ours = sparsity.at_most(n_words)
                number = None if published is None else published[place]
                if ours > 0:
                    at = short_name(trace)
                    values.append(Value(panel, f"n = {n_words}", at, ours, number, n_decimals=3, is_judged=False))
    return values


FIGURE = Figure(
    name="m5-4",
    title="Words read of a page",
    caption=(
        "Share of pages, among those read, of which at most n of the 64 words are read, in two windows; the paper's "
        f"where one of its programs is ours too (inputs and caches are others). {SECOND_HAND}"
    ),
    source=SOURCE.format(4),
    panels=(
        Panel(WINDOW, "bars", y="P(words read <= n)", labelled=False),
        Panel(WHOLE, "bars", labelled=False),
    ),
    runs={},
    measure=measure,
    cautions=(
        "The paper does not say its window, without which the number means little: ours moves from near 1 to near 0 as "
        "the window grows. `sim trace info TRACE --window N` gives any other.",
        "The paper's bars were read off a chart by the replication, to 0.02.",
        TRACES,
    ),
    inches=(9.0, 3.0),
)
