"""M5, figure 11: accuracy of a tracker as the footprint grows 64-fold."""

from __future__ import annotations

from functools import partial

import numpy as np

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_m5_study import SECOND_HAND, SOURCE, TRACES
from simulator.experiments.figure_study import Study
from simulator.experiments.m5_study import COPIED_RECORDS, M5Study, TrackerCase
from simulator.experiments.m5_targets import load_m5_targets

PANEL = "access-count ratio"
ASKED = load_m5_targets().footprints
TRACKERS = {"CM 32K": ("cm", 32_768), "SS 50": ("ss", 50)}
ALONE, SHARED = "epochs as much longer", "epochs of 128K reads"


def measure(study: Study) -> list[Value]:
    """Mean ratio over the traces by the number of copies, with epochs that grow along and with epochs that do not."""
    values = []
    for name, (algorithm, size) in TRACKERS.items():
        for words in (ALONE, SHARED):
            for n_copies in ASKED.copies:
                epoch = ASKED.epoch * (n_copies if words == ALONE else 1)
                ratio = partial(_ratio, study.m5, TrackerCase(algorithm, size, ASKED.k, epoch), n_copies)
                mean = float(np.mean([ratio(trace) for trace in study.m5.names]))
                values.append(Value(PANEL, f"{name}, {words}", f"{n_copies}x", mean))
    return values


def _ratio(m5: M5Study, case: TrackerCase, n_copies: int, trace: str) -> float:
    return m5.copies_ratio(trace, n_copies, case)


FIGURE = Figure(
    name="m5-11",
    title="Trackers as the footprint grows",
    caption=(
        f"Access-count ratio by epoch, K = {ASKED.k}, mean over traces, on so many copies of a trace that take turns "
        f"on pages of their own. Line: the paper's CM 32K stays above 0.7. {SECOND_HAND}"
    ),
    source=SOURCE.format(11),
    panels=(Panel(PANEL, "lines", y="access-count ratio", x="footprint", labelled=False, reference=ASKED.least),),
    runs={},
    measure=measure,
    cautions=(
        f"Copies of the first {COPIED_RECORDS:,} records of each trace, in lock step: n copies of the hottest page are "
        "equally hot, so that there are more right picks than places.",
        "`epochs as much longer`: each page is read as often in an epoch as without copies; `epochs of 128K reads`: as "
        "the tracker is asked at the same rate of reads, 64 copies leave 2,048 reads to each.",
        TRACES,
    ),
    inches=(4.6, 3.2),
)
