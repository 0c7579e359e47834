"""`sim check`: is a configuration sound, and where do its numbers come from."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from simulator.cli.options import JsonOption


def check(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="Configuration or part to check.")],
    as_json: JsonOption = False,
) -> None:
    """Check a configuration and where its numbers come from."""
    from simulator.experiments.check import check as check_config
    from simulator.report.printing import show_run

    show_run(sys.stdout, check_config(config), None, as_json=as_json)
