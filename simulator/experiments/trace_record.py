"""`sim trace record`: the memory accesses of any Linux program, behind two levels of cache, as a trace."""

from __future__ import annotations

import shlex
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from simulator.contracts.results import RunRecord, Scalar
from simulator.core.errors import INTERRUPTED_EXIT_CODE, ConfigError, WorkloadError
from simulator.experiments.lackey_process import LackeyProcess
from simulator.experiments.trace_filter import filter_of
from simulator.memory.cache_filter import CacheFilter
from simulator.memory.lackey_text import LackeyText, LineAccesses
from simulator.workload.access_spool import AccessSpool
from simulator.workload.accesses import PAGE_BYTES


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


@dataclass(frozen=True, slots=True)
class _Run:
    """How the program's run went: its exit status (None: it was ended, -n: signal n killed it) and what was seen."""

    status: int | None
    interrupted: bool
    n_instructions: int
    n_accesses: int
    elapsed_s: float


class _Recorder:
    """Takes accesses, and hands what leaves the caches to the spool."""

    def __init__(self, plan: RecordingPlan, spool: AccessSpool) -> None:
        self.n_accesses = 0
        self._plan = plan
        self._spool = spool

    @property
    def is_full(self) -> bool:
        return self._spool.n_records == self._plan.max_records

    def take(self, accesses: LineAccesses) -> None:
        """Record what these accesses make leave the caches."""
        self.n_accesses += len(accesses)
        plan, clock = self._plan, accesses.instructions
        if plan.caches is None:
            line, is_write = accesses.line, accesses.is_store
        else:
            traffic = plan.caches.filter(accesses.line, accesses.is_store)
            line, is_write, clock = traffic.line, traffic.is_write, clock[traffic.cause]
        first = int(np.searchsorted(clock, plan.skip_instructions, side="right")) if plan.skip_instructions else 0
        end = None if plan.max_records is None else first + plan.max_records - self._spool.n_records
        self._spool.add(line[first:end], is_write[first:end], clock[first:end])


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
    levels = None if caches is None else filter_of(*caches)
    return RecordingPlan(tuple(command), path, levels, skip_instructions, max_records, trace_children, stdout_to_stderr)


def record_trace(plan: RecordingPlan) -> Recording:
    """Run the program to its end, to `max_records` or to Ctrl-C, and write what was recorded.

    Raises ConfigError where valgrind or the program is missing, WorkloadError where nothing was recorded or the trace
    cannot be written. A second Ctrl-C, while the file is written, leaves none.
    """
    started = time.perf_counter()
    process = LackeyProcess(plan.command, trace_children=plan.trace_children, stdout_to_stderr=plan.stdout_to_stderr)
    with AccessSpool(plan.out) as spool:
        recorder, text = _Recorder(plan, spool), LackeyText()
        status, interrupted = None, False
        with process:
            try:
                with _CtrlC() as ctrl_c:
                    is_over = _follow(process, text, recorder, ctrl_c)
                interrupted = ctrl_c.came
                if is_over:
                    status = process.status()
            except KeyboardInterrupt:
                interrupted = True
        run = _Run(status, interrupted, text.n_instructions, recorder.n_accesses, time.perf_counter() - started)
        if not spool.n_records:
            raise _nothing(plan, run)
        n_bytes = spool.finish()
    return Recording(_record(plan, spool, run, n_bytes), INTERRUPTED_EXIT_CODE if interrupted else 0)


def _follow(process: LackeyProcess, text: LackeyText, recorder: _Recorder, ctrl_c: _CtrlC) -> bool:
    """Record as long as the program runs, there is room and nobody says stop; tells whether it ended by itself."""
    for block in process.blocks():
        for accesses in text.feed(block):
            recorder.take(accesses)
            if recorder.is_full:
                return False
        if ctrl_c.came:
            return False
    return True


class _CtrlC:
    """Notes Ctrl-C instead of breaking off, so that no record is taken by half."""

    def __init__(self) -> None:
        self.came = False

    def __enter__(self) -> Self:
        self._is_ours = threading.current_thread() is threading.main_thread()
        if self._is_ours:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_ours:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, *_: object) -> None:
        self.came = True


class _NothingRecorded(WorkloadError):
    """Ctrl-C came before the first record."""

    exit_code = INTERRUPTED_EXIT_CODE


def _nothing(plan: RecordingPlan, run: _Run) -> WorkloadError:
    """The error of a recording without records, with what is known of why."""
    where = shlex.join(plan.command)
    if run.interrupted:
        return _NothingRecorded("nothing was recorded before Ctrl-C, and nothing is written", where=where)
    if not run.n_instructions:
        return WorkloadError(
            f"valgrind traced no instruction of it{_ending(run.status)}",
            where=where,
            remedy="see what valgrind printed; set-user-id programs and those of another processor cannot be traced",
        )
    if 0 < plan.skip_instructions >= run.n_instructions:
        return WorkloadError(
            f"of its {run.n_instructions:,} instructions --skip-instructions leaves out {plan.skip_instructions:,}",
            where=where,
            remedy="skip fewer",
        )
    return WorkloadError(
        f"none of its accesses left the caches{_ending(run.status)}",
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


def _notes(plan: RecordingPlan, run: _Run) -> tuple[str, ...]:
    notes = []
    if run.interrupted:
        notes.append("stopped by Ctrl-C: the trace holds what was recorded until then")
    elif run.status is None:
        notes.append(f"stopped after {plan.max_records:,} records (--max-records): the program was ended")
    elif run.status:
        notes.append(f"the program did not end well{_ending(run.status)}: the trace holds what it did until then")
    if plan.caches is None:
        notes.append("no cache filter: records are the program's own loads and stores")
    if plan.trace_children:
        notes.append("the addresses of the program and of those it started are in one space, where they may coincide")
    notes.append("addresses are virtual; what the kernel reads and writes for the program is not in the trace")
    return tuple(notes)


def _record(plan: RecordingPlan, spool: AccessSpool, run: _Run, n_bytes: int) -> RunRecord:
    n_records, n_writes, n_pages = spool.n_records, spool.n_writes, spool.n_pages
    n_reads = n_records - n_writes
    n_covered = max(run.n_instructions - plan.skip_instructions, 1)
    metrics: dict[str, int | float] = {
        "n_records": n_records,
        "n_reads": n_reads,
        "n_writes": n_writes,
        "n_pages": n_pages,
        "footprint_mib": n_pages * PAGE_BYTES / 2**20,
        "n_instructions": run.n_instructions,
        "n_accesses": run.n_accesses,
        "reads_per_1000_instructions": 1000 * n_reads / n_covered,
        "elapsed_s": run.elapsed_s,
        "recorded_accesses_per_s": run.n_accesses / run.elapsed_s,
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
            f"{run.n_instructions:,} instructions, {run.n_accesses:,} accesses in {run.elapsed_s:,.1f} s",
        ),
        notes=_notes(plan, run),
        key_metrics=("n_records", "n_pages", "reads_per_1000_instructions"),
    )
