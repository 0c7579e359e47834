"""Validation of M5: what is checked where, that verdicts follow the numbers, and that picks are judged rightly."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simulator.core.errors import WorkloadError
from simulator.experiments import memory_traces, validate_m5
from simulator.experiments.identification import judged, window_counts
from simulator.experiments.m5_study import CPU_DRIVEN, IDENTIFIERS, M5Study, TierCase, TrackerCase
from simulator.experiments.m5_targets import load_m5_targets
from simulator.experiments.memory_traces import MemoryTraces
from simulator.experiments.validate_m5 import RESULTS, golden_claims, m5_points, tracker_points
from simulator.experiments.validate_m5_policies import tracker_in_windows
from simulator.experiments.validate_records import FAIL, MISSED, NOT_CHECKED, PASS, REPORTED, Claim
from simulator.experiments.validate_targets import FOLDER
from simulator.workload.accesses import AccessStream
from simulator.workload.interleaved_accesses import interleaved
from tests.experiments.small_m5 import small_m5

SAMPLED_TRACE = "python_bfs"  # of the recorded traces, the one with the fewest reads


@pytest.fixture(scope="module")
def study() -> M5Study:
    return small_m5()


@pytest.fixture(scope="module")
def points(study: M5Study):
    return list(m5_points(FOLDER / "m5.yaml", study))


def stream_of(line: list[int], is_write: list[bool] | None = None) -> AccessStream:
    lines = np.array(line, np.uint32)
    writes = np.zeros(len(line), np.bool_) if is_write is None else np.array(is_write)
    return AccessStream.of_arrays("s", lines, writes, 1 + int(lines.max()) // 64)


def test_a_clone_without_the_recorded_traces_says_what_it_cannot_check(points) -> None:
    claims = [point for point in points if point.verdict == NOT_CHECKED]
    assert {claim.group.name for claim in claims} >= {"m5_golden", "m5_sparsity"}
    assert all(claim.note for claim in claims)
    assert [point for point in points if point.verdict in (FAIL, MISSED)] == []


def test_what_must_hold_on_any_trace_is_checked_on_ours(points) -> None:
    passed = {point.case for point in points if point.verdict == PASS}
    assert sum(case.startswith("faster than the oracle") for case in passed) == 4
    assert sum(case.startswith("faster than the bound") for case in passed) == 4
    assert any(case.startswith("unlimited promotion at 54 us") for case in passed)
    pays = [point for point in points if point.case == "accesses that pay for a move"]
    assert [(point.target, point.verdict) for point in pays] == [(318, PASS), (386, PASS)]
    assert [point.ours for point in pays] == pytest.approx([54e3 / 170, 54e3 / 140])


def test_numbers_of_the_paper_are_context_and_have_a_reason(points) -> None:
    beside = [point for point in points if point.group.name.endswith("_beside") and "pay for" not in point.case]
    assert beside
    assert all(point.verdict == REPORTED and point.note for point in beside)
    assert all("second hand" in point.group.source for point in beside)


def test_a_golden_trace_is_met_in_every_column(shared_dir: Path) -> None:
    study, targets = M5Study(), load_m5_targets()
    assert study.traces.is_shared
    with (FOLDER / targets.golden.file).open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["trace"] == SAMPLED_TRACE and "bench" not in row["algo"]]
    claims = list(golden_claims(targets, rows[::3], study))
    assert {claim.case.split(",")[0] for claim in claims} == {"count-min", "Space-Saving", "first touch"}
    assert all(claim.verdict == PASS for claim in claims)
    wrong = [{**rows[0], "distinct_picked": str(1 + int(rows[0]["distinct_picked"]))}]
    assert [claim.verdict for claim in golden_claims(targets, wrong, study)] == [FAIL]
    assert shared_dir.is_dir()


def test_a_tracker_that_misses_fails(study: M5Study) -> None:
    targets = load_m5_targets().trackers
    assert {point.verdict for point in tracker_points(targets, "s", study)} == {PASS, REPORTED, NOT_CHECKED}
    worse = targets.model_copy(update={"cm_counters": 64, "most_ss": 0.001})
    failed = [point.case for point in tracker_points(worse, "s", study) if point.verdict == FAIL]
    assert len(failed) == 2


def test_the_traces_are_found_beside_or_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIMULATOR_SHARED", str(tmp_path))
    own = memory_traces.memory_traces()
    assert (tuple(own.files), own.is_shared) == (memory_traces.OWN, False)
    assert all(path.is_file() for path in own.files.values())
    folder = tmp_path / "traces" / "memory"
    folder.mkdir(parents=True)
    (folder / "gap_pr.npz").write_bytes(b"")
    assert not memory_traces.memory_traces().is_shared  # one of eight is not enough


def test_every_golden_column_is_compared() -> None:
    with (FOLDER / load_m5_targets().golden.file).open(newline="", encoding="utf-8") as stream:
        columns = next(csv.reader(stream))
    case = {"trace", "key", "algo", "N", "H", "W", "K", "epoch_reads", "Mupd_per_s"}
    assert set(columns) == case | set(RESULTS)


def test_picks_are_judged_by_their_window_and_by_the_whole() -> None:
    counts = np.array([[5, 3, 1, 1], [0, 1, 9, 0]])
    whole = counts.sum(axis=0)
    picks = [(0, np.array([1, 0])), (3, np.array([3])), (12, np.array([2, 2])), (25, np.array([0]))]
    found = judged(picks, counts, whole, window_reads=10, n_picks=2)
    # Window 0: pages 1 and 0 of best 0 and 1 (the third pick is one too many); window 1: page 2; window 2 is cut off.
    assert (found.n_windows, found.n_picks) == (2, 3)
    assert found.in_window == pytest.approx((8 + 9) / (8 + 9))
    assert found.in_whole == pytest.approx((9 + 10) / (15 + 10))
    nothing = judged([], counts, whole, 10, 2)
    assert math.isnan(nothing.in_window)


def test_windows_count_reads_alone() -> None:
    stream = stream_of([0, 64, 65, 0, 128, 64], [False, True, False, False, False, False])
    assert window_counts(stream, 2).tolist() == [[1, 1, 0], [1, 0, 1]]


def test_every_policy_picks_and_ratios_are_shares(study: M5Study) -> None:
    for name in IDENTIFIERS:
        found = study.identified("sql_store", name)
        assert found.n_windows >= 1
        assert 0 < found.in_window <= 1
        assert 0 < found.in_whole <= 1
    tracker = tracker_in_windows(study, "sql_store")
    assert tracker is not None
    assert all(tracker > study.identified("sql_store", name).in_window for name in CPU_DRIVEN)


def test_a_trace_shorter_than_an_epoch_has_no_score(study: M5Study) -> None:
    assert study.score("sql_store", TrackerCase("cm", 2048, 5, 10_000_000)) is None
    assert study.mean_ratio(TrackerCase("cm", 2048, 5, 10_000_000)) is None


def test_copies_take_turns_on_their_own_pages() -> None:
    stream = stream_of([0, 64, 1], [False, True, False])
    many = interleaved(stream, 3)
    (chunk,) = many.chunks()
    assert (many.n_records, many.n_pages) == (9, 6)
    assert chunk.line.tolist() == [0, 128, 256, 64, 192, 320, 1, 129, 257]
    assert chunk.is_write.tolist() == [False] * 3 + [True] * 3 + [False] * 3
    pieces = [piece.line for piece in many.chunks(2)]
    assert np.concatenate(pieces).tolist() == chunk.line.tolist()


@pytest.mark.parametrize("n_copies", [0, 1 << 26])
def test_copies_that_cannot_be_are_refused(n_copies: int) -> None:
    with pytest.raises(WorkloadError):
        interleaved(stream_of([0, 64]), n_copies)


def test_one_copy_is_the_trace_itself(study: M5Study) -> None:
    case = TrackerCase("cm", 32_768, 25, 131_072)
    assert study.copies_ratio("sql_store", 1, case) == pytest.approx(1.0, abs=0.01)


def test_a_policy_faster_than_the_oracle_fails(study: M5Study, monkeypatch: pytest.MonkeyPatch) -> None:
    run = study.run("sql_store", TierCase())
    cheats = [replace(one, time_ps=1) if one.policy == "m5_hpt" else one for one in run.runs]
    monkeypatch.setattr(M5Study, "run", lambda self, trace, case: replace(run, runs=cheats))
    targets = load_m5_targets()
    verdicts = {
        point.case.split(":")[0]: point.verdict
        for point in validate_m5.migration_points(targets.performance, "s", study)
        if isinstance(point, Claim) and point.case.startswith("faster")
    }
    assert verdicts == {"faster than the oracle": FAIL, "faster than the bound": FAIL}


def test_sim_validate_m5(sim, monkeypatch: pytest.MonkeyPatch) -> None:
    points = list(tracker_points(load_m5_targets().trackers, "s", small_m5()))
    monkeypatch.setattr("simulator.experiments.validate._POINTS", {"m5": lambda path: iter(points)})
    outcome = sim("validate", "m5", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["metrics"]["n_failed"] == 0


def test_a_set_of_traces_is_only_shared_when_all_are_there(shared_dir: Path) -> None:
    found = memory_traces.memory_traces()
    assert isinstance(found, MemoryTraces)
    assert found.is_shared == (shared_dir / "traces" / "memory").is_dir()
