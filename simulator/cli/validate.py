"""`sim validate`: ours beside the published numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from simulator.cli.options import JsonOption
from simulator.cli.output import working

FAILED = "fail"
MISSED = "missed"  # for a known reason, which does not make it met
MET = "pass"


def validate(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Whose targets, such as cent (default: all).")
    ] = None,
    profiles: Annotated[
        str | None,
        typer.Option(
            "--profiles", metavar="DIR", help="Folder of published GPU profiles (default: beside the checkout)."
        ),
    ] = None,
    html: Annotated[
        str | None, typer.Option("--html", metavar="FILE", help="Also write all rows as one HTML page.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare with published and golden numbers.

    Prints paper, ours, error, tolerance and verdict of every target; exit code 1 when one fails. A
    miss that is known, with its reason, fails where it grows beyond what is known.
    """
    from simulator.report.printing import show_object, show_table

    with working("validating"):
        from simulator.experiments.validate import remarks, tables
        from simulator.experiments.validate import validate as compare

        rows = compare(tuple(names or ()), None if profiles is None else Path(profiles))
        if html is not None:
            from simulator.experiments.validate_page import write_validation_page

            write_validation_page(rows, html)
    n_met, n_failed = (sum(row.verdict == verdict for row in rows) for verdict in (MET, FAILED))
    if as_json:
        counts = {"n_targets": len(rows), "n_met": n_met, "n_failed": n_failed}
        counts |= {f"n_{word.replace(' ', '_')}": n for word, n in _uncounted(row.verdict for row in rows).items()}
        show_object(sys.stdout, {"metrics": counts, "rows": [row.as_object() for row in rows]})
    else:
        for title, table in tables(rows):
            show_table(sys.stdout, title, table, as_json=False)
            print()
        for remark in remarks(rows):
            print(f"* {remark}")
        n_missed = sum(row.verdict == MISSED for row in rows)
        print(f"{n_met} of {n_met + n_failed + n_missed} targets met{_others(row.verdict for row in rows)}")
    if n_failed:
        raise typer.Exit(1)


def _uncounted(verdicts: Iterable[str]) -> dict[str, int]:
    """How many rows have each verdict but met and failed: reported, missed for a known reason, not checked."""
    found: dict[str, int] = {}
    for verdict in verdicts:
        if verdict not in (MET, FAILED):
            found[verdict] = found.get(verdict, 0) + 1
    return found


def _others(verdicts: Iterable[str]) -> str:
    words = {MISSED: "missed for known reasons"}
    found = _uncounted(verdicts)
    return "".join(f"; {n} {words.get(verdict, verdict)}" for verdict, n in found.items())
