"""Validation of BitMoD: given rows are compared, verdicts follow the numbers, and misses are those that are known."""

from __future__ import annotations

import csv
from collections import Counter

import pytest

from simulator.experiments.bitmod_designs import BitmodDesigns
from simulator.experiments.validate_bitmod import (
    BitmodTargets,
    bitmod_points,
    claim_points,
    figure_points,
    golden_points,
    load_bitmod_targets,
    quantizer_points,
    rerun_points,
)
from simulator.experiments.validate_records import FAIL, MISSED, PASS, REPORTED, Claim
from simulator.experiments.validate_targets import FOLDER

Row = dict[str, str]


@pytest.fixture(scope="module")
def targets() -> BitmodTargets:
    return load_bitmod_targets()


@pytest.fixture(scope="module")
def rows(targets: BitmodTargets) -> list[Row]:
    with (FOLDER / targets.golden.file).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_rows_are_met_and_a_wrong_one_fails(targets: BitmodTargets, rows: list[Row]) -> None:
    few = [row for row in rows if row["case_id"] in ("BP055", "BC044", "BC108")]
    points = list(golden_points(targets.golden, few))
    assert {point.verdict for point in points} == {PASS}
    # Cycles and three energies of a row of 2024, of one of 2025 also the array's cycles and three more; twice, by the
    # system and by a run, as all three are of the sample.
    assert Counter(point.group.name for point in points) == {
        "bitmod_published_2024": 4, "bitmod_current_2025": 16, "bitmod_runs": 20,
    }  # fmt: skip
    wrong = [{**few[0], "cycles_total": str(int(few[0]["cycles_total"]) + 1), "total_uJ": "86600"}]
    failed = [point.quantity for point in golden_points(targets.golden, wrong) if point.verdict == FAIL]
    assert failed == ["BP055: cycles", "BP055: energy_uj"] * 2


def test_the_sample_is_of_both_revisions_and_all_datapaths(targets: BitmodTargets, rows: list[Row]) -> None:
    sample = [row for row in rows if row["case_id"] in targets.golden.sample]
    assert len(sample) == len(targets.golden.sample)
    assert {row["suite"] for row in sample} == set(targets.golden.suites)
    assert {row["system"].split("-")[0] for row in sample} == {"FP16", "ANT", "OliVe", "BitMoD"}


def test_vectors_of_the_quantiser(targets: BitmodTargets, rows: list[Row]) -> None:
    points = list(quantizer_points(targets.quantizer, rows))
    assert {point.verdict for point in points} == {PASS}
    given = [row["aux"].count("=") for row in rows if row["suite"] == targets.quantizer.suite]
    assert len(points) == sum(given) > 0


def test_figures_are_met_and_two_claims_are_not(targets: BitmodTargets) -> None:
    designs = BitmodDesigns(revision=2024)
    bars = [point for figure in targets.figures for point in figure_points(figure, targets.source, designs)]
    assert (len(bars), {point.verdict for point in bars}) == (4 * 4 * 7, {PASS})
    claims = list(claim_points(targets, designs))
    missed = [(point.case, point.quantity) for point in claims if point.verdict != PASS]
    both = "BitMoD-LY over OliVe, prompts and generation"
    assert missed == [(both, "speed"), (both, "energy")]
    assert all(point.verdict == MISSED and point.note for point in claims if point.verdict != PASS)


def test_a_miss_that_grows_fails(targets: BitmodTargets) -> None:
    worse = [one.model_copy(update={"known_by": 0.001}) for one in targets.claims.rows if one.known]
    claims = targets.claims.model_copy(update={"rows": worse})
    changed = targets.model_copy(update={"claims": claims})
    assert {point.verdict for point in claim_points(changed, BitmodDesigns(revision=2024))} == {FAIL}


def test_reruns_of_2025(targets: BitmodTargets) -> None:
    found = [rerun for rerun in targets.reruns if rerun.revision == 2025]
    points = [point for rerun in found for point in rerun_points(rerun, BitmodDesigns(revision=2025))]
    assert (len(points), {point.verdict for point in points}) == (8, {PASS})


@pytest.mark.thorough
def test_everything() -> None:
    points = list(bitmod_points(FOLDER / "bitmod.yaml"))
    assert [point.case for point in points if point.verdict == FAIL] == []
    assert len([point for point in points if point.verdict == MISSED]) == 2
    beside = [point for point in points if point.verdict == REPORTED]
    assert len(beside) == 8
    assert all(isinstance(point, Claim) for point in beside)
