"""`sim replay`: a raw trace, or synthetic traffic, on one part."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from simulator.cli.options import JsonOption, OutOption, SeedOption, SetOption, invocation
from simulator.cli.output import working


def replay(
    context: typer.Context,
    part: Annotated[str, typer.Argument(metavar="PART", help="Part, such as hw_configs/parts/dram/ddr4.yaml.")],
    trace: Annotated[
        str,
        typer.Argument(
            metavar="TRACE",
            help="Trace file of the kind that the part takes; or synthetic: the traffic that the part describes.",
        ),
    ],
    sets: SetOption = None,
    seed: SeedOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay a raw trace on one part.

    A DRAM takes loads and stores, vectors of coordinates, CSV, or synthetic traffic; an AiM device its instructions; a
    fabric transfers; a GPU a CSV of kernels, predicted row by row; a tracker of hot pages a trace of memory accesses,
    or synthetic ones; a systolic array a CSV of matrix products (M, N, K).
    """
    from simulator.report.printing import show_run

    with working("replaying"):
        from simulator.experiments.replay import replay_command

        record, run_dir = replay_command(
            part, trace, sets=tuple(sets or ()), seed=seed, out=out, command=invocation(context).command
        )
    show_run(sys.stdout, record, run_dir, as_json=as_json)
