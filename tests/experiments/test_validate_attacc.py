"""AttAcc's golden runs and what its paper prints, as targets: what is met, and that a change is noticed."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import pytest

from simulator.experiments.validate_attacc import (
    COUNTS,
    AttaccTargets,
    load_attacc_targets,
    stack_claims,
    whole_claims,
    whole_sets,
)
from simulator.experiments.validate_attacc_largest import (
    LargestTargets,
    PaperClaims,
    at_largest,
    batch_points,
    edge_gains,
    largest_points,
    paper_points,
)
from simulator.experiments.validate_records import FAIL, PASS, REPORTED
from simulator.experiments.validate_runs import ConfiguredRuns
from simulator.experiments.validate_targets import FOLDER

Row = Mapping[str, str]


@pytest.fixture(scope="module")
def targets() -> AttaccTargets:
    return load_attacc_targets()


@pytest.fixture(scope="module")
def runs() -> ConfiguredRuns:
    return ConfiguredRuns()


@pytest.fixture(scope="module")
def rows(targets: AttaccTargets) -> list[Row]:
    with (FOLDER / targets.golden.file).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_table_is_the_golden_one(repo_root: Path, targets: AttaccTargets) -> None:
    golden = repo_root / "tests" / "golden" / "attacc" / "attacc_golden.csv"
    assert (FOLDER / targets.golden.file).read_bytes() == golden.read_bytes()


def test_every_run_of_a_stack_is_met(targets: AttaccTargets, rows: list[Row], runs: ConfiguredRuns) -> None:
    claims = list(stack_claims(targets, rows, runs))
    assert [claim.verdict for claim in claims] == [PASS] * len(claims)
    *cycles, counts = claims
    n_rows = sum(len(row["kv_len_L"].split("|")) for row in rows if row["heads_per_stack"])
    assert sum(int(claim.rows.split(",")[0]) for claim in cycles) == n_rows
    assert all("worst R" in claim.rows or "worst A" in claim.rows for claim in cycles)
    assert counts.rows == f"{sum(bool(row[name]) for row in rows for name in COUNTS)} counts"


def test_wrong_cycles_and_counts_are_noticed(targets: AttaccTargets, rows: list[Row], runs: ConfiguredRuns) -> None:
    (row,) = (row for row in rows if row["case"] == "R04")
    wrong = {**row, "ram_cycles": "950", "n_wrgb": "127"}
    cycles, counts = stack_claims(targets, [wrong], runs)
    assert (cycles.verdict, counts.verdict) == (FAIL, FAIL)
    assert cycles.rows.startswith("1, worst R04 -")
    assert counts.note == "R04 n_wrgb is 128, not 127"


@pytest.mark.parametrize("case", ["S04", "S07", "S11", "A01", "A05", "A06", "A08", "A14"])
def test_a_whole_query(case: str, targets: AttaccTargets, rows: list[Row], runs: ConfiguredRuns) -> None:
    chosen = [row for row in rows if row["case"] == case]
    assert [claim.verdict for claim in whole_claims(targets, chosen, runs)] == [PASS] * 3


def test_stale_rows_are_only_reported(targets: AttaccTargets, rows: list[Row], runs: ConfiguredRuns) -> None:
    quick = targets.model_copy(update={"golden": targets.golden.model_copy(update={"stale_context_step": 1024})})
    chosen = [row for row in rows if row["case"] == "A26"]
    claims = list(whole_claims(quick, chosen, runs))
    assert {claim.verdict for claim in claims} == {REPORTED}
    assert all("cache" in claim.note for claim in claims)


def test_a_wrong_time_is_noticed(targets: AttaccTargets, rows: list[Row], runs: ConfiguredRuns) -> None:
    (row,) = (row for row in rows if row["case"] == "A08")
    wrong = {**row, "decode_ms_per_step": str(float(row["decode_ms_per_step"]) * 1.04)}
    assert [claim.verdict for claim in whole_claims(targets, [wrong], runs)] == [PASS, FAIL, PASS]


def test_sets_of_a_machine_without_stacks_leave_the_stacks_alone(targets: AttaccTargets, rows: list[Row]) -> None:
    for row in rows:
        if row["kind"] == "end_to_end":
            assert ("system.placement" in whole_sets(targets, row)) == (row["system"] == "dgx-attacc")


def test_batches_that_fit(targets: AttaccTargets, runs: ConfiguredRuns) -> None:
    points = list(batch_points(targets.batches, targets.config, runs))
    assert [point.verdict for point in points] == [PASS] * 9
    assert {point.target for point in points} == {18, 33, 282, 54, 101, 854}


def test_each_machine_at_its_largest_batch(targets: AttaccTargets, runs: ConfiguredRuns) -> None:
    short = {"128/128": targets.largest.lengths["128/128"]}
    largest: LargestTargets = targets.largest.model_copy(update={"lengths": short})
    assert {point.verdict for point in largest_points(largest, targets.config, runs)} == {PASS}
    gains = edge_gains(largest, targets.config, runs, "128/128")
    assert all(gain >= 1 for gain in gains.values())
    ours = at_largest(largest, targets.config, runs, "128/128")
    paper: PaperClaims = targets.paper
    points = list(paper_points(paper, largest, targets.config, runs))
    assert {point.verdict for point in points} == {REPORTED}
    assert points[0].ours == ours["speed-up over dgx"]
    assert "128/128" in points[0].quantity
