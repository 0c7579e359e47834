"""What a die has room for: PAPI's area rule, and organisations that it refuses."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.errors import ConfigError
from simulator.devices.pim_area import check_area, design_name, die_area_mm2, fit_area
from simulator.devices.pim_energy import PimEnergy

PART = Path(__file__).resolve().parents[2] / "hw_configs" / "parts" / "pim_energy.yaml"
AREA = bind(load_part(PART), PimEnergy.Config).area
GIB = 1 << 30


@pytest.mark.parametrize(
    ("units", "n_room", "n_groups", "gib", "design"),
    [
        (0.5, 137, 4, 16, "1P2B"),
        (1, 129, 4, 16, "1P1B"),
        (2, 116, 3, 12, "2P1B"),
        (4, 97, 3, 12, "4P1B"),
        (8, 73, 2, 8, "8P1B"),
    ],
)
def test_what_fits(units: float, n_room: int, n_groups: int, gib: int, design: str) -> None:
    fit = fit_area(AREA, units)
    assert (fit.n_banks_room, fit.n_bank_groups, fit.capacity_bytes, fit.design) == (
        n_room,
        n_groups,
        gib * GIB,
        design,
    )
    assert fit.n_banks == 32 * n_groups
    assert fit.n_stack_banks == 8 * fit.n_banks
    assert fit.n_stack_units == fit.n_stack_banks * units


def test_the_papers_stacks() -> None:
    """FC-PIM, AttAcc's and Attn-PIM: banks and units."""
    assert [(fit_area(AREA, n).n_stack_banks, fit_area(AREA, n).n_stack_units) for n in (4, 1, 0.5)] == [
        (768, 3072), (1024, 1024), (1024, 512),
    ]  # fmt: skip


@given(units=st.sampled_from([0.125, 0.25, 0.5, 1, 2, 3, 4, 8, 16]))
def test_one_bank_more_does_not_fit(units: float) -> None:
    fit = fit_area(AREA, units)
    assert die_area_mm2(AREA, units, fit.n_banks_room) <= AREA.die_mm2 < die_area_mm2(AREA, units, fit.n_banks_room + 1)
    assert fit.area_mm2 <= AREA.die_mm2
    assert check_area(AREA, units, fit.n_banks) == fit


@given(units=st.integers(1, 15), more=st.integers(1, 10))
def test_more_units_leave_no_more_banks(units: int, more: int) -> None:
    assert fit_area(AREA, units + more).n_banks <= fit_area(AREA, units).n_banks


def test_a_die_that_is_just_full_fits() -> None:
    full = AREA.model_copy(update={"die_mm2": 32 * 0.9325})
    assert fit_area(full, 1).n_banks == 32
    assert check_area(full, 1, 32).area_mm2 == pytest.approx(full.die_mm2)


def test_a_smaller_stack_holds_less() -> None:
    half = check_area(AREA, 1, 64)
    assert (half.n_bank_groups, half.capacity_bytes) == (2, 8 * GIB)


def test_too_many_units_are_refused_in_words() -> None:
    with pytest.raises(ConfigError, match=r"128 banks of a 4P1B stack take 158\.7 mm2, 37\.7 mm2 more than") as caught:
        check_area(AREA, 4, 128, where="organisation")
    assert "97 banks fit" in str(caught.value)
    assert "3 x 32 = 96" in str(caught.value)
    assert "12 GiB" in str(caught.value)
    assert str(caught.value).startswith("organisation: ")


def test_more_banks_than_a_die_has_are_refused() -> None:
    with pytest.raises(ConfigError, match="more than the 128"):
        check_area(AREA.model_copy(update={"die_mm2": 500.0}), 1, 160)


@pytest.mark.parametrize("n_banks", [0, -32, 100])
def test_parts_of_bank_groups_are_refused(n_banks: int) -> None:
    with pytest.raises(ConfigError, match="whole bank groups of 32"):
        check_area(AREA, 1, n_banks)


def test_a_die_without_room_for_a_bank_group_is_refused() -> None:
    with pytest.raises(ConfigError, match="room for 10 banks"):
        fit_area(AREA, 100)


@pytest.mark.parametrize("units", [0, -1, 1.5, 0.3, math.nan, math.inf])
def test_units_that_cannot_be_built_are_refused(units: float) -> None:
    with pytest.raises(ConfigError, match="cannot be built"):
        design_name(units)
