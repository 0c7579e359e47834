"""`sim explain`: what bound each operator, and what its parameters do."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from simulator.cli.options import JsonOption, SetOption, check_number

_DEFAULT_PCT = 10


class ExplainCommand(TyperCommand):
    """The command with `--sensitivity` as an option whose value may be left out, which typer does not offer."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give `--sensitivity` its usual value where no number follows it."""
        end = args.index("--") if "--" in args else len(args)
        given = list(args)
        for index in reversed(range(end)):
            follows = args[index + 1] if index + 1 < end else ""
            if args[index] == "--sensitivity" and not _is_number(follows):
                given[index] = f"--sensitivity={_DEFAULT_PCT}"
        return super().parse_args(ctx, given)


def explain(
    target: Annotated[str, typer.Argument(metavar="RUN_OR_CONFIG", help="Run directory, or a configuration.")],
    sets: SetOption = None,
    operator: Annotated[
        str | None, typer.Option("--operator", metavar="NAME", help="Explain only this operator, in full.")
    ] = None,
    sensitivity: Annotated[
        float | None,
        typer.Option(
            "--sensitivity",
            metavar="[PCT]",
            help="Also change every numeric parameter by this many per cent, one at a time (default: 10).",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Explain what bound a run.

    For every operator its part of the latency, the constraint that bound it, what comes second and what would help;
    and the critical path.
    """
    check_number("--sensitivity", sensitivity, above=True)
    from simulator.report.printing import show_object

    with _counting("explaining") as progress:
        from simulator.experiments.explain import explain as explain_target
        from simulator.experiments.explain_tables import explanation_object, explanation_text

        found = explain_target(
            target,
            tuple(sets or ()),
            operator=operator,
            sensitivity_frac=None if sensitivity is None else sensitivity / 100.0,
            progress=progress,
        )
    if as_json:
        show_object(sys.stdout, explanation_object(found))
    else:
        explanation_text(sys.stdout, found, whole=operator is not None)


@contextlib.contextmanager
def _counting(activity: str) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on stderr for long work, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(activity, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
