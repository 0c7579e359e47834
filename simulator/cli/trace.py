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
    file: Annotated[str, typer.Argument(metavar="FILE", help="Trace of requests, or of memory accesses.")],
    trace_format: FormatOption = "auto",
    windows: Annotated[
        list[int] | None,
        typer.Option(
            "--window",
            metavar="READS",
            help="Accesses: window of the sparsity, in reads; repeatable (default: 262144 and 1048576, and the whole).",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what a trace holds: of requests, or of memory accesses."""
    from simulator.experiments.traces import describe_trace
    from simulator.report.printing import show_run

    show_run(sys.stdout, describe_trace(file, trace_format, tuple(windows or ())), None, as_json=as_json)


@app.command("convert")
def convert(
    file: Annotated[str, typer.Argument(metavar="IN", help="Trace of memory accesses.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="File to write, ending in .npz, .csv or .txt.")],
    trace_format: FormatOption = "auto",
    n_records: Annotated[
        int | None, typer.Option("--accesses", metavar="N", help="Only the first N accesses (default: all).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a trace of memory accesses in another form."""
    from simulator.experiments.trace_convert import convert_accesses
    from simulator.report.printing import show_run

    show_run(sys.stdout, convert_accesses(file, target, trace_format, n_records), None, as_json=as_json)
