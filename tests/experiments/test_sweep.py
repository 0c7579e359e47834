"""Sweeps from file to directory: results equal single runs, nothing runs twice, failures are told."""

from __future__ import annotations

import csv
import json
import sqlite3
import zlib
from pathlib import Path
from typing import Any

import pytest

from simulator.contracts.runner import Outcome, Point
from simulator.core.errors import ConfigError
from simulator.experiments.sweep import sweep
from simulator.experiments.sweeps.evaluation import InProcessRunner
from simulator.experiments.sweeps.store import ResultStore
from tests.experiments.sweep_files import OUTPUTS, recorded, tables, write_sweep_file

CONTEXTS = "axes:\n  workload.context: [256, 512, 1024]\n  system.detail: [fast, class]\n"


def read(folder: Path, name: str = "table.csv") -> list[dict[str, str]]:
    with (folder / name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def run(file: Path, out: Path, *, report: bool = False, **options: Any) -> Any:
    return sweep(file, out=out, runner=InProcessRunner, report=report, **options)


def test_a_sweep_gives_what_single_runs_give(tmp_path: Path, sim, repo_root: Path) -> None:
    result = run(write_sweep_file(tmp_path, CONTEXTS), tmp_path / "out", report=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == OUTPUTS
    rows = read(tmp_path / "out")
    assert [(row["workload.context"], row["system.detail"]) for row in rows[:3]] == [
        ("256", "fast"), ("256", "class"), ("512", "fast"),
    ]  # fmt: skip
    assert result.exit_code == 0
    assert (result.metrics["n_points"], result.metrics["n_failed"]) == (6, 0)
    for row in rows[1::2]:
        sets = [f"workload.context={row['workload.context']}", "system.detail=class", "workload.scope=norm",
                "workload.model=llama2-7b", "system.n_devices=8"]  # fmt: skip
        options = [text for one in sets for text in ("--set", one)]
        single = sim(
            "run",
            repo_root / "hw_configs/cent.yaml",
            *options,
            "--json",
            "--no-report",
            "--out",
            tmp_path / row["point"],
        )
        metrics = json.loads(single.out)["metrics"]
        assert {name: repr(value) for name, value in metrics.items()} == {name: row[name] for name in metrics}


def test_tables_agree(tmp_path: Path) -> None:
    result = run(write_sweep_file(tmp_path, CONTEXTS), tmp_path / "out")
    frame, rows = result.table, read(tmp_path / "out")
    assert list(frame.columns) == list(rows[0])
    for column in frame.columns:
        assert [str(value) for value in frame[column].tolist()] == [row[column] for row in rows]
    assert result.failed.empty
    assert not (tmp_path / "out" / "plots").exists()


def test_points_that_are_recorded_never_run_again(tmp_path: Path) -> None:
    file, out = write_sweep_file(tmp_path, CONTEXTS), tmp_path / "out"
    run(file, out)
    first, before = recorded(tmp_path / "out.state"), tables(out)
    again = run(file, out)
    assert again.metrics["n_reused"] == 6
    assert recorded(tmp_path / "out.state") == first
    assert tables(out) == before
    wider = CONTEXTS.replace("256,", "128, 256,") + "  system.cxl_overlap: [false]\n"
    assert run(write_sweep_file(tmp_path, wider), out).metrics["n_reused"] == 6
    now = recorded(tmp_path / "out.state")
    assert len(now) == 8
    assert first.items() <= now.items()


def test_failures_are_recorded_and_retried_when_asked(tmp_path: Path, monkeypatch) -> None:
    file, out = (
        write_sweep_file(tmp_path, "axes: {system.n_devices: [0, 8, x], workload.context: [256]}\n"),
        tmp_path / "out",
    )
    result = run(file, out)
    assert (result.exit_code, result.metrics["n_failed"]) == (0, 2)
    failed = read(out, "failed.csv")
    assert [(row["point"], row["system.n_devices"], row["exit_code"]) for row in failed] == [
        ("0", "0", "2"), ("2", "x", "2"),
    ]  # fmt: skip
    assert "s.yaml:4:27: `system.n_devices` = 0" in failed[0]["error"]
    assert "s.yaml:4:33: `system.n_devices` is 'x'" in failed[1]["error"]
    before = recorded(tmp_path / "out.state")
    assert run(file, out).metrics["n_reused"] == 3
    assert recorded(tmp_path / "out.state") == before
    assert run(file, out, retry_failed=True).metrics["n_reused"] == 1
    after = recorded(tmp_path / "out.state")
    assert sum(before[key] == after[key] for key in before) <= 2


def test_a_defect_fails_one_point_only(tmp_path: Path, monkeypatch) -> None:
    def defective(bound: Any, **options: Any) -> Any:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("simulator.experiments.run_kinds.LlmRun.perform", defective)
    result = run(write_sweep_file(tmp_path, "axes: {system.n_devices: [8]}\n"), tmp_path / "out")
    assert result.exit_code == 5
    assert "ZeroDivisionError: by zero" in read(tmp_path / "out", "failed.csv")[0]["error"]


def test_all_points_failing_is_an_exit_code(tmp_path: Path, sim) -> None:
    file = write_sweep_file(tmp_path, "axes: {workload.model: [llama2-70b]}\n")
    file.write_text(file.read_text().replace("n_devices: 8", "n_devices: 1"))
    outcome = sim("sweep", file, "--out", tmp_path / "out", "--workers", "1", "--json")
    assert outcome.code == 4, outcome.err
    assert json.loads(outcome.out)["metrics"]["n_failed"] == 1


def test_json_is_the_summary(tmp_path: Path, sim) -> None:
    file = write_sweep_file(tmp_path, "axes: {workload.context: [256, 512]}\n")
    outcome = sim("sweep", file, "--out", tmp_path / "out", "--workers", "2", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    summary = json.loads(outcome.out)
    assert summary == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["system"] == "cent"
    assert summary["metrics"]["n_points"] == 2
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["kind"] == "sweep"
    assert manifest["source_hash"]


def test_duplicates_are_left_out(tmp_path: Path) -> None:
    file = write_sweep_file(tmp_path, "axes: {workload.context: [256, 512, 256], system.n_devices: [8]}\nrepeats: 2\n")
    result = run(file, tmp_path / "out")
    assert (result.metrics["n_points"], result.metrics["n_duplicates"]) == (4, 2)
    assert [row["run.seed"] for row in read(tmp_path / "out")] == ["1", "2", "1", "2"]


def test_metrics_are_chosen_and_breakdowns_kept(tmp_path: Path) -> None:
    text = "axes: {workload.context: [256, 512]}\nmetrics: [device_cycles, channel0_commands.MAC16]\n"
    run(write_sweep_file(tmp_path, text), tmp_path / "out")
    rows = read(tmp_path / "out")
    assert list(rows[0]) == ["point", "workload.context", "device_cycles", "channel0_commands.MAC16"]
    assert all(int(row["channel0_commands.MAC16"]) > 0 for row in rows)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("metrics: [device_cycle]\n", "did you mean `device_cycles`"),
        ("plots: [{kind: lines, x: workload.contxt, y: power_w}]\n", "did you mean `workload.context`"),
        ("plots: [{kind: heatmap, x: workload.context, y: power_w}]\n", "needs `z`"),
    ],
)
def test_unknown_columns_cost_no_result(tmp_path: Path, text: str, cause: str) -> None:
    file = write_sweep_file(tmp_path, "axes: {workload.context: [256, 512]}\n" + text)
    with pytest.raises(ConfigError, match=cause):
        run(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert len(recorded(tmp_path / "out.state")) == 2


def test_plots_and_page(tmp_path: Path) -> None:
    text = CONTEXTS + (
        "plots:\n"
        "  - {kind: lines, x: workload.context, y: time_us, by: system.detail, log: xy, title: '<Time>'}\n"
        "  - {kind: lines, x: system.detail, y: time_us}\n"
        "  - {kind: heatmap, x: workload.context, y: system.detail, z: power_w}\n"
        "  - {kind: pareto, x: time_us, y: energy_mj, minimise: [time_us, energy_mj]}\n"
    )
    run(write_sweep_file(tmp_path, text), tmp_path / "out", report=True)
    names = sorted(path.name for path in (tmp_path / "out" / "plots").iterdir())
    assert names == [f"{stem}.{kind}" for stem in ("01_lines", "02_lines", "03_heatmap", "04_pareto")
                     for kind in ("pdf", "png")]  # fmt: skip
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert "&lt;Time&gt;" in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_place_that_is_not_a_sweeps_is_refused(tmp_path: Path, sim) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    file = write_sweep_file(tmp_path, "axes: {workload.context: [256]}\n")
    outcome = sim("sweep", file, "--out", tmp_path / "out")
    assert (outcome.code, outcome.out) == (2, "")
    assert (tmp_path / "out" / "mine.txt").exists()


@pytest.mark.parametrize("workers", ["0", "-1"])
def test_workers_are_at_least_one(tmp_path: Path, sim, workers: str) -> None:
    file = write_sweep_file(tmp_path, "axes: {workload.context: [256]}\n")
    outcome = sim("sweep", file, "--out", tmp_path / "out", "--workers", workers)
    assert outcome.code == 2
    assert "--workers" in outcome.err


def test_one_sweep_at_a_time(tmp_path: Path) -> None:
    store = ResultStore.open(tmp_path / "out.state")
    with pytest.raises(ConfigError, match="another sweep is at work"):
        run(write_sweep_file(tmp_path, CONTEXTS), tmp_path / "out")
    store.close()


def test_results_of_another_version_and_broken_ones_are_refused(tmp_path: Path) -> None:
    ResultStore.open(tmp_path / "a").close()
    connection = sqlite3.connect(tmp_path / "a" / "results.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigError, match="another version"):
        ResultStore.open(tmp_path / "a")
    (tmp_path / "a" / "results.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(ConfigError, match="cannot be read"):
        ResultStore.open(tmp_path / "a")


def test_a_damaged_result_counts_as_none(tmp_path: Path) -> None:
    store = ResultStore.open(tmp_path)
    point = Point(0, "k", 0, (1,))
    assert store.plan(point)
    assert not store.plan(Point(1, "k", 0, (1,)))
    store.record([Outcome("k", False, json.dumps({"metrics": {}}), 0.1)])
    assert store.status("k") == "done"
    store.close()
    connection = sqlite3.connect(tmp_path / "results.sqlite")
    connection.execute("UPDATE results SET crc = ?", (zlib.crc32(b"other"),))
    connection.commit()
    connection.close()
    store = ResultStore.open(tmp_path)
    assert store.status("k") == "new"
    store.plan(point)
    assert list(store.points()) == []
    store.close()


def test_a_full_disk_loses_nothing_that_was_recorded(tmp_path: Path) -> None:
    store = ResultStore.open(tmp_path)
    store._connection.execute("PRAGMA max_page_count = 40")
    written = 0

    def fill() -> None:
        nonlocal written
        for number in range(100):
            store.record([Outcome(f"{number}-{n}", False, "{}" + " " * 500, 0.0) for n in range(8)])
            written += 8

    with pytest.raises(ConfigError, match="disk is full"):
        fill()
    store.close()
    store = ResultStore.open(tmp_path)
    statuses = [store.status(f"{number}-{n}") for number in range(100) for n in range(8)]
    assert statuses == ["done"] * written + ["new"] * (800 - written)
    store.close()


def test_a_trace_over_its_rate(tmp_path: Path, repo_root: Path) -> None:
    said = {
        "config": [str(repo_root / f"hw_configs/{name}.yaml") for name in ("cent", "cent_corrected")],
        "trace": {"file": "traces/conversation_2k.csv", "requests": 20},
        "set": {"system.capacity": "report"},
        "axes": {"trace.qps": [0.1, 1.0]},
        "metrics": ["ttft_ms_p50"],
    }
    result = sweep(said, out=tmp_path / "out", runner=InProcessRunner, report=False)
    assert result.metrics["n_failed"] == 0, result.failed
    assert list(result.table.columns) == ["point", "config", "trace.qps", "ttft_ms_p50"]
    assert list(json.loads((tmp_path / "out/manifest.json").read_text())["trace_checksums"].values())
