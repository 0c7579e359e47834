"""The system that docs/add_a_system.md builds works as the page says: found by its entry point, checked, run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

DIST_INFO = "roofline-1.dist-info"


def fenced(text: str, language: str) -> str:
    """The only block of a language."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)
    return block


@pytest.fixture
def package(repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's files in a folder that stands on the path as an installed package does."""
    page = (repo_root / "docs" / "add_a_system.md").read_text(encoding="utf-8")
    (tmp_path / "roofline.py").write_text(fenced(page, "python"), encoding="utf-8")
    (tmp_path / "roofline.yaml").write_text(fenced(page, "yaml"), encoding="utf-8")
    entry = re.search(r'^\[project\.entry-points\."(.+)"\]\n(.+)$', fenced(page, "toml"), flags=re.MULTILINE)
    assert entry is not None
    (tmp_path / DIST_INFO).mkdir()
    (tmp_path / DIST_INFO / "METADATA").write_text("Metadata-Version: 2.1\nName: roofline\nVersion: 1\n")
    entry_text = f"[{entry[1]}]\n{entry[2].replace(chr(34), '')}\n"
    (tmp_path / DIST_INFO / "entry_points.txt").write_text(entry_text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_is_short(repo_root: Path) -> None:
    code = fenced((repo_root / "docs" / "add_a_system.md").read_text(encoding="utf-8"), "python")
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 65


def test_every_command_of_the_page(package: Path, sim, repo_root: Path) -> None:
    page = (repo_root / "docs" / "add_a_system.md").read_text(encoding="utf-8")
    commands = [line for line in fenced(page, "text").splitlines() if line]
    assert len(commands) == 4
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
    outcome = sim("run", "roofline.yaml", "--set", "system.capacity=8 GiB")
    assert outcome.code == 4
    assert "shrink the batch" in outcome.err
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
