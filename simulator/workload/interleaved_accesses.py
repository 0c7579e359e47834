"""Copies of a stream side by side: a footprint that is so many times as large, with the same reuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from simulator.core.errors import WorkloadError
from simulator.workload.accesses import LINES_PER_PAGE, AccessChunk, AccessStream

_LINE_IDS = 1 << 32


def interleaved(stream: AccessStream, n_copies: int) -> AccessStream:
    """`n_copies` of a stream that take turns, a record each, every copy on pages of its own.

    Page p of copy c has the id p + c x n_pages. The result has no clock, addresses, regions or requests. Raises
    WorkloadError for no copy, and where the lines of all do not fit into 32 bits.
    Not modelled: copies that are at different places of the program.
    """
    if n_copies < 1:
        raise WorkloadError(f"{n_copies} copies of a stream", where=stream.name, remedy="take at least 1")
    n_lines = stream.n_pages * LINES_PER_PAGE
    if n_lines * n_copies > _LINE_IDS:
        raise WorkloadError(
            f"{n_copies:,} copies have {n_lines * n_copies:,} lines, which 32 bits cannot number",
            where=stream.name,
            remedy=f"take at most {_LINE_IDS // n_lines:,}",
        )
    offset = (np.arange(n_copies, dtype=np.int64) * n_lines).astype(np.uint32)

    def make_chunks(n_records: int) -> Iterator[AccessChunk]:
        for chunk in stream.make_chunks(max(1, n_records // n_copies)):
            line = (chunk.line[:, None] + offset[None, :]).ravel()
            yield AccessChunk(chunk.first * n_copies, line, np.repeat(chunk.is_write, n_copies))

    return replace(
        stream,
        name=f"{stream.name} x {n_copies}",
        n_records=stream.n_records * n_copies,
        n_pages=stream.n_pages * n_copies,
        make_chunks=make_chunks,
        clock=None,
        page_address=None,
        regions=(),
        request_starts=None,
    )
