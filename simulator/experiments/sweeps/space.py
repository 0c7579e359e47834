"""The points of a sweep as a stream: grids, lists, random and Latin hypercube samples, within constraints."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.core.config import ConfigTree
from simulator.core.errors import ConfigError
from simulator.core.nodes import Where
from simulator.core.seeds import child_rng
from simulator.core.spelling import did_you_mean
from simulator.experiments.sweeps.axes import Axis, Value
from simulator.experiments.sweeps.definition import CONFIG, SEED, Sweep
from simulator.experiments.sweeps.expressions import Expression

MAX_CANDIDATES = 10_000_000
"""The most candidates that are looked at: beyond, a sweep would only ever count."""

_DRAWS_PER_POINT = 200
_CHUNK = 1024

Row = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A combination of values: the number of its configuration, and a value for each of the space's paths."""

    config: int
    values: Row


@dataclass(frozen=True, slots=True)
class Removal:
    """How many candidates a constraint alone refuses."""

    constraint: str
    where: Where
    n_removed: int


@dataclass(frozen=True, slots=True)
class Census:
    """What a space holds: candidates, those that satisfy every constraint, and what each constraint refuses."""

    n_candidates: int
    n_points: int
    removals: tuple[Removal, ...]


class Space:
    """The points of a sweep over its configurations; iterating gives them, the same ones in the same order each time.

    `paths` are what a point sets: axes in the file's order, derived values, and the seed where a point is repeated.
    """

    def __init__(self, sweep: Sweep, trees: Sequence[ConfigTree]) -> None:
        self._sweep = sweep
        self._trees = trees
        self._dimensions = _dimensions(sweep)
        derived = tuple(one.path for one in sweep.derived)
        repeated = (SEED,) if sweep.repeats > 1 else ()
        self.paths = (*(axis.path for dimension in self._dimensions for axis in dimension), *derived, *repeated)
        self._aliases = _aliases(self.paths)
        self._fixed = [self._fixed_values(number) for number in range(len(trees))]

    def __iter__(self) -> Iterator[Candidate]:
        for candidate, environment in self._candidates():
            if all(constraint.holds(environment) for constraint in self._sweep.constraints):
                yield from self._repeated(candidate)

    def census(self) -> Census:
        """Count the points. Raises ConfigError, saying what refuses how many, where none is left."""
        constraints = self._sweep.constraints
        removed = [0] * len(constraints)
        n_candidates = n_points = 0
        for _, environment in self._candidates():
            n_candidates += 1
            held = [constraint.holds(environment) for constraint in constraints]
            n_points += all(held)
            for index, holds in enumerate(held):
                removed[index] += not holds
        removals = tuple(
            Removal(constraint.text, constraint.where, n) for constraint, n in zip(constraints, removed, strict=True)
        )
        if not n_points:
            told = "; ".join(f"`{one.constraint}` removes {one.n_removed:,}" for one in removals)
            worst = max(removals, key=lambda one: one.n_removed)
            raise ConfigError(
                f"no point satisfies the constraints: of {n_candidates:,} candidates {told}",
                where=worst.where,
                remedy="loosen a constraint, or widen the axes",
            )
        return Census(n_candidates, n_points * self._sweep.repeats, removals)

    def _candidates(self) -> Iterator[tuple[Candidate, Mapping[str, Value]]]:
        """Every combination, or sample, with what expressions may ask of it."""
        sampled = {"random": self._random, "lhs": self._latin_hypercube}.get(self._sweep.method)
        n_configs = len(self._trees)
        if sampled is None:
            n_candidates = n_configs * math.prod(len(_values(axes[0])) for axes in self._dimensions)
            if n_candidates > MAX_CANDIDATES:
                raise ConfigError(
                    f"the grid has {n_candidates:,} points",
                    where=self._sweep.axes[0].where,
                    remedy=f"take at most {MAX_CANDIDATES:,}, or method random or lhs with `n`",
                )
            for config in range(n_configs):
                for choice in itertools.product(*(range(len(_values(axes[0]))) for axes in self._dimensions)):
                    yield self._completed(config, self._chosen(choice))
            return
        for config in range(n_configs):
            for shares in sampled(config):
                yield self._completed(config, self._drawn(shares))

    def _chosen(self, choice: tuple[int, ...]) -> Row:
        return tuple(
            _values(axis)[index] for axes, index in zip(self._dimensions, choice, strict=True) for axis in axes
        )

    def _drawn(self, shares: list[float]) -> Row:
        return tuple(axis.at(share) for axes, share in zip(self._dimensions, shares, strict=True) for axis in axes)

    def _random(self, config: int) -> Iterator[list[float]]:
        """Shares drawn one by one; where constraints refuse many, more are drawn, up to a bound."""
        sweep = self._sweep
        rng = child_rng(sweep.seed, "sweep", "random")
        n_accepted = n_drawn = 0
        while n_accepted < sweep.n and n_drawn < sweep.n * _DRAWS_PER_POINT:
            for shares in rng.random((_CHUNK, len(self._dimensions))).tolist():
                if n_accepted == sweep.n:
                    break
                n_drawn += 1
                if not sweep.constraints or self._accepts(config, shares):
                    n_accepted += 1
                yield shares

    def _accepts(self, config: int, shares: list[float]) -> bool:
        _, environment = self._completed(config, self._drawn(shares))
        return all(constraint.holds(environment) for constraint in self._sweep.constraints)

    def _latin_hypercube(self, _config: int) -> Iterator[list[float]]:
        """One sample in each of n equal slices of every axis, slices paired at random.

        Source: McKay, Beckman, Conover, Technometrics 1979.
        """
        n, rng = self._sweep.n, child_rng(self._sweep.seed, "sweep", "lhs")
        slices = [rng.permutation(n) for _ in self._dimensions]
        columns = [(column + rng.random(n)) / n for column in slices]
        # (n - 1 + share) / n may round up to 1.
        yield from np.minimum(np.stack(columns, axis=1), np.nextafter(1.0, 0.0)).tolist() if columns else []

    def _completed(self, config: int, values: Row) -> tuple[Candidate, Mapping[str, Value]]:
        """The candidate with its derived values, and its environment."""
        sweep = self._sweep
        environment: dict[str, Value] = {**self._fixed[config], **dict(zip(self.paths, values, strict=False))}
        for alias, path in self._aliases.items():
            if path in environment:
                environment[alias] = environment[path]
        for one in sweep.derived:
            value = one.expression.value(environment)
            environment[one.path] = value
            environment.update({alias: value for alias, path in self._aliases.items() if path == one.path})
            values = (*values, value)
        return Candidate(config, values), environment

    def _repeated(self, candidate: Candidate) -> Iterator[Candidate]:
        if self._sweep.repeats == 1:
            yield candidate
            return
        first = self._trees[candidate.config].get(SEED, 1)
        for offset in range(self._sweep.repeats):
            yield Candidate(candidate.config, (*candidate.values, first + offset))

    def _fixed_values(self, config: int) -> dict[str, Value]:
        """What expressions ask for and no axis varies: the configuration's own values."""
        sweep, tree = self._sweep, self._trees[config]
        known: dict[str, Value] = {CONFIG: sweep.configs[config][0]}
        varied = {axis.path for axis in sweep.axes}
        expressions = [*(one.expression for one in sweep.derived), *sweep.constraints]
        for number, expression in enumerate(expressions):
            available = varied | {one.path for one in sweep.derived[:number]}
            for name in expression.names:
                if name in known or self._aliases.get(name, name) in available:
                    continue
                known[name] = _configured(tree, name, expression, {*available, *self._aliases})
        return known


def _configured(tree: ConfigTree, name: str, expression: Expression, names: set[str]) -> Value:
    value = tree.get(name)
    if value is None and name not in tree:
        scalars = [path for path in tree.origins() if not path.endswith((".source", ".kind", ".range"))]
        raise ConfigError(
            f"`{expression.text}` asks for `{name}`, which is no axis and no value of the configuration",
            where=expression.where,
            remedy=did_you_mean(name, {*names, *scalars}, noun="an axis, such as"),
        )
    if isinstance(value, (dict, list)):
        raise ConfigError(
            f"`{name}` is a group of values", where=expression.where, remedy="name one of the values below it"
        )
    scalar: Value = value
    return scalar


def _dimensions(sweep: Sweep) -> list[tuple[Axis, ...]]:
    """Axes that advance together, in the order in which each group's first axis is written."""
    group_of = {path: group for group in sweep.zips for path in group}
    by_path = {axis.path: axis for axis in sweep.axes}
    groups = dict.fromkeys(group_of.get(axis.path, (axis.path,)) for axis in sweep.axes)
    return [tuple(by_path[path] for path in group) for group in groups]


def _aliases(paths: Sequence[str]) -> dict[str, str]:
    """A path's last key names it too, where no other path ends so."""
    last = [path.rpartition(".")[2] for path in paths]
    return {name: path for name, path in zip(last, paths, strict=True) if last.count(name) == 1 and name not in paths}


def _values(axis: Axis) -> Row:
    assert isinstance(axis.values, tuple)
    return axis.values
