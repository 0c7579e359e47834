"""`sim sweep`: every point of a sweep file."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.options import JsonOption, invocation

if TYPE_CHECKING:
    from simulator.experiments.sweep import SweepProgress


def sweep(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="SWEEP.yaml", help="Sweep file, such as hw_configs/sweeps/cent_1000.yaml.")
    ],
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Processes that run points (default: one per core).")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="DIR", help="Sweep directory, new, empty or of a sweep (default: results/...)."),
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run points again that failed before.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write tables only, no plots.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run every point of a sweep file, in parallel.

    Results are kept as they come: an interrupted sweep goes on where it was when the same command is given again.
    """
    from simulator.experiments.sweep import sweep as run_sweep
    from simulator.report.printing import show_run

    with _progress() as tell:
        result = run_sweep(
            file,
            workers=workers,
            out=out,
            retry_failed=retry_failed,
            progress=tell,
            report=not no_report,
            command=invocation(context).command,
        )
    show_run(sys.stdout, result.record, result.run_dir, as_json=as_json)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[SweepProgress], None] | None]:
    """A bar with rate and time left on stderr, when that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("points", total=None, rate="", failed="")

        def tell(state: SweepProgress) -> None:
            failed = f"{state.n_failed} failed" if state.n_failed else ""
            rate = f"{state.points_per_s:,.1f}/s" if state.n_done > state.n_reused else ""
            progress.update(task, total=state.n_points, completed=state.n_done, rate=rate, failed=failed)

        yield tell
