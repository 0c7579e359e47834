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
MAX_POLLS = 2000


def least(
    objective: Objective,
    start: NDArray[np.float64],
    bound: NDArray[np.float64],
    *,
    first_step: float = FIRST_STEP,
    last_step: float = LAST_STEP,
) -> tuple[NDArray[np.float64], float]:
    """The vector where `objective` is least near `start` float64[p], each element within `bound` float64[2, p], and
    the value there.

    Deterministic. A step doubles after a better point and halves where none of the 2p directions is better.
    """
    best = np.clip(start, bound[0], bound[1])
    value = float(objective(best[None])[0])
    rng = child_rng(1, "calibrate", "directions")
    step = first_step
    for _ in range(MAX_POLLS):
        if step < last_step:
            break
        moves = _directions(rng, len(best)) * step
        points = np.clip(np.concatenate([best + moves, best - moves]), bound[0], bound[1])
        values = objective(points)
        first = int(np.argmin(values))
        if values[first] < value:
            best, value = points[first], float(values[first])
            step = min(2 * step, first_step)
        else:
            step /= 2
    return best, value


def _directions(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """An orthonormal basis: a reflection across a random plane (Householder), so that every direction is met."""
    normal = rng.standard_normal(n)
    normal /= np.linalg.norm(normal)
    reflection: NDArray[np.float64] = np.eye(n) - 2.0 * np.outer(normal, normal)
    return reflection
