"""`sim trace convert`: a trace of memory accesses in another form."""

from __future__ import annotations

from pathlib import Path

from simulator.contracts.results import RunRecord
from simulator.experiments.trace_filter import behind_caches, filter_of
from simulator.workload.access_reading import read_accesses
from simulator.workload.access_writing import write_accesses


def convert_accesses(
    file: str | Path,
    target: str | Path,
    format_name: str = "auto",
    n_records: int | None = None,
    caches: tuple[str, str] | None = None,
) -> RunRecord:
    """Read a trace of accesses and write it, or its first `n_records`, in the form that the target's ending names.

    With `caches`, the size/ways of the first and the last level, what leaves them is written. Raises WorkloadError for
    what cannot be read or written, and where the target exists; ConfigError for caches that are none.
    """
    levels = None if caches is None else filter_of(*caches)
    stream = read_accesses(file, format_name)
    if n_records is not None:
        stream = stream.head(n_records)
    if levels is not None:
        stream = behind_caches(stream, levels, file)
    write_accesses(target, stream)
    said = f"{stream.n_records:,} accesses to {stream.n_pages:,} pages written to {target}"
    metrics: dict[str, int | float] = {"n_records": stream.n_records, "n_pages": stream.n_pages}
    return RunRecord("trace", stream.name, metrics, headlines=(said,), notes=stream.notes)
