"""What starts fast stays fast: the command line and the nouns import nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "numba",
    "pandas",
    "matplotlib",
    "simpy",
    "pyarrow",
    "pydantic",
    "scipy",
    "safetensors",
    "jinja2",
    "yaml",
    "rich",
}
NOUNS_ALLOW = {"yaml"}  # a model is read from YAML
REPORT = "import sys; print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))"


def loaded_by(program: str, root: Path) -> set[str]:
    done = subprocess.run((sys.executable, "-c", program), cwd=root, capture_output=True, text=True, check=True)
    last = next(line for line in reversed(done.stdout.splitlines()) if line.startswith("LOADED"))
    return set(last.split()[1:])


def test_help_starts_without_heavy_libraries(repo_root: Path) -> None:
    program = f"from simulator.cli.main import main; main(['--help']); {REPORT}"
    assert loaded_by(program, repo_root) & (HEAVY | {"numpy"}) == set()


@pytest.mark.parametrize("arguments", [["run", "--help"], ["trace", "--help"], ["--version"], ["unheard-of"]])
def test_the_command_line_starts_without_heavy_libraries(arguments: list[str], repo_root: Path) -> None:
    program = f"from simulator.cli.main import main; main({arguments!r}); {REPORT}"
    # typer itself may check a value with pydantic
    assert loaded_by(program, repo_root) & ((HEAVY | {"numpy"}) - {"pydantic"}) == set()


@pytest.mark.parametrize(
    "module",
    ["core.errors", "core.energy", "contracts.results", "contracts.tasks", "contracts.system", "workload.batch"],
)
def test_nouns_import_fast(module: str, repo_root: Path) -> None:
    assert loaded_by(f"import simulator.{module}; {REPORT}", repo_root) & HEAVY - NOUNS_ALLOW == set()


def test_a_heavy_import_is_found(repo_root: Path) -> None:
    assert "yaml" in loaded_by(f"import yaml; {REPORT}", repo_root) & HEAVY
