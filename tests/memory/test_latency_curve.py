"""Latency curves: interpolation, saturation, what is derived from them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.errors import ConfigError
from simulator.memory.tiers.latency_curve import LatencyCurve


def curve(*points: tuple[float, float]) -> LatencyCurve:
    return LatencyCurve(np.array([x for x, _ in points]), np.array([y for _, y in points]))


PLAIN = curve((2, 100), (10, 120), (20, 220))


@st.composite
def curves(draw: st.DrawFn) -> LatencyCurve:
    """Any possible curve."""
    steps = draw(st.lists(st.tuples(st.floats(0.01, 50), st.floats(0, 500)), min_size=2, max_size=8))
    rises, waits = np.cumsum(np.array(steps), axis=0).T
    return LatencyCurve(rises, draw(st.floats(1, 500)) + waits)


@pytest.mark.parametrize(
    ("gb_per_s", "ns"), [(0, 100), (2, 100), (6, 110), (10, 120), (15, 170), (20, 220), (25, 220), (1e9, 220)]
)
def test_straight_between_points_and_level_outside(gb_per_s: float, ns: float) -> None:
    assert PLAIN.at(gb_per_s) == pytest.approx(ns)


def test_what_a_curve_is_known_by() -> None:
    assert (PLAIN.idle_ns, PLAIN.peak_gb_per_s) == (100, 20)
    assert PLAIN.table().tolist() == [[0.002, 100e3], [0.01, 120e3], [0.02, 220e3]]
    assert PLAIN.table().flags.c_contiguous


def test_points_are_copied_and_stay() -> None:
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    made = LatencyCurve(x, y)
    x[0] = 9.0
    assert made.gb_per_s.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        made.latency_ns[0] = 1.0


@given(curves(), st.floats(0, 500), st.floats(0, 500))
def test_latency_never_falls_with_load(drawn: LatencyCurve, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert drawn.idle_ns <= drawn.at(low) <= drawn.at(high) <= drawn.latency_ns[-1]


@given(curves(), st.integers(1, 16), st.floats(0, 1), st.floats(0, 300))
def test_more_channels_and_a_longer_way(drawn: LatencyCurve, n: int, load: float, ns: float) -> None:
    at = load * drawn.peak_gb_per_s
    assert drawn.scaled(n).peak_gb_per_s == pytest.approx(n * drawn.peak_gb_per_s)
    assert drawn.scaled(n).at(n * at) == pytest.approx(drawn.at(at))
    assert drawn.shifted(ns).at(at) == pytest.approx(drawn.at(at) + ns)


@given(curves(), st.floats(0.001, 2), st.floats(0, 1))
def test_a_limit_ends_the_curve_and_changes_nothing_below(drawn: LatencyCurve, share: float, load: float) -> None:
    peak = share * drawn.peak_gb_per_s
    limited = drawn.limited(peak)
    assert limited.peak_gb_per_s == pytest.approx(min(peak, drawn.peak_gb_per_s))
    at = load * limited.peak_gb_per_s
    assert limited.at(at) == pytest.approx(drawn.at(at))


@given(curves(), st.floats(1, 900), st.floats(1, 100), st.floats(0, 4), st.floats(0, 1))
def test_a_reshaped_curve_adds_in_proportion(
    drawn: LatencyCurve, idle: float, peak: float, scale: float, load: float
) -> None:
    other = drawn.reshaped(idle_ns=idle, peak_gb_per_s=peak, wait_scale=scale)
    added = drawn.at(load * drawn.peak_gb_per_s) - drawn.idle_ns
    assert other.at(load * peak) == pytest.approx(idle + scale * added, rel=1e-6, abs=1e-3)
    same = drawn.reshaped()
    assert same.latency_ns == pytest.approx(drawn.latency_ns)


@pytest.mark.parametrize(
    ("gb_per_s", "latency_ns", "key", "cause"),
    [
        ([1.0], [100.0], "bandwidth_gb_per_s", "1 points"),
        ([], [], "bandwidth_gb_per_s", "0 points"),
        ([1, 2], [100], "latency_ps", "1 latencies at 2 bandwidths"),
        ([1, 1], [100, 100], "bandwidth_gb_per_s.1", "does not rise: 1 GB/s after 1"),
        ([1, 3, 2], [1, 2, 3], "bandwidth_gb_per_s.2", "does not rise"),
        ([1, 2, 3], [100, 90, 200], "latency_ps.1", "falls with load: 90 ns after 100"),
        ([-1, 2], [100, 100], "bandwidth_gb_per_s.0", "-1 GB/s is no bandwidth"),
        ([1, 2], [-5, 100], "latency_ps.0", "-5 ns is no latency"),
        ([1, 2], [0, 100], "latency_ps.0", "0 ns is no latency"),
        ([1, np.inf], [1, 100], "bandwidth_gb_per_s.1", "no bandwidth"),
        ([np.nan, 1], [1, 100], "bandwidth_gb_per_s.0", "no bandwidth"),
        ([1, 2], [1, np.nan], "latency_ps.1", "no latency"),
    ],
)
def test_what_is_no_curve_is_refused(gb_per_s: list[float], latency_ns: list[float], key: str, cause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LatencyCurve(np.array(gb_per_s), np.array(latency_ns))
    assert f"`{key}`" in caught.value.message
    assert cause in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.scaled(0),
        lambda one: one.shifted(-100),
        lambda one: one.limited(0),
        lambda one: one.limited(float("nan")),
        lambda one: one.reshaped(wait_scale=-1),
        lambda one: one.reshaped(idle_ns=0),
        lambda one: one.reshaped(peak_gb_per_s=0),
    ],
)
def test_impossible_changes_are_refused(change) -> None:
    with pytest.raises(ConfigError) as caught:
        change(PLAIN)
    assert caught.value.remedy
