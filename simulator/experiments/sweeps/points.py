"""From a sweep file to the plan of its points, and from a point's values to its configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simulator.core.config import SECTIONS, ConfigTree, load_config
from simulator.core.errors import ConfigError, SimulatorError, WorkloadError
from simulator.core.includes import Includer
from simulator.core.nodes import Node, Where
from simulator.core.overrides import with_set
from simulator.core.parameters import check_parameters
from simulator.core.paths import Path as Keys
from simulator.core.paths import parse_path
from simulator.experiments.llm_trace import TraceRequest
from simulator.experiments.run_kinds import bound_run
from simulator.experiments.settings import workload_tree
from simulator.experiments.sweeps.axes import Axis, Value
from simulator.experiments.sweeps.definition import SEED, TRACE_OPTIONS, Sweep, is_variable
from simulator.experiments.sweeps.space import Candidate, Space

_N_TRIED = 5
"""Points, and values of an axis, that are bound before anything runs, to tell a wrong path from a wrong value."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A path that points set, and the place in the sweep file that says so.

    `in_config` is False for a variable of the sweep file and for an option of the trace; `places` are those of listed
    values, `where` that of all others.
    """

    path: str
    in_config: bool
    keys: Keys
    where: Where
    key_where: Where
    places: Mapping[Value, Where] = field(default_factory=dict)

    def applied(self, root: Node, value: Value) -> Node:
        """The tree with the value set. Raises ConfigError at the sweep file's place."""
        where = self.places.get(value, self.where)
        node = Node(value, where, self.key_where)
        if self.keys[-1] != "use":
            return with_set(root, self.keys, node)
        if len(self.keys) == 1:
            raise ConfigError("`use` names a part below a key", where=where, remedy="write a path such as a.use")
        part = Includer().resolve(Node({"use": node}, where, self.key_where), beside=Path())
        return with_set(root, self.keys[:-1], Node(part.content, where, self.key_where))


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """All that it takes to run any point of a sweep; it travels to every worker.

    `configs` are the configurations' names and `trees` what the sweep file makes of them before a point changes them;
    `folder` is the sweep file's, `kept` the entries of breakdowns that the table shows.
    """

    configs: tuple[str, ...]
    trees: tuple[ConfigTree, ...]
    settings: tuple[Setting, ...]
    trace: TraceRequest | None
    folder: str
    kept: tuple[str, ...]

    def tree(self, config: int, values: Sequence[Value]) -> ConfigTree:
        """The resolved configuration of a point. Raises ConfigError."""
        base = self.trees[config]
        node = base.node
        for setting, value in zip(self.settings, values, strict=True):
            if setting.in_config:
                node = setting.applied(node, value)
        return ConfigTree(node, (), SECTIONS)

    def section(self, name: str, config: int, values: Sequence[Value]) -> ConfigTree:
        """One section of a point's configuration, the others left as the sweep file makes them. Raises ConfigError."""
        node = self.trees[config].node
        for setting, value in zip(self.settings, values, strict=True):
            if setting.in_config and setting.keys[0] == name:
                node = setting.applied(node, value)
        return ConfigTree(node, (), SECTIONS)

    def request(self, values: Sequence[Value]) -> TraceRequest | None:
        """The trace of a point, if any."""
        if self.trace is None:
            return None
        changed: dict[str, Any] = {
            setting.path.removeprefix("trace."): value
            for setting, value in zip(self.settings, values, strict=True)
            if setting.path in TRACE_OPTIONS
        }
        path = str(changed.pop("file", self.trace.path))
        return replace(self.trace, **changed, path=next((place for place in self._places(path)), path))

    def _places(self, path: str) -> Iterator[str]:
        return (str(folder / path) for folder in _folders(self.folder) if (folder / path).is_file())


def plan_sweep(sweep: Sweep) -> tuple[SweepPlan, Space]:
    """Load the configurations of a sweep; nothing is run. Raises ConfigError at the place that is wrong."""
    trees = tuple(_tree(sweep, name, where) for name, where in sweep.configs)
    space = Space(sweep, trees)
    places: dict[str, tuple[Where, Where, Mapping[Value, Where]]] = {
        axis.path: (axis.where, axis.where, _places(axis)) for axis in sweep.axes
    }
    places.update({one.path: (one.expression.where, one.where, {}) for one in sweep.derived})
    seeds = sweep.tree.position("repeats") if "repeats" in sweep.tree else "repeats"
    places.setdefault(SEED, (seeds, seeds, {}))
    plan = SweepPlan(
        configs=tuple(name for name, _ in sweep.configs),
        trees=trees,
        settings=tuple(
            Setting(path, path not in TRACE_OPTIONS and not is_variable(path), parse_path(path), *places[path])
            for path in space.paths
        ),
        trace=_trace(sweep),
        folder=str(Path(sweep.file).parent),
        kept=tuple(sorted(name for name in sweep.metrics if "." in name)),
    )
    return plan, space


def check_paths(plan: SweepPlan, space: Space) -> None:
    """Refuse a path that a configuration does not take, before anything runs; failing values are left to the points.

    Raises ConfigError with the nearest key.
    """
    for number in range(len(plan.configs)):
        tried: list[Candidate] = []
        for candidate in space:
            if candidate.config == number:
                tried.append(candidate)
            if len(tried) == _N_TRIED or candidate.config > number:
                break
        errors = [_refusal(plan, number, dict(zip(space.paths, one.values, strict=True))) for one in tried]
        if not errors or None in errors:
            continue
        for setting in plan.settings:
            values = {row.values[space.paths.index(setting.path)] for row in tried}
            alone = [_refusal(plan, number, {setting.path: value}) for value in values]
            if None not in alone and (first := next(iter(alone), None)) is not None:
                raise first
        first = errors[0]
        assert first is not None
        raise first


def _places(axis: Axis) -> Mapping[Value, Where]:
    if not axis.value_places or not isinstance(axis.values, tuple):
        return {}
    return dict(zip(axis.values, axis.value_places, strict=True))


def _tree(sweep: Sweep, name: str, where: Where) -> ConfigTree:
    tree = load_config(_found(sweep, name, where))
    if sweep.workload is not None:
        tree = tree.with_section("workload", workload_tree(sweep.workload))
    return tree.with_sets(sweep.sets)


def _folders(beside: str | Path) -> tuple[Path, ...]:
    """Where the files that a sweep names are looked for: the current folder, the sweep file's, the project's."""
    return Path(), Path(beside), Path(__file__).parents[3]


def _trace(sweep: Sweep) -> TraceRequest | None:
    said = sweep.trace
    if said is None:
        return None
    where = sweep.tree.position("trace.file")
    if not any((folder / said.file).is_file() for folder in _folders(Path(sweep.file).parent)):
        raise WorkloadError(f"no file {said.file}", where=where, remedy="name the file of a trace")
    return TraceRequest(said.file, said.format, said.requests, said.qps, said.time_scale, said.jitter)


def _found(sweep: Sweep, name: str, where: Where) -> str:
    """A configuration's file: from the current folder, that of the sweep file, or the project."""
    for folder in _folders(Path(sweep.file).parent):
        if (folder / name).is_file():
            return str(folder / name)
    try:
        load_config(name)
    except ConfigError as error:
        error.where = where
        raise
    return name


def _refusal(plan: SweepPlan, config: int, values: dict[str, Value]) -> SimulatorError | None:
    """Why a configuration does not take these values; None where it does."""
    node = plan.trees[config].node
    try:
        for setting in plan.settings:
            if setting.in_config and setting.path in values:
                node = setting.applied(node, values[setting.path])
        check_parameters(node)
        tree = ConfigTree(node, (), SECTIONS).with_sets(())
        bound_run(tree, plan.configs[config])
    except SimulatorError as error:
        return error
    return None
