"""Traces in memory: rates, scaling, jitter, heads, and what they refuse."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.errors import ConfigError, WorkloadError
from simulator.core.seeds import child_rng
from simulator.workload.arrivals import arrival_times_ps
from simulator.workload.requests import PrefixBlocks, Request, RequestTrace

ARRIVALS = st.lists(st.integers(0, 10**15), min_size=2, max_size=30).map(
    lambda times: [time - min(times) for time in sorted(times)]
)


def trace(times: list[int], blocks: list[list[int]] | None = None) -> RequestTrace:
    n = len(times)
    return RequestTrace(
        path="made",
        format="azure",
        checksum="",
        arrival_ps=np.array(times, dtype=np.int64),
        prompt_tokens=np.arange(1, n + 1, dtype=np.int64),
        output_tokens=np.arange(11, n + 11, dtype=np.int64),
        ids=np.arange(n, dtype=np.int64),
        prefix=None if blocks is None else PrefixBlocks.of(blocks, 16),
    )


def test_the_rate_is_the_inverse_of_the_mean_interval() -> None:
    assert trace([0, 10**12, 4 * 10**12]).offered_qps == pytest.approx(0.5)
    assert trace([0]).offered_qps is None
    assert trace([0, 0]).offered_qps is None


def test_requests_in_order() -> None:
    made = trace([0, 5], [[1, 2], []])
    assert list(made) == [Request(0, 0, 1, 11, (1, 2)), Request(1, 5, 2, 12, ())]
    assert made[-1] == made[1]
    assert len(made) == 2


@given(times=ARRIVALS, qps=st.floats(0.001, 1000))
def test_scaling_to_a_rate_gives_that_rate(times: list[int], qps: float) -> None:
    made = trace(times)
    if made.span_ps == 0:
        with pytest.raises(ConfigError, match="one instant"):
            made.scaled(qps=qps)
        return
    scaled = made.scaled(qps=qps)
    assert scaled.span_ps == pytest.approx((len(times) - 1) * 1e12 / qps, abs=1)
    assert (np.diff(scaled.arrival_ps) >= 0).all()


@given(times=ARRIVALS, numerator=st.integers(1, 50), denominator=st.sampled_from([1, 2, 4, 5, 8, 10]))
def test_time_scale_is_exact_and_keeps_the_shape(times: list[int], numerator: int, denominator: int) -> None:
    factor = numerator / denominator
    scaled = trace(times).scaled(time_scale=factor).arrival_ps.tolist()
    for before, after in zip(times, scaled, strict=True):
        assert abs(after - before * Fraction(str(factor))) <= Fraction(1, 2)


def test_scaling_back_gives_the_trace_again() -> None:
    made = trace([0, 123_456_789_012, 987_654_321_098])
    assert made.scaled(time_scale=4).scaled(time_scale=0.25).arrival_ps.tolist() == made.arrival_ps.tolist()


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 1e-30, 1e30])
def test_rates_that_are_none(value: float) -> None:
    with pytest.raises(ConfigError) as caught:
        trace([0, 5]).scaled(qps=value)
    assert caught.value.exit_code == 2
    with pytest.raises(ConfigError):
        trace([0, 5]).scaled(time_scale=value)


def test_exactly_one_speed() -> None:
    with pytest.raises(ConfigError, match="exactly one"):
        trace([0, 5]).scaled()
    with pytest.raises(ConfigError, match="exactly one"):
        trace([0, 5]).scaled(qps=1, time_scale=1)


def test_one_request_has_any_rate() -> None:
    assert trace([0]).scaled(qps=3).arrival_ps.tolist() == [0]


def test_spans_beyond_64_bits_are_refused() -> None:
    with pytest.raises(WorkloadError, match=r"106\.75 days"):
        trace([0, 10**18]).scaled(time_scale=10)
    with pytest.raises(WorkloadError, match=r"106\.75 days"):
        trace([0, 2**63 - 1]).jittered(10, child_rng(1, "x"))


@given(times=ARRIVALS, seconds=st.floats(0, 100), seed=st.integers(0, 5))
def test_jitter_only_delays(times: list[int], seconds: float, seed: int) -> None:
    made = trace(times, [[number] for number in range(len(times))])
    moved = made.jittered(seconds, child_rng(seed, "jitter"))
    again = made.jittered(seconds, child_rng(seed, "jitter"))
    assert moved.arrival_ps.tolist() == again.arrival_ps.tolist()
    assert sorted(moved.ids.tolist()) == list(range(len(times)))
    assert (np.diff(moved.arrival_ps) >= 0).all()
    delays = moved.arrival_ps - np.array(times)[moved.ids]
    # All delays lie in one interval of that width, wherever the new zero is.
    assert delays.max() - delays.min() <= seconds * 1e12
    for request in moved:
        assert request.prompt_tokens == request.id + 1
        assert request.prefix_blocks == (request.id,)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e9])
def test_jitter_that_is_none(seconds: float) -> None:
    with pytest.raises(ConfigError):
        trace([0, 5]).jittered(seconds, child_rng(1, "x"))


def test_the_first_requests() -> None:
    made = trace([0, 5, 9], [[1], [2], [3]])
    head = made.head(2)
    assert [request.prefix_blocks for request in head] == [(1,), (2,)]
    assert made.head(3) is made
    for n in (0, -1, 4):
        with pytest.raises(WorkloadError) as caught:
            made.head(n)
        assert caught.value.exit_code == 3


def test_no_requests_are_no_trace() -> None:
    with pytest.raises(WorkloadError, match="no requests"):
        trace([])


def test_columns_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        trace([0, 5]).arrival_ps[0] = 1


@pytest.mark.parametrize(("process", "cv"), [("poisson", None), ("gamma", 3.0), ("gamma", 0.2), ("constant", None)])
def test_arrival_processes_have_their_mean_and_variation(process: str, cv: float | None) -> None:
    times = arrival_times_ps(20_001, 2.5, process, cv, child_rng(1, "x"))
    gaps = np.diff(times)
    expected = {"poisson": 1.0, "gamma": cv, "constant": 0.0}[process]
    assert times[0] == 0
    assert gaps.mean() == pytest.approx(0.4e12, rel=0.1)
    assert gaps.std() / gaps.mean() == pytest.approx(expected, rel=0.1, abs=1e-9)


def test_constant_arrivals_are_exact() -> None:
    assert arrival_times_ps(4, 0.3, "constant", None, child_rng(1, "x"))[3] == 10**13


@pytest.mark.parametrize(
    ("process", "qps", "cv"),
    [("bursty", 1, None), ("gamma", 1, None), ("poisson", 1, 2.0), ("poisson", 0, None), ("gamma", 1, -1.0)],
)
def test_arrival_processes_that_are_none(process: str, qps: float, cv: float | None) -> None:
    with pytest.raises(ConfigError):
        arrival_times_ps(5, qps, process, cv, child_rng(1, "x"))
