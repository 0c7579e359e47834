"""The least time of any policy against that of all schedules, tried out one by one, on tiers that slow under load."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.kernels.placement_time import quantum_tangents
from simulator.memory.tiers.oracle_plan import PlacementTask
from simulator.memory.tiers.oracle_time import TimeModel, convex_below, foresee

Floats = NDArray[np.float64]
Lines = NDArray[np.uint32]
Bools = NDArray[np.bool_]

QUANTUM = 8
# Bytes/ps and ps: rising, the last point is the peak. CXL's has a kink that is not convex.
DDR = np.array([[0.01, 100e3], [0.03, 110e3], [0.05, 180e3], [0.06, 400e3]])
CXL = np.array([[0.004, 250e3], [0.01, 330e3], [0.02, 360e3], [0.025, 900e3]])


def latency(table: Floats, bandwidth: float) -> float:
    """Flat before the first point and beyond the last."""
    points = table.tolist()
    if bandwidth <= points[0][0]:
        return float(points[0][1])
    for (left, low), (right, high) in pairwise(points):
        if bandwidth < right:
            return float(low + (high - low) * (bandwidth - left) / (right - left))
    return float(points[-1][1])


def quantum_ps(
    compute: float, ddr_reads: float, cxl_reads: float, ddr_bytes: float, cxl_bytes: float, mlp: float
) -> float:
    """The execution model's time, by bisection."""
    low = max(compute, ddr_bytes / DDR[-1, 0], cxl_bytes / CXL[-1, 0])
    high = max(low, compute + (ddr_reads * DDR[-1, 1] + cxl_reads * CXL[-1, 1]) / mlp)
    for _ in range(60):
        time = (low + high) / 2
        waited = (
            ddr_reads * latency(DDR, ddr_bytes / time) + cxl_reads * latency(CXL, cxl_bytes / time) if time else 0.0
        )
        if compute + waited / mlp > time:
            low = time
        else:
            high = time
    return float(high)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([0.0, 1e4, 1e6, 1e8]),
    st.integers(0, 300),
    st.floats(0, 1),
    st.sampled_from([0.5, 1, 4, 40]),
    st.integers(0, 100),
)
def test_tangents_stay_below_the_time(compute: float, reads: int, share: float, mlp: float, writes: int) -> None:
    at = float(round(share * reads))
    time, benefit = np.empty((2, 1))
    peaks = np.array([DDR[-1, 0], CXL[-1, 0]])
    here = np.array([compute]), np.array([float(reads)]), np.array([at])
    quantum_tangents(*here, convex_below(DDR), convex_below(CXL), mlp, peaks, time, benefit)
    for ddr_reads in {0, reads // 3, reads // 2, reads - reads // 5, reads, int(at)}:
        cxl_reads = reads - ddr_reads
        for ddr_writes, cxl_writes in ((0, 0), (writes, 0), (0, writes), (writes // 2, writes - writes // 2)):
            ddr_bytes, cxl_bytes = 64.0 * (ddr_reads + ddr_writes), 64.0 * (cxl_reads + cxl_writes)
            model = quantum_ps(compute, ddr_reads, cxl_reads, ddr_bytes, cxl_bytes, mlp)
            assert time[0] - benefit[0] * (ddr_reads - at) <= model * (1 + 1e-9)


def test_a_tangent_touches_where_latencies_are_convex() -> None:
    flat = np.array([[1.0, 100e3]])
    time, benefit = np.empty((2, 2))
    tables = convex_below(DDR), convex_below(flat)
    reads, on_ddr = np.array([60.0, 60.0]), np.array([20.0, 20.5])
    quantum_tangents(np.zeros(2), reads, on_ddr, *tables, 4.0, np.array([0.06, 1.0]), time, benefit)
    assert time[0] - 0.5 * benefit[0] == pytest.approx(time[1], rel=1e-4)
    assert time[0] - 0.5 * benefit[0] <= time[1]


def test_the_convex_function_below_a_table() -> None:
    assert convex_below(DDR).tolist() == [[0, 100e3], *DDR.tolist()]
    assert convex_below(CXL).tolist() == [[0, 250e3], [0.004, 250e3], [0.02, 360e3], [0.025, 900e3]]
    assert convex_below(np.array([[0.0, 5.0], [1.0, 5.0]])).tolist() == [[0, 5], [1, 5]]


def task_of(
    page: NDArray[np.int64], is_write: Bools, n_pages: int, capacity: int, cost: float, chunk: int = 3
) -> PlacementTask:
    """A task that comes `chunk` records at a time."""

    def stream_pass() -> Iterator[tuple[Lines, Bools]]:
        for first in range(0, len(page), chunk):
            yield page[first : first + chunk].astype(np.uint32) * 64, is_write[first : first + chunk]

    return PlacementTask(stream_pass, len(page), n_pages, capacity, cost, cost)


def quanta_ps(task: PlacementTask, compute: Floats, mlp: float) -> list[dict[int, float]]:
    """Time of each quantum by the set of pages on DDR."""
    chunks = list(task.stream_pass())
    page = np.concatenate([line for line, _ in chunks]) >> 6
    is_write = np.concatenate([write for _, write in chunks])
    times = []
    for quantum in range(len(compute)):
        part = slice(quantum * QUANTUM, (quantum + 1) * QUANTUM)
        by_set = {}
        for which in range(1 << task.n_pages):
            on_ddr = (which >> page[part]) & 1 == 1
            read = ~is_write[part]
            ddr, cxl = int((on_ddr & read).sum()), int((~on_ddr & read).sum())
            n_bytes = 64.0 * int(on_ddr.sum()), 64.0 * int((~on_ddr).sum())
            by_set[which] = quantum_ps(float(compute[quantum]), ddr, cxl, *n_bytes, mlp)
        times.append(by_set)
    return times


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from([0.0, 2e4, 2e5, 1e9]), st.sampled_from([1.0, 16.0]))
def test_no_schedule_takes_less_time(seed: int, capacity: int, cost: float, mlp: float) -> None:
    rng = np.random.default_rng(seed)
    n_pages, n_quanta = 3, int(rng.integers(1, 5))
    n_records = int(rng.integers((n_quanta - 1) * QUANTUM + 1, n_quanta * QUANTUM + 1))
    task = task_of(rng.integers(0, n_pages, n_records), rng.random(n_records) < 0.25, n_pages, capacity, cost)
    compute = rng.choice([0.0, 1e3, 1e6], n_quanta)
    times = quanta_ps(task, compute, mlp)
    sets = [which for which in range(1 << n_pages) if which.bit_count() <= capacity]
    best = min(
        sum(times[quantum][which] for quantum, which in enumerate(schedule))
        + cost * sum((was ^ which).bit_count() for was, which in zip((0, *schedule), schedule, strict=False))
        for schedule in product(sets, repeat=n_quanta)
    )
    found = foresee(task, TimeModel(compute, DDR, CXL, mlp, QUANTUM), QUANTUM)
    assert found.least_ps <= best
    assert found.least_ps <= found.plan_ps


@pytest.mark.parametrize("mlp", [1.0, 12.0, 60.0])
def test_the_plan_comes_close_to_the_least_time_under_load(mlp: float) -> None:
    rng = np.random.default_rng(5)
    n_records, n_pages = 60_000, 400
    page = (rng.zipf(1.3, n_records) + np.arange(n_records) * 3 // n_records * 80) % n_pages
    task = task_of(page, np.zeros(n_records, bool), n_pages, 100, 2e6, 4099)
    model = TimeModel(np.full(-(-n_records // 256), 1e6), DDR, CXL, mlp, 256)
    found = foresee(task, model, 1024)
    print(f"mlp {mlp}: the plan takes {found.plan_ps / found.least_ps - 1:.3%} more than the bound")
    assert found.least_ps <= found.plan_ps <= 1.05 * found.least_ps
