"""Errors that a user can act on: where, what, what to do about it, and the exit code of the command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text that the user wrote: file, and 1-based line and column (0 where unknown)."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [self.file]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)


class SimulatorError(Exception):
    """Base of every error that ends a command with a message instead of a traceback.

    `where` is the place that caused it (a Position, or words such as "--set system.kind"), `remedy` one sentence
    on what to do.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: Position | str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where is not None else self.message
        return f"{text}\n  remedy: {self.remedy}" if self.remedy else text


class ConfigError(SimulatorError):
    """A configuration or a command-line option is wrong."""

    exit_code = 2


class WorkloadError(SimulatorError):
    """A workload, a model or a trace is wrong."""

    exit_code = 3


class MappingError(SimulatorError):
    """The workload does not fit the machine; `missing_bytes` says by how much (0 where no byte count applies)."""

    exit_code = 4

    def __init__(
        self, message: str, *, where: Position | str | None = None, remedy: str | None = None, missing_bytes: int = 0
    ) -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.missing_bytes = missing_bytes


class ModelFault(SimulatorError):
    """The simulator's own model broke one of its rules: a defect to report, with the run that caused it."""

    exit_code = 5


INTERRUPTED_EXIT_CODE = 130
