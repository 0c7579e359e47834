"""What serving requests in the slots of a pipeline came to: load and utilisation beside what every engine tells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.contracts.results import Scalar
from simulator.serving.served import Served, total_ps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ServingResult(Served):
    """Requests served by the slots of a pipeline; arrays are by row of `requests`.

    `start_ps` is when a request took its slot, `slot` int32 which one; `service_ps` int64 the sum of its own token
    latencies, what it takes alone; `tokens_pj` the dynamic energy of its steps: idle power flows beside it throughout.
    """

    policy: str
    n_slots: int
    slot: NDArray[np.int32]
    service_ps: Int64s

    @property
    def offered_load_frac(self) -> float:
        """Slot time asked for per slot time there is, while requests arrive: sum of `service_ps` / (slots x arrival
        span).

        Above 1 the queue grows for as long as requests come. Infinite if all arrive at once.
        """
        span = self.arrival_span_ps
        return total_ps(self.service_ps) / (self.n_slots * span) if span else math.inf

    @property
    def served_load_frac(self) -> float:
        """The same work per slot time until all is done: sum of `service_ps` / (slots x makespan); never above 1."""
        return total_ps(self.service_ps) / (self.n_slots * self.makespan_ps)

    @property
    def slot_utilisation_frac(self) -> float:
        """Slot time in which a request held the slot / (slots x makespan).

        More than the served load where slots wait for the slowest among them.
        """
        return total_ps(self.finish_ps - self.start_ps) / (self.n_slots * self.makespan_ps)

    def own_columns(self) -> dict[str, list[Scalar | None]]:
        """The slot of each request."""
        return {"slot": self.slot.tolist()}

    def own_metrics(self) -> dict[str, int | float]:
        """How loaded the slots are."""
        return {
            "offered_load_frac": self.offered_load_frac,
            "served_load_frac": self.served_load_frac,
            "slot_utilisation_frac": self.slot_utilisation_frac,
        }
