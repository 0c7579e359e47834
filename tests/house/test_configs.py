"""Every YAML that the project ships loads, and every configuration passes `sim check`."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from tests.house import tree

YAMLS = [name for name in tree.tracked_files() if PurePosixPath(name).suffix in (".yaml", ".yml")]
CONFIGS = [name for name in YAMLS if PurePosixPath(name).parent == PurePosixPath("hw_configs")]
PARTS = [name for name in YAMLS if name.startswith("hw_configs/") and name not in CONFIGS]
MODELS = [name for name in YAMLS if name.startswith("workloads/models/")]
OTHERS = [name for name in YAMLS if name.startswith("workloads/") and name not in MODELS]


def loads(root: Path, name: str) -> bool:
    from simulator.core.config import load_config, load_part

    load = load_config if name in CONFIGS else load_part
    return bool(load(str(root / name)).plain())


@pytest.mark.parametrize("name", CONFIGS + PARTS + OTHERS)
def test_every_yaml_loads(name: str, repo_root: Path) -> None:
    assert loads(repo_root, name)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_configuration_is_sound(name: str, sim, repo_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo_root)
    outcome = sim("check", name, "--json")
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_the_name_of_its_file(name: str) -> None:
    from simulator.workload.catalog import load_model

    stem = PurePosixPath(name).stem
    assert load_model(stem).name == stem


def test_yaml_suffixes_are_one() -> None:
    assert [name for name in YAMLS if name.endswith(".yml")] == []


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a: [1\n", "", "\ta: 1\n"])
def test_a_broken_yaml_is_found(tmp_path: Path, text: str) -> None:
    from simulator.core.errors import SimulatorError

    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(SimulatorError, match=r"broken\.yaml"):
        loads(tmp_path, "broken.yaml")


def test_every_configuration_model_and_trace_is_installed_with_the_package(repo_root: Path) -> None:
    import configparser

    setup = configparser.ConfigParser()
    setup.read(repo_root / "setup.cfg")
    globs = [glob for globs in dict(setup["options.data_files"]).values() for glob in globs.split()]
    data = [*YAMLS, *(name for name in tree.tracked_files() if name.startswith("traces/"))]
    needed = [name for name in data if name.startswith(("hw_configs/", "workloads/", "traces/"))]
    left_out = [name for name in needed if not any(PurePosixPath(name).match(glob) for glob in globs)]
    assert [name for name in left_out if PurePosixPath(name).name not in ("README.md", "SHA256SUMS")] == []
