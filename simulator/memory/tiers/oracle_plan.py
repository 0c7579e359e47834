"""Migration with perfect foresight: a schedule of moves that is close to the best there is.

Pages of a stream lie in DDR, which has a few frames, or in CXL memory, where all of them start; moves cost time, each
read in DDR saves some. That is offline caching with bypass: its linear program (one flow of each page through the
intervals, one capacity for each) is integral, and a price on frames takes it apart. For any prices >= 0

    gain of any schedule <= sum over pages of the page's best value at these prices + capacity x sum of the prices,

since a schedule's own value at these prices is its gain less what it pays for frames, of which it uses at most the
capacity. Subgradient steps improve the prices: a frame becomes dearer where pages together want more than there are.
Two schedules are made, by giving pages, one after the other, the stays that are best for each in the frames that others
leave it: one at no price, in the order of all their reads, which is at least as good as the best placement that never
changes; one in the order of their values at the best prices, first at these prices, then all again at lower ones and
at none. The better is taken.

Source: Lagrangian relaxation (M. L. Fisher, Management Science 27(1), 1981), with Polyak's steps towards a level that
comes nearer each time it proves out of reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Bools: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]
Int32s: TypeAlias = NDArray[np.int32]
Int64s: TypeAlias = NDArray[np.int64]
StreamPass: TypeAlias = Callable[[], Iterator[tuple[NDArray[np.uint32], Bools]]]

_MOMENTUM = 0.7
_PATIENCE = 3
_SCALES = (1.0, 0.5, 0.25, 0.0, 0.0)
_CLOSE_FRAC = 1e-5
_STEPS = 100
_STEPS_WORK = 12 * 10**7


@dataclass(frozen=True, slots=True)
class PlacementTask:
    """Whose pages are to be placed: `stream_pass()` gives all `n_records` records in order, any number at a time, as
    line uint32[n] (page id x 64 + word) and is_write bool[n]; a record stands for `lines_per_record` lines of one page.
    DDR holds `capacity` pages; a promotion and a demotion cost program time in ps, 0 and more."""

    stream_pass: StreamPass
    n_records: int
    n_pages: int
    capacity: int
    promote_cost_ps: float
    demote_cost_ps: float
    lines_per_record: int = 1

    def __post_init__(self) -> None:
        if min(self.promote_cost_ps, self.demote_cost_ps, self.capacity) < 0:
            raise ValueError("costs of moves and the capacity are 0 or more")

    def with_writes(self) -> PlacementTask:
        """The same with writes counted as reads are."""

        def one_pass() -> Iterator[tuple[NDArray[np.uint32], Bools]]:
            return ((line, np.zeros_like(is_write)) for line, is_write in self.stream_pass())

        return replace(self, stream_pass=one_pass)

    def chunks(self) -> Iterator[tuple[int, NDArray[np.uint32], Bools]]:
        """One pass: the number of each chunk's first record, and the chunk. Kernels rely on its being as long as said.

        Raises ValueError where it is not.
        """
        first = 0
        for line, is_write in self.stream_pass():
            if first + len(line) > self.n_records:
                break
            yield first, line, is_write
            first += len(line)
        if first != self.n_records:
            raise ValueError(f"a pass over the stream does not give {self.n_records} records")


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A schedule of moves. At record boundaries[k] (int64[m], rising, multiples of `interval_records`) first pages
    demoted[k] go to CXL, then promoted[k] to DDR.

    `value_ps` is what it gains over leaving all pages in CXL, `bound_ps` what no schedule with moves at multiples of
    `interval_records` can exceed, `price_ps` float64[n_intervals] the price of a frame in each interval that shows it.
    """

    boundaries: Int64s
    promoted: tuple[Int64s, ...]
    demoted: tuple[Int64s, ...]
    value_ps: float
    bound_ps: float
    price_ps: Floats
    interval_records: int
    lines_per_record: int = 1

    @property
    def n_promotions(self) -> int:
        """Moves to DDR."""
        return sum(map(len, self.promoted))

    @property
    def n_demotions(self) -> int:
        """Moves to CXL."""
        return sum(map(len, self.demoted))


def best_plan(task: PlacementTask, benefit_ps: float | Floats, interval_records: int) -> Plan:
    """A near-optimal schedule with moves at multiples of `interval_records` only.

    `benefit_ps` is what one line read saves if it goes to DDR, one value or float64[n_intervals]; it may be negative.
    Deterministic. Time: one pass over the stream, then at most a hundred over its (page, interval) pairs.
    """
    n_intervals = -(-task.n_records // interval_records)
    benefit = np.broadcast_to(np.asarray(benefit_ps, np.float64) * task.lines_per_record, (n_intervals,)).copy()
    rows = _Rows(task, benefit, interval_records)
    stays = rows.placed(rows.order_by_gain(), (np.zeros(n_intervals),) * 2)
    price, bound = _best_prices(rows, stays.value_ps)
    if bound > stays.value_ps * (1 + _CLOSE_FRAC):
        order = np.argsort(-rows.priced(price)[2], kind="stable")
        priced = rows.placed(order, tuple(price * scale for scale in _SCALES))
        stays = max(stays, priced, key=lambda one: one.value_ps)
    return _plan(stays, rows, price, bound, interval_records, task.lines_per_record)


@dataclass(frozen=True, slots=True, eq=False)
class _Stays:
    """Residences of pages, as `kernels.placement_plan.place_pages` leaves them."""

    start: Int32s
    stop: Int32s
    n_stays: Int32s
    value_ps: float


class _Rows:
    """Reads of each page in each interval, and what follows for given prices of frames."""

    def __init__(self, task: PlacementTask, benefit: Floats, interval_records: int) -> None:
        self.capacity = task.capacity
        self.costs = np.array([task.promote_cost_ps, task.demote_cost_ps], np.float64)
        self.benefit = benefit
        self.offset, self.interval, self.reads = _count(task, interval_records)

    def priced(self, price: Floats) -> tuple[float, Floats, Floats]:
        """The bound at `price` float64[n_intervals], how many frames pages want in each interval, each page's value."""
        from simulator.kernels.placement_plan import price_pages

        paid = np.concatenate(([0.0], np.cumsum(price)))
        change = np.zeros(len(paid), np.int64)
        value = np.empty(len(self.offset) - 1)
        up, down = self.costs
        total = price_pages(self.offset, self.interval, self.reads, paid, self.benefit, up, down, value, change)
        return float(total + self.capacity * paid[-1]), np.cumsum(change[:-1]).astype(np.float64), value

    def order_by_gain(self) -> Int64s:
        """Pages by what they would gain if they were always in DDR, the best first."""
        gain = np.concatenate(([0.0], np.cumsum(self.reads * self.benefit[self.interval])))
        return np.argsort(-np.diff(gain[self.offset]), kind="stable")

    def placed(self, order: Int64s, prices: tuple[Floats, ...]) -> _Stays:
        """Stays of pages that choose one after the other, once at each of `prices`."""
        from simulator.kernels.placement_plan import place_pages, stays_value

        used = np.zeros(len(self.benefit), np.int32)
        start, stop = np.empty((2, len(self.interval)), np.int32)
        n_stays = np.zeros(len(self.offset) - 1, np.int32)
        rows = (self.offset, self.interval, self.reads)
        for price in prices:
            paid = np.concatenate(([0.0], np.cumsum(price)))
            place_pages(order, *rows, paid, self.benefit, self.costs, self.capacity, used, start, stop, n_stays)
        value = stays_value(*rows, self.benefit, self.costs, start, stop, n_stays)
        return _Stays(start, stop, n_stays, float(value))


def _count(task: PlacementTask, interval_records: int) -> tuple[Int64s, Int32s, Int32s]:
    """Offsets, intervals and reads of `kernels.placement_counts.rows_of_pages`."""
    from simulator.kernels.placement_counts import count_reads, rows_of_pages

    open_interval, open_reads = np.full(task.n_pages, -1, np.int32), np.zeros(task.n_pages, np.int32)
    closed = [np.empty((3, 0), np.int32)]
    for first, line, is_write in task.chunks():
        out = np.empty((3, len(line)), np.int32)
        n = count_reads(line, is_write, first, interval_records, open_interval, open_reads, out[0], out[1], out[2])
        closed.append(out[:, :n].copy())
    page, interval, reads = np.concatenate(closed, axis=1)
    n_rows = len(page) + int(np.count_nonzero(open_interval >= 0))
    offset, row_interval, row_reads = np.zeros(task.n_pages + 1, np.int64), *np.empty((2, n_rows), np.int32)
    rows_of_pages(page, interval, reads, open_interval, open_reads, offset, row_interval, row_reads)
    return offset, row_interval, row_reads


def _best_prices(rows: _Rows, reached: float) -> tuple[Floats, float]:
    """Prices float64[n_intervals] whose bound is low, and that bound; a schedule that gains `reached` is known."""
    n_intervals = len(rows.benefit)
    best_price = np.zeros(n_intervals)
    if rows.capacity == 0:
        return best_price, 0.0
    best, wanted, _ = rows.priced(best_price)
    if best <= reached * (1 + _CLOSE_FRAC) or not wanted.any():
        return best_price, best
    price = _common_price(rows, best)
    direction = np.zeros(n_intervals)
    hoped, n_poor = (best - reached) / 2, 0
    for _ in range(min(_STEPS, _STEPS_WORK // len(rows.interval) + 1)):
        bound, wanted, _ = rows.priced(price)
        n_poor = 0 if bound < best - hoped / 10 else n_poor + 1
        if bound < best:
            best, best_price = bound, price
        if n_poor > _PATIENCE:
            hoped, n_poor = hoped / 2, 0
        direction = rows.capacity - wanted + _MOMENTUM * direction
        slope = np.where((price <= 0) & (direction > 0), 0.0, direction)
        length = float(slope @ slope)
        if length == 0 or min(hoped, best - reached) <= best * _CLOSE_FRAC:
            break
        price = np.maximum(0.0, price - (bound - max(reached, best - hoped)) / length * slope)
    return best_price, best


def _common_price(rows: _Rows, most: float) -> Floats:
    """One price for all intervals at which pages want about as many frames as there are."""
    n_intervals = len(rows.benefit)
    low, high = 0.0, most / n_intervals / rows.capacity
    for _ in range(6):
        middle = (low + high) / 2
        if rows.priced(np.full(n_intervals, middle))[1].sum() > rows.capacity * n_intervals:
            low = middle
        else:
            high = middle
    return np.full(n_intervals, high)


def _plan(
    stays: _Stays, rows: _Rows, price: Floats, bound: float, interval_records: int, lines_per_record: int
) -> Plan:
    """The moves of stays, by boundary, of pages that gain most first: the migration queue may not take all."""
    n_intervals = len(price)
    rank = np.argsort(rows.order_by_gain())
    owner = np.repeat(np.arange(len(stays.n_stays)), stays.n_stays)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(stays.n_stays) - stays.n_stays, stays.n_stays)
    at = rows.offset[owner] + within
    start, stop = stays.start[at], stays.stop[at]
    boundaries = np.union1d(start, stop[stop < n_intervals]).astype(np.int64)
    return Plan(
        boundaries * interval_records,
        _grouped(owner, start, rank, boundaries),
        _grouped(owner, stop, rank, boundaries),
        stays.value_ps,
        bound,
        price,
        interval_records,
        lines_per_record,
    )


def _grouped(page: Int64s, interval: Int32s, rank: Int64s, boundaries: Int64s) -> tuple[Int64s, ...]:
    """Pages that move at each boundary, by rank."""
    order = np.lexsort((rank[page], interval))
    cuts = np.searchsorted(interval[order], boundaries)
    ends = np.searchsorted(interval[order], boundaries, side="right")
    return tuple(page[order[low:high]] for low, high in zip(cuts, ends, strict=True))
