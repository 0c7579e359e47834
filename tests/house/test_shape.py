"""Sizes, docstrings, names, and what must not stand in the repository."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.house import shape, tree

CHECKS = [
    shape.size_violations,
    shape.docstring_violations,
    shape.unfinished_violations,
    shape.state_violations,
]
READS_NO_TARGET = [
    name
    for name in tree.tracked_files()
    if name.startswith(("simulator/", "scripts/", "hw_configs/", "workloads/"))
    and name.endswith((".py", ".yaml", ".yml"))
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_modules(check: Callable[[str, str], list[str]]) -> None:
    assert [line for path in tree.modules() for line in check(tree.text_of(path), path)] == []


def test_names() -> None:
    assert [line for path in tree.modules() for line in shape.name_violations(path)] == []


def test_published_results_are_read_by_validation_and_figures_only() -> None:
    assert [line for path in READS_NO_TARGET for line in shape.target_violations(tree.text_of(path), path)] == []


def test_no_machine_in_tracked_files() -> None:
    found = [line for path in tree.tracked_files() for line in shape.machine_violations(tree.text_of(path), path)]
    assert found == []


def test_nothing_unfinished_in_tests_and_scripts() -> None:
    paths = [name for name in tree.tracked_files() if name.startswith(("tests/", "scripts/")) and name.endswith(".py")]
    assert [line for path in paths for line in shape.unfinished_violations(tree.text_of(path), path)] == []


def test_a_long_module_is_found() -> None:
    assert shape.size_violations("x = 1\n" * 401, "simulator/core/long.py")
    assert shape.size_violations("x = 1\n" * 400, "simulator/core/long.py") == []


def test_a_long_function_is_found() -> None:
    body = "    x = 1\n"
    assert shape.size_violations("def f():\n" + body * 60, "a.py")
    assert shape.size_violations("class A:\n    def f(self):\n" + ("    " + body) * 60, "a.py")
    assert shape.size_violations("def f():\n" + body * 59, "a.py") == []
    assert shape.size_violations('def f():\n    """One.\n\n    Two.\n    """\n' + body * 59, "a.py") == []


@pytest.mark.parametrize(
    "snippet",
    [
        "x = 1",
        '"""Module."""\ndef f():\n    return 1',
        '"""Module."""\nclass A:\n    x = 1',
        '"""Module."""\nclass A:\n    """A."""\n    def f(self):\n        return 1',
        '"""M."""\nclass A:\n    """A."""\n    class B:\n        """B."""\n        def f(self):\n            pass',
        '"""Module."""\ndef f():\n    """ """',
    ],
)
def test_a_missing_docstring_is_found(snippet: str) -> None:
    assert shape.docstring_violations(snippet, "a.py")


def test_private_names_need_no_docstring() -> None:
    snippet = '"""Module."""\ndef _f():\n    return 1\nclass _A:\n    def f(self):\n        return 1\n'
    assert shape.docstring_violations(snippet, "a.py") == []


@pytest.mark.parametrize(
    "snippet",
    [
        "# TO" + "DO: later",
        "x = 1  # FIX" + "ME",
        "def f():\n    raise NotImplemented" + "Error",
        "def f():\n    ...",
        "class A:\n    def f(self):\n        pass",
    ],
)
def test_unfinished_work_is_found(snippet: str) -> None:
    assert shape.unfinished_violations(snippet, "a.py")


def test_a_protocol_may_have_empty_bodies() -> None:
    snippet = (
        'class A(Protocol):\n    def f(self) -> int:\n        """What."""\n        ...\n    def g(self) -> int: ...\n'
    )
    assert shape.unfinished_violations(snippet, "a.py") == []


def test_module_state_is_found() -> None:
    assert shape.state_violations("def f():\n    global x\n    x = 1", "a.py")


@pytest.mark.parametrize(
    "path", ["simulator/core/utils.py", "simulator/core/run_helpers.py", "simulator/core/cent_v2.py"]
)
def test_an_empty_name_is_found(path: str) -> None:
    assert shape.name_violations(path)


@pytest.mark.parametrize(
    ("path", "snippet"),
    [
        ("simulator/systems/cent.py", "# see experiments/targets/cent.yaml"),
        ("simulator/systems/cent.py", "from simulator.experiments.targets import x"),
        ("simulator/experiments/run.py", 'path = folder / "targets" / "cent.yaml"'),
        ("simulator/experiments/run.py", 'path = folder / "targets/cent.yaml"'),
        ("hw_configs/cent.yaml", "use: ../simulator/experiments/targets/cent.yaml"),
    ],
)
def test_a_read_target_is_found(path: str, snippet: str) -> None:
    assert shape.target_violations(snippet, path)
    assert shape.target_violations(snippet, "simulator/experiments/validate.py") == []
    assert shape.target_violations(snippet, "simulator/experiments/figure_cent.py") == []


@pytest.mark.parametrize(
    "line",
    [
        "path: /wo" + "rk/main",
        "open('/tm" + "p/x')",
        "cd /roo" + "t/.cache",
        "/hom" + "e/someone/x",
        "pip --index" + "-url x",
    ],
)
def test_a_machine_path_is_found(line: str) -> None:
    assert shape.machine_violations(line, "README.md")


@pytest.mark.parametrize("line", ["#!/usr/bin/env bash", "https://example.org/home/page", "a/work/b", "$TMP/tmp/x"])
def test_other_paths_pass(line: str) -> None:
    assert shape.machine_violations(line, "README.md") == []
