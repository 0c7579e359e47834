"""What tokens at each context, or steps of batches, cost: the tables through which an engine sees a system."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.contracts.results import StepResult, StepSummary
from simulator.contracts.system import BatchesRequests, PlacesWork, System
from simulator.core.errors import ModelFault
from simulator.workload.batch import Batch

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, eq=False)
class TokenCosts:
    """Latency and dynamic energy of one token at contexts 1..max, and their sums over contexts 1..c.

    `latency_ps` int64[max] and `energy_pj` float64[max] hold context c at index c - 1; `through_ps` int64[max + 1] and
    `through_pj` float64[max + 1] hold at index c what the contexts 1..c cost together. `n_distinct` of them differ in
    `step_key`, which is how many steps the system computed. Build it with `of` or `from_system`.
    """

    latency_ps: NDArray[np.int64]
    energy_pj: NDArray[np.float64]
    through_ps: NDArray[np.int64]
    through_pj: NDArray[np.float64]
    n_distinct: int

    @classmethod
    def of(cls, latency_ps: ArrayLike, energy_pj: ArrayLike | None = None, n_distinct: int | None = None) -> TokenCosts:
        """A table from its columns; energy is zero unless given.

        Errors: ModelFault for a token that takes no time or less, for negative energy, and for columns of different
        length.
        """
        latency = np.asarray(latency_ps, np.int64)
        energy = np.zeros(len(latency)) if energy_pj is None else np.asarray(energy_pj, np.float64)
        if energy.shape != latency.shape:
            raise ModelFault(f"{len(latency)} contexts have a latency and {len(energy)} an energy")
        wrong = np.flatnonzero((latency <= 0) | ~(energy >= 0))
        if wrong.size:
            at = int(wrong[0])
            raise ModelFault(
                f"a token at context {at + 1} takes {latency[at]} ps and {energy[at]} pJ",
                remedy="a step takes some time, and energy is never negative",
            )
        return cls(
            latency_ps=latency,
            energy_pj=energy,
            through_ps=np.concatenate((np.zeros(1, np.int64), np.cumsum(latency))),
            through_pj=np.concatenate((np.zeros(1), np.cumsum(energy))),
            n_distinct=len(latency) if n_distinct is None else n_distinct,
        )

    @classmethod
    def from_system(cls, system: System, max_context: int) -> TokenCosts:
        """Ask the system for a decode step of one sequence at each context 1..max_context, once for each distinct
        `step_key`.

        Latency is the step's `latency_ps`, energy the sum of its `dynamic_pj`: the background belongs to the machine,
        not to a token. Errors: what the system raises where a context does not fit it.
        """
        seen: dict[Hashable, tuple[int, float]] = {}
        latency, energy = np.empty(max_context, np.int64), np.empty(max_context, np.float64)
        for context in range(1, max_context + 1):
            batch = Batch.decode(context)
            key = system.step_key(batch)
            cost = seen.get(key)
            if cost is None:
                result = system.step(batch)
                cost = seen[key] = (result.latency_ps, sum(result.energy.dynamic_pj.values()))
            latency[context - 1], energy[context - 1] = cost
        return cls.of(latency, energy, n_distinct=len(seen))

    @property
    def max_context(self) -> int:
        """The longest context that the table holds."""
        return len(self.latency_ps)


class BatchCosts:
    """What the steps of a system's batches cost, each distinct `step_key` computed once.

    `latency_ps` and `energy_pj` (background included) hold the step of each number that `number` gives; `summaries`
    what else remains of it, and `batches` the batch that it was computed for. `longest` is the step that took longest.
    `placement` holds the unit that `places` names for each step, and nothing without it; moving to another unit takes
    `switch_ps`. Errors: ModelFault for a switch of negative time.
    """

    def __init__(self, system: BatchesRequests, places: PlacesWork | None = None) -> None:
        self.system = system
        self.places = places
        self.placement: list[str] = []
        self.switch_ps = 0 if places is None else places.switch_ps
        if self.switch_ps < 0:
            raise ModelFault(f"moving work to another unit takes {self.switch_ps} ps", remedy="give zero or more")
        self.latency_ps: list[int] = []
        self.energy_pj: list[float] = []
        self.summaries: list[StepSummary] = []
        self.batches: list[Batch] = []
        self.longest: StepResult | None = None
        self._numbers: dict[Hashable, int] = {}

    def number(self, batch: Batch) -> int:
        """The number of the batch's step. Errors: ModelFault for a step of no time or of negative energy, and what the
        system raises."""
        key = self.system.step_key(batch)
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = self._computed(batch)
        return found

    def _computed(self, batch: Batch) -> int:
        step = self.system.step(batch)
        energy_pj = step.energy.total_pj
        if step.latency_ps <= 0 or not energy_pj >= 0:
            raise ModelFault(
                f"a step of {batch.n_sequences} sequences takes {step.latency_ps} ps and {energy_pj} pJ",
                remedy="a step takes some time, and energy is never negative",
            )
        if self.longest is None or step.latency_ps > self.longest.latency_ps:
            self.longest = step
        self.latency_ps.append(step.latency_ps)
        self.energy_pj.append(energy_pj)
        self.summaries.append(StepSummary.of(step))
        self.batches.append(batch)
        if self.places is not None:
            self.placement.append(self.places.placement(batch))
        return len(self.batches) - 1
