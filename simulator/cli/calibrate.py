"""`sim calibrate`: parts refitted to measurements."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from simulator.cli.options import JsonOption, SetOption
from simulator.cli.output import working

app = typer.Typer(help="Refit parts to measurements of your own.", no_args_is_help=True)


@app.callback()
def _only_groups() -> None:
    """Keeps `gpu` a command of its own: of a single one typer would make the group itself."""


@app.command("gpu")
def calibrate(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Measured kernels: a CSV as scripts/measure_gpu.py writes it.")
    ],
    part: Annotated[
        str | None,
        typer.Option(
            "--part", metavar="PART", help="The part to begin with (default: hw_configs/parts/gpu_h200.yaml)."
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", metavar="PART", help="The new part (default: <part>_<file>.yaml); may be an earlier one."
        ),
    ] = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refit the efficiencies of a GPU's part to measured kernels.

    Prints the parameters before and after, and the errors on all rows and on shapes left out of the fit; writes a part
    that extends the one it began with.
    """
    from simulator.report.printing import show_object, show_table

    with working("calibrating"):
        from simulator.experiments.calibrate_command import calibrate_gpu

        done = calibrate_gpu(file, part=part, out=out, sets=tuple(sets or ()))
    if as_json:
        show_object(sys.stdout, done.as_object())
        return
    for title, table in done.tables():
        show_table(sys.stdout, title, table, as_json=False)
        print()
    for remark in done.remarks():
        print(f"* {remark}")
    print(f"Part: {done.target}")
