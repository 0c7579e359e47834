"""A program under valgrind's lackey tool, whose trace comes through a pipe of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from simulator.core.errors import ConfigError

_STDERR = 2
_PIPE_BYTES = 1 << 20
_READ_BYTES = 1 << 20
# Lackey writes one line at a time. A reader that takes each at once costs it time; one that waits a little does not.
_PAUSE_S = 0.015
_FULL_ENOUGH_BYTES = 1 << 18
_LOOK_S = 0.2
_PATIENCE_S = 3.0


class LackeyProcess:
    """Runs `command` under lackey; its input and output are the caller's own, but for `stdout_to_stderr`.

    Use it as a context: the program is ended on the way out if it still runs. Raises ConfigError where valgrind or the
    program is not there.
    """

    def __init__(self, command: Sequence[str], *, trace_children: bool, stdout_to_stderr: bool = False) -> None:
        self.command = tuple(command)
        self._trace_children = trace_children
        self._stdout = _STDERR if stdout_to_stderr else None
        self._valgrind = _valgrind()
        _check_command(self.command)

    def __enter__(self) -> Self:
        self._reader, writer = os.pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._reader, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        options = (
            "--tool=lackey",
            "--trace-mem=yes",
            "--basic-counts=no",
            "--quiet",
            f"--log-fd={writer}",
            f"--trace-children={'yes' if self._trace_children else 'no'}",
            f"--child-silent-after-fork={'no' if self._trace_children else 'yes'}",
        )

        try:
            self._process = subprocess.Popen(
                (self._valgrind, *options, *self.command), pass_fds=(writer,), stdout=self._stdout
            )
        except OSError as error:
            os.close(self._reader)
            raise ConfigError(
                f"valgrind cannot be started: {error.strerror}", where=self._valgrind, remedy="install it again"
            ) from None
        finally:
            os.close(writer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def blocks(self) -> Iterator[bytes]:
        """What lackey writes, in pieces, until the program ends, though children of it live on and hold the pipe.

        While it writes nothing an empty piece comes now and then.
        """
        while True:
            if not select.select((self._reader,), (), (), _LOOK_S)[0]:
                if self._process.poll() is not None:
                    return
                yield b""
                continue
            block = os.read(self._reader, _READ_BYTES)
            if not block:
                return
            yield block
            if len(block) < _FULL_ENOUGH_BYTES:
                time.sleep(_PAUSE_S)

    def status(self) -> int:
        """Wait for the program and return its exit status; -n if signal n killed it."""
        return self._process.wait()

    def stop(self) -> None:
        """End the program if it still runs: asked first, then killed."""
        if self._reader < 0:
            return
        os.close(self._reader)
        self._reader = -1
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def _valgrind() -> str:
    found = shutil.which("valgrind")
    if found is None:
        raise ConfigError(
            "valgrind, which records, is not installed", where="sim trace record", remedy="apt install valgrind"
        )
    return found


def _check_command(command: Sequence[str]) -> None:
    """Refuse what is no program, which valgrind would say in its own words."""
    if not command:
        raise ConfigError("no program to record", where="sim trace record", remedy="give one after --: -- ls -l")
    name = command[0]
    if shutil.which(name) is not None:
        return
    if "/" in name and Path(name).exists():
        raise ConfigError("this is no program that may be run", where=name, remedy="name an executable file")
    raise ConfigError("there is no program of this name", where=name, remedy="give its path, or a name found in PATH")
