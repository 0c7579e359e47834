"""A derivative-free search for the least value of a function that has kinks: mesh-adaptive direct search.

Source: Audet and Dennis, "Mesh adaptive direct search algorithms for constrained optimization" (2006), with the
orthogonal directions of Abramson, Audet, Dennis and Le Digabel, "OrthoMADS" (2009), drawn here from a seeded generator.
A search along the axes alone would stop at the first kink between two parameters that do nearly the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from simulator.core.seeds import child_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

Objective = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]
"""Vectors float64[m, p] to values float64[m]."""

FIRST_STEP = 0.1
LAST_STEP = 1e-4
SHRINK = 0.7
STRIDES = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
"""Lengths, in steps, of the moves along the way that the last rounds went: along the floor of a valley."""
MAX_POLLS = 400
MAX_RESTARTS = 20
GAIN = 1e-3


def least(
    objective: Objective,
    start: NDArray[np.float64],
    bound: NDArray[np.float64],
    *,
    first_step: float = FIRST_STEP,
    last_step: float = LAST_STEP,
    max_restarts: int = MAX_RESTARTS,
    enough: float = -np.inf,
) -> tuple[NDArray[np.float64], float]:
    """The vector where `objective` is least near `start` float64[p], each element within `bound` float64[2, p], and
    the value there.

    Deterministic; ends at the first value up to `enough`. A step doubles after a better point and shrinks where no
    direction is better; from where the steps have become `last_step` the search begins again, until that gains less
    than a share GAIN of the value.
    """
    best = np.clip(start, bound[0], bound[1])
    value = float(objective(best[None])[0])
    rng = child_rng(1, "calibrate", "directions")
    for _ in range(1 + max_restarts):
        before = value
        best, value = _descended(objective, best, value, bound, rng, first_step, last_step, enough)
        if before - value <= GAIN * abs(value):
            break
    return best, value


def _descended(
    objective: Objective,
    best: NDArray[np.float64],
    value: float,
    bound: NDArray[np.float64],
    rng: np.random.Generator,
    first_step: float,
    last_step: float,
    enough: float,
) -> tuple[NDArray[np.float64], float]:
    """One search from `best`, whose value is `value`, with steps from `first_step` to `last_step`."""
    way, step = np.zeros_like(best), first_step
    for _ in range(MAX_POLLS):
        if step < last_step or value <= enough:
            break
        moves = _directions(rng, len(best)) * step
        length = float(np.linalg.norm(way))
        along = np.outer(STRIDES, way / length * step) if length else np.zeros((0, len(best)))
        points = np.clip(np.concatenate([best + moves, best - moves, best + along]), bound[0], bound[1])
        values = objective(points)
        first = int(np.argmin(values))
        if values[first] < value:
            way = 0.7 * way + points[first] - best
            best, value = points[first], float(values[first])
            step = min(2 * step, first_step)
        else:
            step *= SHRINK
    return best, value


def _directions(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """An orthonormal basis: a reflection across a random plane (Householder), so that every direction is met."""
    normal = rng.standard_normal(n)
    normal /= np.linalg.norm(normal)
    reflection: NDArray[np.float64] = np.eye(n) - 2.0 * np.outer(normal, normal)
    return reflection
