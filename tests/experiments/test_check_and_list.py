"""`sim check`, `sim list` and `sim warmup`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.experiments.catalog import KINDS, list_kind
from simulator.experiments.check import check
from simulator.workload.catalog import list_models


def test_check_counts_parameters_and_lists_the_assumed(repo_root: Path) -> None:
    record = check(repo_root / "hw_configs" / "cent.yaml")
    kinds = {"standard", "paper", "measured", "derived", "assumed", "fitted"}
    assert sum(record.metrics[f"n_{kind}"] for kind in kinds) == record.metrics["n_parameters"]
    assert list(record.breakdown["assumed"]) == ["system.device.dram.timing.n_rfc"]
    assert list(record.breakdown["fitted"]) == ["system.device.power.controller_phy"]
    assert record.breakdown["capacity"]["fits"] == "yes"


@pytest.mark.parametrize("part", ["gddr6_aim", "cent_device", "cent_cxl"])
def test_check_reads_parts(repo_root: Path, part: str) -> None:
    record = check(repo_root / "hw_configs" / "parts" / f"{part}.yaml")
    assert record.metrics["n_parameters"] > 0
    assert "capacity" not in record.breakdown


def write(folder: Path, text: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(f"extends: cent.yaml\n{text}", encoding="utf-8")
    return path


def test_check_reports_missing_bytes(tmp_path: Path, sim) -> None:
    path = write(tmp_path, "workload: {prompt_tokens: 32768}\n")
    result = json.loads(sim("check", str(path), "--json").out)
    capacity = result["breakdown"]["capacity"]
    assert capacity["fits"] == "no"
    assert capacity["missing bytes"] > 0
    shown = sim("check", str(path)).out
    assert f"{capacity['missing bytes']:,}" in shown


def test_check_refuses_what_run_would_refuse(tmp_path: Path, sim) -> None:
    enforced = write(tmp_path, "system: {capacity: enforce}\nworkload: {prompt_tokens: 32768}\n")
    outcome = sim("check", str(enforced))
    assert (outcome.code, "bytes" in outcome.err) == (4, True)
    unknown = write(tmp_path, "system: {capactiy: enforce}\n")
    outcome = sim("check", str(unknown))
    assert (outcome.code, f"{unknown}:2" in outcome.err, "capacity" in outcome.err) == (2, True, True)
    model = write(tmp_path, "workload: {model: llama9}\n")
    assert sim("check", str(model)).code == 3
    assert sim("check", str(tmp_path / "none.yaml")).code == 2


def test_a_block_needs_room_for_one_query(tmp_path: Path, sim) -> None:
    path = write(tmp_path, "system: {capacity: enforce}\nworkload: {scope: block, context: 32768}\n")
    assert json.loads(sim("check", str(path), "--json").out)["breakdown"]["capacity"]["fits"] == "yes"


@pytest.mark.parametrize("kind", KINDS)
def test_every_list_has_rows_of_its_columns(kind: str, sim) -> None:
    table = list_kind(kind)
    assert table.rows
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert len(json.loads(sim("list", kind, "--json").out)[kind]) == len(table.rows)
    assert str(table.rows[0][0]) in sim("list", kind).out


def test_lists_hold_what_there_is() -> None:
    assert [row[0] for row in list_kind("models").rows] == list(list_models())
    assert "cent" in [row[0] for row in list_kind("systems").rows]
    assert ("cent", "block") in list_kind("scopes").rows
    assert {"azure", "vllm", "servegen"} <= {row[0] for row in list_kind("formats").rows}
    assert ("kv8", "integer", "KV", 8.25) in [row[:4] for row in list_kind("number_formats").rows]
    assert ("gddr6_aim.yaml", "aim_device") in [row[:2] for row in list_kind("parts").rows]
    assert "chat" in [row[0] for row in list_kind("workloads").rows]


def test_formats_fit_a_terminal(sim) -> None:
    assert max(map(len, sim("list", "number_formats").out.splitlines())) <= 80


def test_an_unknown_list_is_refused(sim) -> None:
    outcome = sim("list", "modles")
    assert (outcome.code, "models" in outcome.err) == (2, True)


def test_warmup(sim) -> None:
    assert sim("warmup").code == 0
