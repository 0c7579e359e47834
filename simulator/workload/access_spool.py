"""Records of a trace that come piece by piece: they wait on disk until all are there, and are then an archive."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from simulator.workload.access_file import AccessFile
from simulator.workload.access_pages import ClockSamples, PageIds
from simulator.workload.access_writing import archive_column, archive_member, check_free, new_file, unwritable
from simulator.workload.accesses import LINES_PER_PAGE

_N_PLANES = 4
_BLOCK_BYTES = 1 << 20
_PAGE_SHIFT = np.uint64(LINES_PER_PAGE.bit_length() - 1)
_WORD_MASK = np.uint64(LINES_PER_PAGE - 1)


class AccessSpool:
    """Takes records and writes the .npz format of `access_traces/npz.py` at the end, in memory that does not grow with
    them; pages are numbered as they first appear.

    Records wait in files without names beside `path`, which vanish with their writer, however that ends. Use it as a
    context; without `finish` nothing is written. Raises WorkloadError where `path` is taken or cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.n_records = 0
        self.n_writes = 0
        self._pages = PageIds(AccessFile(self.path))
        self._clock = ClockSamples()
        self._waiting = np.empty(0, np.bool_)
        self._files = ExitStack()
        self._planes: list[IO[bytes]] = []
        self._bits: list[IO[bytes]] = []
        check_free(self.path)

    def __enter__(self) -> Self:
        with self._written():
            self._planes = [self._file() for _ in range(_N_PLANES)]
            self._bits = [self._file()]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # a full disk refuses what is left in a buffer, which nobody needs now
            self._files.close()

    @property
    def n_pages(self) -> int:
        """Different pages so far."""
        return len(self._pages.pages())

    def add(self, line: NDArray[np.uint64], is_write: NDArray[np.bool_], instructions: NDArray[np.int64]) -> None:
        """The next records: lines uint64[n] (address / 64), whether each writes, and the instructions retired by then.

        Raises WorkloadError above 2^26 pages, or where the disk is full.
        """
        if not len(line):
            return
        page = self._pages.of(line >> _PAGE_SHIFT)
        line_id = (page << np.uint32(_PAGE_SHIFT)) | (line & _WORD_MASK).astype(np.uint32)
        planes = line_id.astype("<u4").view(np.uint8).reshape(-1, _N_PLANES)
        bits = np.concatenate([self._waiting, is_write])
        n_whole = len(bits) // 8 * 8
        with self._written():
            for plane, file in enumerate(self._planes):
                file.write(planes[:, plane].tobytes())
            self._bits[0].write(np.packbits(bits[:n_whole]).tobytes())
        self._waiting = bits[n_whole:]
        self._clock.add(instructions)
        self.n_records += len(line)
        self.n_writes += int(np.count_nonzero(is_write))

    def finish(self) -> int:
        """Write the archive; returns its size in bytes. Raises WorkloadError where it cannot be written."""
        n = self.n_records
        samples = self._clock.clock("instructions").samples
        with self._written():
            self._bits[0].write(np.packbits(self._waiting).tobytes())
            with new_file(self.path) as stream:
                with zipfile.ZipFile(stream, "w") as archive:
                    for name, files, shape in (
                        ("line_planes", self._planes, (_N_PLANES, n)),
                        ("write_bits", self._bits, (-(-n // 8),)),
                    ):
                        with archive_member(archive, name, np.dtype(np.uint8), shape) as member:
                            _copy(files, member)
                    archive_column(archive, "n", np.array(n, "<i8"))
                    archive_column(archive, "vpn", self._pages.pages().astype("<u8"))
                    archive_column(archive, "icount_per_1024", samples[: max(2, -(-n // 1024))].astype("<u8"))
                stream.flush()
                os.fsync(stream.fileno())
            return self.path.stat().st_size

    def _file(self) -> IO[bytes]:
        return self._files.enter_context(tempfile.TemporaryFile(dir=self.path.parent, buffering=_BLOCK_BYTES))

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(self.path, error) from None


def _copy(files: list[IO[bytes]], member: IO[bytes]) -> None:
    for file in files:
        file.seek(0)
        while block := file.read(_BLOCK_BYTES):
            member.write(block)
