"""The runner of this machine: worker processes that are fed in batches, watched, and replaced when they die."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from simulator.contracts.runner import Outcome, Point
from simulator.core.errors import ModelFault
from simulator.experiments.sweeps.evaluation import failure
from simulator.experiments.sweeps.points import SweepPlan
from simulator.experiments.sweeps.worker import READY

_BATCH_S = 0.1
"""Work of one message: long against its overhead, short against what a dead worker loses."""
_MAX_BATCH = 64
_N_AHEAD = 2
"""Batches that a worker has at hand, so that it never waits for its sweep."""
_N_DEATHS = 4
"""How often a point may end its worker before that is taken for the point's own doing."""
_N_FALSE_STARTS = 3
_GRACE_S = 2.0
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


@dataclass(slots=True)
class _Worker:
    """A process, our end of its socket, and the batches that it has not answered, oldest first."""

    process: subprocess.Popen[bytes]
    connection: Connection
    batches: deque[list[Point]] = field(default_factory=deque)
    ready: bool = False


class LocalRunner:
    """Runs the points of a plan in `n_workers` processes.

    A worker that dies is replaced. The points that it had are run again, one per message, and one that ends its worker
    four times has failed. Workers end with the process that started them, whatever ends that.

    Not modelled: a limit on a point's time or memory.
    """

    def __init__(self, plan: SweepPlan, n_workers: int) -> None:
        self._plan = plan
        self._n_workers = n_workers
        self._workers: list[_Worker] = []
        self._again: deque[Point] = deque()
        self._deaths: dict[int, int] = {}
        self._false_starts = 0
        self._point_s = _BATCH_S

    def submit(self, points: Iterable[Point]) -> Iterator[Sequence[Outcome]]:
        """Run the points; outcomes come in batches, each from one worker. Raises ModelFault where no worker starts."""
        source = iter(points)
        first = next(source, None)
        if first is None:
            return
        source = _chain(first, source)
        while len(self._workers) < self._n_workers:
            self._workers.append(self._started())
        for worker in self._workers:
            self._introduce(worker)
        while True:
            for worker in self._workers:
                self._feed(worker, source)
            busy = [worker for worker in self._workers if worker.batches]
            if not busy:
                return
            for ready in wait([worker.connection for worker in busy]):
                worker = next(one for one in self._workers if one.connection is ready)
                outcomes = self._received(worker)
                if outcomes:
                    yield outcomes

    def close(self) -> None:
        """End the workers: at once those that idle, after a moment those in the middle of a point."""
        for worker in self._workers:
            worker.connection.close()
        deadline = time.monotonic() + (_GRACE_S if not any(worker.batches for worker in self._workers) else 0.0)
        for worker in self._workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            worker.process.kill()
            worker.process.wait()
        self._workers.clear()

    def _started(self) -> _Worker:
        ours, theirs = Pipe()
        command = (sys.executable, "-m", "simulator.experiments.sweeps.worker", str(theirs.fileno()), str(os.getpid()))
        path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)  # noqa: PTH109 - as Python means ""
        environment = {**_ONE_THREAD, **os.environ, "PYTHONPATH": path}
        with theirs:
            process = subprocess.Popen(
                command, env=environment, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stdout=2
            )
        return _Worker(process, ours)

    def _introduce(self, worker: _Worker) -> None:
        """Send the plan, which may wait until the process reads: all are started before."""
        with contextlib.suppress(OSError):  # dead already: its silence is noticed when it is asked
            worker.connection.send(self._plan)

    def _feed(self, worker: _Worker, source: Iterator[Point]) -> None:
        while len(worker.batches) < _N_AHEAD:
            if self._again:
                # Alone, so that a point that ends its worker is found, and no other is charged with it.
                if worker.batches:
                    return
                batch = [self._again.popleft()]
            else:
                n = max(1, min(_MAX_BATCH, round(_BATCH_S / max(self._point_s, 1e-6)))) if worker.ready else 1
                batch = list(islice(source, n))
            if not batch:
                return
            worker.batches.append(batch)
            with contextlib.suppress(OSError):
                worker.connection.send(batch)
            if batch[0].ordinal in self._deaths:
                return

    def _received(self, worker: _Worker) -> Sequence[Outcome]:
        try:
            answer = worker.connection.recv()
        except (EOFError, OSError):
            return self._replaced(worker)
        if answer == READY:
            worker.ready = True
            self._false_starts = 0
            return ()
        batch: list[Point] = worker.batches.popleft()
        for point in batch:
            self._deaths.pop(point.ordinal, None)
        outcomes: list[Outcome] = answer
        mean_s = sum(one.cpu_s for one in outcomes) / len(outcomes)
        self._point_s += 0.3 * (mean_s - self._point_s)
        return outcomes

    def _replaced(self, worker: _Worker) -> Sequence[Outcome]:
        """Put a fresh worker in a dead one's place and take back its points; those given up have an outcome."""
        worker.connection.close()
        worker.process.kill()
        code = worker.process.wait()
        self._false_starts += not worker.ready
        if self._false_starts >= _N_FALSE_STARTS * self._n_workers:
            raise ModelFault(
                f"the workers of the sweep end before they can run anything (exit code {code})",
                remedy="run one point with `sim run` to see why",
            )
        given_up: list[Outcome] = []
        suspects = worker.batches[0] if worker.batches and worker.ready else []
        for point in (point for batch in worker.batches for point in batch):
            if point in suspects:
                self._deaths[point.ordinal] = self._deaths.get(point.ordinal, 0) + 1
            if self._deaths.get(point.ordinal, 0) >= _N_DEATHS:
                text = f"the process that ran this point died {_N_DEATHS} times (last: exit code {code})"
                given_up.append(Outcome(point.key, True, failure(ModelFault.exit_code, text), 0.0))
            else:
                self._again.append(point)
        fresh = self._started()
        self._workers[self._workers.index(worker)] = fresh
        self._introduce(fresh)
        return given_up


def _chain(first: Point, rest: Iterator[Point]) -> Iterator[Point]:
    yield first
    yield from rest
