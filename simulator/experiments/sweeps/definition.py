"""What a sweep file says: configurations, axes, method, constraints, and what to keep and plot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from simulator.core.binding import bind
from simulator.core.config import ConfigTree, load_part, tree_of
from simulator.core.errors import ConfigError
from simulator.core.nodes import Node, Where
from simulator.core.paths import parse_path
from simulator.core.quantities import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from simulator.core.resolved import config_hash
from simulator.core.spelling import did_you_mean
from simulator.experiments.sweeps.axes import Axis, Value, read_axis, scalar
from simulator.experiments.sweeps.expressions import Expression, parse_expression
from simulator.report.sweep_plots import PlotRequest

CONFIG = "config"
SEED = "run.seed"
TRACE_OPTIONS = ("trace.file", "trace.requests", "trace.qps", "trace.time_scale", "trace.jitter")
"""Paths of a sweep that change the trace instead of the configuration."""

Method = Literal["grid", "list", "random", "lhs"]


class TraceSection(BaseModel):
    """The `trace` section of a sweep file: the options of `sim run` that belong to a trace."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    format: str = "auto"
    requests: PositiveInt | None = None
    qps: PositiveFloat | None = None
    time_scale: PositiveFloat | None = None
    jitter: NonNegativeFloat | None = None


class SweepFile(BaseModel):
    """The keys of a sweep file; what has a form of its own is read from its tree."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: ConfigTree
    workload: str | None = None
    trace: TraceSection | None = None
    set: ConfigTree | None = None
    axes: ConfigTree | None = None
    points: ConfigTree | None = None
    zip: list[list[str]] = []
    method: Method | None = None
    n: PositiveInt | None = None
    seed: NonNegativeInt = 1
    constraints: ConfigTree | None = None
    derived: ConfigTree | None = None
    repeats: PositiveInt = 1
    metrics: list[str] = []
    plots: ConfigTree | None = None


@dataclass(frozen=True, slots=True)
class Derived:
    """A value computed from others of the same point."""

    path: str
    where: Where
    expression: Expression


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep file, read and checked in itself; no configuration has been looked at yet.

    `axes` in the file's order; `zips` the paths of axes that advance together; `rows` the points of method `list`, one
    value for each axis (None where a row leaves it out, and `absent` says so).
    """

    name: str
    file: str
    tree: ConfigTree
    configs: tuple[tuple[str, Where], ...]
    workload: str | None
    trace: TraceSection | None
    sets: Mapping[str, Any]
    axes: tuple[Axis, ...]
    zips: tuple[tuple[str, ...], ...]
    method: Method
    n: int
    seed: int
    constraints: tuple[Expression, ...]
    derived: tuple[Derived, ...]
    repeats: int
    metrics: tuple[str, ...]
    plots: tuple[PlotRequest, ...]


def is_variable(path: str) -> bool:
    """Whether an axis is a variable of the sweep file only: one key, which no configuration has a value at."""
    return len(parse_path(path)) == 1


def load_sweep(source: str | Path | Mapping[str, Any]) -> Sweep:
    """Read a sweep file, or the mapping that one would hold. Raises ConfigError at the place that is wrong."""
    if isinstance(source, Mapping):
        tree = tree_of(source, where="the sweep")
        return _sweep(tree, config_hash(tree)[:8], "")
    tree = load_part(source)
    return _sweep(tree, Path(source).stem, str(source))


def _sweep(tree: ConfigTree, name: str, file: str) -> Sweep:
    said = bind(tree, SweepFile)
    method: Method = said.method or ("list" if said.points is not None else "grid")
    axes = tuple(_rows(said.points)) if method == "list" else tuple(_axes(said.axes))
    _check_method(tree, said, method, axes)
    zips = tuple(tuple(group) for group in said.zip)
    if method == "list":
        zips = (tuple(axis.path for axis in axes),)
    sweep = Sweep(
        name=name,
        file=file,
        tree=tree,
        configs=tuple(_configs(said.config)),
        workload=said.workload,
        trace=said.trace,
        sets={} if said.set is None else {path: node.plain() for path, node in _entries(said.set)},
        axes=axes,
        zips=zips,
        method=method,
        n=said.n or 0,
        seed=said.seed,
        constraints=tuple(_constraints(said.constraints)),
        derived=tuple(_derived(said.derived)),
        repeats=said.repeats,
        metrics=tuple(said.metrics),
        plots=tuple(_plots(said.plots)),
    )
    _check_paths(sweep)
    _check_zips(sweep)
    return sweep


def _check_method(tree: ConfigTree, said: SweepFile, method: Method, axes: tuple[Axis, ...]) -> None:
    if (method == "list") != (said.points is not None) or (method == "list" and said.axes is not None):
        raise ConfigError(
            "method `list` runs the points below `points`, every other method those of `axes`",
            where=tree.position("points" if said.points is not None else "axes" if said.axes is not None else ""),
            remedy="write `points` or `axes`, not both",
        )
    if not axes and len(_configs_of(said.config)) < 2 and said.repeats == 1:
        raise ConfigError(
            "the sweep varies nothing", where=tree.position(), remedy="write `axes:` with a path and its values"
        )
    if (method in ("random", "lhs")) != (said.n is not None):
        place = tree.position("n") if said.n is not None else tree.position("method")
        remedy = f"write `n:`, the number of points of method `{method}`" if said.n is None else "leave `n` out"
        raise ConfigError(f"method `{method}` and the number of points do not go together", where=place, remedy=remedy)
    for axis in axes:
        if method == "grid" and not isinstance(axis.values, tuple):
            raise ConfigError(
                f"a grid cannot hold all numbers of an interval (`{axis.path}`)",
                where=axis.where,
                remedy="use linspace or geomspace, or method random or lhs",
            )


def _configs(tree: ConfigTree) -> Iterator[tuple[str, Where]]:
    nodes = _configs_of(tree)
    for node in nodes:
        if not isinstance(node.content, str):
            raise ConfigError("a configuration is the path of a file", where=node.where, remedy="name a YAML file")
        yield node.content, node.where
    if not nodes:
        raise ConfigError("no configuration is named", where=tree.position(), remedy="write `config: FILE.yaml`")


def _configs_of(tree: ConfigTree) -> tuple[Node, ...]:
    content = tree.node.content
    return content if isinstance(content, tuple) else (tree.node,)


def _entries(tree: ConfigTree) -> list[tuple[str, Node]]:
    if tree.node.mapping is None:
        raise ConfigError("this is not a mapping", where=tree.position(), remedy="write `path: ...` lines below it")
    return list(tree.node.mapping.items())


def _items(tree: ConfigTree, name: str) -> tuple[Node, ...]:
    if not isinstance(tree.node.content, tuple):
        raise ConfigError(f"`{name}` is not a list", where=tree.position(), remedy="start each entry with `- `")
    return tree.node.content


def _axes(tree: ConfigTree | None) -> Iterator[Axis]:
    for path, node in [] if tree is None else _entries(tree):
        yield read_axis(path, node)


def _rows(tree: ConfigTree | None) -> Iterator[Axis]:
    """The axes that a list of points implies; every point must set the same paths."""
    if tree is None:
        return
    rows = [(row, row.mapping or {}) for row in _items(tree, "points")]
    if not rows:
        raise ConfigError("the list of points is empty", where=tree.position(), remedy="list at least one point")
    paths = list(rows[0][1])
    for row, entries in rows:
        if not entries or set(entries) != set(paths):
            odd = next(iter(set(entries) ^ set(paths)), "")
            raise ConfigError(
                f"this point and the first do not set the same paths (`{odd}`)" if entries else "this point is empty",
                where=row.where,
                remedy="give every point the same paths, such as {workload.context: 4096}",
            )
    for path in paths:
        nodes = [entries[path] for _, entries in rows]
        where = nodes[0].key_where or nodes[0].where
        yield Axis(path, where, tuple(scalar(node) for node in nodes), tuple(node.where for node in nodes))


def _constraints(tree: ConfigTree | None) -> Iterator[Expression]:
    for node in () if tree is None else _items(tree, "constraints"):
        yield _expression(node)


def _derived(tree: ConfigTree | None) -> Iterator[Derived]:
    for path, node in [] if tree is None else _entries(tree):
        yield Derived(path, node.key_where or node.where, _expression(node))


def _plots(tree: ConfigTree | None) -> Iterator[PlotRequest]:
    if tree is not None:
        for number in range(len(_items(tree, "plots"))):
            yield bind(tree.at(str(number)), PlotRequest, ignore=())


def _expression(node: Node) -> Expression:
    if isinstance(node.content, (dict, tuple)) or node.content is None:
        raise ConfigError("an expression is text", where=node.where, remedy='write "workload.context >= 1024", say')
    return parse_expression(str(node.content), node.where)


def _check_paths(sweep: Sweep) -> None:
    """Every path is one, and is set by one thing only."""
    seen: dict[str, Where] = {}
    asked = {name for one in sweep.derived for name in one.expression.names}
    asked |= {name for one in sweep.constraints for name in one.names}
    values = {
        axis.path: list(zip(axis.values, axis.value_places or [axis.where] * len(axis.values), strict=True))
        for axis in sweep.axes
        if isinstance(axis.values, tuple)
    }
    varied = [(axis.path, axis.where) for axis in sweep.axes] + [(one.path, one.where) for one in sweep.derived]
    for path, where in varied:
        parse_path(path, where=where)
        if path in seen:
            raise ConfigError(f"`{path}` is set twice, also at {seen[path]}", where=where, remedy="keep one of the two")
        seen[path] = where
        if path == CONFIG:
            raise ConfigError("`config` is no axis", where=where, remedy="list the files under the key `config`")
        if path == SEED and sweep.repeats > 1:
            raise ConfigError(
                "`repeats` varies run.seed, and so does this", where=where, remedy="leave one of the two out"
            )
        if path.startswith("trace."):
            _check_trace_option(sweep, path, where)
            for value, place in values.get(path, ()):
                _check_trace_value(path.removeprefix("trace."), value, place)
        if is_variable(path) and path not in asked:
            raise ConfigError(
                f"`{path}` is neither a path of a configuration nor asked for by an expression",
                where=where,
                remedy="write the whole path, such as system.n_devices, or use the variable in `derived`",
            )


def _check_trace_option(sweep: Sweep, path: str, where: Where) -> None:
    if path not in TRACE_OPTIONS:
        raise ConfigError(f"a trace has no option `{path}`", where=where, remedy=did_you_mean(path, TRACE_OPTIONS))
    if sweep.trace is None:
        raise ConfigError(
            f"`{path}` varies a trace, and the sweep has none", where=where, remedy="write `trace: {file: FILE}`"
        )


def _check_trace_value(option: str, value: Value, where: Where) -> None:
    node = Node({"file": Node("", where), option: Node(value, where, where)}, where)
    bind(ConfigTree(node, ("trace",)), TraceSection)


def _check_zips(sweep: Sweep) -> None:
    lengths = {axis.path: len(axis.values) for axis in sweep.axes if isinstance(axis.values, tuple)}
    place = sweep.tree.position("zip") if "zip" in sweep.tree else None
    seen: set[str] = set()
    for group in sweep.zips:
        for path in group:
            if path not in lengths or path in seen:
                cause = "stands in two groups" if path in seen else "is no axis with a list of values"
                raise ConfigError(
                    f"`{path}` in `zip` {cause}", where=place, remedy=did_you_mean(path, set(lengths) - seen)
                )
            seen.add(path)
        if len({lengths[path] for path in group}) > 1:
            counts = ", ".join(f"`{path}` has {lengths[path]}" for path in group)
            raise ConfigError(
                f"axes that advance together differ in length: {counts}", where=place, remedy="make them equally long"
            )
