"""The directory of one run: written under a temporary name beside its target, and given its name when it is whole.

A reader of `results/` therefore never meets half a run, whatever ended the writer: an exception, Ctrl-C, kill -9 or a
full disk. The temporary directory is locked for as long as its writer lives, so the next run tells one that is being
written from one that was left behind, and removes the latter.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simulator.core.errors import ConfigError

_PARTIAL_SUFFIX = ".partial"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP)


@dataclass(frozen=True, slots=True)
class RunTarget:
    """Where a run's directory goes.

    `path` is absolute, `name` the place as the user would write it, and `replaces` says whether an existing run of that
    name gives way to the new one.
    """

    path: Path
    name: str
    replaces: bool


def run_target(out: str | Path | None, default: Path) -> RunTarget:
    """Choose and check the target before a long run, so that it is refused in the first second, not in the last.

    `out` is the `--out` option: it may be an empty directory, not one that holds anything. Without it `default` is
    taken, and an existing directory of that name is replaced. Raises ConfigError when the place cannot be written.
    """
    place = default if out is None else Path(out)
    target = RunTarget(place.expanduser().resolve(), str(place), replaces=out is None)
    where = f"--out {out}" if out is not None else str(default)
    if target.path.exists():
        if not target.path.is_dir():
            raise ConfigError("a run directory cannot be written over a file", where=where, remedy="name a directory")
        if not target.replaces and any(target.path.iterdir()):
            raise _not_empty(target)
    ancestor = next(folder for folder in target.path.parents if folder.exists())
    if not ancestor.is_dir():
        raise ConfigError(f"{ancestor} is a file, not a folder", where=where, remedy="name a directory below a folder")
    if not os.access(ancestor, os.W_OK | os.X_OK):
        raise ConfigError(f"{ancestor} cannot be written to", where=where, remedy="name a directory that you may write")
    return target


def default_run_path(config_path: str | Path, workload: str, digest: str, root: Path | None = None) -> Path:
    """`results/<config>-<workload>-<hash8>` of a run, below the current folder unless `root` is given."""
    folder = Path("results") if root is None else root
    stems = (Path(config_path).stem, Path(workload).stem if "/" in workload else workload)
    names = [re.sub(r"[^A-Za-z0-9._+-]+", "_", stem).strip("._") or "run" for stem in stems]
    return folder / f"{names[0]}-{names[1]}-{digest[:8]}"


@contextlib.contextmanager
def whole_directory(target: RunTarget) -> Iterator[Path]:
    """Give an empty temporary directory to write into; on leaving, sync it and rename it to the target in one step.

    When the body raises, the temporary directory is removed and the target is as it was. Raises ConfigError when the
    target cannot be written, or an explicit one was filled meanwhile.
    """
    try:
        target.path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target)
        partial, lock = _locked_directory(target.path)
        try:
            yield partial
            _sync_tree(partial)
            _publish(partial, target)
            _sync(target.path.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            os.close(lock)
    except OSError as error:
        raise ConfigError(
            f"the run directory cannot be written: {error.strerror or error}",
            where=error.filename or str(target.path),
            remedy="free the disk or name another place with --out",
        ) from error


def remove_abandoned(target: RunTarget) -> list[Path]:
    """Remove what dead writers left beside `target` and return it; the locked directories of live writers stay.

    Beside a default target (in `results/`) every run's remains go, beside an explicit one only those of the same name.
    """
    stem = ".+" if target.replaces else re.escape(target.path.name)
    pattern = re.compile(rf"\.{stem}\.[0-9a-f]{{12}}{re.escape(_PARTIAL_SUFFIX)}")
    remains = [folder for folder in target.path.parent.iterdir() if pattern.fullmatch(folder.name)]
    return [folder for folder in remains if _remove_unlocked(folder)]


def _remove_unlocked(folder: Path) -> bool:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False  # another cleaner was faster
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
        return True
    except OSError:
        return False  # its writer lives, or nothing can be said of it on a file system without locks
    finally:
        os.close(handle)


def _locked_directory(target: Path) -> tuple[Path, int]:
    """Make a temporary directory beside `target`, locked by the returned file descriptor until it is closed."""
    while True:
        partial = target.parent / f".{target.name}.{secrets.token_hex(6)}{_PARTIAL_SUFFIX}"
        partial.mkdir()
        # A cleaner may take it for abandoned between mkdir and flock: then its name is gone, and another is tried.
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            if partial.exists() and partial.stat().st_ino == os.fstat(handle).st_ino:
                return partial, handle
            os.close(handle)


def _publish(partial: Path, target: RunTarget) -> None:
    while True:
        try:
            partial.rename(target.path)  # takes the name when it is free or an empty directory
            return
        except OSError as error:
            if error.errno not in _NOT_EMPTY:
                raise
            if not target.replaces:
                raise _not_empty(target) from None
        try:
            _exchange(partial, target.path)  # the old run now has the temporary name, and is removed by the caller
            return
        except FileNotFoundError:
            continue  # the old run vanished meanwhile: the name is free
        except OSError as error:
            if error.errno not in _NO_EXCHANGE:
                raise
        _rename_aside(target.path)


def _exchange(first: Path, second: Path) -> None:
    """Swap two directories in one step (Linux's renameat2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if libc.renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(second))


def _rename_aside(path: Path) -> None:
    """Where the file system cannot exchange: for an instant nothing has the name, but never half a run."""
    aside = path.parent / f".{path.name}.{secrets.token_hex(6)}{_PARTIAL_SUFFIX}"
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _sync_tree(root: Path) -> None:
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            _sync(Path(folder, name))
        _sync(Path(folder))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _not_empty(target: RunTarget) -> ConfigError:
    return ConfigError(
        "the run directory holds files already, and a run replaces only directories that it named itself",
        where=f"--out {target.name}",
        remedy="empty it or name another one",
    )
