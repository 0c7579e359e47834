"""What is explained or compared: a configuration, or the directory of a run with what it says of itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.core.config import load_part
from simulator.core.errors import ConfigError, SimulatorError
from simulator.core.resolved import config_hash
from simulator.experiments.run_kinds import workload_kind
from simulator.experiments.settings import Sets, Settings, bound_settings, load_run_tree
from simulator.report.provenance import source_hash

_LARGEST_FILE_BYTES = 256 << 20
_WITHOUT_OPERATORS = {
    "accesses": ("memory accesses", "what each policy's time went into"),
    "accuracy": ("a model's accuracy", "what the formats do to the loss"),
}
_RUN_FILES = ("manifest.json", "config.yaml", "summary.json")
_RELATIVE_TOLERANCE = 1e-9  # another processor's mathematical library may differ in the last digits


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run directory as it was read: `summary` and `manifest` are the objects of its files of these names."""

    directory: Path
    summary: dict[str, Any]
    manifest: dict[str, Any]

    @property
    def metrics(self) -> dict[str, int | float | None]:
        """The run's scalars."""
        metrics: dict[str, int | float | None] = self.summary["metrics"]
        return metrics

    @property
    def trace_checksums(self) -> dict[str, str]:
        """SHA-256 by trace file; empty where the run had no trace."""
        checksums: dict[str, str] = self.manifest.get("trace_checksums", {})
        return checksums

    @property
    def source_changed(self) -> bool:
        """Whether the simulator's source is no longer the one that computed the run."""
        return bool(self.manifest["source_hash"] != source_hash())

    @property
    def version_in_words(self) -> str:
        """Which simulator wrote the run."""
        versions = self.manifest.get("versions")
        version = versions.get("simulator", "?") if isinstance(versions, dict) else "?"
        commit = self.manifest.get("git_commit")
        return f"simulator {version}" + (f", commit {str(commit)[:12]}" if commit else "")


@dataclass(frozen=True, slots=True)
class Subject:
    """A configuration, bound and checked; `stored` is the run directory that it came from, if any.

    `name` is what the user wrote, `changed` whether `--set` changed the run's configuration.
    """

    name: str
    settings: Settings
    stored: StoredRun | None
    changed: bool

    @property
    def has_trace(self) -> bool:
        """Whether the run served a request trace."""
        return self.stored is not None and bool(self.stored.trace_checksums)


def open_subject(target: str | Path, sets: Sets = (), *, workload: str | None = None) -> Subject:
    """Open a run directory or a configuration file.

    Raises ConfigError for a directory that is no whole run, or one of another version that this simulator cannot read,
    and what `load_settings` raises.
    """
    path = Path(target)
    if not _is_directory(path):
        tree = load_run_tree(target, sets, workload=workload)
        if workload_kind(tree) != "llm":
            raise no_operators(str(target), workload_kind(tree))
        return Subject(str(target), bound_settings(tree, target), None, changed=False)
    stored = read_run(path)
    if is_replay(path):
        raise ConfigError(
            "a replay on one part has no operators and no workload section",
            where=str(path),
            remedy="its report.html says what bound it, and `sim compare` puts several replays side by side",
        )
    try:
        tree = load_run_tree(path / "config.yaml", sets, workload=workload)
        if workload_kind(tree) == "llm":
            settings = bound_settings(tree, path / "config.yaml")
            return Subject(str(target), settings, stored, changed=bool(sets) or workload is not None)
    except SimulatorError as error:
        if stored.source_changed and not sets and workload is None:
            error.remedy = f"the run was written by {stored.version_in_words}: use that version, or run it again"
        raise
    raise no_operators(str(target), workload_kind(tree))


def is_replay(directory: Path) -> bool:
    """Whether a run directory is that of `sim replay`: its configuration is a part."""
    config = directory / "config.yaml"
    return config.is_file() and load_part(config).get("kind", None) is not None


def is_run_of(directory: Path, kind: str) -> bool:
    """Whether a run directory is one of a kind of workload."""
    config = directory / "config.yaml"
    return config.is_file() and workload_kind(load_part(config)) == kind


def no_operators(name: str, kind: str) -> ConfigError:
    """The error of a command that is about operators where it is given a run of another kind."""
    what, instead = _WITHOUT_OPERATORS.get(kind, (kind, "its results"))
    return ConfigError(
        f"a run of {what} has no operators to take apart",
        where=name,
        remedy=f"`sim run` prints {instead}, and `sim compare` puts run directories together",
    )


def read_run(directory: Path) -> StoredRun:
    """Read a run directory. Raises ConfigError, at the file, where one is missing, damaged or of another form."""
    missing = [name for name in _RUN_FILES if not (directory / name).is_file()]
    if missing:
        raise ConfigError(
            f"this is no run directory: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            where=str(directory),
            remedy="name a directory that `sim run` wrote, or a configuration file",
        )
    manifest = _json_object(directory / "manifest.json", {"source_hash": str, "config_hash": str})
    summary = _json_object(
        directory / "summary.json", {"system": str, "workload": str, "metrics": dict, "breakdown": dict}
    )
    for name, value in summary["metrics"].items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise _other_form(directory / "summary.json", f"the metric `{name}` is no number")
    if not isinstance(manifest.get("trace_checksums", {}), dict):
        raise _other_form(directory / "manifest.json", "`trace_checksums` is no object")
    return StoredRun(directory, summary, manifest)


def edited_config(subject: Subject) -> bool:
    """Whether a run's config.yaml no longer holds what the run was made from."""
    stored = subject.stored
    return stored is not None and config_hash(subject.settings.tree) != stored.manifest["config_hash"]


def differing_metrics(
    stored: Mapping[str, int | float | None], computed: Mapping[str, int | float]
) -> dict[str, tuple[float | None, float | None]]:
    """Metrics of a run that a new simulation does not give: (stored, computed) by name, None where one lacks it."""
    found: dict[str, tuple[float | None, float | None]] = {}
    for name in {**stored, **computed}:
        theirs, ours = stored.get(name), computed.get(name)
        if isinstance(ours, float) and math.isnan(ours):
            ours = None
        if theirs is None or ours is None:
            if theirs is not ours:
                found[name] = (theirs, ours)
        elif not math.isclose(theirs, ours, rel_tol=_RELATIVE_TOLERANCE):
            found[name] = (theirs, ours)
    return found


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that is too long, or holds a zero byte
        return False


def _json_object(path: Path, needed: Mapping[str, type]) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise _other_form(path, f"the file is larger than {_LARGEST_FILE_BYTES >> 20} MiB")
        content = json.loads(path.read_text("utf-8"), parse_constant=_refused_constant)
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror or error}", where=str(path), remedy="check the file's permissions"
        ) from error
    except (ValueError, RecursionError) as error:
        raise _other_form(path, f"not the JSON of a run ({error})") from error
    if not isinstance(content, dict):
        raise _other_form(path, "the file does not hold an object")
    for key, kind in needed.items():
        if not isinstance(content.get(key), kind):
            raise _other_form(path, f"`{key}` is missing or no {'text' if kind is str else 'object'}")
    return content


def _refused_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _other_form(path: Path, cause: str) -> ConfigError:
    return ConfigError(
        cause,
        where=str(path),
        remedy="the directory is damaged or was written by another version of the simulator: run it again",
    )
