"""Lines that synthetic traffic asks a memory for: request i of a trace as a formula of i and a seed.

Source: splitmix64 (Steele, Lea, Flood, OOPSLA'14) as a counter; the traces stream, stride, random, burst and mix are
those of the golden runs of Ramulator 2.1.
"""

import numpy as np
from numba import njit

STREAM, STRIDE, RANDOM, BURST, MIX, POINTER_CHASE = range(6)

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)
_ONE, _TWO, _PERCENT = np.uint64(1), np.uint64(2), np.uint64(100)
_TO_UNIT = 2.0**-53
_S11 = np.uint64(11)


@njit(cache=True)
def _draw(seed, k):
    """Number k, uint64, of the stream of a seed."""
    z = seed + (k + _ONE) * _GAMMA
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@njit(cache=True)
def _scattered(line, keys, shift, mask):
    """A permutation of 0..mask, one below a power of two: odd multiples and folds, each of them one to one."""
    for key in keys:
        line = (line * (key | _ONE) + (key >> _ONE)) & mask
        line ^= line >> shift
    return line


@njit(cache=True)
def fill_lines(pattern, seed, lg_lines, param, seen, line):
    """Line of every request.

    seed uint64, param uint64 >= 1 (stride, requests of a burst, number of streams), seen uint64[param] of zeros for a
    mix; fills line int64[n], each in [0, 2**lg_lines).
    """
    n_lines = _ONE << np.uint64(lg_lines)
    mask = n_lines - _ONE
    if pattern == STREAM:
        for i in range(len(line)):
            line[i] = np.int64(np.uint64(i) & mask)
    elif pattern == STRIDE:
        for i in range(len(line)):
            line[i] = np.int64((np.uint64(i) * param) & mask)
    elif pattern == RANDOM:
        for i in range(len(line)):
            line[i] = np.int64(_draw(seed, _TWO * np.uint64(i)) & mask)
    elif pattern == BURST:
        n_bursts = n_lines // param
        for i in range(len(line)):
            burst = np.uint64(i) // param
            line[i] = np.int64((_draw(seed, _TWO * burst) % n_bursts) * param + np.uint64(i) % param)
    elif pattern == MIX:
        of_each = n_lines // param
        for i in range(len(line)):
            k = _draw(seed, _TWO * np.uint64(i)) % param
            line[i] = np.int64(k * of_each + seen[k] % of_each)
            seen[k] += _ONE
    else:
        keys = (_draw(seed, np.uint64(0)), _draw(seed, np.uint64(1)), _draw(seed, np.uint64(2)))
        shift = np.uint64((lg_lines + 1) // 2 if lg_lines > 1 else 1)
        for i in range(len(line)):
            line[i] = np.int64(_scattered(np.uint64(i) & mask, keys, shift, mask))


@njit(cache=True)
def fill_writes(seed, read_percent, is_write):
    """Whether each request is a write, bool[n]: it is a read where its draw modulo 100 is below read_percent."""
    for i in range(len(is_write)):
        draw = _draw(seed, _TWO * np.uint64(i) + _ONE)
        is_write[i] = not (np.float64(draw % _PERCENT) < read_percent)


@njit(cache=True)
def fill_exponential(seed, interval, offer):
    """Times of a Poisson process of the mean `interval`, float64, as int64[n] that do not fall."""
    time = 0.0
    for i in range(len(offer)):
        unit = (np.float64(_draw(seed, np.uint64(i)) >> _S11) + 0.5) * _TO_UNIT
        time -= np.log(unit) * interval
        offer[i] = np.int64(time)
