"""`sim replay`: a raw trace on one part."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from simulator.cli.options import JsonOption, OutOption, SeedOption, SetOption, invocation
from simulator.cli.output import working


def replay(
    context: typer.Context,
    part: Annotated[str, typer.Argument(metavar="PART", help="Part, such as hw_configs/parts/gddr6_aim.yaml.")],
    trace: Annotated[str, typer.Argument(metavar="TRACE", help="Trace file of the kind that the part takes.")],
    sets: SetOption = None,
    seed: SeedOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay a raw trace on one part."""
    from simulator.report.printing import show_run

    with working("replaying"):
        from simulator.experiments.replay import replay_command

        record, run_dir = replay_command(
            part, trace, sets=tuple(sets or ()), seed=seed, out=out, command=invocation(context).command
        )
    show_run(sys.stdout, record, run_dir, as_json=as_json)
