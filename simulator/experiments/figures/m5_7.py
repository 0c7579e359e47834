"""M5, figure 7: accuracy of trackers over their size, count-min sketches and Space-Saving."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_m5_study import SECOND_HAND, SOURCE, TRACES
from simulator.experiments.figure_study import Study
from simulator.experiments.m5_study import TrackerCase
from simulator.experiments.m5_targets import load_m5_targets

CM, SS = "count-min sketch", "Space-Saving"
SIZES = {CM: ("cm", (64, 256, 512, 1024, 2048, 8192, 32_768)), SS: ("ss", (50, 64, 256, 512, 1024, 2048))}
EPOCHS = (8192, 131_072, 1_048_576)
MARKED = 131_072  # the epoch beside whose points the paper's stand
K = 5


def measure(study: Study) -> list[Value]:
    """Mean ratio over the traces by size, a line per epoch."""
    asked = load_m5_targets().trackers
    published = {(CM, asked.cm_counters): asked.cm, (SS, asked.ss_entries): asked.ss}
    values = []
    for panel, (algorithm, sizes) in SIZES.items():
        for epoch in EPOCHS:
            for size in sizes:
                ours = study.m5.mean_ratio(TrackerCase(algorithm, size, K, epoch))
                if ours is not None:
                    number = published.get((panel, size)) if epoch == MARKED else None
                    at = f"{size // 1024}K" if size >= 1024 else str(size)
                    series = f"{epoch // 1024:,}K reads"
                    values.append(Value(panel, series, at, ours, number, n_decimals=2, is_judged=False))
    return values


FIGURE = Figure(
    name="m5-7",
    title="Accuracy of trackers over their size",
    caption=(
        f"Access-count ratio by epoch, K = {K} pages an epoch, mean over traces, by counters (N = H x W, H = 4) and by "
        f"entries; a line per length of an epoch. {SECOND_HAND}"
    ),
    source=SOURCE.format(7),
    panels=(
        Panel(CM, "lines", y="access-count ratio", x="counters", labelled=False),
        Panel(SS, "lines", x="entries", labelled=False),
    ),
    runs={},
    measure=measure,
    cautions=(
        "The paper's epoch is not known: its two numbers stand beside epochs of 128K reads. Space-Saving with 50 "
        "entries is good only while epochs are short.",
        "Below 1K counters a sketch is not monotone in its size: that is luck of the hash.",
        TRACES,
    ),
    inches=(7.16, 2.8),
)
