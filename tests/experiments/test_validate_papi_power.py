"""Figure 7 of PAPI as targets: what is met, what cannot be with these energies, and that a change is noticed."""

from __future__ import annotations

import json

import pytest

from simulator.core.errors import ConfigError
from simulator.experiments import validate_papi
from simulator.experiments.validate_papi import load_papi_targets
from simulator.experiments.validate_papi_power import LeastReuse, PowerTargets, least_swept, power_points
from simulator.experiments.validate_records import FAIL, PASS, REPORTED


@pytest.fixture(scope="module")
def targets() -> PowerTargets:
    return load_papi_targets().power


def test_what_is_met_and_what_cannot_be(targets: PowerTargets) -> None:
    points = list(power_points(targets))
    assert [point.verdict for point in points[:2]] == [PASS, PASS]
    verdicts = {(point.case.split()[-1], point.quantity.split()[0]): point.verdict for point in points[2:]}
    assert verdicts == {
        ("ask", "4P1B"): PASS, ("ask", "1P2B"): PASS, ("ask", "1P1B"): REPORTED,
        ("give", "4P1B"): REPORTED, ("give", "1P2B"): PASS, ("give", "1P1B"): REPORTED,
    }  # fmt: skip
    # What is only reported is indeed not met: an excuse that is no longer needed must go.
    assert all(point.error for point in points if point.contradicts)


def test_a_wrong_number_fails(targets: PowerTargets) -> None:
    shares = targets.shares.model_copy(update={"published_pct": {64: 44.0}})
    wrong = LeastReuse(name="4P1B fits from", units_per_bank=4, column_rate="fpu", reuse=8)
    points = power_points(targets.model_copy(update={"shares": shares, "reuses": [wrong]}))
    assert [point.verdict for point in points] == [FAIL, FAIL]


def test_a_stack_that_fits_at_no_reuse_is_refused(targets: PowerTargets) -> None:
    with pytest.raises(ConfigError, match="4P1B"):
        least_swept(targets.config(), 4, "fpu", [1, 2])


def test_sim_validate_papi(sim, monkeypatch: pytest.MonkeyPatch) -> None:
    band = load_papi_targets().band
    links = [parameter for parameter in band.parameters if "to the weights" in parameter.name]
    few = {"headlines": band.headlines[-1:], "parameters": links}
    whole = validate_papi.band_rows
    monkeypatch.setattr(validate_papi, "band_rows", lambda band: whole(band.model_copy(update=few)))
    outcome = sim("validate", "papi", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["metrics"]["n_failed"] == 0


def test_the_figure_draws_and_its_numbers_are_met(sim, tmp_path) -> None:
    outcome = sim("figure", "papi-7", "--out", str(tmp_path / "out"), "--json")
    assert (outcome.code, outcome.err) == (0, "")
    (figure,) = json.loads(outcome.out)["figures"]
    assert (figure["published"], figure["met"]) == (2, 2)
