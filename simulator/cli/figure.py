"""`sim figure`: figures of papers, ours beside the published numbers."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from simulator.cli.options import JsonOption
from simulator.cli.output import working
from simulator.core.errors import ConfigError

SHOWN = "Figures"


def figure(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Figures, such as cent-13a; none lists them all.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Draw every figure.")] = False,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="DIR", help="Folder, new or empty (default: results/figures, replaced)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw figures of papers, ours beside the published.

    Each becomes PNG, PDF and CSV, with an index page of all numbers and their errors.
    """
    from simulator.report.printing import show_object, show_table
    from simulator.report.records import table_objects

    if names and every:
        raise ConfigError("--all draws every figure, and names some", where="sim figure", remedy="give one of the two")
    if not names and not every:
        from simulator.experiments.figure import describe_figures

        show_table(sys.stdout, SHOWN, describe_figures(), as_json=as_json)
        return
    with working("drawing"):
        from simulator.experiments.figure import list_figures
        from simulator.experiments.figure_files import INDEX, write_figures

        written = write_figures(tuple(names or list_figures()), out)
    table = written.summary()
    if as_json:
        show_object(sys.stdout, {"figures": table_objects(table), "run_dir": str(written.folder)})
        return
    show_table(sys.stdout, SHOWN, table, as_json=False)
    print(f"\nIndex page: {written.folder / INDEX}")
