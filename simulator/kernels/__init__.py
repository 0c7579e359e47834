"""Every numba function: arrays in, arrays out; no objects, no allocation in loops, no printing, no randomness.

Importing this package says where compiled kernels are kept: a folder named after a hash of all kernels' sources. Numba
itself looks only at the file that defines a kernel, and would go on using what it compiled before a function in another
file was changed. `NUMBA_CACHE_DIR` and `XDG_CACHE_HOME` move the folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numba

_PROJECT = "memory-centric-simulator"
_PREFIX = "kernels-"
_N_KEPT = 3
_DAY_S = 86_400.0


def source_hash(folder: Path) -> str:
    """What compiled kernels depend on: the text of every kernel in `folder`, and the compiler's version."""
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(folder.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def cache_folder(folder: Path, user_folder: str) -> Path | None:
    """The folder for the compiled kernels of `folder`, made if need be; None where nothing can be written.

    `user_folder` is the one that the user asked for, or "". Folders of other versions that were not used for a day go,
    but for the last few.
    """
    name = _PREFIX + source_hash(folder)
    for parent in ([Path(user_folder)] if user_folder else []) + list(_parents()):
        chosen = parent / name
        is_fresh = not chosen.is_dir()
        try:
            chosen.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=chosen):
                os.utime(chosen)
        except OSError:
            continue
        if hasattr(os, "getuid") and chosen.stat().st_uid != os.getuid():
            # What lies there is run as code.
            continue
        if is_fresh:
            _prune(parent, chosen)
        return chosen
    return None


def _parents() -> Iterator[Path]:
    if os.environ.get("XDG_CACHE_HOME"):
        yield Path(os.environ["XDG_CACHE_HOME"]) / _PROJECT
    else:
        try:
            yield Path.home() / ".cache" / _PROJECT
        except RuntimeError:
            # An account without a home.
            pass
    yield Path(tempfile.gettempdir()) / f"{_PROJECT}-{getattr(os, 'getuid', int)()}"


def _prune(parent: Path, chosen: Path) -> None:
    """Remove folders of other versions, oldest first."""
    others = []
    for other in parent.glob(_PREFIX + "*"):
        try:
            others.append((other.stat().st_mtime, other))
        except OSError:
            # Another process was faster.
            continue
    stale = sorted((used, other) for used, other in others if other != chosen)[:-_N_KEPT]
    for used, other in stale:
        if time.time() - used > _DAY_S:
            shutil.rmtree(other, ignore_errors=True)


compiled_folder = cache_folder(Path(__file__).parent, os.environ.get("NUMBA_CACHE_DIR", ""))
if compiled_folder is not None:
    numba.config.CACHE_DIR = str(compiled_folder)  # type: ignore[attr-defined]
