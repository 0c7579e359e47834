"""Every command and every Python snippet in the pages runs, in the order of its page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from simulator.core.config import load_part

PAGES = (
    "README.md",
    "docs/configuration.md",
    "docs/traces.md",
    "docs/speculation.md",
    "docs/cent.md",
    "docs/figures.md",
    "docs/trackers.md",
    "docs/dram.md",
    "docs/dram_pim.md",
    "docs/pim_stack.md",
    "docs/attacc.md",
    "docs/papi.md",
    "docs/accuracy.md",
    "docs/anda.md",
    "docs/bitmod.md",
    "docs/gpu.md",
    "docs/gpu_parts.md",
    "docs/gpu_calibrating.md",
    "docs/systolic.md",
    "docs/tiers.md",
    "docs/m5.md",
    "docs/llm_accesses.md",
    "docs/formats.md",
    "docs/record_model.md",
    "traces/README.md",
    "workloads/README.md",
)
FOLDERS = ("hw_configs", "workloads", "traces", "simulator")
MAKE = re.compile(r"^ {4}make (\w+)", re.MULTILINE)
SIM = re.compile(r"^ {4}(sim .+)$", re.MULTILINE)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
WRITTEN = re.compile(r"`(\w+\.(yaml|csv))`:\n\n```\2\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)\)")


@pytest.fixture
def folder(repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a clone's own folders stand, so that results are written elsewhere."""
    for name in FOLDERS:
        (tmp_path / name).symlink_to(repo_root / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands_before(page: str, repo_root: Path) -> set[str]:
    """Commands of the pages before a page that need nothing that another one wrote: they are run there."""
    texts = [(repo_root / name).read_text(encoding="utf-8") for name in PAGES[: PAGES.index(page)]]
    found = {command for text in texts for command in SIM.findall(text)}
    return {command for command in found if " hw_configs/" in command or command.startswith("sim validate")} - {
        command for command in found if "--out" in command or ">" in command
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_command_runs(page: str, repo_root: Path, folder: Path, sim) -> None:
    text = (repo_root / page).read_text(encoding="utf-8")
    for name, _, content in WRITTEN.findall(text):  # files that a page has its reader write
        (folder / name).write_text(content, encoding="utf-8")
    for command in SIM.findall(text):
        if command in commands_before(page, repo_root):
            continue
        words = shlex.split(command, comments=True)
        words, target = (words[: words.index(">")], words[-1]) if ">" in words else (words, None)
        outcome = sim(*words[1:])
        assert (outcome.code, outcome.err) == (0, ""), command
        if target is not None:
            (folder / target).write_text(outcome.out, encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_snippet_runs(page: str, repo_root: Path, folder: Path) -> None:
    for code in PYTHON.findall((repo_root / page).read_text(encoding="utf-8")):
        exec(compile(code, page, "exec"), {})
    assert not (folder / "results").exists()


def test_the_output_in_the_readme_is_true(repo_root: Path, folder: Path, sim) -> None:
    excerpt = re.search(r"```text\n(.*?)```", (repo_root / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert excerpt is not None
    printed = sim("run", "hw_configs/cent.yaml").out.splitlines()
    positions = [printed.index(line) for line in excerpt[1].splitlines()]
    assert positions == sorted(positions)


def test_make_targets_in_the_readme_exist(repo_root: Path) -> None:
    makefile = (repo_root / "Makefile").read_text(encoding="utf-8")
    targets = MAKE.findall((repo_root / "README.md").read_text(encoding="utf-8"))
    assert targets == ["run", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


@pytest.mark.parametrize("page", [*PAGES, "docs/add_a_system.md"])
def test_links_lead_somewhere(page: str, repo_root: Path) -> None:
    text = (repo_root / page).read_text(encoding="utf-8")
    assert [link for link in LINK.findall(text) if not ((repo_root / page).parent / link).exists()] == []


def test_keys_of_the_workload_are_all_documented(repo_root: Path) -> None:
    from simulator.workload.config import LlmWorkload

    page = (repo_root / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert [name for name in LlmWorkload.model_fields if f"`{name}`" not in page] == []


def test_switches_of_cent_are_all_documented(repo_root: Path) -> None:
    from simulator.systems.cent import Cent

    page = (repo_root / "docs" / "cent.md").read_text(encoding="utf-8")
    parts = {"device", "cxl", "host", "n_devices", "reserved_tokens"}
    assert [name for name in set(Cent.Config.model_fields) - parts if f"system.{name}" not in page] == []
    assert load_part(repo_root / "hw_configs" / "cent.yaml").get("system.accounting") == "published"
