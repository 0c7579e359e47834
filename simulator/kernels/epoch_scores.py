"""How good picks of hot keys were: their exact counts in every epoch, beside those of the hottest keys."""

import numpy as np
from numba import njit

from simulator.kernels.exact_counts import count_touched

# Words of `sums`, int64: keys touched in the open epoch, its number, and over all closed ones the counts of picks, the
# counts of the K hottest keys, picks, and picks among the hottest (or level with the last of them).
N_TOUCHED, PICKED, BEST, N_PICKS, N_HITS = range(5)
N_SUMS = 5


@njit(cache=True)
def score_epochs(
    keys, weights, ends, picked_key, n_picked, counts, total, touched, was_picked, best, sums, epoch_picked, epoch_best
):
    """Count keys uint32[n] below m; at every read of `ends` int64[q], score picked_key uint32[q, K] and begin anew.

    weights int64[n] are consecutive reads of one key (empty: each is one). counts uint32[m], total int64[m] (of closed
    epochs), touched uint32[m + 1], was_picked bool[m] and sums int64[N_SUMS] go on from call to call; best int64[k] is
    scratch, k being how many hottest keys the picks are held against. Fills epoch_picked and epoch_best, int64[q].
    """
    first = 0
    for query in range(len(ends) + 1):
        end = ends[query] if query < len(ends) else len(keys)
        if len(weights) == 0:
            sums[N_TOUCHED] = count_touched(keys, first, end, counts, touched, sums[N_TOUCHED])
        else:
            sums[N_TOUCHED] = _count_runs(keys, weights, first, end, counts, touched, sums[N_TOUCHED])
        if query < len(ends):
            _score(query, picked_key, n_picked, counts, touched, was_picked, best, sums, epoch_picked, epoch_best)
            for i in range(sums[N_TOUCHED]):
                key = np.uint64(touched[i])
                total[key] += np.int64(counts[key])
                counts[key] = 0
            sums[N_TOUCHED] = 0
        first = end


@njit(cache=True)
def _count_runs(keys, weights, first, end, counts, touched, n):
    """As `count_touched`, for runs of reads."""
    for i in range(first, end):
        key = np.uint64(keys[i])
        count = counts[key]
        touched[np.uint64(n)] = keys[i]
        n += count == 0
        counts[key] = np.uint32(count + weights[i])
    return n


@njit(cache=True)
def _score(query, picked_key, n_picked, counts, touched, was_picked, best, sums, epoch_picked, epoch_best):
    """Score one epoch's picks."""
    n_best = hottest(counts, touched, sums[N_TOUCHED], best)
    hottest_sum = best[:n_best].sum()
    least = best[max(n_best, 1) - 1]
    picked_sum = np.int64(0)
    for place in range(n_picked[query]):
        key = np.uint64(picked_key[query, place])
        count = np.int64(counts[key])
        picked_sum += count
        sums[N_HITS] += count >= least
        was_picked[key] = True
    sums[N_PICKS] += n_picked[query]
    sums[PICKED] += picked_sum
    sums[BEST] += hottest_sum
    epoch_picked[query] = picked_sum
    epoch_best[query] = hottest_sum


@njit(cache=True)
def hottest(counts, touched, n_touched, best):
    """Fill best int64[k] with the largest counts, falling; returns how many there are."""
    n = 0
    for i in range(n_touched):
        count = np.int64(counts[np.uint64(touched[i])])
        if n == len(best):
            if count <= best[n - 1]:
                continue
            at = n - 1
        else:
            at = n
            n += 1
        while at > 0 and best[at - 1] < count:
            best[at] = best[at - 1]
            at -= 1
        best[at] = count
    return n
