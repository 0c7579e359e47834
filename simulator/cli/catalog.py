"""`sim list`: what there is to choose from."""

from __future__ import annotations

from typing import Annotated

import typer

from simulator.cli.options import JsonOption
from simulator.cli.output import show_table


def list_kind(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="What to list, such as systems or models.")],
    as_json: JsonOption = False,
) -> None:
    """List what a configuration may name."""
    from simulator.experiments.catalog import list_kind as look_up

    show_table(kind, look_up(kind), as_json=as_json)
