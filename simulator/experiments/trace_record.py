"""`sim trace record`: the memory accesses of any Linux program, behind two levels of cache, as a trace."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.contracts.results import RunRecord, Scalar
from simulator.core.errors import INTERRUPTED_EXIT_CODE, ConfigError, WorkloadError
from simulator.experiments.lackey_process import LackeyProcess
from simulator.memory.cache_filter import CacheFilter, CacheLevel
from simulator.memory.lackey_text import LackeyText, LineAccesses
from simulator.workload.access_writer import AccessWriter
from simulator.workload.accesses import LINES_PER_PAGE, PAGE_BYTES
from simulator.workload.page_numbers import PageNumbers

_PAGE_SHIFT = LINES_PER_PAGE.bit_length() - 1
_MAX_PAGES = 1 << 26  # line ids are of 32 bits


@dataclass(frozen=True, slots=True)
class RecordingPlan:
    """What to record and where to: `command` with its arguments, `out` (an .npz that is not there), the caches (None:
    every access is a record), the instructions of the start to leave out, and the records to stop after (None: all).

    Accesses that are left out still fill the caches. `trace_children` also traces programs that it starts, whose
    addresses mix with its own; `stdout_to_stderr` moves its standard output.
    """

    command: tuple[str, ...]
    out: Path
    caches: CacheFilter | None
    skip_instructions: int = 0
    max_records: int | None = None
    trace_children: bool = False
    stdout_to_stderr: bool = False


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded, and the exit code that `sim trace record` ends with: 130 where it was interrupted."""

    record: RunRecord
    exit_code: int


class _Recorder:
    """Takes accesses, and hands what leaves the caches to the writer."""

    def __init__(self, plan: RecordingPlan, writer: AccessWriter) -> None:
        self.pages = PageNumbers()
        self.n_accesses = 0
        self.n_writes = 0
        self._plan = plan
        self._writer = writer
        self._first_instruction: int | None = None

    @property
    def n_records(self) -> int:
        return self._writer.n_records

    @property
    def is_full(self) -> bool:
        return self.n_records == self._plan.max_records

    def take(self, accesses: LineAccesses) -> None:
        """Record what these accesses make leave the caches."""
        self.n_accesses += len(accesses)
        plan, clock = self._plan, accesses.instructions
        if plan.caches is None:
            line, is_write = accesses.line, accesses.is_store
        else:
            traffic = plan.caches.filter(accesses.line, accesses.is_store)
            line, is_write, clock = traffic.line, traffic.is_write, clock[traffic.cause]
        if plan.skip_instructions:
            first = int(np.searchsorted(clock, plan.skip_instructions, side="right"))
            line, is_write, clock = line[first:], is_write[first:], clock[first:]
        if plan.max_records is not None:
            n_left = plan.max_records - self.n_records
            line, is_write, clock = line[:n_left], is_write[:n_left], clock[:n_left]
        if len(line):
            self._write(line, is_write, clock)

    def _write(self, line: NDArray[np.uint64], is_write: NDArray[np.bool_], clock: NDArray[np.int64]) -> None:
        page = self.pages.of(line >> np.uint64(_PAGE_SHIFT))
        if len(self.pages) > _MAX_PAGES:
            raise WorkloadError(
                f"the program touches more than {_MAX_PAGES:,} pages, all that line ids of 32 bits can name",
                where=shlex.join(self._plan.command),
                remedy="give it less to do, or stop early with --max-records",
            )
        within = (line & np.uint64(LINES_PER_PAGE - 1)).astype(np.uint32)
        self._writer.append(page * np.uint32(LINES_PER_PAGE) + within, is_write, clock)
        self.n_writes += int(np.count_nonzero(is_write))


def plan_recording(
    command: Sequence[str],
    *,
    out: str | None = None,
    caches: tuple[str, str] | None = ("32KiB/8", "1MiB/16"),
    skip_instructions: int = 0,
    max_records: int | None = None,
    trace_children: bool = False,
    stdout_to_stderr: bool = False,
) -> RecordingPlan:
    """The plan that options in words say: `caches` are size/ways of the first and the last level, None for no caches;
    `out` None is the program's name in the current folder. Raises ConfigError naming the option that is wrong."""
    if not command:
        raise ConfigError("no program to record", where="sim trace record", remedy="give one after --: -- ls -l")
    path = Path(f"{Path(command[0]).name}.npz" if out is None else out)
    if path.suffix != ".npz":
        raise ConfigError("a recording is an .npz archive", where=str(path), remedy="let the name end in .npz")
    levels = None
    if caches is not None:
        levels = CacheFilter(CacheLevel.parse(caches[0], where="--l1"), CacheLevel.parse(caches[1], where="--llc"))
    return RecordingPlan(tuple(command), path, levels, skip_instructions, max_records, trace_children, stdout_to_stderr)


def record_trace(plan: RecordingPlan) -> Recording:
    """Run the program to its end, to `max_records` or to Ctrl-C, and write what was recorded.

    Raises ConfigError where valgrind or the program is missing or the trace cannot be written, WorkloadError where
    nothing was recorded. A second Ctrl-C, while the file is written, leaves none.
    """
    started = time.perf_counter()
    process = LackeyProcess(plan.command, trace_children=plan.trace_children, stdout_to_stderr=plan.stdout_to_stderr)
    with AccessWriter(plan.out) as writer:
        recorder, text = _Recorder(plan, writer), LackeyText()
        status = None
        interrupted = False
        with process:
            try:
                for block in process.blocks():
                    for accesses in text.feed(block):
                        recorder.take(accesses)
                    if recorder.is_full:
                        break
                else:
                    status = process.status()
            except KeyboardInterrupt:
                interrupted = True
        elapsed_s = time.perf_counter() - started
        if not recorder.n_records:
            raise _nothing(plan, status, text.n_instructions, interrupted=interrupted)
        n_bytes = writer.finish(recorder.pages.addresses)
    notes = _notes(plan, status, interrupted=interrupted)
    record = _record(plan, recorder, text.n_instructions, elapsed_s, n_bytes, notes)
    return Recording(record, INTERRUPTED_EXIT_CODE if interrupted else 0)


class _NothingRecorded(WorkloadError):
    """Ctrl-C came before the first record."""

    exit_code = INTERRUPTED_EXIT_CODE


def _nothing(plan: RecordingPlan, status: int | None, n_instructions: int, *, interrupted: bool) -> WorkloadError:
    """The error of a recording without records, with what is known of why."""
    where = shlex.join(plan.command)
    if interrupted:
        return _NothingRecorded("nothing was recorded before Ctrl-C, and nothing is written", where=where)
    if not n_instructions:
        return WorkloadError(
            f"valgrind traced no instruction of it{_ending(status)}",
            where=where,
            remedy="see what valgrind printed; set-user-id programs and those of another processor cannot be traced",
        )
    if 0 < plan.skip_instructions >= n_instructions:
        return WorkloadError(
            f"it ran {n_instructions:,} instructions, and --skip-instructions leaves out {plan.skip_instructions:,}",
            where=where,
            remedy="skip fewer",
        )
    return WorkloadError(
        f"none of its accesses left the caches{_ending(status)}",
        where=where,
        remedy="make the caches smaller with --llc",
    )


def _ending(status: int | None) -> str:
    """How a program that did not end well ended, as the end of a sentence; empty for one that did."""
    if not status:
        return ""
    return f"; signal {_signal(-status)} killed it" if status < 0 else f"; it exited with status {status}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _notes(plan: RecordingPlan, status: int | None, *, interrupted: bool) -> tuple[str, ...]:
    notes = []
    if interrupted:
        notes.append("stopped by Ctrl-C: the trace holds what was recorded until then")
    elif status is None:
        notes.append(f"stopped after {plan.max_records:,} records (--max-records): the program was ended")
    elif status:
        notes.append(f"the program did not end well{_ending(status)}: the trace holds what it did until then")
    if plan.caches is None:
        notes.append("no cache filter: records are the program's own loads and stores")
    if plan.trace_children:
        notes.append("the addresses of the program and of those it started are in one space, where they may coincide")
    notes.append("addresses are virtual; what the kernel reads and writes for the program is not in the trace")
    return tuple(notes)


def _record(
    plan: RecordingPlan,
    recorder: _Recorder,
    n_instructions: int,
    elapsed_s: float,
    n_bytes: int,
    notes: tuple[str, ...],
) -> RunRecord:
    n_records, n_writes, n_pages = recorder.n_records, recorder.n_writes, len(recorder.pages)
    n_reads = n_records - n_writes
    n_covered = max(n_instructions - plan.skip_instructions, 1)
    metrics: dict[str, int | float] = {
        "n_records": n_records,
        "n_reads": n_reads,
        "n_writes": n_writes,
        "n_pages": n_pages,
        "footprint_mib": n_pages * PAGE_BYTES / 2**20,
        "n_instructions": n_instructions,
        "n_accesses": recorder.n_accesses,
        "reads_per_1000_instructions": 1000 * n_reads / n_covered,
        "elapsed_s": elapsed_s,
        "recorded_accesses_per_s": recorder.n_accesses / elapsed_s,
        "file_bytes": n_bytes,
    }
    breakdown: dict[str, dict[str, Scalar]] = {}
    words = "no caches"
    caches = plan.caches
    if caches is not None:
        words = f"L1D {caches.l1}, LLC {caches.llc}"
        breakdown["caches"] = {
            "L1D": str(caches.l1),
            "LLC": str(caches.llc),
            "L1D miss share of accesses": caches.n_l1_misses / max(caches.n_accesses, 1),
            "LLC miss share of accesses": caches.n_reads / max(caches.n_accesses, 1),
            "footprint / LLC": n_pages * PAGE_BYTES / caches.llc.size_bytes,
        }
    return RunRecord(
        system=words,
        workload=shlex.join(plan.command),
        metrics=metrics,
        breakdown=breakdown,
        headlines=(
            f"{plan.out}: {n_records:,} records ({n_reads:,} reads, {n_writes:,} writes) of {n_pages:,} pages",
            f"{n_instructions:,} instructions, {recorder.n_accesses:,} accesses in {elapsed_s:,.1f} s",
        ),
        notes=notes,
        key_metrics=("n_records", "n_pages", "reads_per_1000_instructions"),
    )
