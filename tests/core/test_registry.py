"""Kinds are found by the names of modules, and in other packages' entry points."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from simulator.core.errors import ConfigError, Position
from simulator.core.registry import list_kinds, load_kind


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    # A name of its own for each test: Python keeps what it has imported.
    name = "kinds_" + "".join(letter if letter.isalnum() else "_" for letter in str(tmp_path.name))
    folder = tmp_path / name
    (folder / "gpu").mkdir(parents=True)
    files = {
        "__init__.py": "",
        "bank_gemv.py": "class Helper: ...\n\nclass BankGemv:\n    n = 1\n",
        "cent.py": "class CENT: ...\n",
        "shapes.py": "class Square: ...\n",
        "_hidden.py": "class Hidden: ...\n",
        "gpu/__init__.py": "class Other: ...\n",
    }
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_kind_is_the_class_of_its_module(package: str) -> None:
    assert load_kind(package, "bank_gemv").__name__ == "BankGemv"
    assert load_kind(package, "cent").__name__ == "CENT"


def test_kinds_are_listed_without_modules_that_only_help(package: str) -> None:
    assert list_kinds(package) == ["bank_gemv", "cent", "gpu"]


@pytest.mark.parametrize("kind", ["bank_gemw", "Bank_gemv", "bank-gemv"])
def test_an_unknown_kind_names_the_nearest(package: str, kind: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_kind(package, kind, where=Position("c.yaml", 2, 9))
    assert str(caught.value) == f"c.yaml:2:9: unknown kind `{kind}`\n  remedy: did you mean `bank_gemv`?"


@pytest.mark.parametrize("kind", ["shapes", "_hidden", "..os", "", "os.path"])
def test_nothing_else_is_loaded(package: str, kind: str) -> None:
    with pytest.raises(ConfigError, match="unknown kind"):
        load_kind(package, kind)


def test_a_package_without_its_class_is_refused(package: str) -> None:
    with pytest.raises(ConfigError, match="has no class for kind `gpu`"):
        load_kind(package, "gpu")


def test_entry_points_offer_kinds(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = importlib.metadata.EntryPoint("theirs", "fractions:Fraction", package)

    def entry_points(*, group: str, name: str | None = None) -> importlib.metadata.EntryPoints:
        found = [offered] if group == package and name in (None, "theirs") else []
        return importlib.metadata.EntryPoints(found)

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    assert load_kind(package, "theirs").__name__ == "Fraction"
    assert list_kinds(package) == ["bank_gemv", "cent", "gpu", "theirs"]
    with pytest.raises(ConfigError, match="unknown kind"):
        load_kind(package, "theirs", group="elsewhere")
