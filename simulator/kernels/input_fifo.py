"""The queue of addresses in front of a tracker: what comes while it is full is dropped.

Source: M5's register-transfer code: 256 deep, pushed whether or not it is ready, one address taken every 2 clocks.
"""

from numba import njit

# Words of `state`, int64: the cycle from which the tracker can take the next address.
NEXT_FREE = 0
N_STATE = 1


@njit(cache=True)
def fill_kept(time_ps, cycles_num, cycles_den, interval_cyc, depth, state, kept):
    """Which addresses are kept, bool[n], of those that come at time_ps int64[n], which does not fall.

    A time is cycle time_ps * cycles_num // cycles_den; the tracker takes an address every interval_cyc cycles. An
    address that comes while `depth` others wait is dropped. state int64[N_STATE] goes on from call to call. Returns how
    many are kept.
    """
    next_free = state[NEXT_FREE]
    n = 0
    for i in range(len(time_ps)):
        now = time_ps[i] * cycles_num // cycles_den
        # Those before it start at next_free - interval_cyc, two intervals before it, and so on; later ones wait.
        is_kept = next_free <= now or (next_free - now - 1) // interval_cyc < depth
        kept[i] = is_kept
        if is_kept:
            next_free = max(now, next_free) + interval_cyc
            n += 1
    state[NEXT_FREE] = next_free
    return n
