"""The machine that docs/add_a_system.md builds, as an installed package: a system that takes batches, for any test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DIST_INFO = "roofline-1.dist-info"


def fenced(text: str, language: str) -> str:
    """The only block of a language."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)
    return block


def install(repo_root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the page's files into a folder, put it on the path as an installed package is, and work there."""
    page = (repo_root / "docs" / "add_a_system.md").read_text(encoding="utf-8")
    (folder / "roofline.py").write_text(fenced(page, "python"), encoding="utf-8")
    (folder / "roofline.yaml").write_text(fenced(page, "yaml"), encoding="utf-8")
    entry = re.search(r'^\[project\.entry-points\."(.+)"\]\n(.+)$', fenced(page, "toml"), flags=re.MULTILINE)
    assert entry is not None
    (folder / DIST_INFO).mkdir()
    (folder / DIST_INFO / "METADATA").write_text("Metadata-Version: 2.1\nName: roofline\nVersion: 1\n")
    entry_text = f"[{entry[1]}]\n{entry[2].replace(chr(34), '')}\n"
    (folder / DIST_INFO / "entry_points.txt").write_text(entry_text)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(folder)
    return folder
