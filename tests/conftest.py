"""Fixtures of the whole suite: the project's root, the shared reference material, the command line in process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Outcome:
    """What a command line gave: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--thorough` runs what takes minutes, too: of it a sample is always run."""
    parser.addoption("--thorough", action="store_true", help="run the tests marked thorough, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the thorough tests out unless they are asked for."""
    if not config.getoption("--thorough"):
        left_out = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]


def pytest_configure(config: pytest.Config) -> None:
    """Compile the kernels once, before the workers start, which would each do it, and before any output is compared."""
    if not hasattr(config, "workerinput"):
        from simulator.experiments.compiled import is_warm
        from simulator.experiments.warmup import warmup

        if not is_warm():
            warmup()


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The folder that holds setup.cfg."""
    return REPO_ROOT


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """`../shared`, the reference material beside a clone (or where SIMULATOR_SHARED says).

    A test that needs it is skipped where it is absent, and fails where CI=true: there nothing may go untested.
    """
    folder = Path(os.environ.get("SIMULATOR_SHARED", REPO_ROOT.parent / "shared"))
    if not folder.is_dir():
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail("the shared reference material is missing, and CI=true leaves no test out")
        pytest.skip("needs the shared reference material, which is not beside this clone")
    return folder


@pytest.fixture(scope="session")
def cxx() -> str:
    """The C++ compiler, for twins of kernels; `.ci/run` installs it."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++, which .ci/run installs")
    return compiler


@pytest.fixture(scope="session")
def valgrind() -> str:
    """What records memory accesses; `.ci/run` installs it."""
    program = shutil.which("valgrind")
    if program is None:
        pytest.skip("needs valgrind, which .ci/run installs")
    return program


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser in which pages are looked at; `.ci/run` installs it, and where CI=true nothing goes without it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((found for name in names if (found := shutil.which(name))), None)
    if program is None:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail("Chromium is missing, and CI=true leaves no test out")
        pytest.skip("needs Chromium, which .ci/run installs")
    return program


@pytest.fixture
def sim(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run `sim` in this process: `sim("run", "hw_configs/cent.yaml", "--json")`."""
    from simulator.cli.main import main

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call
