"""Validation as one HTML page: every target with its source, ours beside it, the error and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.core.errors import ConfigError
from simulator.experiments.figure_html import render
from simulator.experiments.validate import remarks, tables
from simulator.experiments.validate_records import FAIL, MISSED, NOT_CHECKED, PASS, REPORTED, Row
from simulator.report.provenance import provenance

_TITLE = "Validation"
_VERDICTS = {
    PASS: "met",
    FAIL: "missed",
    MISSED: "missed, for a known reason",
    REPORTED: "reported",
    NOT_CHECKED: "not checked",
}


def validation_page(rows: Sequence[Row]) -> str:
    """The page of validated rows."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.group.name, []).append(row)
    groups = [
        {
            "anchor": name,
            "title": members[0].group.title,
            "source": members[0].group.source,
            "n_met": sum(row.verdict == PASS for row in members),
            "n_counted": sum(row.verdict in (PASS, FAIL, MISSED) for row in members),
            "columns": table.columns[1:-1],
            "rows": [(cells, row.verdict) for cells, row in zip(table.rows, members, strict=True)],
        }
        for (name, members), (_, table) in zip(grouped.items(), tables(rows), strict=True)
    ]
    origin = provenance()
    n_met = sum(row.verdict == PASS for row in rows)
    n_missed = sum(row.verdict in (FAIL, MISSED) for row in rows)
    values = {
        "groups": groups,
        "remarks": remarks(rows),
        "words": _VERDICTS,
        "footer": f"Commit {origin.git_commit or 'unknown'}; source {origin.source_hash[:12]}.",
        "n_met": n_met,
        "n_missed": n_missed,
        "n_reported": len(rows) - n_met - n_missed,
    }
    return render(_TITLE, "validation.html.j2", values)


def write_validation_page(rows: Sequence[Row], path: str | Path) -> Path:
    """Write the page into a file, with the folders on the way. Raises ConfigError where it cannot be written."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(validation_page(rows), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write {target}: {error.strerror}",
            where="--html",
            remedy="name a file in a folder that can be written",
        ) from error
    return target
