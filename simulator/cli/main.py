"""The command `sim`: reads the command line, hands it to one module per command, and turns errors into exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from simulator import __version__
from simulator.cli import (
    calibrate,
    catalog,
    check,
    compare,
    explain,
    figure,
    replay,
    run,
    sweep,
    trace,
    validate,
    warmup,
)
from simulator.cli.options import Invocation
from simulator.cli.output import complain, leave_pipe
from simulator.core.errors import INTERRUPTED_EXIT_CODE, ConfigError, ModelFault, SimulatorError

BROKEN_PIPE_EXIT_CODE = 141  # what a shell reports for a program whose reader left


class _ReaderLeft(Exception):
    """The reader of stdout is gone. No OSError: of those typer makes exit code 1, which says that a target failed."""


class _Commands(TyperGroup):
    """The group of all commands, in the order in which they were added."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and tell a reader that left from every other failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderLeft from error


def build_app() -> typer.Typer:
    """The application with all its commands. Their modules import the simulator only when they are called."""
    app = typer.Typer(
        name="sim",
        cls=_Commands,
        help="Simulate memory-centric machines running large language models.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # rich would take a third of the start-up time
        pretty_exceptions_enable=False,
    )
    app.callback()(_general_options)
    app.command("run")(run.run)
    app.command("replay")(replay.replay)
    app.command("sweep")(sweep.sweep)
    app.add_typer(calibrate.app, name="calibrate")
    app.command("validate")(validate.validate)
    app.command("compare")(compare.compare)
    app.command("explain", cls=explain.ExplainCommand)(explain.explain)
    app.command("figure")(figure.figure)
    app.command("check")(check.check)
    app.command("list")(catalog.list_kind)
    app.add_typer(trace.app, name="trace")
    app.command("warmup")(warmup.warmup)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; nothing but a second Ctrl-C leaves it as an exception."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if sys.stdout is None:  # closed by the caller (>&-)
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for good
    arguments, debug = _without_debug(arguments)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
    except SimulatorError as error:
        if debug:
            traceback.print_exc()
        complain(f"error: {error}")
        code = error.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED_EXIT_CODE
    except (_ReaderLeft, BrokenPipeError):
        leave_pipe()
        code = BROKEN_PIPE_EXIT_CODE
    except (OSError, RecursionError, UnicodeError, MemoryError) as error:
        if debug:
            traceback.print_exc()
        complain(_environment_message(error))
        code = ConfigError.exit_code
    except Exception as error:
        if debug:
            traceback.print_exc()
        complain(_fault_message(error, debug=debug))
        code = ModelFault.exit_code
    if code == INTERRUPTED_EXIT_CODE:
        complain("interrupted")
    return code


def _dispatch(arguments: list[str]) -> int:
    try:
        command = typer.main.get_command(build_app())
        command.main(args=arguments, prog_name="sim", obj=Invocation(("sim", *arguments)))
    except SystemExit as leaving:  # typer's way to say that it is done; usage errors are printed by then
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return 0


def _without_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """`--debug` may stand anywhere before a bare `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options, rest = arguments[:end], arguments[end:]
    return [argument for argument in options if argument != "--debug"] + rest, "--debug" in options


def _fault_message(error: Exception, *, debug: bool) -> str:
    advice = (
        "report it with the command line" if debug else "run the command again with --debug and report what it prints"
    )
    return f"error: a defect of the simulator: {type(error).__name__}: {error}\n  remedy: {advice}"


def _environment_message(error: OSError | RecursionError | UnicodeError | MemoryError) -> str:
    """What the machine refused: a file, a disk, a name that is no text, or files that include each other too deep."""
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"error: {place}{error.strerror or error}\n  remedy: check the path, its permissions and the free space"
    if isinstance(error, UnicodeError):
        return f"error: a name or a text is not UTF-8: {error}\n  remedy: use names that are, or a UTF-8 locale"
    if isinstance(error, MemoryError):
        return (
            f"error: this machine has too little memory: {error}\n  remedy: ask for fewer requests, or shorter queues"
        )
    return "error: nested too deep\n  remedy: let fewer files extend each other"


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"sim {__version__}")
        raise typer.Exit


def _general_options(
    _debug: Annotated[bool, typer.Option("--debug", help="On an error, print where in the program it arose.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """`--debug` is taken out before typer parses, since it may stand anywhere; here it is only described."""


if __name__ == "__main__":
    sys.exit(main())
