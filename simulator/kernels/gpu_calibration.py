"""Errors of isolated kernels for many vectors of parameters at once: the same formulas as a prediction, without the
objects.

A kernel's terms follow its parameters by factors: latency, energy of a byte and energy of an operation in proportion,
the time of memory and of compute inversely, and part of the compute time (the tail of a prompt's attention) in
proportion as well.
"""

import math

import numpy as np
from numba import njit

from simulator.kernels.gpu_power import clock_ratios, kernel_times

LATENCY, MEMORY, COMPUTE, TAIL, DRAM_ENERGY, FLOP_ENERGY = range(6)
N_TERMS = 6


@njit(cache=True)
def _factor(factors, index):
    return factors[index] if index >= 0 else 1.0


@njit(cache=True)
def predict_rows(factors, base, index, active_mw, limit_mw, offsets, ones, scaled, ratios, time_ps, power_mw):
    """Fill `time_ps` and `power_mw` float64[n] for `factors` float64[p] on the parameters' starting values.

    `base` float64[6, n] holds the terms (ps, ps, ps, ps, pJ, pJ) at the start, `index` int64[6, n] which parameter each
    follows (-1: none). `offsets` int64[n + 1] and `ones` float64[n] say that every kernel runs once and alone; `scaled`
    float64[6, n] and `ratios` float64[n] are room to work in.
    """
    n = base.shape[1]
    for i in range(n):
        for term in range(N_TERMS):
            factor = _factor(factors, index[term, i])
            if term == MEMORY or term == COMPUTE:
                factor = 1.0 / factor
            scaled[term, i] = base[term, i] * factor
        # The tail shares the rate of the rest of the kernel.
        scaled[COMPUTE, i] += scaled[TAIL, i] / _factor(factors, index[COMPUTE, i])
    clock_ratios(
        offsets, ones, scaled[LATENCY], scaled[MEMORY], scaled[COMPUTE], scaled[DRAM_ENERGY], scaled[FLOP_ENERGY],
        active_mw, limit_mw, ratios,
    )  # fmt: skip
    kernel_times(offsets, scaled[LATENCY], scaled[MEMORY], scaled[COMPUTE], ratios, time_ps)
    for i in range(n):
        ratio = ratios[i]
        # 1 pJ in 1 ps is 1e3 mW.
        dynamic_pj = scaled[DRAM_ENERGY, i] + scaled[FLOP_ENERGY, i] * ratio * ratio
        power_mw[i] = active_mw + dynamic_pj / time_ps[i] * 1e3


@njit(cache=True)
def losses(vectors, base, index, active_mw, limit_mw, measured_ps, measured_mw, power_weight, pull, found):
    """Fill `found` float64[m] with the loss of each of `vectors` float64[m, p], logarithms of factors.

    The loss is the mean |log(predicted / measured)| of `measured_ps` float64[n], plus `power_weight` times that of
    `measured_mw` float64[n] (NaN: not measured), plus `pull` times the sum of the squared logarithms.
    """
    n = base.shape[1]
    offsets = np.arange(n + 1)
    ones = np.ones(n)
    scaled = np.empty((N_TERMS, n))
    ratios, time_ps, power_mw = np.empty(n), np.empty(n), np.empty(n)
    for one in range(len(vectors)):
        predict_rows(
            np.exp(vectors[one]), base, index, active_mw, limit_mw, offsets, ones, scaled, ratios, time_ps, power_mw
        )
        times, n_times, powers, n_powers = 0.0, 0, 0.0, 0
        for i in range(n):
            if not math.isnan(measured_ps[i]):
                times += abs(math.log(time_ps[i] / measured_ps[i]))
                n_times += 1
            if not math.isnan(measured_mw[i]):
                powers += abs(math.log(power_mw[i] / measured_mw[i]))
                n_powers += 1
        loss = 0.0
        for value in vectors[one]:
            loss += pull * value * value
        if n_times:
            loss += times / n_times
        if n_powers:
            loss += power_weight * powers / n_powers
        found[one] = loss
