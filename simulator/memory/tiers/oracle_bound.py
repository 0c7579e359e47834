"""What no migration policy can gain, whatever it knows and whenever it moves pages.

The bound of `oracle_plan`, taken at the machine's own quanta, at whose ends any policy may move: for any price of a
frame in each quantum no schedule gains more than all pages together gain at these prices, each by itself, plus what the
frames cost. One page by itself needs few numbers as the stream goes by, so one pass in order of time gives the bound at
given prices, and the frames that pages want, which say how to improve the prices.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.memory.tiers.oracle_plan import PlacementTask, Plan

Floats: TypeAlias = NDArray[np.float64]

# Of sums of up to 10^9 numbers in double precision.
_ROUNDING_FRAC = 1e-9
_CLOSE_FRAC = 1e-4


def gain_bound(
    task: PlacementTask,
    benefit_ps: float | Floats,
    quantum_records: int,
    plan: Plan,
    n_rounds: int = 4,
    *,
    reached_ps: float | None = None,
) -> float:
    """Program time, in ps, that no schedule of moves at ends of quanta saves over leaving all pages in CXL.

    `benefit_ps` is at least what a line read saves if it goes to DDR, one value or float64[n_quanta]. Prices start from
    the plan's and are improved in up to `n_rounds` passes over the stream; each gives a bound, the least is returned.
    `reached_ps` is the gain of a schedule at these benefits, by which the steps are sized: by default the plan's.
    """
    if task.capacity == 0:
        return 0.0
    reached = plan.value_ps if reached_ps is None else reached_ps
    n_quanta = -(-task.n_records // quantum_records)
    benefit = np.broadcast_to(np.asarray(benefit_ps, np.float64) * task.lines_per_record, (n_quanta,)).copy()
    block = np.arange(n_quanta) * quantum_records // plan.interval_records
    quanta_per_block = np.bincount(block, minlength=len(plan.price_ps)).astype(np.float64)
    price = plan.price_ps / np.maximum(quanta_per_block, 1.0)
    best, direction = np.inf, np.zeros(len(price))
    for _ in range(n_rounds):
        bound, wanted = _priced(task, benefit, price[block], quantum_records)
        best = min(best, bound)
        excess = np.bincount(block, wanted - task.capacity, len(price))
        direction = 0.5 * direction - excess
        slope = np.where((price <= 0) & (direction > 0), 0.0, direction)
        length = float(slope @ slope)
        if length == 0 or best <= reached * (1 + _CLOSE_FRAC):
            break
        price = np.maximum(0.0, price - (bound - reached) / length * slope)
    return best * (1 + _ROUNDING_FRAC)


def _priced(task: PlacementTask, benefit: Floats, price: Floats, quantum_records: int) -> tuple[float, Floats]:
    """The bound at `price` float64[n_quanta], and how many frames pages want in each quantum."""
    from simulator.kernels.placement_bound import N_STATE, price_ends, price_reads, start_pages

    paid = np.concatenate(([0.0], np.cumsum(price)))
    change = np.zeros(len(paid), np.int64)
    state = np.empty((task.n_pages, N_STATE))
    start_pages(state)
    total = 0.0
    up, down = float(task.promote_cost_ps), float(task.demote_cost_ps)
    for first, line, is_write in task.chunks():
        total += price_reads(line, is_write, first, quantum_records, paid, benefit, up, down, state, change)
    total += price_ends(paid[-1], down, state, change)
    return float(total + task.capacity * paid[-1]), np.cumsum(change[:-1]).astype(np.float64)
