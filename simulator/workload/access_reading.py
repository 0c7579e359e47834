"""Reading a trace of memory accesses: find its format and hand out its stream."""

from __future__ import annotations

import importlib
import os
import pkgutil
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

from simulator.core.errors import ConfigError, WorkloadError
from simulator.core.spelling import did_you_mean
from simulator.workload.access_file import AccessFile, AccessHead
from simulator.workload.accesses import AccessStream

_PACKAGE = "simulator.workload.access_traces"


class AccessFormat(Protocol):
    """What a module in `simulator/workload/access_traces` offers under its name."""

    def matches(self, head: AccessHead) -> bool:
        """Whether a trace that begins like this is of the format."""
        ...

    def read(self, file: AccessFile) -> AccessStream:
        """The accesses of the file in its order; WorkloadError at the first bad place."""
        ...


def access_formats() -> tuple[str, ...]:
    """Names of the formats of access traces that can be read."""
    package = importlib.import_module(_PACKAGE)
    return tuple(sorted(module.name for module in pkgutil.iter_modules(package.__path__)))


def access_format_of(path: str | Path) -> str | None:
    """The format that a file begins like, None where it is none of ours; raises what opening and reading it raises."""
    head = AccessFile(Path(path)).head()
    return next((name for name in access_formats() if _load(name).matches(head)), None)


def read_accesses(path: str | Path, format_name: str = "auto") -> AccessStream:
    """The stream of a trace of memory accesses, held in memory, with the file's SHA-256 and the name of the file.

    `format_name` is one of `access_formats()` or `auto`: by what the file begins with. Raises WorkloadError (exit code
    3) with file, line, column where it has them, and remedy on anything that cannot be read; ConfigError (2) for a
    format that does not exist.
    """
    file = AccessFile(Path(path))
    with file.open() as opened:
        before = os.fstat(opened.fileno())
    stream = _reader(file, format_name).read(file)
    checksum = file.checksum()
    with file.open() as opened:
        after = os.fstat(opened.fileno())
    if (before.st_ino, before.st_size, before.st_mtime_ns) != (after.st_ino, after.st_size, after.st_mtime_ns):
        raise file.error("the trace changed while it was read", "wait until it is written, and start again")
    return replace(stream, name=_name(file.path), checksum=checksum)


def _name(path: Path) -> str:
    """The file's name without the endings that tell its format and compression."""
    name = path.name
    for ending in (".xz", ".gz"):
        name = name.removesuffix(ending)
    return Path(name).stem or name


def _reader(file: AccessFile, format_name: str) -> AccessFormat:
    names = access_formats()
    if format_name == "auto":
        found = access_format_of(file.path)
        if found is None:
            raise WorkloadError(
                "no known format of access traces begins like this",
                where=str(file.path),
                remedy=f"give --format, one of {', '.join(names)}, or convert the trace to one of them",
            )
        return _load(found)
    if format_name not in names:
        raise ConfigError(
            f"format {format_name!r} of access traces is not known",
            where="--format",
            remedy=did_you_mean(format_name, ("auto", *names), noun="one of"),
        )
    return _load(format_name)


def _load(name: str) -> AccessFormat:
    return cast(AccessFormat, importlib.import_module(f"{_PACKAGE}.{name}"))
