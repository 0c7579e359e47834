"""A file that holds a trace of memory accesses: its bytes, unpacked, its checksum, and errors that name the place."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase, BufferedReader
from pathlib import Path

from simulator.core.errors import Position, WorkloadError

HEAD_BYTES = 1 << 16
_GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ\x00"


@dataclass(frozen=True, slots=True)
class AccessHead:
    """What a format is recognised by: the first bytes of the file, unpacked where it is compressed."""

    start: bytes

    def lines(self) -> list[str]:
        """Its first lines as text, those whole that end in it."""
        whole = self.start if len(self.start) < HEAD_BYTES else self.start[: self.start.rfind(b"\n") + 1]
        return whole.decode("utf-8-sig", errors="replace").splitlines()


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
        with self.unpacked() as stream, self.broken_is_told():
            start = stream.read(HEAD_BYTES)
        if not start:
            raise self.empty()
        return AccessHead(start)

    def unpacked(self) -> BufferedIOBase:
        """The file's bytes, unpacked where they begin as gzip or xz does; read them within `broken_is_told`."""
        stream = self.open()
        with self.broken_is_told():
            magic = stream.peek(len(_XZ))
        if magic.startswith(_GZIP):
            return gzip.GzipFile(fileobj=stream)
        return lzma.LZMAFile(stream) if magic.startswith(_XZ) else stream

    @contextmanager
    def broken_is_told(self) -> Iterator[None]:
        """Errors of reading and unpacking, as errors of the trace."""
        try:
            yield
        except EOFError:
            raise self.error("the compressed file ends early", "copy the trace again") from None
        except (gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
            raise self.error(f"the compressed file is broken: {error}", "copy the trace again") from None
        except OSError as error:
            raise self.unreadable(error) from None

    def checksum(self) -> str:
        """SHA-256 of the file's bytes."""
        with self.open() as stream, self.broken_is_told():
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def empty(self) -> WorkloadError:
        """The error of a trace that holds nothing."""
        return self.error("the trace has no accesses", "give a trace with at least one access")

    def unreadable(self, error: OSError | ValueError) -> WorkloadError:
        """The error of a file that the operating system does not give."""
        cause = error.strerror if isinstance(error, OSError) else str(error)
        return self.error(f"cannot read the trace: {cause}", "give the path of a trace")
