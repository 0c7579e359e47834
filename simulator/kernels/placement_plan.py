"""Which pages lie in fast memory when: pages one by one at a price of frames, and into frames that are left."""

import numpy as np
from numba import njit

from simulator.kernels.placement_bound import settle


@njit(cache=True)
def price_pages(offset, interval, reads, paid, benefit, promote_cost, demote_cost, value, change):
    """Every page's best value where a frame has a price, and the use of frames that comes of it.

    Rows as of `placement_counts.rows_of_pages`; `paid` float64[n_intervals + 1] the price of a frame up to each
    interval's start, `benefit` float64[n_intervals] what a read gains. Fills `value` float64[n_pages]; `change`
    int64[n_intervals + 1], zeros, takes by how many frames the use changes at each interval. Returns the sum of values.
    """
    n_intervals = len(benefit)
    total = 0.0
    for page in range(len(value)):
        gain = 0.0
        lead = -np.inf
        since = np.int64(-1)
        end = np.int64(0)
        for at in range(offset[page], offset[page + 1]):
            now = np.int64(interval[at])
            gained, is_sure, is_kept, lead = settle(lead, paid[now] - paid[end], promote_cost, demote_cost)
            if is_sure:
                gain += gained
                change[since] += 1
                change[end] -= 1
                since = end
            if not is_kept:
                since = now
            end = now + 1
            lead += reads[at] * benefit[now] - (paid[end] - paid[now])
        stay = paid[n_intervals] - paid[end]
        is_staying = stay < demote_cost
        lead -= stay if is_staying else demote_cost
        if lead > 0.0:
            gain += lead
            change[since] += 1
            change[n_intervals if is_staying else end] -= 1
        value[page] = gain
        total += gain
    return total


@njit(cache=True)
def _is_free(used, capacity, first, end):
    """Whether a frame is left in all of the intervals from `first` to before `end`."""
    for at in range(first, end):
        if used[at] >= capacity:
            return False
    return True


@njit(cache=True)
def _hold(used, start, stop, n_stays, first, first_stay, begin, end):
    """Keep a page in a frame from `begin` to before `end`, joined to its last stay where that ends there."""
    for at in range(begin, end):
        used[at] += 1
    if n_stays > first_stay and stop[n_stays - 1] == begin:
        stop[n_stays - 1] = end
        return n_stays
    start[n_stays] = begin
    stop[n_stays] = end
    return n_stays + 1


@njit(cache=True)
def place_pages(order, offset, interval, reads, paid, benefit, costs, capacity, used, start, stop, n_stays):
    """Give pages, in order, the stays that are best for each in the frames that others leave it.

    order int64[m] pages; rows, `paid` and `benefit` as `price_pages`; costs float64[2] of a promotion and a demotion.
    `used` int64[n_intervals] frames taken, at most `capacity`. A page's stays are intervals start[k] to before stop[k],
    int32, k from offset[page] to offset[page] + n_stays[page]: those it had are given back first.
    """
    promote_cost, demote_cost = costs[0], costs[1]
    n_intervals = len(benefit)
    for page in order:
        first = offset[page]
        for k in range(first, first + n_stays[page]):
            for at in range(start[k], stop[k]):
                used[at] -= 1
        n = first
        lead = -np.inf
        since = np.int64(-1)
        end = np.int64(0)
        for at in range(first, offset[page + 1]):
            now = np.int64(interval[at])
            gap_price = paid[now] - paid[end]
            # Who would leave anyway need not ask whether there is room to stay.
            if min(lead, demote_cost) - gap_price > -promote_cost and not _is_free(used, capacity, end, now):
                gap_price = np.inf
            _, is_sure, is_kept, lead = settle(lead, gap_price, promote_cost, demote_cost)
            if is_sure:
                n = _hold(used, start, stop, n, first, first, since, end)
                since = end
            if not is_kept:
                since = now
            end = now + 1
            if used[now] >= capacity:
                lead = -np.inf
            else:
                lead += reads[at] * benefit[now] - (paid[end] - paid[now])
        stay = paid[n_intervals] - paid[end]
        is_staying = stay < demote_cost and _is_free(used, capacity, end, n_intervals)
        if lead - (stay if is_staying else demote_cost) > 0.0:
            n = _hold(used, start, stop, n, first, first, since, n_intervals if is_staying else end)
        n_stays[page] = n - first


@njit(cache=True)
def stays_value(offset, interval, reads, benefit, costs, start, stop, n_stays):
    """What stays gain at no price, their moves paid: those of `place_pages`."""
    n_intervals = len(benefit)
    total = 0.0
    for page in range(len(n_stays)):
        at = offset[page]
        for k in range(offset[page], offset[page] + n_stays[page]):
            total -= costs[0]
            if stop[k] < n_intervals:
                total -= costs[1]
            while at < offset[page + 1] and interval[at] < stop[k]:
                if interval[at] >= start[k]:
                    total += reads[at] * benefit[interval[at]]
                at += 1
    return total
