"""A process that runs points for a sweep: started by `LocalRunner`, it lives as long as the sweep does.

Messages come pickled over a socket that the sweep holds the other end of: first the plan, then lists of points; each
list is answered by the list of its outcomes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection

_PR_SET_PDEATHSIG = 1
READY = "ready"
"""What a worker says once it can run points."""


def serve(handle: int, parent: int) -> None:
    """Answer lists of points until the other end of the socket `handle` is closed."""
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the sweep decides
    from simulator.experiments.sweeps.evaluation import PointEvaluator

    with Connection(handle) as connection:
        try:
            evaluator = PointEvaluator(connection.recv())
            connection.send(READY)
            while True:
                connection.send([evaluator.outcome(point) for point in connection.recv()])
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return  # the sweep is over, or gone


def end_with_parent(parent: int) -> None:
    """Have the kernel end this process when the one that started it dies, in the middle of a point too (Linux)."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        os._exit(0)


def main(arguments: Sequence[str]) -> None:
    """Run as `python -m simulator.experiments.sweeps.worker SOCKET PARENT`."""
    handle, parent = map(int, arguments)
    serve(handle, parent)


if __name__ == "__main__":
    main(sys.argv[1:])
