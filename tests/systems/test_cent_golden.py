"""Golden rows of CENT through the public commands: the reference's cycles and the repository's published figures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .golden_cases import (
    DEVICES,
    IN_WORDS,
    Row,
    case_id,
    channel0,
    golden_rows,
    printed,
    rows_of,
    trace_lines,
)

Call = Callable[..., dict[str, Any]]

FIGURES = {
    "token_latency_ms": "token_ms",
    "throughput_tokens_per_s": "tokens_per_s",
    "energy_mj_per_token": "mJ_per_token",
    "power_w": "power_W",
}


def block_sets(row: Row) -> dict[str, object]:
    """The settings that a block row's description asks for."""
    description = row["description"]
    context = re.search(r"S=(\d+)", description)
    assert context is not None, description
    sets: dict[str, object] = {"workload.context": int(context[1])}
    model = re.match(r"(?:Llama2-)?(\w+)[:,]", description)
    assert model is not None, description
    sets["workload.model"] = f"llama2-{model[1].lower()}"
    sets["system.n_devices"] = DEVICES[model[1]]
    part = re.search(r"only section (\w+)", description)
    sets["workload.scope"] = part[1] if part else "block"
    if published := re.search(r"(\d+) devices, PP=(\d+) TP=(\d+)", description):
        sets["system.n_devices"] = int(published[1])
        sets["system.parallelism"] = f"{published[2]}x{published[3]}"
    if shared := re.search(r"FC_devices=(\d+)", description):
        width = int(shared[1])
        sets["system.parallelism"] = f"{DEVICES[model[1]] // width}x{width}"
    if row["category"] == "tp_fconly":
        sets["workload.scope"] = "block_fc_only"
    return sets


def test_the_table_is_whole() -> None:
    counts: dict[str, int] = {}
    for row in golden_rows():
        counts[row["category"]] = counts.get(row["category"], 0) + 1
    assert counts["published_block"] >= 126
    assert counts["micro"] == 26
    assert counts["gemv"] == 21
    assert counts["attn_score"] == 11
    assert counts["attn_output"] == 7
    assert counts["block"] + counts["block_part"] + counts["tp_block"] + counts["tp_fconly"] == 18


@pytest.mark.parametrize("row", rows_of("published_block"), ids=case_id)
def test_published_block(row: Row, run_json: Call) -> None:
    sets = block_sets(row)
    result = run_json("cent", sets)
    metrics = result["metrics"]
    assert metrics["block_cycles"] == int(row["device_cycles"])
    ours = {column: printed(metrics[name], row[column]) for name, column in FIGURES.items()}
    assert ours == {column: row[column] for column in FIGURES.values()}


@pytest.mark.parametrize("row", rows_of("block", "block_part", "tp_block", "tp_fconly"), ids=case_id)
def test_block_commands(row: Row, run_json: Call) -> None:
    result = run_json("cent", block_sets(row))
    assert result["metrics"]["block_cycles"] == int(row["device_cycles"])
    assert result["breakdown"]["channel0_commands"] == channel0(row)


@pytest.mark.parametrize("row", rows_of("micro", "gemv", "attn_score", "attn_output"), ids=case_id)
def test_replayed_trace(row: Row, replay_json: Call) -> None:
    result = replay_json([*trace_lines(row), "AiM EOC"])
    assert result["metrics"]["device_cycles"] == int(row["device_cycles"])
    assert result["metrics"]["host_instructions"] == int(row["host_instructions"])
    assert result["breakdown"]["channel0_commands"] == channel0(row)
    assert result["metrics"]["commands"] == int(row["all32_commands"])


@pytest.mark.parametrize("case", IN_WORDS)
def test_replayed_cases_in_words(case: str, replay_json: Call) -> None:
    lines, cycles = IN_WORDS[case]
    assert replay_json([*lines, "AiM EOC"])["metrics"]["device_cycles"] == cycles


@pytest.mark.parametrize("parallelism", ["pp", "80x1"])
def test_one_stage_per_layer_is_pipeline_mode(parallelism: str, run_json: Call) -> None:
    row = next(row for row in rows_of("published_block") if "PP=80 TP=1" in row["description"])
    sets = {**block_sets(row), "system.parallelism": parallelism}
    assert printed(run_json("cent", sets)["metrics"]["token_latency_ms"], row["token_ms"]) == row["token_ms"]


# 512 + 3584 tokens, contexts sampled 128 apart, as the repository prints them: tokens/s of prefill, decode and both,
# query latency in s, mJ/token and W of both.
QUERIES = {
    ("7b", 8, "pp"): ("4086.3", "2850.5", "3005.0", "45.37", "70.28", "240.6"),
    ("13b", 20, "pp"): ("5371.6", "3931.4", "4111.4", "41.06", "136.18", "627.9"),
    ("70b", 32, "pp"): ("1425.6", "1150.8", "1185.1", "280.57", "692.95", "874.3"),
    ("7b", 8, "tp"): (None, None, "643.8", "6.796", "99.51", "99.7"),
    ("13b", 20, "tp"): (None, None, "396.3", "11.065", "333.8", "211.7"),
    ("70b", 32, "tp"): (None, None, "111.3", "39.986", "1831.2", "326.3"),
    ("70b", 32, "8x4"): (None, None, "664.1", "51.95", "791", "700"),
    ("70b", 32, "32x1"): (None, None, "1339.8", "99.66", "734", "1091"),
    ("13b", 20, "4x5"): (None, None, "1387.0", "12.52", None, None),
    ("7b", 8, "8x1"): (None, None, "2608.6", "12.95", None, None),
}
QUERY_METRICS = (
    "prefill_throughput_tokens_per_s",
    "decode_throughput_tokens_per_s",
    "throughput_tokens_per_s",
    "query_latency_s",
    "energy_mj_per_token",
    "power_w",
)


@pytest.mark.parametrize("case", QUERIES, ids=lambda case: f"{case[0]}-{case[2]}")
def test_published_query(case: tuple[str, int, str], run_json: Call) -> None:
    model, n_devices, parallelism = case
    sets = {
        "workload.model": f"llama2-{model}",
        "system.n_devices": n_devices,
        "system.parallelism": parallelism,
    }
    metrics = run_json("cent", sets)["metrics"]
    for name, text in zip(QUERY_METRICS, QUERIES[case], strict=True):
        if text is not None:
            assert printed(metrics[name], text) == text, name


def _subprocess(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "simulator.cli.main", *map(str, arguments), "--json"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_a_process_of_its_own_runs_a_block(repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(repo_root))
    row = next(row for row in rows_of("published_block") if "Llama2-7B" in row["description"])
    sets = [text for path, value in block_sets(row).items() for text in ("--set", f"{path}={value}")]
    config = repo_root / "hw_configs" / "cent.yaml"
    result = _subprocess("run", config, *sets, "--no-report", "--out", tmp_path / "run")
    assert result["metrics"]["block_cycles"] == int(row["device_cycles"])
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert summary == result


def test_a_process_of_its_own_replays(repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(repo_root))
    row = next(row for row in rows_of("micro") if row["case_id"] == "grp32")
    trace = tmp_path / "grp32.txt"
    trace.write_text("\n".join(trace_lines(row)), encoding="utf-8")
    part = repo_root / "hw_configs" / "parts" / "gddr6_aim.yaml"
    result = _subprocess("replay", part, trace, "--out", tmp_path / "run")
    assert result["metrics"]["device_cycles"] == int(row["device_cycles"])
