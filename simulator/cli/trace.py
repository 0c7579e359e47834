"""`sim trace`: traces in and out."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from simulator.cli.options import FormatOption, JsonOption, SetOption, invocation
from simulator.core.errors import ConfigError

DEFAULT_L1 = "32KiB/8"
DEFAULT_LLC = "1MiB/16"
L1Option = Annotated[str, typer.Option("--l1", metavar="SIZE/WAYS", help="Data cache of the first level.")]
LlcOption = Annotated[str, typer.Option("--llc", metavar="SIZE/WAYS", help="Last-level cache.")]

app = typer.Typer(help="Look at traces, and write them.", no_args_is_help=True)


@app.command("export")
def export(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="Configuration, such as hw_configs/cent.yaml.")],
    sets: SetOption = None,
) -> None:
    """Print the command trace that a mapping implies.

    The form is the one that `sim replay` reads.
    """
    from simulator.experiments.export import export_trace
    from simulator.report.printing import show_lines

    show_lines(sys.stdout, export_trace(config, tuple(sets or ())))


@app.command("info")
def describe(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Trace of requests, or of memory accesses.")],
    trace_format: FormatOption = "auto",
    windows: Annotated[
        list[int] | None,
        typer.Option(
            "--window",
            metavar="READS",
            help="Accesses: window of the sparsity, in reads; repeatable (default: 262144 and 1048576, and the whole).",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what a trace holds: of requests, or of memory accesses."""
    from simulator.experiments.traces import describe_trace
    from simulator.report.printing import show_run

    show_run(sys.stdout, describe_trace(file, trace_format, tuple(windows or ())), None, as_json=as_json)


@app.command("convert")
def convert(
    file: Annotated[str, typer.Argument(metavar="IN", help="Trace of memory accesses.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="File to write, ending in .npz, .csv or .txt.")],
    trace_format: FormatOption = "auto",
    n_records: Annotated[
        int | None, typer.Option("--accesses", metavar="N", help="Only the first N accesses (default: all).")
    ] = None,
    cache: Annotated[bool, typer.Option("--cache", help="Write what leaves two levels of cache.")] = False,
    l1: L1Option = DEFAULT_L1,
    llc: LlcOption = DEFAULT_LLC,
    as_json: JsonOption = False,
) -> None:
    """Write a trace of memory accesses in another form."""
    from simulator.experiments.trace_convert import convert_accesses
    from simulator.report.printing import show_run

    if not cache and (l1, llc) != (DEFAULT_L1, DEFAULT_LLC):
        raise ConfigError("--l1 and --llc without --cache", where="--cache", remedy="add --cache")
    show_run(
        sys.stdout,
        convert_accesses(file, target, trace_format, n_records, (l1, llc) if cache else None),
        None,
        as_json=as_json,
    )


@app.command("record", context_settings={"allow_interspersed_args": False})
def record(
    command: Annotated[
        list[str],
        typer.Argument(metavar="-- CMD ARGS...", help="Program to record, and its arguments.", show_default=False),
    ],
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE.npz", help="New file to write (default: the program's name).")
    ] = None,
    l1: L1Option = DEFAULT_L1,
    llc: LlcOption = DEFAULT_LLC,
    no_filter: Annotated[bool, typer.Option("--no-filter", help="No caches: record every load and store.")] = False,
    skip_instructions: Annotated[
        int, typer.Option("--skip-instructions", metavar="N", min=0, help="Leave out the first N instructions.")
    ] = 0,
    max_records: Annotated[
        int | None, typer.Option("--max-records", metavar="N", min=1, help="End the program after N records.")
    ] = None,
    trace_children: Annotated[
        bool, typer.Option("--trace-children", help="Record programs that it starts, too.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout; the program's own stdout goes to stderr.")
    ] = False,
) -> None:
    """Record what a program reads and writes behind two caches.

    It runs under valgrind, a few hundred times slower than alone. The trace is an .npz for `sim replay` and `sim run`.
    """
    from simulator.experiments.trace_record import plan_recording, record_trace
    from simulator.report.printing import show_run

    plan = plan_recording(
        command,
        out=out,
        caches=None if no_filter else (l1, llc),
        skip_instructions=skip_instructions,
        max_records=max_records,
        trace_children=trace_children,
        stdout_to_stderr=as_json,
    )
    recording = record_trace(plan)
    show_run(sys.stdout, recording.record, None, as_json=as_json)
    if recording.exit_code:
        raise typer.Exit(recording.exit_code)


@app.command("record-model")
def record_model(
    context: typer.Context,
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="Folder of a Llama-type checkpoint, or one of ours by name.")
    ] = "tiny-llama",
    tokens: Annotated[
        str, typer.Option("--tokens", metavar="FILE", help="Token ids (.npy), or some of ours by name.")
    ] = "own_source",
    n_windows: Annotated[int, typer.Option("--windows", metavar="N", min=1, help="Windows of tokens to run.")] = 1,
    first_window: Annotated[int, typer.Option("--first-window", metavar="K", min=0, help="The first of them.")] = 0,
    window_tokens: Annotated[
        int | None,
        typer.Option("--window-tokens", metavar="T", min=2, help="Tokens of a window (default: the model's context)."),
    ] = None,
    format_name: Annotated[
        str, typer.Option("--format", metavar="NAME", help="Number format to run the model in, such as int4_asym+kv8.")
    ] = "fp16",
    top_k: Annotated[
        int | None,
        typer.Option(
            "--top-k",
            metavar="K",
            min=1,
            help="Positions of each step: the accesses are theirs (default: dense accesses, 256 positions).",
        ),
    ] = None,
    n_steps: Annotated[
        int, typer.Option("--steps", metavar="S", min=1, help="Last tokens of each window, taken as decode steps.")
    ] = 256,
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="New or empty folder (default: one below results/).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Record what a trained model attends to and computes with.

    Attention hits, page accesses of its KV cache, and statistics of its activations.
    """
    from simulator.experiments.trace_record_model import plan_model_recording
    from simulator.experiments.trace_record_model import record_model as record
    from simulator.report.printing import show_run

    plan = plan_model_recording(
        checkpoint,
        tokens=tokens,
        n_windows=n_windows,
        first_window=first_window,
        window_tokens=window_tokens,
        format_name=format_name,
        top_k=top_k,
        n_steps=n_steps,
        out=out,
    )
    show_run(sys.stdout, record(plan, invocation(context).command), plan.target.name, as_json=as_json)
