"""`sim list`: what a configuration may name, found in the folders and packages that it would be loaded from."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable
from pathlib import Path

from simulator.contracts.results import Scalar, Table
from simulator.contracts.system import scopes_of
from simulator.core.config import load_part
from simulator.core.errors import ConfigError
from simulator.core.registry import list_kinds, load_kind
from simulator.core.spelling import did_you_mean
from simulator.numerics.format_names import ModelFormats, format_named, format_names, model_formats
from simulator.numerics.number_format import NumberFormat
from simulator.workload.access_reading import access_format_of, access_formats
from simulator.workload.catalog import data_directory, list_models, load_model
from simulator.workload.length_sets import list_lengths, load_lengths
from simulator.workload.traces import formats

_SYSTEMS = "simulator.systems"
_POLICIES = "simulator.memory.tiers.policies"
_ROW_COLUMNS = 4096
_HEAD_COLUMNS = 128


def list_kind(kind: str) -> Table:
    """The table of one of KINDS. Raises ConfigError for any other."""
    if kind not in KINDS:
        raise ConfigError(f"there is no list of {kind!r}", where="sim list", remedy=did_you_mean(kind, KINDS))
    return KINDS[kind]()


def models() -> Table:
    """Every model that comes with the simulator, by the id that `workload.model` takes."""
    rows: list[tuple[Scalar, ...]] = []
    for name in list_models():
        model = load_model(name)
        rows.append(
            (
                name,
                model.n_params / 1e9,
                model.n_layers,
                model.hidden,
                model.n_heads,
                model.n_kv_heads,
                model.max_context,
            )
        )
    return Table(("model", "parameters (1e9)", "layers", "hidden", "heads", "kv heads", "max context"), rows)


def systems() -> Table:
    """Every `system.kind`, ours and those of installed packages."""
    return Table(("kind", "models"), [(kind, _summary(_SYSTEMS, kind)) for kind in list_kinds(_SYSTEMS)])


def parts() -> Table:
    """The parts in `hw_configs/parts`, for `use:` and, where a device replays them, for `sim replay`."""
    folder = data_directory("hw_configs") / "parts"
    return Table(
        ("part", "kind", "holds"),
        [
            (path.relative_to(folder).as_posix(), str(load_part(path).get("kind", "-")), _comment(path))
            for path in sorted(folder.rglob("*.yaml"), key=lambda path: (len(path.parents), path))
        ],
    )


def workloads() -> Table:
    """The request mixes in `workloads`, for `--workload`."""
    paths = sorted(data_directory("workloads").glob("*.yaml"))
    rows = []
    for path in paths:
        tree = load_part(path)
        rows.append((path.stem, tree.get("prompt_tokens", None), tree.get("output_tokens", None), _comment(path)))
    return Table(("workload", "prompt tokens", "output tokens", "holds"), rows)


def lengths() -> Table:
    """The length sets in `workloads/lengths`, for `workload.lengths`."""
    rows: list[tuple[Scalar, ...]] = []
    for name in list_lengths():
        found = load_lengths(name)
        columns = (found.prompt_tokens.known.mean, found.output_tokens.known.mean)
        rows.append((name, found.n_records, *columns, _comment(found.path)))
    return Table(("lengths", "records", "tokens in", "tokens out", "holds"), rows)


def number_formats() -> Table:
    """Number formats of a model's tensors, for `workload.format`: examples, as families take widths and groups.

    Bits of a value include scales and all else that a group has, in rows of 4,096, of the KV cache in heads of 128.
    """
    rows: list[tuple[Scalar, ...]] = []
    for name in format_names():
        role, used = _used_formats(model_formats(name))
        columns = _HEAD_COLUMNS if role == "KV" else _ROW_COLUMNS
        bits = sum(one.bits_per_value(columns) for one in used) / len(used)
        family = type(used[0])
        rows.append((name, family.__name__.lower(), role, round(bits, 4), family.TITLE or "-"))
    return Table(("format", "family", "role", "bits", "is"), rows)


def trace_formats() -> Table:
    """The formats that `--format` takes: of traces of requests, then of traces of memory accesses."""
    packages = (
        ("requests", "simulator.workload.traces", formats()),
        ("accesses", "simulator.workload.access_traces", access_formats()),
    )
    rows = [(name, of, _summary(package, name)) for of, package, names in packages for name in names]
    return Table(("format", "of", "holds"), rows)


def policies() -> Table:
    """Every kind of migration policy that `system.policies` of a tiered memory may name."""
    return Table(("kind", "models"), [(kind, _summary(_POLICIES, kind)) for kind in list_kinds(_POLICIES)])


def traces() -> Table:
    """The traces that come with the simulator, for `--trace` and `workload.trace`."""
    rows = []
    for path in sorted(data_directory("traces").iterdir()):
        if path.suffix in (".npz", ".csv"):
            of, format_name = ("accesses", access_format_of(path)) if path.suffix == ".npz" else ("requests", "")
            rows.append((path.stem if path.suffix == ".npz" else path.name, of, format_name or "-"))
    return Table(("trace", "of", "format"), rows)


def scopes() -> Table:
    """What `workload.scope` may be, by system."""
    rows: list[tuple[str, str]] = []
    for kind in list_kinds(_SYSTEMS):
        named = scopes_of(load_kind(_SYSTEMS, kind))
        rows += [(kind, scope) for scope in ("query", *named)]
    return Table(("system", "scope"), rows)


KINDS: dict[str, Callable[[], Table]] = {
    "models": models,
    "systems": systems,
    "parts": parts,
    "workloads": workloads,
    "lengths": lengths,
    "number_formats": number_formats,
    "formats": trace_formats,
    "policies": policies,
    "traces": traces,
    "scopes": scopes,
}


def _used_formats(formats: ModelFormats) -> tuple[str, list[NumberFormat]]:
    """What tensors a name is of, and their formats; `fp16` alone is of all."""
    kv = [one for one in (formats.keys, formats.values) if one is not None]
    if kv:
        return "KV", kv
    if formats.activations:
        return "activations", list(formats.activations.values())
    if formats.weights is not None:
        return "weights", [formats.weights]
    return "all", [format_named(formats.name)]


def _summary(package: str, module: str) -> str:
    """What a module's docstring begins with, read without importing it; a third party's kind is no module of ours."""
    spec = importlib.util.find_spec(package)
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in (Path(folder) / f"{module}.py", Path(folder) / module / "__init__.py"):
            if path.is_file():
                text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
                return " ".join(text.split("\n\n")[0].split())
    return "of an installed package"


def _comment(path: Path) -> str:
    """The sentence that a YAML begins with."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines).split(". ")[0].removesuffix(".")
