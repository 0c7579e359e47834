"""Errors read as file:line:column, cause and remedy; ledgers add up."""

from __future__ import annotations

import pytest

from simulator.core.energy import BackgroundPower, EnergyLedger
from simulator.core.errors import ConfigError, MappingError, ModelFault, Position, SimulatorError, WorkloadError


def test_an_error_says_where_what_and_what_to_do() -> None:
    error = ConfigError("wrong", where=Position("a.yaml", 3, 5), remedy="mend it")
    assert str(error) == "a.yaml:3:5: wrong\n  remedy: mend it"
    assert str(SimulatorError("wrong")) == "wrong"
    assert str(Position("a.yaml", 3)) == "a.yaml:3"
    assert str(Position("a.yaml", 0, 5)) == "a.yaml"


def test_exit_codes() -> None:
    assert [kind.exit_code for kind in (SimulatorError, ConfigError, WorkloadError, MappingError, ModelFault)] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert MappingError("too large", missing_bytes=7).missing_bytes == 7


def test_ledgers_add_and_scale() -> None:
    ledger = EnergyLedger(
        {"dram": 2.0}, (BackgroundPower("dram", "idle", 10.0, 1000.0), BackgroundPower("cpu", "on", 1.0, 500.0))
    )
    assert ledger.total_pj == pytest.approx(2.0 + 10.0 + 0.5)
    assert ledger.by_component() == pytest.approx({"dram": 12.0, "cpu": 0.5})
    doubled = ledger + ledger
    assert doubled.total_pj == pytest.approx(ledger.scaled(2).total_pj)
    assert doubled.by_component() == pytest.approx(ledger.scaled(2).by_component())
