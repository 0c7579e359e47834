"""Clock of a GPU under its board's power limit: the largest clock ratio at which the average power of some work keeps
to the limit.

A kernel takes `latency + (memory^4 + (compute / r)^4)^(1/4)` at clock ratio r (1 is full boost): the larger of the two,
rounded off where they meet, as traffic and arithmetic overlap less than perfectly there. Its energy is `dram_pj +
r^2 compute_pj`: the square is the voltage that dynamic frequency scaling lowers with the clock. Power is regulated on
the average of the work, not on each kernel.
"""

from math import sqrt

from numba import njit

LOWEST_RATIO = 0.05
N_HALVINGS = 48


@njit(cache=True)
def roof_ps(memory_ps, compute_ps):
    """Time that two roofs ask for together. The exponent is the same for all GPUs; `docs/gpu.md` has its evidence."""
    squared = memory_ps * memory_ps
    compute_squared = compute_ps * compute_ps
    return sqrt(sqrt(squared * squared + compute_squared * compute_squared))


@njit(cache=True)
def _time_ps(first, last, count, latency_ps, memory_ps, compute_ps, ratio):
    """Time of the kernels `first` up to `last` at one clock ratio."""
    total = 0.0
    for i in range(first, last):
        total += count[i] * (latency_ps[i] + roof_ps(memory_ps[i], compute_ps[i] / ratio))
    return total


@njit(cache=True)
def clock_ratios(offsets, count, latency_ps, memory_ps, compute_ps, dram_pj, compute_pj, active_mw, limit_mw, ratios):
    """Fill `ratios` float64[g], one for each group of kernels `offsets[g]` up to `offsets[g + 1]` (int64[g + 1]).

    The other arrays are float64[n], a row per kernel that runs `count` times. A group whose power exceeds the limit at
    any clock gets LOWEST_RATIO. Bisection: power falls with the clock, as dynamic energy falls and time grows.
    """
    for group in range(len(ratios)):
        first, last = offsets[group], offsets[group + 1]
        fixed = 0.0
        scaled = 0.0
        for i in range(first, last):
            fixed += count[i] * dram_pj[i]
            scaled += count[i] * compute_pj[i]
        # 1 mW for 1 ps is 1e-3 pJ.
        room_mw = limit_mw - active_mw
        time_ps = _time_ps(first, last, count, latency_ps, memory_ps, compute_ps, 1.0)
        if (fixed + scaled) * 1e3 <= room_mw * time_ps:
            ratios[group] = 1.0
            continue
        low, high = LOWEST_RATIO, 1.0
        for _ in range(N_HALVINGS):
            middle = 0.5 * (low + high)
            time_ps = _time_ps(first, last, count, latency_ps, memory_ps, compute_ps, middle)
            if (fixed + scaled * middle * middle) * 1e3 <= room_mw * time_ps:
                low = middle
            else:
                high = middle
        ratios[group] = low


@njit(cache=True)
def kernel_times(offsets, latency_ps, memory_ps, compute_ps, ratios, times_ps):
    """Fill `times_ps` float64[n] with the time of one run of each kernel at the ratio of its group."""
    for group in range(len(ratios)):
        for i in range(offsets[group], offsets[group + 1]):
            times_ps[i] = latency_ps[i] + roof_ps(memory_ps[i], compute_ps[i] / ratios[group])
