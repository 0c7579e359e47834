"""Each page's best residence in a fast memory whose frames have a price, for all pages in one pass in order of time.

A page lies in slow or in fast memory. Moving it up and down costs; while it is in fast memory every read gains, and
every interval costs the price of a frame in it. Two values follow each page: the best so far if it is slow now, and if
it is fast now. Only their difference matters for what comes, so that is all that is kept; what both have in common is
gained. Prices being 0 and more, of the intervals between two in which a page is read it is best to leave before them
all and to come after them all, so that work is done at reads only.

Source: Lagrangian relaxation of offline caching with bypass; Bellman's recursion on the two states of one page.
"""

import numpy as np
from numba import njit

N_STATE = 4
_LEAD, _PAID, _LAST, _SINCE = 0, 1, 2, 3


@njit(cache=True)
def settle(lead, gap_price, promote_cost, demote_cost):
    """The step from a page's last read interval to its next one, which it begins.

    `lead` is by how much fast is worth more than slow at the end of the last interval, `gap_price` what staying between
    the two costs. Returns what is gained for sure (fast is worth so much that who is slow at the end had better been
    fast and left), whether that is so, whether who is fast next had better stayed (or else: is promoted for the next
    interval), and the lead there.
    """
    gained = 0.0
    is_sure = lead > demote_cost
    if is_sure:
        gained = lead - demote_cost
        lead = demote_cost
    lead -= gap_price
    if lead > -promote_cost:
        return gained, is_sure, True, lead
    return gained, is_sure, False, -promote_cost


@njit(cache=True)
def start_pages(state):
    """No page was read: `state` float64[n_pages, N_STATE] of `price_reads`."""
    for page in range(state.shape[0]):
        state[page, _LEAD] = -np.inf
        state[page, _PAID] = 0.0
        state[page, _LAST] = -1.0
        state[page, _SINCE] = -1.0


@njit(cache=True)
def price_reads(line, is_write, first, quantum_records, paid, benefit, promote_cost, demote_cost, state, change):
    """Reads of consecutive records, the first one's number being `first`.

    line uint32[n] (page x 64 + word), is_write bool[n]; `paid` float64[n_quanta + 1] is the price of a frame from the
    start to each quantum's start, `benefit` float64[n_quanta] what a read in fast memory gains. `state` is kept from
    call to call; `change` int64[n_quanta + 1] takes by how many frames the use changes at each quantum. Returns what is
    gained for sure.
    """
    total = 0.0
    n = np.uint64(len(line))
    at = np.uint64(0)
    one = np.uint64(1)
    quantum = np.int64(first // quantum_records)
    end = np.uint64((quantum + 1) * quantum_records - first)
    while at < n:
        stop = min(end, n)
        gain = benefit[quantum]
        paid_before = paid[quantum]
        paid_after = paid[quantum + 1]
        price = paid_after - paid_before
        now = float(quantum)
        while at < stop:
            page = np.uint64(line[at] >> np.uint32(6))
            is_read = not is_write[at]
            at += one
            if not is_read:
                continue
            last = state[page, _LAST]
            if last != now:
                gained, is_sure, is_kept, lead = settle(
                    state[page, _LEAD], paid_before - state[page, _PAID], promote_cost, demote_cost
                )
                total += gained
                if is_sure:
                    change[int(state[page, _SINCE])] += 1
                    change[int(last) + 1] -= 1
                    state[page, _SINCE] = last + 1.0
                if not is_kept:
                    state[page, _SINCE] = now
                state[page, _LEAD] = lead - price
                state[page, _PAID] = paid_after
                state[page, _LAST] = now
            state[page, _LEAD] += gain
        end += np.uint64(quantum_records)
        quantum += 1
    return total


@njit(cache=True)
def price_ends(paid_end, demote_cost, state, change):
    """What pages gain that were fast to the end, or left after their last read: the rest of `price_reads`' total."""
    total = 0.0
    for page in range(state.shape[0]):
        lead = state[page, _LEAD]
        stay = paid_end - state[page, _PAID]
        is_staying = stay < demote_cost
        lead -= stay if is_staying else demote_cost
        if lead > 0.0:
            total += lead
            change[int(state[page, _SINCE])] += 1
            change[len(change) - 1 if is_staying else int(state[page, _LAST]) + 1] -= 1
    return total
