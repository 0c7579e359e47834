"""What a run is summed up to: hand-checked figures, and percentiles against numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.errors import ModelFault, WorkloadError
from simulator.serving.costs import TokenCosts
from simulator.serving.pipeline import PipelineEngine
from simulator.serving.requests import Requests
from simulator.serving.results import ServingResult
from simulator.serving.statistics import Summary, WeightedValues, summary

MS = 10**9


@pytest.fixture
def three() -> ServingResult:
    """One slot, 1 ms and 1 uJ a token: three requests, the last one with a single output token."""
    costs = TokenCosts.of([MS] * 10, [1e6] * 10)
    requests = Requests.of([0, 2 * MS, 10 * MS], [2, 1, 3], [2, 4, 1], ids=[7, 8, 9])
    return PipelineEngine(costs, 1, idle_power_w=0.5).run(requests)


def test_times_of_requests(three: ServingResult) -> None:
    assert (three.start_ps // MS).tolist() == [0, 4, 10]
    assert (three.ttft_ps // MS).tolist() == [3, 4, 4]
    assert (three.e2e_ps // MS).tolist() == [4, 7, 4]
    assert (three.queueing_ps // MS).tolist() == [0, 2, 0]
    assert three.tpot_ps[:2].tolist() == [MS, MS]
    assert math.isnan(three.tpot_ps[2])


def test_load_energy_and_rates(three: ServingResult) -> None:
    metrics = three.metrics()
    assert three.makespan_ps == 14 * MS
    assert metrics["offered_load_frac"] == pytest.approx(13 / 10)
    assert metrics["served_load_frac"] == metrics["slot_utilisation_frac"] == pytest.approx(13 / 14)
    assert metrics["offered_requests_per_s"] == pytest.approx(2 / 0.010)
    assert metrics["served_requests_per_s"] == pytest.approx(3 / 0.014)
    assert metrics["throughput_tokens_per_s"] == pytest.approx(13 / 0.014)
    assert metrics["output_tokens_per_s"] == pytest.approx(7 / 0.014)
    assert metrics["energy_j"] == pytest.approx(13e-6 + 0.5 * 0.014)
    assert metrics["power_w"] == pytest.approx(0.5 + 13e-6 / 0.014)
    assert metrics["energy_mj_per_token"] == pytest.approx((13e-6 + 0.007) * 1e3 / 13)
    assert metrics["ttft_ms_mean"] == pytest.approx(11 / 3)
    assert metrics["ttft_ms_p50"] == 4
    assert metrics["tbt_ms_p99"] == metrics["tpot_ms_p90"] == 1
    assert metrics["queue_length_max"] == 1
    assert metrics["queue_length_mean"] == pytest.approx(2 / 14)


def test_table(three: ServingResult) -> None:
    table = three.table()
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["id"] for row in rows] == [7, 8, 9]
    assert rows[1] == {
        "id": 8,
        "arrival_ms": 2,
        "prompt_tokens": 1,
        "output_tokens": 4,
        "slot": 0,
        "queueing_ms": 2,
        "ttft_ms": 4,
        "tpot_ms": 1,
        "e2e_ms": 7,
        "finish_ms": 9,
        "energy_mj": pytest.approx(5e-3),
    }
    assert rows[2]["tpot_ms"] is None


def test_queue_lengths_are_steps(three: ServingResult) -> None:
    times, lengths = three.queue_lengths()
    assert (times // MS).tolist() == [0, 2, 4]
    assert lengths.tolist() == [0, 1, 0]


def test_goodput(three: ServingResult) -> None:
    assert three.goodput(ttft_ms=4, tpot_ms=1).fraction == 1
    good = three.goodput(ttft_ms=3.5, tpot_ms=1)
    assert (good.fraction, good.requests_per_s) == (pytest.approx(1 / 3), pytest.approx(1 / 0.014))
    # Without a TPOT of its own, the third request still meets one.
    assert three.goodput(ttft_ms=4, tpot_ms=0.5).fraction == pytest.approx(1 / 3)


def test_what_is_undefined_is_left_out() -> None:
    result = PipelineEngine(TokenCosts.of([MS] * 4), 2).run(Requests.of([5, 5], [1, 2], [1, 1]))
    assert result.offered_load_frac == math.inf
    metrics = result.metrics()
    assert not any(name.startswith(("tpot", "tbt", "offered")) for name in metrics)
    assert all(math.isfinite(value) for value in metrics.values())


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 6)), max_size=20))
def test_weighted_values_summarise_as_if_written_out(pairs: list[tuple[int, int]]) -> None:
    weighted = WeightedValues.of([value for value, _ in pairs], [count for _, count in pairs])
    written_out = np.array([value for value, count in pairs for _ in range(count)], np.int64)
    assert len(weighted) == len(written_out)
    assert (np.diff(weighted.values) > 0).all()
    ours, plain = weighted.summary(), summary(written_out)
    if ours is None or plain is None:
        assert ours is plain is None
    else:
        for part in ("mean", "p50", "p90", "p99"):
            assert getattr(ours, part) == pytest.approx(getattr(plain, part))


def test_summary_scales() -> None:
    assert Summary(1, 2, 3, 4).scaled(2) == Summary(2, 4, 6, 8)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (([], [], []), "there are no requests"),
        (([1, 2], [1], [1, 1]), "differ in length"),
        (([1, -2], [1, 1], [1, 1]), "request 1: the arrival in ps is -2"),
        (([1, 2], [1, 0], [1, 1]), "request 1: the number of prompt tokens is 0"),
        (([1, 2], [1, 1], [0, 1]), "request 0: the number of output tokens is 0"),
    ],
)
def test_impossible_requests_are_named(columns: tuple[list[int], list[int], list[int]], words: str) -> None:
    with pytest.raises(WorkloadError, match=words):
        Requests.of(*columns)


@pytest.mark.parametrize(
    ("latency", "energy", "words"),
    [
        ([1, 0], None, "context 2 takes 0 ps"),
        ([1, 2], [1.0, -1.0], "context 2 takes 2 ps and -1.0 pJ"),
        ([1, 2], [float("nan"), 1.0], "context 1 takes 1 ps and nan pJ"),
        ([1, 2], [1.0], "2 contexts have a latency and 1 an energy"),
    ],
)
def test_impossible_costs_are_refused(latency: list[int], energy: list[float] | None, words: str) -> None:
    with pytest.raises(ModelFault, match=words):
        TokenCosts.of(latency, energy)
