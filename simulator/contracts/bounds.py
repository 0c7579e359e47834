"""What limited an operator, ranked: the constraint that bound it and what came next."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.contracts.results import Bound


@dataclass(frozen=True, slots=True)
class RankedBound(Bound):
    """A bound that also says what else took the operator's time.

    `others` maps each further constraint to the share of the operator's time that it accounts for, largest first. Work
    of several constraints overlaps, so the shares need not add up to one.
    """

    others: dict[str, float] = field(default_factory=dict)
