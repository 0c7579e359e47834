"""A tracker's replay as a record: how well its picks meet the hottest keys over time and size, and its speed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.contracts.results import RunRecord, Series, Table
from simulator.memory.trackers.accuracy import Accuracy
from simulator.memory.trackers.tracker import Tracker
from simulator.workload.accesses import AccessStream

if TYPE_CHECKING:
    from simulator.devices.hot_page_tracker import HotPageTracker

_ALGORITHMS = {
    "cm": "count-min sketch with a sorted CAM",
    "ss": "Space-Saving",
    "first_touch": "first touches",
    "exact": "exact counters",
}


# What a table of several trackers has: all that does not depend on the machine that ran them.
_IN_TABLE = ("ratio_epoch", "ratio_union", "topk_hit", "distinct_picked", "epochs", "n_updates", "n_dropped")


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A tracker and how well it did."""

    tracker: Tracker
    accuracy: Accuracy

    def metrics(self) -> dict[str, int | float]:
        """What is told of one tracker."""
        tracker, accuracy = self.tracker, self.accuracy
        cpu_s = tracker.kernel_cpu_s
        return {
            "ratio_epoch": accuracy.ratio_epoch,
            "ratio_union": accuracy.ratio_union,
            "topk_hit": accuracy.topk_hit,
            "distinct_picked": accuracy.distinct_picked,
            "epochs": accuracy.n_epochs,
            "n_updates": tracker.n_updates,
            "n_dropped": tracker.n_dropped,
            "updates_per_cpu_s": tracker.n_updates / cpu_s if cpu_s > 0 else float("nan"),
        }


def tracker_record(
    config: HotPageTracker.Config, stream: AccessStream, n_reads: int, judged: Sequence[Judged]
) -> RunRecord:
    """Everything that a replay hands to the report: of the trackers of the part's own size, and of the swept ones."""
    n_keys = 2 if config.key == "both" else 1
    own = judged[:n_keys]
    metrics: dict[str, int | float] = {}
    series: dict[str, Series] = {}
    key_metrics: list[str] = []
    for at, one in enumerate(own):
        suffix = f"_{one.tracker.key}" if n_keys > 1 else ""
        metrics.update({name + suffix: value for name, value in one.metrics().items()})
        series[f"access_count_ratio{suffix}"] = _over_epochs(one)
        if config.sweep_n_counters:
            series[f"access_count_ratio_by_size{suffix}"] = _over_size(judged[at::n_keys])
        key_metrics += [name + suffix for name in ("ratio_epoch", "ratio_union", "topk_hit")]
    metrics["total_reads"] = n_reads
    metrics["n_records"] = stream.n_records
    metrics["footprint_mib"] = stream.footprint_bytes / (1 << 20)
    return RunRecord(
        system=f"hot-{'page and hot-word' if n_keys > 1 else config.key} tracker",
        workload=stream.name,
        metrics=metrics,
        headlines=tuple(_headline(config, one) for one in own),
        notes=tuple(_notes(config, stream, own)),
        key_metrics=(*key_metrics, "updates_per_cpu_s" if n_keys == 1 else "updates_per_cpu_s_page"),
        series=series,
        tables={"accuracy": _sizes(judged)},
    )


def _over_epochs(one: Judged) -> Series:
    """Accuracy of every epoch that had reads."""
    ratios = one.accuracy.ratio_by_epoch()
    judged = np.flatnonzero(~np.isnan(ratios))
    return Series.of("epoch", judged + 1, ratios[judged])


def _over_size(judged: Sequence[Judged]) -> Series:
    """Accuracy over the number of counters, whose logarithm it is drawn over."""
    ratio = {one.tracker.config.n_counters: one.accuracy.ratio_epoch for one in judged}
    sizes = sorted(ratio)
    return Series.of("log2_of_N", np.log2(sizes), [ratio[size] for size in sizes])


def _sizes(judged: Sequence[Judged]) -> Table:
    """A row for each tracker."""
    rows = []
    for one in judged:
        config = one.tracker.config
        rows.append(
            (
                one.tracker.key,
                config.algorithm,
                config.n_counters,
                config.k,
                *(one.metrics()[name] for name in _IN_TABLE),
            )
        )
    return Table(("key", "algorithm", "n_counters", "k", *_IN_TABLE), rows)


def _headline(config: HotPageTracker.Config, one: Judged) -> str:
    accuracy = one.accuracy
    size = f" of N = {config.n_counters:,}" if config.algorithm in ("cm", "ss") else ""
    return (
        f"{_ALGORITHMS[config.algorithm]}{size}: the {config.k} {one.tracker.key}s that it picks in an epoch get "
        f"{accuracy.ratio_epoch:.1%} of the reads of the {config.k} hottest, over {accuracy.n_epochs:,} epochs"
    )


def _notes(config: HotPageTracker.Config, stream: AccessStream, own: Sequence[Judged]) -> list[str]:
    notes = [*stream.notes]
    what = "accesses" if config.track_writes else "reads"
    if config.track_writes:
        notes.append("writes are tracked too, which M5's hardware does not do")
    else:
        notes.append("writes are passed over, as the hardware sees reads alone")
    notes.append(f"{what} after the last query are not judged")
    if config.arrivals == "trace" and stream.clock is not None and stream.clock.unit == "instructions":
        notes.append(
            f"times are instructions at {float(config.core_clock_hz) / 1e9:g} GHz and {config.ipc:g} a cycle (assumed)"
        )
    dropped = sum(one.tracker.n_dropped for one in own)
    if dropped:
        arrived = sum(one.tracker.n_arrived for one in own)
        notes.append(f"{dropped:,} of {arrived:,} {what} found the input queue full and were dropped")
    if config.repeat > 1:
        notes.append(f"the trace was run {config.repeat} times over")
    return notes
