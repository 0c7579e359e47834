"""Reading a trace: find its format, read its rows, put them in order, take what the user asked for."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from simulator.core.errors import ConfigError, WorkloadError
from simulator.core.seeds import child_rng
from simulator.core.spelling import did_you_mean
from simulator.workload.requests import MAX_ARRIVAL_PS, PrefixBlocks, RequestTrace, check_n_requests
from simulator.workload.trace_text import Rows, TraceFile, TraceHead
from simulator.workload.traces.options import TraceOptions

_PACKAGE = "simulator.workload.traces"
_NOT_FORMATS = ("options", "reading")


class TraceFormat(Protocol):
    """What a module in `simulator/workload/traces` offers under its name."""

    def matches(self, head: TraceHead) -> bool:
        """Whether a trace that begins like this is of the format."""
        ...

    def read(self, file: TraceFile, options: TraceOptions) -> Rows:
        """The rows of the trace, in any order of arrival; WorkloadError at the first bad line."""
        ...


def formats() -> tuple[str, ...]:
    """Names of the formats that can be read."""
    package = importlib.import_module(_PACKAGE)
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(name for name in found if name not in _NOT_FORMATS))


def read_trace(path: str | Path, format_name: str = "auto", options: TraceOptions | None = None) -> RequestTrace:
    """The requests of a trace file (a folder for servegen), sorted by arrival, the first at time 0.

    `format_name` is one of `formats()` or `auto`: by header, by the first record's keys, or by being a folder.
    Requests that arrive at one time keep the order of the file. Raises WorkloadError (exit code 3) with file, line,
    column and remedy on anything that cannot be read, ConfigError (2) on options that contradict each other.
    """
    options = options or TraceOptions()
    if options.n_requests is not None:
        check_n_requests(options.n_requests, None, str(path))
    file = TraceFile(Path(path))
    name, reader = _reader(file, format_name)
    rows = reader.read(file, options)
    checksum = _checksum(reader, file)
    trace = _trace(file.path, name, checksum, rows, options.n_requests)
    if options.jitter_s:
        trace = trace.jittered(options.jitter_s, child_rng(options.seed, "trace", "jitter"))
    if getattr(reader, "HAS_ARRIVALS", True) and (options.qps is not None or options.time_scale is not None):
        trace = trace.scaled(qps=options.qps, time_scale=options.time_scale)
    return trace


def _checksum(reader: TraceFormat, file: TraceFile) -> str:
    of_format = getattr(reader, "checksum", None)
    return str(of_format(file)) if of_format else file.checksum()


def _reader(file: TraceFile, format_name: str) -> tuple[str, TraceFormat]:
    names = formats()
    if format_name != "auto":
        if format_name not in names:
            raise ConfigError(
                f"trace format {format_name!r} is not known",
                where="--format",
                remedy=did_you_mean(format_name, ("auto", *names), noun="one of"),
            )
        return format_name, _load(format_name)
    head = file.head()
    for name in names:
        reader = _load(name)
        if reader.matches(head):
            return name, reader
    found = ", ".join(sorted(head.columns or head.keys)) or "a folder without chunk-N-trace.csv"
    raise WorkloadError(
        f"no known trace format begins like this: {found[:200]}",
        where=str(file.path),
        remedy=f"give --format, one of {', '.join(names)}, or convert the trace to one of them",
    )


def _load(name: str) -> TraceFormat:
    return cast(TraceFormat, importlib.import_module(f"{_PACKAGE}.{name}"))


def _trace(path: Path, format_name: str, checksum: str, rows: Rows, n_requests: int | None) -> RequestTrace:
    """The rows in order of arrival, the first at 0, no more than asked for."""
    if not rows.ids:
        raise WorkloadError(
            "the trace has no requests", where=str(path), remedy="give a trace with at least one request"
        )
    notes = list(rows.notes)
    order: Sequence[int] = range(len(rows.ids))
    times = rows.arrival_ps
    n_early = sum(later < earlier for earlier, later in pairwise(times))
    if n_early:
        order = sorted(order, key=times.__getitem__)
        notes.append(f"{n_early:,} requests stand after a later one in the file: sorted by arrival")
    if n_requests is not None:
        check_n_requests(n_requests, len(order), str(path))
        order = order[:n_requests]
    first = times[order[0]]
    if times[order[-1]] - first > MAX_ARRIVAL_PS:
        raise WorkloadError(
            "the trace spans more than 106.75 days, which is all that 64-bit picoseconds hold",
            where=str(path),
            remedy="replay the first requests only, with --requests",
        )
    prefix = None
    if rows.blocks is not None:
        prefix = PrefixBlocks.of([rows.blocks[index] for index in order], rows.block_tokens)

    def column(values: list[int], origin: int = 0) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.fromiter((values[index] - origin for index in order), dtype=np.int64, count=len(order))

    return RequestTrace(
        path=str(path),
        first_line=rows.first_line,
        format=format_name,
        checksum=checksum,
        arrival_ps=column(times, first),
        prompt_tokens=column(rows.prompt_tokens),
        output_tokens=column(rows.output_tokens),
        ids=column(rows.ids),
        prefix=prefix,
        notes=tuple(notes),
    )
