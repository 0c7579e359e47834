"""Power of a streaming stack: PAPI's figure 7 in both readings, its budget, and what must hold for any."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.errors import ConfigError
from simulator.devices.pim_energy import PimEnergy
from simulator.devices.pim_power import ColumnRate, check_power, least_reuse, streaming_power

PART = Path(__file__).resolve().parents[2] / "hw_configs" / "parts" / "pim_energy.yaml"
CONFIG = bind(load_part(PART), PimEnergy.Config)
RATES: tuple[ColumnRate, ...] = ("dram", "fpu")
UNITS = st.sampled_from([0.5, 1, 2, 4, 8])
REUSES = st.floats(1, 256)


def changed(*sets: str) -> PimEnergy.Config:
    return bind(load_part(PART, sets=sets), PimEnergy.Config)


@pytest.mark.parametrize(("reuse", "percent"), [(1, 96.49), (64, 30.05)])
def test_share_of_dram_access(reuse: int, percent: float) -> None:
    """PAPI prints 96.7 and 33.1 %."""
    assert 100 * streaming_power(CONFIG, 1, reuse).dram_frac == pytest.approx(percent, abs=0.005)


@pytest.mark.parametrize(
    ("units", "reuse", "n_banks", "rate", "watts"),
    [
        (1, 1, 1024, "dram", 48.6), (1, 1, 1024, "fpu", 99.5),
        (0.5, 1, 1024, "dram", 48.6), (0.5, 1, 1024, "fpu", 49.8),
        (4, 2, 1024, "fpu", 206.0), (4, 3, 1024, "fpu", 142.0), (4, 4, 1024, "fpu", 110.0),
        (4, 2, 768, "fpu", 154.5), (4, 4, 768, "fpu", 82.5), (4, 4, 768, "dram", 40.3),
    ],
)  # fmt: skip
def test_watts_of_both_readings(units: float, reuse: int, n_banks: int, rate: ColumnRate, watts: float) -> None:
    power = streaming_power(CONFIG, units, reuse, n_banks, column_rate=rate)
    assert power.power_w == pytest.approx(watts, abs=0.06)


def test_what_a_bank_gives() -> None:
    power = streaming_power(CONFIG, 1, 1)
    assert (power.bound, power.design) == ("columns", "1P1B")
    assert power.columns_per_s * 32 * 1024 == pytest.approx(10.65e12, rel=1e-3)
    assert streaming_power(CONFIG, 1, 1, column_rate="fpu").columns_per_s * 32 == pytest.approx(21.3e9, rel=1e-3)
    assert streaming_power(CONFIG, 1, 64).bound == "units"


def test_the_power_limit_of_attacc_takes_a_third() -> None:
    assert streaming_power(CONFIG, 1, 1, is_limited=True).power_w == pytest.approx(
        2 / 3 * streaming_power(CONFIG, 1, 1).power_w
    )


def test_transfers_are_charged_when_given() -> None:
    without, having = (streaming_power(CONFIG, 1, 4, transfer_bytes=moved) for moved in (0.0, 0.1))
    assert having.transfer_w / having.dram_w == pytest.approx(4 * 0.1 * 2.74 / (32 * 0.55))
    assert having.power_w - having.transfer_w == pytest.approx(without.power_w)


def test_what_cells_would_have_to_take_for_1p1b_to_exceed_its_budget() -> None:
    """The docstring's 5.2 and 10.7 pJ a byte."""
    for rate, enough, too_little in (("fpu", 0.65, 0.64), ("dram", 1.345, 1.335)):
        found = [
            check_power(streaming_power(config, 1, 1, column_rate=rate), config).fits  # type: ignore[arg-type]
            for config in (changed(f"energy.column={whole - 0.11} pJ/bit") for whole in (enough, too_little))
        ]
        assert found == [False, True]


def test_cells_that_meet_all_of_figure_7() -> None:
    """5.2 pJ a byte, which is in the part's range of a column's energy, and columns as fast as units ask."""
    config = changed("energy.column=0.54 pJ/bit")
    shares = [100 * streaming_power(config, 1, reuse).dram_frac for reuse in (1, 64)]
    assert shares == pytest.approx([96.7, 33.1], abs=0.8)
    assert not check_power(streaming_power(config, 1, 1, column_rate="fpu"), config).fits
    fits = [
        check_power(streaming_power(config, 4, reuse, 768, column_rate="fpu"), config).fits for reuse in (1, 2, 4, 8)
    ]
    assert fits == [False, False, True, True]


@pytest.mark.parametrize(
    ("units", "n_banks", "rate", "reuse"),
    [(4, 1024, "fpu", 3.764), (4, 768, "fpu", 2.73), (1, 1024, "fpu", 1.0), (4, 1024, "dram", 1.0)],
)
def test_the_least_reuse_that_fits(units: float, n_banks: int, rate: ColumnRate, reuse: float) -> None:
    assert least_reuse(CONFIG, units, n_banks, column_rate=rate) == pytest.approx(reuse, abs=0.005)


@given(units=UNITS, rate=st.sampled_from(RATES), budget_w=st.floats(5, 400), further=st.floats(0, 300))
def test_from_the_least_reuse_on_it_fits(units: float, rate: ColumnRate, budget_w: float, further: float) -> None:
    config = CONFIG.model_copy(update={"power": CONFIG.power.model_copy(update={"budget_mw": budget_w * 1e3})})
    least = least_reuse(config, units, column_rate=rate)
    if least is None:
        assert not check_power(streaming_power(config, units, 1e9, column_rate=rate), config).fits
        return
    assert streaming_power(config, units, least + further, column_rate=rate).power_w <= budget_w * (1 + 1e-9)
    if least > 1.001:
        below = streaming_power(config, units, 0.999 * least, column_rate=rate)
        assert below.power_w > budget_w


@given(units=UNITS, reuse=REUSES, n_banks=st.integers(1, 4096), rate=st.sampled_from(RATES))
def test_power_is_positive_and_goes_with_banks(units: float, reuse: float, n_banks: int, rate: ColumnRate) -> None:
    power = streaming_power(CONFIG, units, reuse, n_banks, column_rate=rate)
    assert 0 < power.power_w < n_banks
    assert 0 < power.dram_frac < 1
    one = streaming_power(CONFIG, units, reuse, 1, column_rate=rate)
    assert power.power_w == pytest.approx(n_banks * one.power_w)


@given(units=UNITS, reuse=REUSES)
def test_no_bank_gives_more_than_its_units_ask(units: float, reuse: float) -> None:
    dram, fpu = (streaming_power(CONFIG, units, reuse, column_rate=rate) for rate in RATES)
    assert dram.power_w <= fpu.power_w
    assert dram.columns_per_s <= 1e12 / 3076 * (1 + 1e-12)
    assert dram.dram_frac == pytest.approx(fpu.dram_frac)


def test_a_check_reports_and_refuses_when_asked() -> None:
    power = streaming_power(CONFIG, 4, 1, 768, column_rate="fpu")
    check = check_power(power, CONFIG)
    assert not check.fits
    assert "182.5 W above its budget of 116 W" in check.words
    with pytest.raises(ConfigError, match=r"a 4P1B stack of 768 banks draws 298\.5 W at a reuse of 1") as caught:
        check_power(power, CONFIG, enforce=True, where="system.power")
    assert "from a reuse of 2.73 on it fits" in str(caught.value)
    assert str(caught.value).startswith("system.power: ")
    fitting = check_power(streaming_power(CONFIG, 4, 4, 768, column_rate="fpu"), CONFIG, enforce=True)
    assert fitting.fits
    assert "33.5 W below" in fitting.words


def test_a_stack_that_never_fits_is_told_so() -> None:
    config = changed("power.budget=1 W")
    with pytest.raises(ConfigError, match="no reuse"):
        check_power(streaming_power(config, 4, 1, column_rate="fpu"), config, enforce=True)


def test_the_reuse_that_a_refusal_names_does_fit() -> None:
    config = changed("power.budget=30 W")
    for rate in RATES:
        power = streaming_power(config, 4, 2, column_rate=rate, transfer_bytes=0.1)
        with pytest.raises(ConfigError) as caught:
            check_power(power, config, enforce=True)
        named = float(str(caught.value).split("from a reuse of ")[1].split()[0])
        again = streaming_power(config, 4, named, column_rate=rate, transfer_bytes=0.1)
        assert check_power(again, config, enforce=True).budget_w - again.power_w < 0.1


@pytest.mark.parametrize(("units", "reuse", "n_banks"), [(1, 0.5, 1024), (1, 1, 0), (0, 1, 1024), (1, float("nan"), 8)])
def test_what_is_no_stack_is_refused(units: float, reuse: float, n_banks: int) -> None:
    with pytest.raises(ConfigError):
        streaming_power(CONFIG, units, reuse, n_banks)
