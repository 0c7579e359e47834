"""`sim validate`: ours beside the published numbers."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from simulator.cli.options import JsonOption
from simulator.cli.output import working

FAILED = "fail"


def validate(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Groups of targets, such as cent (default: all).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare with published and golden numbers.

    Prints paper, ours, error, tolerance and verdict of every target; exit code 1 when one fails.
    """
    from simulator.report.printing import show_object, show_table, table_of
    from simulator.report.records import table_objects

    with working("validating"):
        from simulator.experiments.validate import validate as compare

        rows = compare(tuple(names or ()))
    table = table_of(rows)
    n_failed = sum(row.verdict == FAILED for row in rows)
    if as_json:
        show_object(
            sys.stdout, {"metrics": {"n_targets": len(rows), "n_failed": n_failed}, "rows": table_objects(table)}
        )
    else:
        show_table(sys.stdout, "Targets", table, as_json=False)
        print(f"\n{len(rows) - n_failed} of {len(rows)} targets met")
    if n_failed:
        raise typer.Exit(1)
