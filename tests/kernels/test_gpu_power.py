"""The clock under a board's limit: bisection against a scan, fixed points by hand, groups apart from each other."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.kernels.gpu_power import LOWEST_RATIO, clock_ratios, kernel_times, roof_ps

ACTIVE_MW, LIMIT_MW = 140_000.0, 700_000.0
# count, latency, memory, compute (ps), memory and compute energy (pJ)
Row = tuple[float, float, float, float, float, float]

KERNEL = st.tuples(
    st.integers(1, 100).map(float),
    st.floats(0, 1e7),
    st.floats(0, 1e9),
    st.floats(0, 1e9),
    st.floats(0, 1e12),
    st.floats(0, 1e12),
)
GROUP = st.lists(KERNEL, min_size=1, max_size=8).filter(lambda rows: sum(max(row[1:4]) for row in rows) > 1.0)


def ratios_of(groups: list[list[Row]], active_mw: float = ACTIVE_MW, limit_mw: float = LIMIT_MW) -> list[float]:
    """The clock ratio of each group."""
    columns = np.array([row for group in groups for row in group], np.float64).T.copy()
    offsets = np.cumsum([0, *(len(group) for group in groups)]).astype(np.int64)
    ratios = np.full(len(groups), np.nan)
    clock_ratios(offsets, *columns, active_mw, limit_mw, ratios)
    return ratios.tolist()


def roof(memory: float, compute: float) -> float:
    """The larger of two times, rounded off where they meet."""
    return (memory**4 + compute**4) ** 0.25


def power_mw(group: list[Row], ratio: float, active_mw: float = ACTIVE_MW) -> float:
    """Average power of a group at a clock ratio."""
    time_ps = sum(n * (latency + roof(memory, compute / ratio)) for n, latency, memory, compute, _, _ in group)
    energy_pj = sum(row[0] * (row[4] + row[5] * ratio**2) for row in group)
    return active_mw + energy_pj / time_ps * 1e3


@given(GROUP, st.floats(150e3, 1000e3))
@settings(max_examples=300, deadline=None)
def test_the_largest_ratio_that_keeps_to_the_limit(group: list[Row], limit_mw: float) -> None:
    (ratio,) = ratios_of([group], limit_mw=limit_mw)
    assert LOWEST_RATIO <= ratio <= 1.0
    if ratio > LOWEST_RATIO:
        assert power_mw(group, ratio) <= limit_mw * (1 + 1e-9)
    elif power_mw(group, LOWEST_RATIO) <= limit_mw:
        assert power_mw(group, LOWEST_RATIO * (1 + 1e-9)) > limit_mw * (1 - 1e-9)
    # No ratio of a scan above it would do.
    for step in range(1, 101):
        higher = ratio + (1.0 - ratio) * step / 100
        if higher > ratio * (1 + 1e-9):
            assert power_mw(group, higher) > limit_mw * (1 - 1e-9)


@given(GROUP)
def test_power_never_falls_with_the_clock(group: list[Row]) -> None:
    powers = [power_mw(group, ratio) for ratio in np.linspace(0.05, 1.0, 40)]
    assert all(more >= less * (1 - 1e-12) for less, more in itertools.pairwise(powers))


@given(GROUP, st.floats(150e3, 900e3), st.floats(0, 300e3))
@settings(deadline=None)
def test_a_higher_limit_never_lowers_the_clock(group: list[Row], limit_mw: float, more_mw: float) -> None:
    assert ratios_of([group], limit_mw=limit_mw + more_mw)[0] >= ratios_of([group], limit_mw=limit_mw)[0]


@given(st.lists(GROUP, min_size=1, max_size=5))
@settings(deadline=None)
def test_groups_do_not_see_each_other(groups: list[list[Row]]) -> None:
    assert ratios_of(groups) == [ratios_of([group])[0] for group in groups]


@given(GROUP)
@settings(deadline=None)
def test_running_everything_twice_or_in_another_order_keeps_the_clock(group: list[Row]) -> None:
    (ratio,) = ratios_of([group])
    assert ratios_of([[(2 * n, *rest) for n, *rest in group]])[0] == pytest.approx(ratio, rel=1e-9)
    assert ratios_of([group[::-1]])[0] == pytest.approx(ratio, rel=1e-9)


@pytest.mark.parametrize("ratio", [0.9, 0.5, 0.11])
def test_pure_arithmetic_has_a_closed_form(ratio: float) -> None:
    """Without a latency power is active + r^3 energy / time, so that r is a cube root."""
    time_ps = 1e9
    energy_pj = 560_000.0 * time_ps * 1e-3 / ratio**3
    assert ratios_of([[(7.0, 0.0, 0.0, time_ps, 0.0, energy_pj)]])[0] == pytest.approx(ratio, rel=1e-12)


def test_a_stream_beyond_the_limit_runs_at_the_lowest_clock() -> None:
    """The clock does not slow memory: such work stays above its limit."""
    stream: Any = (1.0, 0.0, 1e9, 0.0, 1e12, 0.0)
    assert ratios_of([[stream]]) == [pytest.approx(LOWEST_RATIO)]
    assert power_mw([stream], LOWEST_RATIO) > LIMIT_MW


def test_at_the_limit_exactly_the_clock_stays_full() -> None:
    time_ps = 1e9
    at_limit: Any = (1.0, 0.0, 0.0, time_ps, 0.0, 560.0 * time_ps)
    assert ratios_of([[at_limit]]) == [1.0]


def test_kernels_that_only_wait_cost_no_clock() -> None:
    hot: Any = (1.0, 0.0, 0.0, 1e9, 0.0, 1e12)
    wait: Any = (1.0, 1e9, 0.0, 0.0, 0.0, 0.0)
    assert ratios_of([[hot, wait]])[0] > ratios_of([[hot]])[0]


@given(st.lists(GROUP, min_size=1, max_size=4))
@settings(deadline=None)
def test_times_take_the_ratio_of_their_group(groups: list[list[Row]]) -> None:
    rows = [row for group in groups for row in group]
    columns = np.array(rows, np.float64).T.copy()
    offsets = np.cumsum([0, *(len(group) for group in groups)]).astype(np.int64)
    ratios = np.array([0.3 + 0.1 * n for n in range(len(groups))])
    times = np.empty(len(rows))
    kernel_times(offsets, columns[1], columns[2], columns[3], ratios, times)
    expected = [
        row[1] + roof(row[2], row[3] / ratio) for group, ratio in zip(groups, ratios, strict=True) for row in group
    ]
    assert times.tolist() == pytest.approx(expected, rel=1e-14)


@given(st.floats(1e-3, 1e16), st.floats(1e-3, 1e16), st.floats(1, 10))
def test_two_roofs_ask_for_no_less_than_the_larger_and_a_fifth_more_at_most(
    memory: float, compute: float, factor: float
) -> None:
    both = roof_ps(memory, compute)
    assert max(memory, compute) * (1 - 1e-15) <= both <= max(memory, compute) * 2**0.25 * (1 + 1e-15)
    assert both == roof_ps(compute, memory)
    assert roof_ps(memory * factor, compute) >= both * (1 - 1e-15)
    assert roof_ps(memory, 0.0) == pytest.approx(memory, rel=1e-15)
