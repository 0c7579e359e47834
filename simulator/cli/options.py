"""Options that several commands share, and the checks that belong to a command line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import typer

from simulator.core.errors import ConfigError

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a value of the configuration; repeatable."),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="Random seed (default: the configuration's).")
]
OutOption = Annotated[
    str | None, typer.Option("--out", metavar="DIR", help="Run directory, new or empty (default: one below results/).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="Format of the trace, or auto to tell it by its content.",
    ),
]


@dataclass(frozen=True, slots=True)
class Invocation:
    """The command line as typed, for the manifest of a run."""

    command: tuple[str, ...]


def invocation(context: typer.Context) -> Invocation:
    """The command line that `context` belongs to."""
    found = context.find_object(Invocation)
    return found if found is not None else Invocation((context.command_path,))


def check_needs_trace(options: list[str]) -> None:
    """Refuse options that say how a trace is replayed where there is none."""
    if options:
        raise ConfigError(f"{' and '.join(options)} without a trace", where=options[0], remedy="name one with --trace")


def check_number(name: str, value: float | None, *, least: float = 0.0, above: bool = False) -> None:
    """Refuse NaN, infinity and what is below `least` (with `above`, also `least`): a ConfigError naming the option."""
    if value is None:
        return
    too_small = value <= least if above else value < least
    if not math.isfinite(value) or too_small:
        bound = f"above {least:g}" if above else f"of at least {least:g}"
        raise ConfigError(f"{value} is not a number {bound}", where=name, remedy=f"give {name} a finite number {bound}")


def check_exclusive(**given: object) -> None:
    """Refuse two options of which one command takes one. Raises ConfigError naming both."""
    names = ["--" + name.replace("_", "-") for name, value in given.items() if value is not None]
    if len(names) > 1:
        both = " and ".join(names)
        raise ConfigError(f"{both} say two things about the same", where=both, remedy=f"leave out all but {names[0]}")
