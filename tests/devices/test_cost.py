"""Cost of chips, machines and hours: the published prices, and what must hold for any."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.errors import ConfigError
from simulator.core.parameters import parameters
from simulator.devices.cost import Cost, DieConfig, die_usd, dies_per_wafer, tokens_per_usd, yield_frac

AREAS = st.floats(0.5, 2000.0)


@pytest.fixture
def part(repo_root: Path) -> Path:
    return repo_root / "hw_configs" / "parts" / "cent_cost.yaml"


@pytest.fixture
def cost(part: Path) -> Cost:
    return Cost(bind(load_part(part), Cost.Config))


def die(area_mm2: float, **changes: float) -> DieConfig:
    usual = {"wafer_usd": 9346.0, "wafer_diameter_mm": 300.0, "defects_per_mm2": 0.0015, "clustering": 3.0}
    return DieConfig(area_mm2={"all": area_mm2}, **{**usual, **changes})


def test_the_controller_costs_what_the_paper_says(cost: Cost) -> None:
    chip = cost.controller()
    assert sum(cost.config.controller.die.area_mm2.values()) == pytest.approx(18.96)
    assert (round(chip.die_usd, 2), round(chip.package_usd, 2), round(chip.nre_usd, 2)) == (2.69, 1.10, 8.13)
    assert round(chip.total_usd, 1) == 11.9


def test_the_machine_costs_what_the_paper_says(cost: Cost) -> None:
    parts = cost.machine_usd()
    assert round(parts["controllers"]) == 381
    assert sum(parts.values()) == pytest.approx(14873, abs=1)  # its parts are printed as whole dollars


def test_an_hour_is_in_proportion_to_devices(cost: Cost) -> None:
    assert cost.usd_per_h(32) == 0.73
    assert cost.usd_per_h(8) == pytest.approx(0.73 / 4)
    assert cost.usd_per_h(16, "rental") == pytest.approx(1.05 / 2)


def test_a_derived_hour_is_price_and_electricity(cost: Cost) -> None:
    idle = cost.usd_per_h(32, "derived")
    assert idle == pytest.approx(sum(cost.machine_usd().values()) / (3 * 8760))
    assert cost.usd_per_h(32, "derived", 1000.0) - idle == pytest.approx(0.127)
    # What the source states is of that size: the difference is what it does not tell.
    assert idle < cost.usd_per_h(32) < 1.4 * idle


def test_tokens_of_a_dollar() -> None:
    assert tokens_per_usd(1000.0, 0.5) == 7_200_000


def test_every_constant_has_a_source(part: Path) -> None:
    tree = load_part(part)
    listed = parameters(tree)
    assert len(listed) == 26
    assert all(one.source and one.kind for one in listed)
    assert [one.path for one in listed if one.kind == "assumed"] == ["ownership.electricity_usd_per_kwh"]


def test_dies_of_a_wafer_by_hand() -> None:
    # 100 mm2 on 300 mm: 706.9 by area, less 66.6 at the edge.
    assert dies_per_wafer(100.0, 300.0) == 640
    assert dies_per_wafer(60_000.0, 300.0) == 0


def test_clustering_without_bound_is_poisson() -> None:
    assert yield_frac(100.0, 0.0015, 1e9) == pytest.approx(math.exp(-0.15))


@given(AREAS, st.floats(0.0, 0.1), st.floats(0.1, 100.0))
def test_a_yield_is_a_share(area_mm2: float, defects: float, clustering: float) -> None:
    assert 0 < yield_frac(area_mm2, defects, clustering) <= 1


@given(AREAS, AREAS)
def test_a_larger_die_never_costs_less(one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert die_usd(die(small)) <= die_usd(die(large))


@pytest.mark.parametrize("area_mm2", [0.0, 60_000.0])
def test_an_impossible_die_is_refused(area_mm2: float) -> None:
    with pytest.raises(ConfigError, match="holds no die"):
        die_usd(die(area_mm2))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("controller.package_share", 1.0),
        ("controller.die.wafer_usd", 0),
        ("controller.die.area_mm2.pcie", -1),
        ("controller.n_made", 0),
        ("ownership.years", "nan"),
        ("ownership.year", 3),
    ],
)
def test_impossible_constants_are_refused(path: str, value: object, part: Path) -> None:
    with pytest.raises(ConfigError):
        bind(load_part(part, {path: value}), Cost.Config)
