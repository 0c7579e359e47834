"""`sim trace export`: the commands that a mapping implies, replayed, take the cycles of the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., dict[str, Any]]

CASES: list[dict[str, object]] = [
    {"workload.scope": "block", "workload.context": 130},
    {"workload.scope": "softmax", "workload.context": 1500},
    {"workload.scope": "attention", "workload.context": 1025},
    {"workload.scope": "embedding", "workload.context": 1},
    {"workload.scope": "block", "workload.context": 300, "system.parallelism": "tp"},
    {"workload.scope": "block_fc_only", "workload.context": 300, "system.parallelism": "2x4"},
    {"workload.scope": "block", "workload.context": 64, "workload.model": "mixtral-8x7b"},
    {"workload.scope": "block", "workload.context": 64, "workload.model": "phi-2"},
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(str(value) for value in case.values()))
def test_an_exported_trace_replays_in_the_same_cycles(
    case: dict[str, object], sim: Callable[..., Any], run_json: Call, replay_json: Call, repo_root: Path
) -> None:
    sets = {"workload.model": "llama2-7b", "system.n_devices": 8, **case}
    options = [text for path, value in sets.items() for text in ("--set", f"{path}={value}")]
    exported = sim("trace", "export", repo_root / "hw_configs" / "cent.yaml", *options)
    assert exported.code == 0, exported.err
    lines = exported.out.splitlines()
    assert lines[-1] == "AiM EOC"
    ran, replayed = run_json("cent", sets), replay_json(lines)
    assert replayed["metrics"]["device_cycles"] == ran["metrics"]["device_cycles"]
    assert replayed["breakdown"]["channel0_commands"] == ran["breakdown"]["channel0_commands"]
    assert replayed["metrics"]["host_instructions"] == len(lines)


def test_refresh_goes_with_the_part(
    sim: Callable[..., Any], run_json: Call, replay_json: Call, repo_root: Path
) -> None:
    sets = {
        "workload.model": "llama2-7b",
        "system.n_devices": 8,
        "workload.scope": "fc_kqvo",
        "workload.context": 64,
        "system.device.dram.refresh": "true",
    }
    options = [text for path, value in sets.items() for text in ("--set", f"{path}={value}")]
    lines = sim("trace", "export", repo_root / "hw_configs" / "cent.yaml", *options).out.splitlines()
    cycles = run_json("cent", sets)["metrics"]["device_cycles"]
    assert replay_json(lines, {"refresh": "true"})["metrics"]["device_cycles"] == cycles
    assert replay_json(lines)["metrics"]["device_cycles"] < cycles


@pytest.mark.parametrize("scope", ["query", "token", "nothing"])
def test_what_has_no_program_is_refused(scope: str, sim: Callable[..., Any], repo_root: Path) -> None:
    config = repo_root / "hw_configs" / "cent.yaml"
    outcome = sim("trace", "export", config, "--set", f"workload.scope={scope}", "--set", "workload.context=64")
    assert outcome.code in (2, 3), outcome
    assert "remedy" in outcome.err
    assert outcome.out == ""
