"""Modelled tiers beside measured ones: what is met, what is missed and why, and that the reasons hold."""

from __future__ import annotations

import json

import pytest

from simulator.devices.tier_memory import TierMemory
from simulator.experiments.figure import measure_figures
from simulator.experiments.replay import load_device
from simulator.experiments.validate_records import FAIL, MISSED, PASS
from simulator.experiments.validate_targets import FOLDER
from simulator.experiments.validate_tiers import added_pct, load_tier_targets, one_channel, tier_points
from simulator.workload.catalog import data_directory


def test_idle_latencies_are_met_and_loaded_ones_missed_for_known_reasons() -> None:
    points = list(tier_points(FOLDER / "tiers.yaml"))
    assert [point.verdict for point in points] == [PASS, PASS, MISSED, MISSED]
    assert all(point.note for point in points[2:])


def test_the_targets_are_what_the_measured_part_says() -> None:
    targets = load_tier_targets()
    measured = one_channel(targets.measured)
    for added in targets.loads:
        ratio = measured.at(added.load_frac * targets.read_peak_gb_per_s) / measured.idle_ns
        assert 100 * (ratio - 1) == pytest.approx(added.published_pct, abs=0.6)


def test_bursts_add_as_little_at_half_load_as_measured() -> None:
    """The reason that is given for what random lines miss."""
    sets = {"dram.trace": "burst", "dram.trace_param": 64}
    device = load_device(data_directory("hw_configs") / "parts" / "tiers" / "ddr5_model.yaml", sets)[1]
    assert isinstance(device, TierMemory)
    assert added_pct(device.curve(), 0.51) == pytest.approx(18, abs=2)


def test_a_worse_error_fails(tmp_path) -> None:
    text = (FOLDER / "tiers.yaml").read_text(encoding="utf-8").replace("known_pct: 110", "known_pct: 50")
    path = tmp_path / "tiers.yaml"
    path.write_text(text, encoding="utf-8")
    assert [point.verdict for point in tier_points(path)][-1] == FAIL


def test_sim_validate_tiers(sim) -> None:
    outcome = sim("validate", "tiers", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["metrics"]["n_targets"] == 4


def test_the_figure_shows_measured_beside_ours() -> None:
    (one,) = measure_figures(["tiers_loaded_latency"])
    assert {value.series for value in one.values if value.is_baseline} == {"Sapphire Rapids", "Alder Lake"}
    beside = {value.at: value for value in one.of_panel("DDR5 over idle")}
    assert beside["51.0%"].published == pytest.approx(17.7, abs=0.1)
    assert beside["97.9%"].published == pytest.approx(124.4, abs=0.1)
    assert all(value.verdict == "reported" for value in beside.values())
