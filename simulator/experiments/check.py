"""`sim check`: is a configuration or a part sound, where do its numbers come from, and does its workload fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

from simulator.contracts.results import RunRecord, Scalar
from simulator.contracts.system import BatchesRequests, HoldsQueries, ServesRequests
from simulator.core.config import ConfigTree, load_config, load_part
from simulator.core.parameters import Parameter, count_kinds, parameters
from simulator.core.paths import Path, format_path
from simulator.core.registry import list_kinds, load_kind
from simulator.experiments.access_settings import AccessSettings
from simulator.experiments.accuracy_settings import AccuracySettings
from simulator.experiments.llm_lengths import drawn, drawn_rules
from simulator.experiments.llm_records import checked_room
from simulator.experiments.replay import load_device
from simulator.experiments.run_kinds import AccessesRun, AccuracyRun, bound_run
from simulator.experiments.settings import Settings, load_settings

UNSOURCED = ("assumed", "fitted")
_DEVICES = "simulator.devices"
_SECTIONS = ("system", "serving", "run")  # a part has none of these keys at its root; `workload` alone is a workload


def check(config: str | FilePath) -> RunRecord:
    """Load and bind a configuration or a part, and say what its numbers rest on.

    A configuration's workload is placed too: where it does not fit and capacity is enforced, MappingError (exit code
    4) says by how many bytes. Raises ConfigError or WorkloadError at the place of what is wrong.
    """
    tree = load_part(config)
    if any(section in tree for section in _SECTIONS):
        whole = load_config(config)
        bound = bound_run(whole, config)
        if isinstance(bound, AccessesRun):
            return _record(whole, bound.workload_name, *_tiers(bound.settings))
        if isinstance(bound, AccuracyRun):
            return _record(whole, bound.workload_name, _texts(bound.settings), ())
        settings = load_settings(config)
        breakdown, notes = _fit(settings)
        return _record(whole, settings.model.name, breakdown, notes)
    kind = tree.get("kind", None)
    if kind in list_kinds(_DEVICES) and hasattr(load_kind(_DEVICES, kind), "Config"):
        load_device(config)
        note = f"bound as a device of kind {kind}"
    else:
        note = "a part of another part: its values were read, and are checked where it is used"
    return _record(tree, FilePath(config).stem, {}, (note,))


def _tiers(settings: AccessSettings) -> tuple[dict[str, dict[str, Scalar]], tuple[str, ...]]:
    """Whether the trace can be read, and how much of it DDR holds."""
    system, (stream, _) = settings.system(), settings.stream()
    return {
        "capacity": {
            "footprint MiB": stream.footprint_bytes / 2**20,
            "pages": stream.n_pages,
            "pages that DDR holds": system.n_ddr_pages(stream),
        }
    }, stream.notes


def _texts(settings: AccuracySettings) -> dict[str, dict[str, Scalar]]:
    """The checkpoint, whose tensors are all looked at, and the windows of text."""
    subject, shape = settings.subject(), settings.checkpoint.shape
    for name in settings.checkpoint.stored:
        settings.checkpoint.tensor(name)
    return {
        "model and text": {
            "parameters": shape.n_params,
            "windows to score": len(subject.windows),
            "windows for a search": len(subject.calibration),
            "tokens of each": settings.window_tokens,
        }
    }


def _fit(settings: Settings) -> tuple[dict[str, dict[str, Scalar]], tuple[str, ...]]:
    """Whether the workload has room, as a table and as a note where it has not but capacity is only reported."""
    workload = settings.workload
    system = settings.system(workload.context_step)
    if workload.lengths is not None:
        return _fit_drawn(settings, system)
    whole_query = workload.phase is None and workload.scope == "query"
    if whole_query:
        n_queries, context = _in_flight(settings, system), workload.prompt_tokens + workload.output_tokens
    else:
        n_queries, context = workload.batch, workload.context or 1
    note = checked_room(system, n_queries, context)
    table: dict[str, Scalar] = {"queries in flight": n_queries, "positions of each": context}
    if isinstance(system, ServesRequests):
        table["positions with room"] = system.kv_room.tokens
        table["missing bytes"] = system.kv_room.missing_bytes(n_queries, context)
    table["fits"] = "no" if note else "yes"
    return {"capacity": table}, (note,) if note else ()


def _fit_drawn(settings: Settings, system: Any) -> tuple[dict[str, dict[str, Scalar]], tuple[str, ...]]:
    """Whether each of the requests drawn from a length set has room; together they wait for it."""
    trace = drawn(settings)
    drawn_rules(settings)
    longest = int((trace.prompt_tokens + trace.output_tokens).max())
    note = checked_room(system, 1, longest)
    table: dict[str, Scalar] = {"requests drawn": len(trace), "positions of the longest": longest}
    if isinstance(system, ServesRequests):
        table["positions with room"] = system.kv_room.tokens
    table["fits"] = "no" if note else "yes"
    return {"capacity": table}, (*trace.notes, *((note,) if note else ()))


def _in_flight(settings: Settings, system: Any) -> int:
    """Queries that run at a time: one a slot, a batch, or one where the system has neither."""
    if isinstance(system, HoldsQueries):
        return system.n_slots
    return settings.workload.batch if isinstance(system, BatchesRequests) else 1


def _record(tree: ConfigTree, name: str, breakdown: dict[str, dict[str, Scalar]], notes: Sequence[str]) -> RunRecord:
    found = parameters(tree)
    kinds = count_kinds(found)
    for kind in UNSOURCED:
        listed: dict[str, Scalar] = {
            parameter.path: _in_words(parameter) for parameter in found if parameter.kind == kind
        }
        if listed:
            breakdown[kind] = listed
    n_bare = sum(_is_number(node.content) for path, node in tree.node.walk() if not _within(path, found))
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none"
    return RunRecord(
        system=str(tree.get("system.kind", tree.get("kind", "part"))),
        workload=name,
        metrics={
            "n_parameters": len(found),
            **{f"n_{kind}": count for kind, count in kinds.items()},
            "n_bare": n_bare,
        },
        breakdown=breakdown,
        headlines=(f"sound; {len(found)} parameters say where they come from ({counts}), {n_bare} bare numbers",),
        notes=tuple(notes),
    )


def _within(path: Path, found: Sequence[Parameter]) -> bool:
    """Whether a node stands within a parameter that says where it comes from."""
    text = format_path(path)
    return any(text.startswith(f"{parameter.path}.") for parameter in found)


def _is_number(content: object) -> bool:
    """A number, bare or with its unit."""
    if isinstance(content, str):
        return content[:1].isdigit()
    return isinstance(content, (int, float)) and not isinstance(content, bool)


def _in_words(parameter: Parameter) -> str:
    spread = f" ({parameter.range[0]} to {parameter.range[1]})" if parameter.range else ""
    return f"{parameter.value}{spread}: {parameter.source}"
