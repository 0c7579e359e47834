"""The files that the house rules are read against."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_NOT_OURS = {".git", ".venv", "build", "results", "__pycache__", ".hypothesis"}


@cache
def tracked_files() -> tuple[str, ...]:
    """Paths of the files that belong to the project, relative to its root."""
    command = ("git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard")
    listing = subprocess.run(command, capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        names = listing.stdout.splitlines()
    else:  # an unpacked archive
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")]
    return tuple(sorted(name for name in names if (ROOT / name).is_file() and not _NOT_OURS & set(Path(name).parts)))


def modules() -> list[str]:
    """Paths of the package's modules, relative to the project's root."""
    return [name for name in tracked_files() if name.startswith("simulator/") and name.endswith(".py")]


def text_of(name: str) -> str:
    """The text of a file; binary files read as empty."""
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""
