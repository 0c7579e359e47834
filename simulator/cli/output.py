"""What a command says besides its result: messages and progress, on stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

_LONGEST_MESSAGE = 2000


def complain(message: str) -> None:
    """Print a message for the user on stderr, cut where input made it endless."""
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[: _LONGEST_MESSAGE // 2]} ... {message[-_LONGEST_MESSAGE // 2 :]}"
    with contextlib.suppress(BrokenPipeError):
        print(message, file=sys.stderr, flush=True)


@contextlib.contextmanager
def working(activity: str) -> Iterator[None]:
    """Show on stderr that a long command is at work, when that is a terminal; elsewhere only say what takes a while."""
    from simulator.experiments.compiled import is_warm

    if not is_warm():
        complain("compiling the kernels, once for this version: about a minute")
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(activity):
        yield


def leave_pipe() -> None:
    """After the reader of stdout has gone: let the interpreter's last flush go nowhere instead of failing."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
