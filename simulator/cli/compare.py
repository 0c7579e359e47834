"""`sim compare`: runs and configurations side by side."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from simulator.cli.options import JsonOption, SetOption
from simulator.cli.output import working


def compare(
    targets: Annotated[
        list[str], typer.Argument(metavar="RUN_OR_CONFIG...", help="Run directories and configurations, two or more.")
    ],
    sets: SetOption = None,
    workload: Annotated[
        str | None,
        typer.Option("--workload", metavar="W", help="A YAML's path, its stem in workloads/, or a workload kind."),
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="Where tables and pictures go (default: below results/).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare runs on one workload.

    Metrics with their ratios to the first, differences by operator, and a waterfall picture. Configurations are run on
    the workload of the first; runs must have done the same work.
    """
    from simulator.report.printing import show_object

    with working("comparing"):
        from simulator.experiments.compare import compare as compare_targets
        from simulator.experiments.compare_files import (
            comparison_object,
            comparison_target,
            comparison_text,
            write_comparison,
        )

        options = tuple(sets or ())
        target = comparison_target(targets, (*options, workload or ""), out)
        found = compare_targets(targets, options, workload=workload)
        run_dir = str(write_comparison(found, target))
    if as_json:
        show_object(sys.stdout, comparison_object(found, run_dir))
    else:
        comparison_text(sys.stdout, found, run_dir)
