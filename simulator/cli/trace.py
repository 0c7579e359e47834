"""`sim trace`: traces in and out."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from simulator.cli.options import FormatOption, JsonOption, SetOption

app = typer.Typer(help="Look at traces, and write them.", no_args_is_help=True)


@app.command("export")
def export(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="Configuration, such as hw_configs/cent.yaml.")],
    sets: SetOption = None,
) -> None:
    """Print the command trace that a mapping implies.

    The form is the one that `sim replay` reads.
    """
    from simulator.experiments.export import export_trace
    from simulator.report.printing import show_lines

    show_lines(sys.stdout, export_trace(config, tuple(sets or ())))


@app.command("info")
def describe(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Request trace.")],
    trace_format: FormatOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Tell what a request trace holds."""
    from simulator.experiments.traces import describe_trace
    from simulator.report.printing import show_run

    show_run(sys.stdout, describe_trace(file, trace_format), None, as_json=as_json)
