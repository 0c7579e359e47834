"""Latency of a DRAM under load."""

from __future__ import annotations

import pytest

from simulator.core.errors import ConfigError
from simulator.devices.dram_load import LOADS, loaded_latency, saturated_gb_per_s
from tests.devices.dram_parts import dram


def test_an_idle_memory_is_as_fast_as_its_timing() -> None:
    device = dram(trace="random", n_requests=2000, refresh="NoRefresh", lg_lines=26)
    (idle,) = loaded_latency(device, loads=(0.01,))
    timing = device.spec.timing
    conflict = timing["n_rp"] + timing["n_rcd"] + timing["n_cl"] + timing["n_bl"]
    assert idle.latency_p50_ns == pytest.approx((conflict + 1) * 0.833, abs=2)


def test_latency_rises_and_bandwidth_follows_the_offer() -> None:
    device = dram("gddr6", trace="random", n_requests=8000, read_frac=0.67)
    points = loaded_latency(device)
    assert [point.load_frac for point in points] == list(LOADS)
    latencies = [point.latency_mean_ns for point in points]
    assert latencies == sorted(latencies)
    for point in points:
        assert point.achieved_gb_per_s == pytest.approx(point.offered_gb_per_s, rel=0.06)
        assert point.latency_p50_ns <= point.latency_p99_ns
    saturated = saturated_gb_per_s(device, device.synthetic_requests(1))
    assert points[-1].offered_gb_per_s == pytest.approx(LOADS[-1] * saturated)


def test_a_known_saturation_is_not_measured_again() -> None:
    device = dram(trace="random", n_requests=2000)
    (point,) = loaded_latency(device, loads=(0.5,), saturation_gb_per_s=8.0)
    assert point.offered_gb_per_s == 4.0


@pytest.mark.parametrize("sets", [{"read_frac": 0.0}, {"trace": "pointer_chase"}, {"window": 4}])
def test_traffic_without_a_curve_is_refused(sets: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded_latency(dram(n_requests=100, **sets))
    assert caught.value.remedy
