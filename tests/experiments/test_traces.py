"""`sim trace export` and `sim trace info`: an exported trace costs what the run says, for any mapping and model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.experiments.catalog import list_kind

PARTS = [row[1] for row in list_kind("scopes").rows if row[0] == "cent" and row[1] not in ("query", "token")]
CENT7B = {"workload.model": "llama2-7b", "system.n_devices": 8}
CENT70B = {"workload.model": "llama2-70b", "system.n_devices": 32}
CASES = [(CENT7B, scope, 300) for scope in PARTS] + [
    (CENT70B, "block", 1000),  # 10 channels a block
    (CENT70B, "attention", 4097),
    ({**CENT7B, "system.parallelism": "tp"}, "block", 384),
    ({**CENT7B, "system.parallelism": "2x4"}, "block", 1),
    ({**CENT7B, "system.parallelism": "tp"}, "block_fc_only", 1),
    ({**CENT70B, "system.parallelism": "8x4"}, "block", 640),
    ({"workload.model": "llama3-8b", "system.n_devices": 16}, "block", 129),
    ({"workload.model": "opt-1.3b", "system.n_devices": 3}, "block", 65),
    ({"workload.model": "phi-2", "system.n_devices": 4}, "block", 33),
    ({"workload.model": "mixtral-8x7b", "system.n_devices": 32}, "block", 200),
    ({**CENT7B, "system.device.dram.organisation.n_channels": 20}, "block", 50),
    ({**CENT7B, "system.gemv_order": "no-reuse"}, "fc_kqvo", 50),
]


def options(sets: dict[str, object]) -> list[str]:
    return [text for path, value in sets.items() for text in ("--set", f"{path}={value}")]


@pytest.mark.parametrize(("sets", "scope", "context"), CASES)
def test_replaying_an_exported_trace_gives_the_same_cycles(
    sim, repo_root: Path, tmp_path: Path, sets: dict[str, object], scope: str, context: int
) -> None:
    config = str(repo_root / "hw_configs" / "cent.yaml")
    chosen = options({**sets, "workload.scope": scope, "workload.context": context})
    exported = sim("trace", "export", config, *chosen)
    assert (exported.code, exported.err) == (0, "")
    trace = tmp_path / "exported.aim"
    trace.write_text(exported.out, encoding="utf-8")
    run = json.loads(sim("run", config, *chosen, "--json", "--out", str(tmp_path / "run")).out)
    channels = sets.get("system.device.dram.organisation.n_channels", 32)
    part = (str(repo_root / "hw_configs/parts/gddr6_aim.yaml"), "--set", f"organisation.n_channels={channels}")
    replay = json.loads(sim("replay", part[0], str(trace), *part[1:], "--json", "--out", str(tmp_path / "replay")).out)
    assert replay["metrics"]["device_cycles"] == run["metrics"]["device_cycles"]
    assert replay["breakdown"]["channel0_commands"] == run["breakdown"]["channel0_commands"]
    assert replay["metrics"]["host_instructions"] == len(exported.out.splitlines())


@pytest.mark.parametrize(
    ("sets", "code", "said"),
    [
        ({}, 3, "workload.scope"),
        ({"workload.scope": "token", "workload.context": 5}, 3, "block"),
        ({"workload.scope": "blokc", "workload.context": 5}, 3, "block"),
        ({"workload.scope": "block"}, 2, "workload.context"),
        ({"workload.scope": "block", "workload.context": 0}, 2, "workload.context"),
    ],
)
def test_what_cannot_be_exported(sim, repo_root: Path, sets: dict[str, object], code: int, said: str) -> None:
    outcome = sim("trace", "export", str(repo_root / "hw_configs" / "cent.yaml"), *options(sets))
    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err


def test_export_without_a_context_where_none_matters(sim, repo_root: Path) -> None:
    config = str(repo_root / "hw_configs" / "cent.yaml")
    lines = sim("trace", "export", config, "--set", "workload.scope=embedding").out.splitlines()
    assert lines[-1] == "AiM EOC"


def test_info_of_a_trace(sim, repo_root: Path) -> None:
    result = json.loads(sim("trace", "info", str(repo_root / "traces" / "conversation_2k.csv"), "--json").out)
    metrics = result["metrics"]
    assert (result["system"], metrics["n_requests"]) == ("azure", 2000)
    assert metrics["rate_requests_per_s"] == pytest.approx(5.54, abs=0.01)
    assert metrics["prompt_tokens_p50"] <= metrics["prompt_tokens_p90"] <= metrics["prompt_tokens_max"]


def test_info_of_lengths_tells_no_arrivals(sim, tmp_path: Path) -> None:
    path = tmp_path / "lengths.csv"
    path.write_text("num_prefill_tokens,num_decode_tokens\n10,20\n30,40\n", encoding="utf-8")
    result = json.loads(sim("trace", "info", str(path), "--json").out)
    assert result["metrics"]["n_requests"] == 2
    assert not {"span_s", "rate_requests_per_s"} & set(result["metrics"])


def test_info_of_prefixes(sim, tmp_path: Path) -> None:
    path = tmp_path / "mooncake.jsonl"
    record = {"timestamp": 0, "input_length": 1024, "output_length": 5, "hash_ids": [1, 2]}
    path.write_text(json.dumps(record) + "\n" + json.dumps({**record, "timestamp": 3000}) + "\n", encoding="utf-8")
    result = json.loads(sim("trace", "info", str(path), "--json").out)
    assert result["breakdown"]["prefix"]["hit share"] == 0.5


def test_info_of_a_bad_trace(sim, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00,x,1\n", encoding="utf-8")
    outcome = sim("trace", "info", str(path))
    assert (outcome.code, f"{path}:2" in outcome.err) == (3, True)
    assert sim("trace", "info", str(tmp_path / "none.csv")).code == 3
