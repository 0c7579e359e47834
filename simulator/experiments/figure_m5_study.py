"""What the figures of M5 share: which traces they are about, what a reader must know, and values over traces."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from simulator.experiments.figure_data import Value
from simulator.experiments.m5_study import M5Study
from simulator.experiments.memory_traces import short_name

SOURCE = "M5 (ASPLOS'25), figure {}"
SECOND_HAND = "The paper's numbers are second hand: from summaries of it and an independent replication."
TRACES = (
    "Traces are the eight recorded programs of `../shared/traces/memory` where they are there, else the two small ones "
    "of `traces/`, which are marked `own`."
)
MEAN = "mean"


def over_traces(
    study: M5Study,
    panel: str,
    series: str,
    ratio: Callable[[str], float | None],
    published: float | None = None,
    *,
    geometric: bool = False,
) -> list[Value]:
    """A value per trace that has one, and their mean beside the published one."""
    found = {trace: ratio(trace) for trace in study.names}
    known = {trace: one for trace, one in found.items() if one is not None and one > 0}
    values = [Value(panel, series, short_name(trace), one) for trace, one in known.items()]
    if not known:
        return values
    mean = mean_of(known.values(), geometric=geometric)
    return [*values, Value(panel, series, MEAN, mean, published, n_decimals=2, is_judged=False)]


def mean_of(values: Iterable[float], *, geometric: bool = False) -> float:
    """The arithmetic or geometric mean."""
    array = np.array(list(values))
    return float(np.exp(np.log(array).mean()) if geometric else array.mean())
