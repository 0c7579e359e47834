"""`sim run`: one system under one workload or request trace."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from simulator.cli.options import (
    FormatOption,
    JsonOption,
    OutOption,
    SeedOption,
    SetOption,
    check_exclusive,
    check_needs_trace,
    check_number,
    invocation,
)
from simulator.cli.output import working

TimeScaleOption = Annotated[
    float | None,
    typer.Option("--time-scale", metavar="X", help="Multiply the trace's arrival times by X: 2 halves the load."),
]
JitterOption = Annotated[
    float | None,
    typer.Option("--jitter", metavar="S", help="Delay each arrival by up to S seconds, drawn at random."),
]
ErrorBarsOption = Annotated[
    bool, typer.Option("--error-bars", help="Also run the ends of every range that a parameter states.")
]
TimelineOption = Annotated[
    bool, typer.Option("--timeline", help="Write timeline.pftrace, which ui.perfetto.dev opens.")
]
NoReportOption = Annotated[bool, typer.Option("--no-report", help="Write tables only, no report.html.")]


def run(
    context: typer.Context,
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="Configuration, such as hw_configs/cent.yaml.")],
    workload: Annotated[
        str | None,
        typer.Option("--workload", metavar="W", help="A YAML's path, its stem in workloads/, or a workload kind."),
    ] = None,
    trace: Annotated[
        str | None, typer.Option("--trace", metavar="FILE", help="Replay the requests of this trace.")
    ] = None,
    trace_format: FormatOption = "auto",
    requests: Annotated[
        int | None, typer.Option("--requests", metavar="N", help="Take only the first N requests of the trace.")
    ] = None,
    qps: Annotated[
        float | None, typer.Option("--qps", metavar="X", help="Scale the trace's arrivals to X requests per second.")
    ] = None,
    time_scale: TimeScaleOption = None,
    jitter: JitterOption = None,
    sets: SetOption = None,
    seed: SeedOption = None,
    out: OutOption = None,
    error_bars: ErrorBarsOption = False,
    timeline: TimelineOption = False,
    no_report: NoReportOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run a system on a workload or a request trace.

    Prints what it did and what bound it, and writes a run directory.
    """
    check_exclusive(qps=qps, time_scale=time_scale)
    check_number("--qps", qps, above=True)
    check_number("--time-scale", time_scale, above=True)
    check_number("--jitter", jitter)
    check_number("--requests", requests, least=1)
    if trace is None:
        given = {"--requests": requests, "--qps": qps, "--time-scale": time_scale, "--jitter": jitter}
        check_needs_trace([name for name, value in given.items() if value is not None])

    from simulator.report.printing import show_run

    with working("simulating"):
        from simulator.experiments.run import run_command

        record, run_dir = run_command(
            config,
            workload=workload,
            trace=trace,
            format=trace_format,
            requests=requests,
            qps=qps,
            time_scale=time_scale,
            jitter=jitter,
            sets=(*(sets or ()), *(("run.error_bars=true",) if error_bars else ())),
            seed=seed,
            out=out,
            report=not no_report,
            timeline=timeline,
            command=invocation(context).command,
        )
    show_run(sys.stdout, record, run_dir, as_json=as_json)
