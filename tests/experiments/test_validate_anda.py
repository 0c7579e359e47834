"""Validation of Anda: cells, vectors and orders of searches; what is fitted is no pass; misses are those known."""

from __future__ import annotations

import pytest

from simulator.experiments import validate_anda
from simulator.experiments.validate_anda import (
    AndaTargets,
    anda_points,
    bops_points,
    conversion_points,
    golden_rows,
    load_anda_targets,
    split_points,
)
from simulator.experiments.validate_records import FAIL, MISSED, NOT_CHECKED, PASS, REPORTED, Point, rows_of
from simulator.experiments.validate_targets import FOLDER


@pytest.fixture(scope="module")
def targets() -> AndaTargets:
    return load_anda_targets()


@pytest.fixture(scope="module")
def points() -> list[validate_anda.Point | validate_anda.Claim]:
    return list(anda_points(FOLDER / "anda.yaml"))


def test_what_is_missed_is_known(points: list[Point]) -> None:
    assert [point.case for point in points if point.verdict == FAIL] == []
    missed = {f"{point.case}: {point.quantity}" for point in points if point.verdict == MISSED}
    assert missed == {"FIGNA-M11: energy", "FIGNA-M8: energy", "Anda 0.1 %, figure of trade-offs: speed"}


def test_all_cells_are_compared_or_told(points: list[Point]) -> None:
    cells = [point for point in points if point.group.name == "anda_bops" and "mantissa" not in point.case]
    (rest,) = [point for point in points if point.verdict == NOT_CHECKED]
    assert len(cells) + int(rest.case.split()[0]) == 54
    assert len([point for point in points if point.group.name == "anda_bops_computed"]) == 38


def test_what_is_fitted_is_no_pass(points: list[Point]) -> None:
    fitted = [point for point in points if point.group.name == "anda_split_fitted"]
    assert len(fitted) == 3 + 5 * 2 + 2
    assert all(point.verdict == REPORTED and "fitted" in point.note for point in fitted)
    judged = [point for point in points if point.group.name == "anda_split"]
    assert not any(point.quantity == "dram, %" for point in judged)
    assert {point.case for point in judged if point.quantity == "sram, %"} == {"Anda 0.1 %", "Anda 1 %"}
    assert all(point.case != "FP-FP" for point in judged)


def test_searches_are_followed_to_their_end(points: list[Point]) -> None:
    orders = [point for point in points if point.group.name == "anda_search_order"]
    assert [(point.target, point.verdict) for point in orders] == [(10, PASS), (29, PASS), (20, PASS)]


def test_a_search_in_another_order_fails(targets: AndaTargets) -> None:
    trace = targets.searches.paper.trace.replace("7757- 7766+", "7766+ 7757-")
    paper = targets.searches.paper.model_copy(update={"trace": trace})
    changed = targets.model_copy(update={"searches": targets.searches.model_copy(update={"paper": paper})})
    (point,) = validate_anda.search_points(changed, [])
    assert (point.verdict, point.ours) == (FAIL, 8)


def test_wrong_numbers_fail(targets: AndaTargets) -> None:
    rows = golden_rows(FOLDER / targets.bops.file)
    few = [row for row in rows if row["suite"] in (targets.conversion.suite, targets.bops.suite)]
    wrong = [{**row, "aux": row["aux"].replace("zero_mantissas=", "zero_mantissas=9")} for row in few]
    failed = [point for point in conversion_points(targets.conversion, wrong) if point.verdict == FAIL]
    assert {point.quantity for point in failed} == {"zero_mantissas"}
    strict = targets.model_copy(update={"bops": targets.bops.model_copy(update={"tolerance": 1e-4})})
    assert FAIL in {point.verdict for point in bops_points(strict, [])}
    split = targets.model_copy(update={"split": targets.split.model_copy(update={"points": 0.5})})
    assert {row.name for row in rows_of(split_points(split)) if row.verdict == FAIL} == {
        "Anda 0.1 %: sram, %", "Anda 1 %: sram, %",
    }  # fmt: skip
