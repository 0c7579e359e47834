"""Where a result comes from: the program's source, the libraries and the machine that computed it."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from simulator import __version__

_PACKAGE_ROOT = Path(__file__).resolve().parents[1]
_LIBRARIES = ("numpy", "numba", "simpy", "pandas", "PyYAML", "pydantic", "matplotlib", "pyarrow")


@dataclass(frozen=True, slots=True)
class Provenance:
    """The program that computes and the machine that it computes on. `git_commit` is None outside a clone."""

    source_hash: str
    git_commit: str | None
    git_dirty: bool
    versions: dict[str, str]
    host: dict[str, str | int]


def provenance() -> Provenance:
    """Look up source hash, commit, versions and host of this process (tens of milliseconds: once per command)."""
    root = _PACKAGE_ROOT
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".") if commit else None
    return Provenance(
        source_hash=source_hash(root),
        git_commit=commit,
        git_dirty=bool(changes),
        versions=_versions(),
        host=_host(),
    )


def source_hash(root: Path | None = None) -> str:
    """SHA-256 over every Python file of the simulator, by relative path: what a cached result must be keyed by."""
    folder = _PACKAGE_ROOT if root is None else root
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def file_checksum(path: str | Path) -> str:
    """SHA-256 of a file, such as a trace."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ("git", "-C", str(folder), *arguments), capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _versions() -> dict[str, str]:
    versions = {"simulator": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _host() -> dict[str, str | int]:
    return {
        "name": platform.node(),
        "system": platform.platform(),
        "cpu": _cpu_model() or platform.machine(),
        "n_cpus": len(os.sched_getaffinity(0)),
    }


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
