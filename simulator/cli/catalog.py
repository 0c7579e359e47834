"""`sim list`: what there is to choose from."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from simulator.cli.options import JsonOption


def list_kind(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="What to list, such as systems or models.")],
    as_json: JsonOption = False,
) -> None:
    """List what a configuration may name."""
    from simulator.experiments.catalog import list_kind as look_up
    from simulator.report.printing import show_table

    show_table(sys.stdout, kind, look_up(kind), as_json=as_json)
