"""Anda's search for mantissas: candidates in the order of their bit operations, one model evaluation for each.

Uniform tuples are queued first. The cheapest is taken and evaluated; one that keeps the perplexity within the
tolerance becomes the best, and its four neighbours, one bit less in one module each, are queued. A candidate that is no
cheaper than the best ends the search, as all that are left are no cheaper either.

Source: Anda (HPCA 2025), adaptive precision search. What the paper leaves open: ties go to what was queued first, seeds
before neighbours, neighbours in the order qkv, o, u, d. Perplexity need not fall with more bits, and on small models
does not: nothing here assumes that it does.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from simulator.core.errors import ConfigError
from simulator.numerics.bit_operations import (
    MANTISSA_RANGE,
    MODULES,
    MacWeights,
    Mantissas,
    bit_operations,
    bit_operations_saving,
)

FIRST_SEED, LAST_SEED = 4, 13
MAX_ITERATIONS = 32


@dataclass(frozen=True, slots=True)
class Visit:
    """A candidate that was evaluated; `accepted` where it became the best."""

    mantissas: Mantissas
    perplexity: float
    accepted: bool

    def __str__(self) -> str:
        return written(self.mantissas) + ("+" if self.accepted else "-")


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found: `best` is None where no candidate was within the tolerance."""

    reference: float
    tolerance: float
    visits: tuple[Visit, ...]
    weights: MacWeights

    @property
    def best_visit(self) -> Visit | None:
        """The last candidate that was accepted."""
        return next((visit for visit in reversed(self.visits) if visit.accepted), None)

    @property
    def best(self) -> Mantissas | None:
        """The mantissas found."""
        return self.best_visit.mantissas if self.best_visit else None

    @property
    def n_iterations(self) -> int:
        """Evaluations of the model, without that of the reference."""
        return len(self.visits)

    @property
    def saving(self) -> float:
        """How many times fewer bit operations than FP16 activations need; 1 where nothing was found."""
        return bit_operations_saving(self.best, self.weights) if self.best else 1.0

    @property
    def trace(self) -> str:
        """Every candidate with + or -, such as `7777+ 7767+ 7757-`."""
        return " ".join(map(str, self.visits))

    @property
    def in_words(self) -> str:
        """The outcome as a sentence."""
        within = f"{self.tolerance:.3g} of the reference perplexity {self.reference:.5g}"
        visit = self.best_visit
        if visit is None:
            nearest = min(self.visits, key=lambda one: one.perplexity if math.isfinite(one.perplexity) else math.inf)
            return (
                f"none of {self.n_iterations} tuples of mantissas is within {within}; the nearest, "
                f"{written(nearest.mantissas)}, has {nearest.perplexity:.5g}"
            )
        return (
            f"mantissas {written(visit.mantissas)} ({', '.join(MODULES)}) are within {within}, at "
            f"{visit.perplexity:.5g}; "
            f"{self.saving:.2f} times fewer bit operations, {self.n_iterations} evaluations"
        )


def written(mantissas: Mantissas) -> str:
    """A tuple in short: its digits, with strokes between them where one has two."""
    return ("" if max(mantissas) < 10 else "/").join(map(str, mantissas))


def format_name(mantissas: Mantissas) -> str:
    """The name of activations with these mantissas, as `numerics.format_names` reads it."""
    return "anda_m" + "-".join(map(str, mantissas))


def search_precision(
    perplexity: Callable[[Mantissas], float],
    reference: float,
    weights: MacWeights,
    *,
    tolerance: float,
    max_iterations: int = MAX_ITERATIONS,
) -> SearchResult:
    """The cheapest mantissas that keep `perplexity` at most `reference x (1 + tolerance)`.

    `perplexity` evaluates the model with a tuple; `reference` is that of the model with FP16 activations; `weights` are
    the multiplications of each module. A perplexity that is no number is outside of every tolerance. Raises ConfigError
    for a reference that no perplexity can be, a negative tolerance and no iterations.
    """
    _check(reference, tolerance, max_iterations)
    queue: list[tuple[int, int, Mantissas]] = []
    n_queued = 0
    for bits in range(FIRST_SEED, LAST_SEED + 1):
        seed = (bits, bits, bits, bits)
        queue.append((bit_operations(seed, weights), n_queued, seed))
        n_queued += 1
    heapq.heapify(queue)
    least_operations: float = math.inf
    visits: dict[Mantissas, Visit] = {}
    while queue and len(visits) < max_iterations:
        operations, _, mantissas = heapq.heappop(queue)
        if operations >= least_operations:
            break
        if mantissas in visits:  # queued by two of its neighbours
            continue
        found = perplexity(mantissas)
        accepted = found <= reference * (1 + tolerance)
        visits[mantissas] = Visit(mantissas, found, accepted)
        if not accepted:
            continue
        least_operations = operations
        for neighbour in _neighbours(mantissas):
            if neighbour not in visits:
                heapq.heappush(queue, (bit_operations(neighbour, weights), n_queued, neighbour))
                n_queued += 1
    return SearchResult(reference, tolerance, tuple(visits.values()), weights)


def _neighbours(mantissas: Mantissas) -> Iterator[Mantissas]:
    """One bit less in one module, as long as there is one left."""
    for module in range(len(MODULES)):
        fewer = list(mantissas)
        fewer[module] -= 1
        if fewer[module] >= MANTISSA_RANGE[0]:
            yield fewer[0], fewer[1], fewer[2], fewer[3]


def _check(reference: float, tolerance: float, max_iterations: int) -> None:
    if not (math.isfinite(reference) and reference >= 1):
        raise ConfigError(
            f"a reference perplexity of {reference:g}",
            remedy="evaluate the model with FP16 activations first: a perplexity is a number of at least 1",
        )
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise ConfigError(f"a tolerance of {tolerance:g}", where="system.tolerance", remedy="give 0.01 for 1 %, say")
    if max_iterations < 1:
        raise ConfigError(f"a search of {max_iterations} iterations", remedy="give one at least")
