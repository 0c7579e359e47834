"""One-at-a-time sensitivity: signs, roundings, and parameters that the model does not let change."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.config import tree_of
from simulator.core.errors import ConfigError
from simulator.core.units import base_quantity
from simulator.experiments.sensitivity import ParameterEffect, Sensitivity, sensitivity_of
from simulator.experiments.sensitivity_parameters import NumericLeaf, changed_values, numeric_leaves
from simulator.experiments.settings import load_settings

CONFIG = "hw_configs/cent.yaml"
TOKEN = ("workload.model=llama2-7b", "system.n_devices=8", "workload.scope=token", "workload.context=300")


@pytest.fixture(scope="module")
def found() -> Sensitivity:
    """Every parameter of CENT by ten per cent."""
    return sensitivity_of(load_settings(CONFIG, TOKEN), 0.1)


def effect(found: Sensitivity, end: str) -> ParameterEffect:
    """The parameter whose path ends so."""
    return next(entry for entry in found.effects if entry.path.endswith(end))


def test_slower_activation_lengthens_the_latency(found: Sensitivity) -> None:
    entry = effect(found, "n_rcd_mac")
    assert entry.up.latency_frac is not None
    assert entry.up.latency_frac > 0.001
    assert entry.down.latency_frac is not None
    assert entry.down.latency_frac < -0.001
    assert entry.up.throughput_frac is not None
    assert entry.up.throughput_frac < 0
    assert entry.up.value == "62"
    assert entry.down.value == "50"


def test_interface_energy_changes_energy_only(found: Sensitivity) -> None:
    entry = effect(found, "dq_pj_per_bit")
    assert entry.up.latency_frac == entry.up.throughput_frac == 0.0
    assert entry.up.energy_frac is not None
    assert entry.up.energy_frac > 0.001
    assert entry.down.energy_frac == pytest.approx(-entry.up.energy_frac, rel=1e-9)


def test_a_slower_host_lengthens_the_latency_by_its_share(found: Sensitivity) -> None:
    entry = effect(found, "top_k")
    assert entry.value == "0.15 ms"
    assert entry.up.value == "0.165 ms"
    assert entry.up.latency_frac == pytest.approx(0.015 / found.latency_ms, rel=1e-9)


def test_whole_numbers_move_by_one_at_least(found: Sensitivity) -> None:
    pitch = effect(found, "n_ccd")
    assert (pitch.down.value, pitch.up.value) == ("1", "3")
    assert pitch.up.change_frac == 0.5
    assert pitch.influence == pytest.approx(max(pitch.down.largest, pitch.up.largest) / 5)
    width = effect(found, "dispatcher_width")
    assert width.up.value == "2"
    assert width.down.reason is not None
    assert width.refused is None


def test_what_the_model_refuses_is_listed_with_its_reason(found: Sensitivity) -> None:
    reasons = {entry.path: entry.refused for entry in found.refused}
    assert "4 bank groups" in str(reasons["system.device.dram.organisation.n_bank_groups"])


def test_every_number_appears_once_and_most_influence_comes_first(found: Sensitivity) -> None:
    paths = [entry.path for entry in (*found.effects, *found.refused)] + list(found.without_effect)
    leaves = numeric_leaves(load_settings(CONFIG, TOKEN).tree.at("system"))
    assert sorted(paths) == sorted(leaf.path for leaf in leaves)
    assert len(paths) > 80
    influences = [entry.influence for entry in found.effects]
    assert influences == sorted(influences, reverse=True)


def test_lent_timings_change_nothing(found: Sensitivity, monkeypatch: pytest.MonkeyPatch) -> None:
    from simulator.systems.cent import Cent

    monkeypatch.setattr(Cent, "adopt", lambda self, other: None)
    assert sensitivity_of(load_settings(CONFIG, TOKEN), 0.1) == found


def test_a_parameter_that_breaks_the_model_is_reported_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from simulator.devices.cent_device import CentDevice

    def fails(self: CentDevice, n_elements: float, accounting: object) -> float:
        if self.config.power.pcie_pj_per_bit > 4.4:
            raise ZeroDivisionError("by zero")
        return 0.0

    monkeypatch.setattr(CentDevice, "pcie_pj", fails)
    broken = sensitivity_of(load_settings(CONFIG, TOKEN), 0.1)
    changed = [entry for entry in (*broken.effects, *broken.refused) if entry.path.endswith("pcie_pj_per_bit")]
    assert not changed or "by zero" in str(changed[0].up.reason)
    assert len(broken.effects) > 50


@pytest.mark.parametrize("text", ["0", "-5", "100", "nan", "inf"])
def test_impossible_changes_are_refused(text: str, sim: Callable[..., Any]) -> None:
    outcome = sim("explain", CONFIG, *(word for one in TOKEN for word in ("--set", one)), "--sensitivity", text)
    assert outcome.code == 2
    assert "remedy" in outcome.err
    with pytest.raises(ConfigError):
        sensitivity_of(load_settings(CONFIG, TOKEN), float(text) / 100)


def test_the_value_of_the_option_may_be_left_out(sim: Callable[..., Any]) -> None:
    sets = [word for one in TOKEN for word in ("--set", one)]
    first = sim("explain", CONFIG, "--sensitivity", *sets, "--json")
    last = sim("explain", CONFIG, *sets, "--json", "--sensitivity")
    given_value = sim("explain", CONFIG, *sets, "--json", "--sensitivity", "10")
    assert first.code == 0
    assert first.out == last.out == given_value.out
    content = json.loads(first.out)["sensitivity"]
    assert content["change_frac"] == 0.1
    assert {"path", "value", "influence_frac", "down", "up"} == set(content["parameters"][0])
    assert content["refused"]
    assert content["without_effect"]


def test_numbers_are_found_wherever_they_stand() -> None:
    tree = tree_of(
        {
            "a": {"value": "18 ns", "source": "s", "kind": "assumed", "range": ["16 ns", "20 ns"]},
            "b": [1, 2.5, "x"],
            "c": {"on": True, "none": None, "name": "pp", "period": "1/285 MHz", "shape": "8x4", "count": "7"},
        },
        where="test",
    )
    assert [(leaf.path, leaf.value) for leaf in numeric_leaves(tree)] == [
        ("a", "18 ns"),
        ("b.0", 1),
        ("b.1", 2.5),
        ("c.period", "1/285 MHz"),
    ]


@given(st.integers(-(10**12), 10**12), st.sampled_from([-0.5, -0.1, -0.01, 0.01, 0.1, 0.5]))
def test_integers_are_rounded_away(value: int, change: float) -> None:
    near = list(changed_values(NumericLeaf("p", value), change))
    whole = near[-1].value
    assert isinstance(whole, int)
    assert whole != value
    if value > 0:
        assert (whole - value) * change > 0
        assert abs(whole - value) >= abs(value * change) * (1 - 1e-9)
        assert abs(whole - value) < abs(value * change) + 1 + 1e-6


@given(
    st.integers(1, 10**6),
    st.sampled_from(["ns", "KiB", "B", "mW", "GHz", "pJ/bit", "cyc"]),
    st.sampled_from([-0.1, 0.1]),
)
def test_quantities_keep_their_unit(number: int, unit: str, change: float) -> None:
    text = f"{number} {unit}"
    near = list(changed_values(NumericLeaf("p", text), change))
    before, dimension = base_quantity(text)
    for value in near:
        after, same = base_quantity(str(value.value))
        assert same == dimension
        assert (after - before) * Fraction(repr(change)) > 0
    exact, _ = base_quantity(str(near[0].value))
    assert float(exact / before) == pytest.approx(1 + change, rel=1e-12)


def test_a_quantity_of_zero_has_no_neighbour() -> None:
    assert list(changed_values(NumericLeaf("p", "0 ns"), 0.1)) == []
    assert [near.value for near in changed_values(NumericLeaf("p", 0), 0.1)] == [1]
    assert [near.value for near in changed_values(NumericLeaf("p", 0.0), 0.1)] == []
