"""`sim validate dram`: every golden row of every standard, through what is behind the public command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from simulator.experiments import validate_targets
from simulator.experiments.validate import validate
from simulator.experiments.validate_replays import load_replay_targets, replay_points
from simulator.experiments.validate_targets import FOLDER, kind_of, path_of

TARGETS = path_of("dram")


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the targets of DRAM, and two rows of their table."""
    shutil.copy(TARGETS, tmp_path)
    lines = (FOLDER / "dram_golden.csv").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.startswith(("case,", "ddr4_stream_w,", "gddr6_random_w,"))]
    (tmp_path / "dram_golden.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    for name in ("list_targets", "load_targets", "golden_rows", "path_of", "check_name"):
        default = getattr(validate_targets, name).__defaults__
        monkeypatch.setattr(getattr(validate_targets, name), "__defaults__", (tmp_path,) * len(default))
    return tmp_path


def test_every_golden_number_is_met() -> None:
    rows = validate(("dram",))
    assert len(rows) == 105
    assert [(row.name, row.worst.quantity) for row in rows if row.verdict != "pass"] == []
    assert {len(row.points) for row in rows} <= {21, 22}


def test_every_column_of_results_is_compared() -> None:
    targets = load_replay_targets(TARGETS)
    header = (FOLDER / targets.file).read_text(encoding="utf-8").splitlines()[0].split(",")
    compared = {*targets.sets, *targets.equal, *targets.hexadecimal, *targets.printed, targets.seed, targets.case}
    left_out = {"standard", "ref_cpu_s", "ref_mcyc_per_s", "tx_bytes", "tick_ps", "read_latency_sum", "prototype_equal"}
    drained = {"drain_row_hits", "drain_row_misses", "drain_row_conflicts", "drain_refreshes"}
    assert set(header) - compared == left_out | drained


def test_the_table_that_ships_is_the_golden_one(repo_root: Path) -> None:
    golden = repo_root / "tests" / "golden" / "dram_golden.csv"
    assert (FOLDER / "dram_golden.csv").read_bytes() == golden.read_bytes()


def test_a_wrong_row_fails(few: Path, sim) -> None:
    assert sim("validate", "dram").code == 0
    path = few / "dram_golden.csv"
    text = path.read_text(encoding="utf-8")
    assert "1073391" in text
    path.write_text(
        text.replace("1073391", "1073392").replace("01d5230ccf7f3f09", "01d5230ccf7f3f0a"), encoding="utf-8"
    )
    outcome = sim("validate", "dram", "--json")
    assert outcome.code == 1
    (failed,) = [row for row in json.loads(outcome.out)["rows"] if row["verdict"] == "fail"]
    assert failed["name"] == "ddr4_stream_w"
    assert {point["quantity"] for point in failed["points"] if point["verdict"] == "fail"} == {"cycles", "cmd_digest"}


def test_rows_are_grouped_by_standard(few: Path) -> None:
    points = list(replay_points(few / "dram.yaml"))
    assert {point.group.name for point in points} == {"ddr4", "gddr6"}
    assert [kind_of(FOLDER / f"{name}.yaml") for name in ("dram", "cent", "gpu")] == ["replays", "", "gpu"]
