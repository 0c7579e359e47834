"""Writing a trace of memory accesses as a numpy archive: whole under its name, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
import zipfile
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ConfigError

RECORDS_PER_SAMPLE = 1024
_N_PLANES = 4
_BLOCK_BYTES = 1 << 20
_PARTIAL_SUFFIX = ".partial"
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES)


class AccessWriter:
    """Takes records piece by piece and writes the archive at the end, in memory that does not grow with them.

    Records wait on disk, in files without names beside `path`, so that a writer that is killed leaves at most one file
    whose name begins with a dot. Members of the archive: docs/traces.md. Use it as a context; without `finish` nothing
    is written. Raises ConfigError where `path` is taken or cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.n_records = 0
        self._n_written_bits = 0
        self._clock_start = 0
        self._samples = array("Q")
        self._waiting_bits = np.empty(0, np.bool_)
        self._spools = ExitStack()
        if self.path.exists() or self.path.is_symlink():
            raise _taken(self.path)

    def __enter__(self) -> Self:
        with self._written():
            self._planes = [self._spool() for _ in range(_N_PLANES)]
            self._bits = self._spool()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # a full disk refuses what is left in a buffer, which nobody needs now
            self._spools.close()

    def append(self, line: NDArray[np.uint32], is_write: NDArray[np.bool_], clock: NDArray[np.int64]) -> None:
        """Add records: line ids uint32[n], bool[n], and the instructions retired at each, int64[n], never falling."""
        if not len(line):
            return
        if not self.n_records:
            self._clock_start = int(clock[0])
        sampled = clock[-self.n_records % RECORDS_PER_SAMPLE :: RECORDS_PER_SAMPLE] - self._clock_start
        self._samples.frombytes(sampled.astype(np.uint64).tobytes())
        octets = np.ascontiguousarray(line, "<u4").view(np.uint8).reshape(-1, _N_PLANES)
        bits = np.concatenate([self._waiting_bits, is_write])
        n_whole = len(bits) // 8 * 8
        with self._written():
            for plane, spool in enumerate(self._planes):
                spool.write(np.ascontiguousarray(octets[:, plane]).tobytes())
            self._bits.write(np.packbits(bits[:n_whole]).tobytes())
        self._waiting_bits = bits[n_whole:]
        self.n_records += len(line)

    def finish(self, page_address: NDArray[np.uint64]) -> int:
        """Write the archive, with the address / 4 KiB of each page, uint64[pages]; returns its size in bytes."""
        partial = self.path.with_name(f".{self.path.name}.{secrets.token_hex(6)}{_PARTIAL_SUFFIX}")
        with self._written():
            self._bits.write(np.packbits(self._waiting_bits).tobytes())
            try:
                with partial.open("xb") as stream:
                    self._archive(stream, page_address)
                    stream.flush()
                    os.fsync(stream.fileno())
                self._publish(partial)
                return self.path.stat().st_size
            finally:
                with contextlib.suppress(OSError):
                    partial.unlink(missing_ok=True)

    def _archive(self, stream: IO[bytes], page_address: NDArray[np.uint64]) -> None:
        n = self.n_records
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as archive:
            with _member(archive, "line_planes", "|u1", (_N_PLANES, n)) as member:
                for spool in self._planes:
                    _copy(spool, member)
            with _member(archive, "write_bits", "|u1", (-(-n // 8),)) as member:
                _copy(self._bits, member)
            with _member(archive, "n", "<i8", ()) as member:
                member.write(np.int64(n).astype("<i8").tobytes())
            with _member(archive, "vpn", "<u8", page_address.shape) as member:
                member.write(page_address.astype("<u8").tobytes())
            with _member(archive, "icount_per_1024", "<u8", (len(self._samples),)) as member:
                member.write(np.frombuffer(self._samples, np.uint64).astype("<u8").tobytes())

    def _publish(self, partial: Path) -> None:
        """Give the finished file its name, unless something took that meanwhile."""
        try:
            os.link(partial, self.path)  # unlike a rename, it never replaces
        except FileExistsError:
            raise _taken(self.path) from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if self.path.exists():
                raise _taken(self.path) from None
            partial.rename(self.path)

    def _spool(self) -> IO[bytes]:
        return self._spools.enter_context(tempfile.TemporaryFile(dir=self.path.parent, buffering=_BLOCK_BYTES))

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(
                f"the trace cannot be written: {error.strerror or error}",
                where=str(self.path),
                remedy="free the disk, or name another place with --out",
            ) from None


@contextlib.contextmanager
def _member(archive: zipfile.ZipFile, name: str, descr: str, shape: tuple[int, ...]) -> Iterator[IO[bytes]]:
    """A member in numpy's format, its header written; dated as every other, so that equal traces are equal files."""
    item = zipfile.ZipInfo(f"{name}.npy")
    item.compress_type = zipfile.ZIP_LZMA
    with archive.open(item, "w", force_zip64=True) as member:
        header: dict[str, Any] = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, header)
        yield member


def _copy(spool: IO[bytes], member: IO[bytes]) -> None:
    spool.seek(0)
    while block := spool.read(_BLOCK_BYTES):
        member.write(block)


def _taken(path: Path) -> ConfigError:
    return ConfigError(
        "there is something of this name, which is not overwritten",
        where=str(path),
        remedy="remove it, or name another file with --out",
    )
