"""A file that holds a trace of memory accesses: its first bytes, its checksum, and errors that name the place."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from simulator.core.errors import Position, WorkloadError

HEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class AccessHead:
    """What a format is recognised by: the first bytes of the file, and of its text where they are text."""

    start: bytes


class AccessFile:
    """One file of a trace of accesses."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def error(self, message: str, remedy: str, line: int = 0, column: int = 0) -> WorkloadError:
        """The error at a line and column of this file (0: of the whole file)."""
        return WorkloadError(message, where=Position(str(self.path), line, column), remedy=remedy)

    def open(self) -> BufferedReader:
        """The file's bytes. Raises WorkloadError where there is no regular file that can be read."""
        try:
            if self.path.is_dir():
                raise self.error("a folder is no trace of memory accesses", "name the file in it")
            if self.path.exists() and not self.path.is_file():
                raise self.error("not a regular file", "name a file that has an end")
            return self.path.open("rb")
        except (OSError, ValueError) as error:
            raise self.unreadable(error) from None

    def head(self) -> AccessHead:
        """The first bytes. Raises WorkloadError for an empty file."""
        with self.open() as stream:
            try:
                start = stream.read(HEAD_BYTES)
            except OSError as error:
                raise self.unreadable(error) from None
        if not start:
            raise self.empty()
        return AccessHead(start)

    def checksum(self) -> str:
        """SHA-256 of the file's bytes."""
        with self.open() as stream:
            try:
                return hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                raise self.unreadable(error) from None

    def empty(self) -> WorkloadError:
        """The error of a trace that holds nothing."""
        return self.error("the trace has no accesses", "give a trace with at least one access")

    def unreadable(self, error: OSError | ValueError) -> WorkloadError:
        """The error of a file that the operating system does not give."""
        cause = error.strerror if isinstance(error, OSError) else str(error)
        return self.error(f"cannot read the trace: {cause}", "give the path of a trace")
