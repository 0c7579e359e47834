"""The system that docs/add_a_system.md builds works as the page says: found by its entry point, checked, run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.roofline_page import fenced, install


@pytest.fixture
def package(repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's files in a folder that stands on the path as an installed package does."""
    return install(repo_root, tmp_path, monkeypatch)


def test_it_is_short(repo_root: Path) -> None:
    code = fenced((repo_root / "docs" / "add_a_system.md").read_text(encoding="utf-8"), "python")
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 65


def test_every_command_of_the_page(package: Path, sim, repo_root: Path) -> None:
    page = (repo_root / "docs" / "add_a_system.md").read_text(encoding="utf-8")
    (package / "traces").symlink_to(repo_root / "traces")
    commands = [line for line in fenced(page, "text").splitlines() if line]
    assert len(commands) == 4
    commands[3:3] = re.findall(r"^    (sim .*)$", page, flags=re.MULTILINE)
    assert len(commands) == 6
    for command in commands:
        outcome = sim(*shlex.split(command)[1:])
        assert (outcome.code, outcome.err) == (0, ""), command
    assert "roofline" in outcome.out


def test_its_numbers(package: Path, sim) -> None:
    from simulator.workload.catalog import load_model

    result = json.loads(sim("run", "roofline.yaml", "--json").out)
    model = load_model("llama3-8b")
    read = model.weight_bytes + 16 * 4096 * model.kv_bytes_per_token
    # A decode step of a small batch reads everything once: bounded by the memory.
    assert result["metrics"]["step_time_ms"] >= 0.9 * read / 3350e9 * 1e3
    assert result["metrics"]["step_time_ms"] <= 1.3 * read / 3350e9 * 1e3
    assert set(result["breakdown"]["bound_by_operator"].values()) == {"memory (100%)", "compute (100%)"}
    faster = json.loads(sim("run", "roofline.yaml", "--set", "system.memory=6700 GB/s", "--json").out)
    assert faster["metrics"]["step_time_ms"] < 0.6 * result["metrics"]["step_time_ms"]


def test_its_errors(package: Path, sim) -> None:
    for sets, remedy in (("system.capacity=8 GiB", "a smaller model"), ("workload.batch=512", "shrink the batch")):
        outcome = sim("run", "roofline.yaml", "--set", sets)
        assert outcome.code == 4
        assert remedy in outcome.err
    outcome = sim("run", "roofline.yaml", "--set", "system.memroy=1 GB/s")
    assert outcome.code == 2
    assert "memory" in outcome.err
    outcome = sim("check", "roofline.yaml", "--set", "x=1")
    assert outcome.code == 2


def test_check_counts_its_parameters(package: Path, sim) -> None:
    result = json.loads(sim("check", "roofline.yaml", "--json").out)
    assert (result["metrics"]["n_datasheet"], result["metrics"]["n_assumed"]) == (1, 1)
    assert result["breakdown"]["assumed"] == {"system.flops_per_ps": "400 (200 to 800): half of a peak"}
    assert result["breakdown"]["capacity"]["fits"] == "yes"
