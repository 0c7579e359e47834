"""Compiled kernels are kept where a change in any kernel's source is seen, and where this account may write."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulator.kernels import cache_folder, source_hash

CALLEE = "from numba import njit\n\n@njit(cache=True)\ndef callee(x):\n    return x + {added}\n"
CALLER = (
    "from numba import njit\nfrom simulator.kernels.callee import callee\n\n"
    "@njit(cache=True)\ndef caller(x):\n    return callee(x)\n"
)
RUN = "from simulator.kernels.caller import caller; print(caller(1), sum(caller.stats.cache_hits.values()))"


@pytest.fixture
def package(tmp_path: Path, repo_root: Path) -> Path:
    """A package of the same name with two kernels of its own, one calling the other."""
    folder = tmp_path / "package" / "simulator" / "kernels"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    shutil.copy(repo_root / "simulator" / "kernels" / "__init__.py", folder)
    (folder / "callee.py").write_text(CALLEE.format(added=1))
    (folder / "caller.py").write_text(CALLER)
    return folder


def call(package: Path, **environment: str) -> list[str]:
    """What the caller gives for 1, and how often its compiled form came from the cache, in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=package.parents[1],
        env=kept | {"PYTHONPATH": str(package.parents[1])} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "HOME"])
def test_a_changed_callee_is_seen(package: Path, tmp_path: Path, variable: str) -> None:
    place = {variable: str(tmp_path / "cache")}
    assert call(package, **place) == ["2", "0"]
    assert call(package, **place) == ["2", "1"]
    (package / "callee.py").write_text(CALLEE.format(added=2))
    assert call(package, **place) == ["3", "0"]
    assert len(list((tmp_path / "cache").rglob("kernels-*"))) == 2
    assert not list(package.rglob("*.nbi"))


def test_a_home_that_cannot_be_written_is_no_obstacle(package: Path, tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    place = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    assert call(package, **place) == ["2", "0"]
    assert call(package, **place) == ["2", "1"]


def test_old_folders_go_but_not_those_in_use(tmp_path: Path) -> None:
    sources, cache = tmp_path / "kernels", tmp_path / "cache"
    sources.mkdir()
    long_ago = time.time() - 10 * 86_400
    for k in range(8):
        (cache / f"kernels-old{k}").mkdir(parents=True)
        os.utime(cache / f"kernels-old{k}", (long_ago + k, long_ago + k))
    for k in range(4):
        (cache / f"kernels-recent{k}").mkdir()
    (cache / "something-else").mkdir()
    chosen = cache_folder(sources, str(cache))
    assert chosen == cache / f"kernels-{source_hash(sources)}"
    kept = {folder.name for folder in cache.iterdir()}
    assert kept == {chosen.name, "something-else", *(f"kernels-recent{k}" for k in range(4))}


def test_the_hash_sees_text_and_names(tmp_path: Path) -> None:
    hashes = set()
    for name, text in (("a.py", "x"), ("b.py", "x"), ("b.py", "y")):
        (tmp_path / name).write_text(text)
        hashes.add(source_hash(tmp_path))
    assert len(hashes) == 3
