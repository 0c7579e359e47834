"""The files of a run directory: manifest, resolved configuration, summary and tables; all of them or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from simulator.contracts.results import RunRecord
from simulator.contracts.timeline import Timeline
from simulator.report.provenance import Provenance, provenance
from simulator.report.records import JsonObject, csv_text, json_text, summary_object
from simulator.report.run_directory import RunTarget, whole_directory

LISTED_KINDS = ("assumed", "fitted")  # a reader must be able to see every number that no source states


class StatedParameter(Protocol):
    """What the manifest needs of a configuration's parameter: its path, its value and where the value comes from."""

    @property
    def path(self) -> str:
        """Dotted path from the configuration's root."""

    @property
    def value(self) -> Any:
        """The value as written, with its unit."""

    @property
    def kind(self) -> str | None:
        """Kind of source: datasheet, standard, paper, measured, derived, fitted or assumed."""

    @property
    def source(self) -> str | None:
        """The source in words."""


@dataclass(frozen=True, slots=True)
class RunInputs:
    """What a run was made from.

    `command` is the command line, `config` the configuration's file as it was named, `config_yaml` the resolved
    configuration with the origin of each value, `config_hash` its hash, `seed` the random seed, `trace_checksums`
    SHA-256 by trace file.
    """

    command: Sequence[str]
    config_yaml: str
    config_hash: str
    seed: int
    trace_checksums: Mapping[str, str] = field(default_factory=dict)
    parameters: Iterable[StatedParameter] = ()
    config: str = ""


def manifest(inputs: RunInputs, origin: Provenance) -> JsonObject:
    """What it takes to repeat the run, and which of its numbers nobody has measured."""
    parameters = list(inputs.parameters)
    kinds = Counter(parameter.kind or "bare" for parameter in parameters)
    return {
        "command": list(inputs.command),
        "written_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": origin.git_commit,
        "git_dirty": origin.git_dirty,
        "source_hash": origin.source_hash,
        "versions": origin.versions,
        "config": inputs.config,
        "config_hash": inputs.config_hash,
        "trace_checksums": dict(inputs.trace_checksums),
        "seed": inputs.seed,
        "host": origin.host,
        "parameter_kinds": dict(sorted(kinds.items())),
        "parameters": {
            kind: [
                {"path": parameter.path, "value": str(parameter.value), "source": parameter.source}
                for parameter in parameters
                if parameter.kind == kind
            ]
            for kind in LISTED_KINDS
        },
    }


def write_run(
    target: RunTarget,
    record: RunRecord,
    inputs: RunInputs,
    origin: Provenance | None = None,
    *,
    report: bool = False,
) -> Path:
    """Write the whole run directory at `target` and return its place as the user would write it.

    With `report` it holds `report.html`, and a record that has a timeline gives `timeline.pftrace`. Raises ConfigError
    when the place cannot be written and ModelFault when the record holds an infinite number; either way the target
    stays as it was.
    """
    made_from = manifest(inputs, origin or provenance())
    texts = {
        "manifest.json": json_text(made_from),
        "config.yaml": inputs.config_yaml,
        "summary.json": json_text(summary_object(record, target.name)),
    }
    tables = {"operators": record.operators, "requests": record.requests, **record.tables}
    for name, table in tables.items():
        if table is not None:
            texts[f"{name}.csv"] = csv_text(table)
    if report:
        from simulator.report.html import report_html

        texts["report.html"] = report_html(record, made_from)
    with whole_directory(target) as folder:
        for name, text in texts.items():
            # Half a surrogate pair, from a name that is no UTF-8, must not cost the run.
            (folder / name).write_text(text, encoding="utf-8", errors="replace" if name == "report.html" else "strict")
        if record.timeline is not None:
            _write_timeline(folder / "timeline.pftrace", record.timeline)
    return Path(target.name)


def _write_timeline(path: Path, timeline: Timeline) -> None:
    from simulator.report.timeline import perfetto_trace

    with path.open("wb") as stream:
        for piece in perfetto_trace(timeline):
            stream.write(piece)
