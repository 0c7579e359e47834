"""Systolic arrays: runs of SCALE-Sim beside ours, product by product."""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.quantities import PositiveInt
from simulator.devices.systolic_array import Replayed, SystolicArray
from simulator.experiments.replay import load_device
from simulator.experiments.validate_records import Claim, Group, Point
from simulator.kernels import systolic as closed
from simulator.kernels import systolic_memory as memory
from simulator.workload.catalog import data_directory
from simulator.workload.gemm_list import GemmList

_ARRAY = re.compile(r"(\w\w) (\d+)x(\d+) sram_kB if/fl/of=(\d+)/(\d+)/(\d+)")
_BYTES_PER_KB = 1024


class SystolicTargets(BaseModel):
    """A file of targets of kind `systolic`: where the runs stand, and what is said of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["systolic"]
    file: str
    suite: str
    source: str
    part: str
    cycles: str
    memory: str
    refetched: str
    speed: str
    speed_note: str
    n_timed: PositiveInt


@dataclass(frozen=True, slots=True)
class ReferenceRun:
    """One run of SCALE-Sim: M, N, K, array, buffers in kB (ifmap, filter, ofmap), words a cycle of USER mode (None in
    CALC mode, which never waits), and what it reports."""

    case: str
    shape: tuple[int, int, int]
    dataflow: str
    array: tuple[int, int]
    buffers_kb: tuple[int, int, int]
    words_per_cyc: int | None
    total_cycles: int
    stall_cycles: int
    util_pct: str
    wall_s: float
    counted: Mapping[str, str]

    @property
    def cycles(self) -> int:
        """Cycles without stalls."""
        return self.total_cycles - self.stall_cycles

    @property
    def gemms(self) -> GemmList:
        """The product as a list of one."""
        m, n, k = (np.array([size], np.int64) for size in self.shape)
        one = np.ones(1, np.int64)
        return GemmList(self.case, (self.case,), m, n, k, one, one)

    def __str__(self) -> str:
        sizes, array = (" x ".join(map(str, one)) for one in (self.shape, self.array))
        return f"{self.case}, {sizes} on {array}"


def load_systolic_targets(path: Path) -> SystolicTargets:
    """The targets of a file. Raises ConfigError at the place of what is wrong."""
    return bind(load_part(path), SystolicTargets, ignore=())


def reference_runs(targets: SystolicTargets, folder: Path) -> list[ReferenceRun]:
    """All runs of the suite."""
    with (folder / targets.file).open(newline="", encoding="utf-8") as stream:
        return [_run(row) for row in csv.DictReader(stream) if row["suite"] == targets.suite]


def array_like(run: ReferenceRun, base: SystolicArray) -> SystolicArray:
    """Our array of the same size, with the same buffers, at a word a cycle for each GB/s; sums are a word wide, as
    there."""
    ifmap, filters, ofmap = (size * _BYTES_PER_KB for size in run.buffers_kb)
    return base.changed(
        dataflow=run.dataflow,
        rows=run.array[0],
        cols=run.array[1],
        clock_hz=1e9,
        word_bytes=1,
        accumulator_bytes=1,
        ifmap_sram_bytes=ifmap,
        filter_sram_bytes=filters,
        ofmap_sram_bytes=ofmap,
        bandwidth_gb_per_s=None if run.words_per_cyc is None else float(run.words_per_cyc),
    )


def base_array(targets: SystolicTargets) -> SystolicArray:
    """The part that stands in for SCALE-Sim's configurations."""
    device = load_device(data_directory("hw_configs") / targets.part)[1]
    assert isinstance(device, SystolicArray)
    return device


def systolic_points(path: Path) -> Iterator[Point | Claim]:
    """Every number of the runs beside ours."""
    targets = load_systolic_targets(path)
    runs = reference_runs(targets, path.parent)
    base = base_array(targets)
    alone = Group("systolic_cycles", targets.cycles, targets.source)
    together = Group("systolic_memory", targets.memory, targets.source, folded=False)
    ratios = []
    for run in runs:
        device = array_like(run, base)
        replayed = device.run(run.gemms)
        yield from _cycle_points(alone, run, replayed)
        if run.words_per_cyc is not None:
            total = int(replayed.results[0, memory.TOTAL])
            case = f"{run}, {run.words_per_cyc} words/cycle"
            yield Point(together, case, "cycles", run.total_cycles, total, contradicts=targets.refetched)
        ratios.append(run.wall_s / _seconds_per_gemm(device, run, targets.n_timed))
    speed = Group("systolic_speed", targets.speed, targets.source, folded=False)
    words = f"{len(runs)} products, the median; the least is {min(ratios):,.0f} x"
    median = float(np.median(ratios))
    yield Claim(
        speed, "SCALE-Sim's time for a product over ours", "ratio", None, median, words, "x", targets.speed_note
    )


def _cycle_points(group: Group, run: ReferenceRun, replayed: Replayed) -> Iterator[Point]:
    counts = replayed.counts[0].tolist()
    rows, cols = run.array
    m, n, k = run.shape
    case = f"{run.dataflow.upper()}, {'stalls left out' if run.stall_cycles else 'no stalls'}"
    yield Point(group, case, f"cycles of {run}", run.cycles, counts[closed.CYCLES])
    cycles = counts[closed.CYCLES] + run.stall_cycles
    yield Point.printed(
        group, f"{case}: cells' time in use", f"% of {run}", run.util_pct, 100 * m * n * k / (cycles * rows * cols)
    )
    accesses = {"if_sram_rd": closed.IFMAP_READS, "fl_sram_rd": closed.FILTER_READS}
    if run.dataflow != "os":  # there its report adds rows and columns of every fold to what is written
        accesses["of_sram_wr"] = closed.OFMAP_WRITES
    for name, column in accesses.items():
        yield Point(
            group, f"{run.dataflow.upper()}: SRAM accesses", f"{name} of {run}", int(run.counted[name]), counts[column]
        )


def _seconds_per_gemm(device: SystolicArray, run: ReferenceRun, n_timed: int) -> float:
    """CPU seconds of a product, in a list of many alike; the memory's streams are measured before."""
    gemms = run.gemms
    m, n, k, ones = (np.repeat(one, n_timed) for one in (gemms.m, gemms.n, gemms.k, gemms.count))
    many = GemmList(gemms.file, gemms.names * n_timed, m, n, k, ones, ones)
    begun = time.process_time()
    device.run(many)
    return max(time.process_time() - begun, 1e-9) / n_timed


def _run(row: Mapping[str, str]) -> ReferenceRun:
    m, n, k = map(int, re.findall(r"=(\d+)", row["workload"]))
    array = _ARRAY.fullmatch(row["array_or_dataflow"])
    assert array is not None
    rows, cols, *buffers = map(int, array.groups()[1:])
    user = re.fullmatch(r"USER(\d+)", row["phase"])
    return ReferenceRun(
        case=row["case_id"],
        shape=(m, n, k),
        dataflow=array[1].lower(),
        array=(rows, cols),
        buffers_kb=(buffers[0], buffers[1], buffers[2]),
        words_per_cyc=int(user[1]) if user else None,
        total_cycles=int(row["cycles_total"]),
        stall_cycles=int(row["stall_cycles"]),
        util_pct=row["util_pct"],
        wall_s=float(row["wall_s"]),
        counted=dict(entry.split("=") for entry in row["aux"].split(";")),
    )
