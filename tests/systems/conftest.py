"""The public commands in process, their JSON taken apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Result = dict[str, Any]


@pytest.fixture
def run_json(sim: Callable[..., Any], repo_root: Path, tmp_path: Path) -> Callable[..., Result]:
    """`run_json("cent", {"workload.context": 512}, "--requests", 3)`: what `sim run` printed, exit code 0 asserted."""
    runs = iter(range(1_000_000))

    def call(config: str = "cent", sets: dict[str, object] | None = None, *arguments: object) -> Result:
        options = [text for path, value in (sets or {}).items() for text in ("--set", f"{path}={value}")]
        out = ("--json", "--no-report", "--out", tmp_path / f"run{next(runs)}")
        outcome = sim("run", repo_root / "hw_configs" / f"{config}.yaml", *options, *arguments, *out)
        assert outcome.code == 0, outcome.err
        return json.loads(outcome.out)

    return call


@pytest.fixture
def refusal_of(sim: Callable[..., Any], repo_root: Path, tmp_path: Path) -> Callable[..., str]:
    """`refusal_of("papi", 2, {"system.n_gpus": 7})`: what `sim run` said that ended with an exit code; a YAML's stem or
    path. It must be an error with a remedy, and no defect."""

    def call(config: str | Path, code: int, sets: dict[str, object]) -> str:
        path = config if isinstance(config, Path) else repo_root / "hw_configs" / f"{config}.yaml"
        options = [text for key, value in sets.items() for text in ("--set", f"{key}={value}")]
        outcome = sim("run", path, *options, "--json", "--no-report", "--out", tmp_path / "run")
        assert outcome.code == code, outcome.err
        assert outcome.out == ""
        assert outcome.err.startswith("error: ")
        assert "remedy: " in outcome.err
        assert "defect" not in outcome.err
        return str(outcome.err)

    return call


@pytest.fixture
def replay_json(sim: Callable[..., Any], repo_root: Path, tmp_path: Path) -> Callable[..., Result]:
    """`replay_json(lines, {"dispatcher_width": 4})`: what `sim replay` of a GDDR6-AiM device printed."""
    runs = iter(range(1_000_000))

    def call(lines: list[str], sets: dict[str, object] | None = None) -> Result:
        index = next(runs)
        trace = tmp_path / f"trace{index}.txt"
        trace.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        options = [text for path, value in (sets or {}).items() for text in ("--set", f"{path}={value}")]
        part = repo_root / "hw_configs" / "parts" / "gddr6_aim.yaml"
        outcome = sim("replay", part, trace, *options, "--json", "--out", tmp_path / f"replay{index}")
        assert outcome.code == 0, outcome.err
        return json.loads(outcome.out)

    return call
