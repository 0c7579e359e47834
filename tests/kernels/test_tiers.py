"""The equation of a quantum's time, at the level of the kernel; tests/memory/tiers runs whole streams."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.kernels import tiers as kernel
from tests.twins import tiers as twin

Table = NDArray[np.float64]
FAST = np.array([[0.0, 100e3], [0.02, 120e3], [0.03, 400e3]])
SLOW = np.array([[0.001, 250e3], [0.01, 300e3], [0.02, 900e3]])
FLAT_FAST = np.array([[0.0, 100e3], [1e9, 100e3]])
FLAT_SLOW = np.array([[0.0, 250e3], [1e9, 250e3]])


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Curves with cliffs and plateaus, from idle at 0 or later."""
    n = draw(st.integers(2, 5))
    steps = st.floats(1e-9, 0.1)
    first = draw(st.sampled_from([0.0, 1e-6, 0.01]))
    rises = st.sampled_from([0.0, 1.0, 1e3, 1e5, 1e7])
    bandwidth = first + np.cumsum([0.0] + [draw(steps) for _ in range(n - 1)])
    latency = draw(st.floats(1e3, 1e6)) + np.cumsum([0.0] + [draw(rises) for _ in range(n - 1)])
    assume((np.diff(bandwidth) > 0).all())
    return np.column_stack((bandwidth, latency))


@st.composite
def quanta(draw: st.DrawFn) -> tuple[float, float, float, float, float]:
    """Compute, reads and bytes of both tiers: any of them may be nothing."""
    count = st.sampled_from([0, 0, 1, 3, 64, 256, 16384])
    compute = draw(st.sampled_from([0.0, 0.3, 1.0, 1e3, 1e6, 1e12, 1e15]))
    reads = draw(count), draw(count)
    extra = draw(count) + draw(count) * 64, draw(count)
    sizes = [64.0 * (n + more) for n, more in zip(reads, extra, strict=True)]
    return compute, float(reads[0]), float(reads[1]), sizes[0], sizes[1]


def time_of(quantum: tuple[float, float, float, float, float], ddr: Table, cxl: Table, mlp: float) -> float:
    return float(kernel.quantum_time(*quantum, ddr, cxl, mlp))


@settings(max_examples=60, deadline=None)
@given(tables(), st.floats(0, 1))
def test_latency_is_the_curve_and_flat_beyond_its_ends(table: Table, bandwidth: float) -> None:
    expected = np.interp(bandwidth, table[:, 0], table[:, 1])
    assert kernel.latency_at(table, bandwidth) == pytest.approx(expected, rel=1e-9)
    for point in table:
        assert kernel.latency_at(table, point[0]) == point[1]


@settings(max_examples=250, deadline=None)
@given(quanta(), tables(), tables(), st.sampled_from([0.5, 1.0, 4.0, 10.0, 1e4]))
def test_time_is_the_twins(
    quantum: tuple[float, float, float, float, float], ddr: Table, cxl: Table, mlp: float
) -> None:
    compute, ddr_reads, cxl_reads, ddr_bytes, cxl_bytes = quantum
    curves = (ddr.tolist(), cxl.tolist())
    expected = twin.quantum_ps(compute, (ddr_reads, cxl_reads), (ddr_bytes, cxl_bytes), curves, mlp)
    time = time_of(quantum, ddr, cxl, mlp)
    assert time == pytest.approx(expected, rel=1e-9)
    for n_bytes, table in ((ddr_bytes, ddr), (cxl_bytes, cxl)):
        assert n_bytes <= time * table[-1, 0] * (1 + 1e-9)


@settings(max_examples=100, deadline=None)
@given(quanta(), st.floats(1.0, 20.0), st.floats(1.0, 3.0))
def test_more_latency_never_helps_and_more_lines_in_flight_never_harm(
    quantum: tuple[float, float, float, float, float], mlp: float, factor: float
) -> None:
    time = time_of(quantum, FAST, SLOW, mlp) * (1 + 1e-9)
    slower = np.array([1.0, factor])
    assert time_of(quantum, FAST * slower, SLOW, mlp) >= time / (1 + 2e-9)
    assert time_of(quantum, FAST, SLOW * slower, mlp) >= time / (1 + 2e-9)
    assert time_of(quantum, FAST, SLOW, mlp * factor) <= time


@settings(max_examples=100, deadline=None)
@given(quanta(), st.floats(1.0, 20.0))
def test_time_is_between_all_in_ddr_idle_and_all_in_cxl(
    quantum: tuple[float, float, float, float, float], mlp: float
) -> None:
    compute, ddr_reads, cxl_reads, ddr_bytes, cxl_bytes = quantum
    reads, n_bytes = ddr_reads + cxl_reads, ddr_bytes + cxl_bytes
    time = time_of(quantum, FAST, SLOW, mlp)
    assert time >= (compute + reads * FAST[0, 1] / mlp) * (1 - 1e-9)
    assert time <= time_of((compute, 0.0, reads, 0.0, n_bytes), FAST, SLOW, mlp) * (1 + 1e-9)


def test_closed_forms() -> None:
    n = 256.0
    assert time_of((1e6, n, 0.0, 64 * n, 0.0), FLAT_FAST, FLAT_SLOW, 8.0) == pytest.approx(1e6 + n * 100e3 / 8)
    assert time_of((1e6, 0.0, n, 0.0, 64 * n), FLAT_FAST, FLAT_SLOW, 8.0) == pytest.approx(1e6 + n * 250e3 / 8)
    assert time_of((0.0, 0.0, 0.0, 64 * n, 0.0), FAST, SLOW, 8.0) == pytest.approx(64 * n / 0.03)
    assert time_of((5.0, 0.0, 0.0, 0.0, 0.0), FAST, SLOW, 8.0) == 5.0
    assert time_of((0.0, 0.0, 0.0, 0.0, 0.0), FAST, SLOW, 8.0) == 0.0


def advanced(
    line: list[int], is_write: list[bool], *, now_ps: int = 0, compute_ps: float = 0.0, until_ps: int = 1 << 62
) -> tuple[int, int, NDArray[np.int64]]:
    """One quantum of records on two pages in CXL memory: record after the last, time, last touches."""
    last_touch_ps = np.full(2, -1, np.int64)
    none, no_lines = np.zeros(0, np.int64), np.zeros(0, np.uint32)
    faults = [np.zeros(len(line), np.int64) for _ in range(3)]
    at, now = kernel.advance(
        np.array(line, np.uint32), np.array(is_write), 0, 0, len(line), 1, np.array([compute_ps]), until_ps, now_ps,
        FAST, SLOW, 4.0, 0.0, np.zeros(2), np.zeros(2, np.uint8), last_touch_ps,
        np.full(2, kernel.NOT_PROTECTED, np.int64), no_lines, none, *faults, none, none,
        np.zeros(3, np.int64), np.zeros(kernel.N_TOTALS, np.int64), np.zeros(kernel.N_KEPT),
    )  # fmt: skip
    return int(at), int(now), last_touch_ps


def test_a_quantum_takes_the_same_at_the_end_of_a_long_run() -> None:
    """10^6 s are 10^18 ps, of which a float64 holds only every 128th."""
    late = 10**18 + 77
    _, end, touched = advanced([0, 64], [False, False], compute_ps=100.0)
    _, late_end, late_touched = advanced([0, 64], [False, False], compute_ps=100.0, now_ps=late)
    assert late_end - late == end
    assert (late_touched - late).tolist() == touched.tolist()


def test_at_least_one_quantum_is_run() -> None:
    at, now, _ = advanced([0], [False], now_ps=1000, until_ps=10)
    assert at == 1
    assert now > 1000


def test_a_touch_that_took_no_time_yet_is_after_the_quantums_start() -> None:
    """The first record is a write and there is nothing to compute: bits that were cleared at 1000 must be set."""
    _, _, touched = advanced([0, 64], [True, False], now_ps=1000)
    assert (touched > 1000).all()
