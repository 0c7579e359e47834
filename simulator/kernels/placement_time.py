"""How the time of each quantum depends on how many of its reads go to the fast tier, from below.

Without writes a quantum with R line reads, r of them on DDR, takes the least T with

    T >= a + (r L_d(u_d) + (R - r) L_c(u_c)) / mlp,   T >= 64 r / peak_d,   T >= 64 (R - r) / peak_c,

u_d = 64 r / T and u_c = 64 (R - r) / T in bytes per ps. Where g(u) = u L(u) is convex, r L_d(u_d) = T / 64 g(64 r / T)
is, as a perspective, convex in r and T together. The conditions then cut out a convex set, its lower edge T(r) is
convex, and a line drawn by the first condition's derivatives at any point stays below T(r) everywhere: so a Newton
step that has not arrived is a bound, too.
"""

import numpy as np
from numba import njit

_LINE_BYTES = 64.0
_STEPS = 30
_CLOSE_FRAC = 1e-11


@njit(cache=True)
def _latency(table, bytes_per_ps):
    """Latency, and its slope, at a bandwidth: flat before the first point, beyond the last as steep as before it."""
    n = len(table)
    if bytes_per_ps < table[0, 0] or n == 1:
        return table[0, 1], 0.0
    row = 1
    while row < n - 1 and table[row, 0] <= bytes_per_ps:
        row += 1
    slope = (table[row, 1] - table[row - 1, 1]) / (table[row, 0] - table[row - 1, 0])
    return table[row - 1, 1] + slope * (bytes_per_ps - table[row - 1, 0]), slope


@njit(cache=True)
def _waited(lines, time, table):
    """Lines times latency at a time, and its derivatives by lines and by time."""
    bandwidth = _LINE_BYTES * lines / time
    latency, slope = _latency(table, bandwidth)
    return lines * latency, latency + bandwidth * slope, -lines / time * bandwidth * slope


@njit(cache=True)
def _tangent(compute, reads, ddr_reads, ddr, cxl, mlp):
    """Time, and its derivative by reads on DDR, of a line that supports the first condition."""
    cxl_reads = reads - ddr_reads
    time = compute + (ddr_reads * ddr[0, 1] + cxl_reads * cxl[0, 1]) / mlp
    if time <= 0.0:
        return 0.0, 0.0
    by_reads = 0.0
    for _ in range(_STEPS):
        on_ddr, ddr_by_reads, ddr_by_time = _waited(ddr_reads, time, ddr)
        on_cxl, cxl_by_reads, cxl_by_time = _waited(cxl_reads, time, cxl)
        steepness = 1.0 - (ddr_by_time + cxl_by_time) / mlp
        by_reads = (ddr_by_reads - cxl_by_reads) / mlp / steepness
        step = (compute + (on_ddr + on_cxl) / mlp - time) / steepness
        time += step
        if step <= time * _CLOSE_FRAC:
            break
    return time, by_reads


@njit(cache=True)
def quantum_tangents(compute, reads, ddr_reads, ddr, cxl, mlp, peaks, time, benefit):
    """A line below each quantum's time: `time` at `ddr_reads` reads on DDR, less `benefit` for each one more.

    compute, reads, ddr_reads float64[n] (ps, lines, lines); ddr, cxl float64[k, 2] of (bytes/ps, ps), rising, convex;
    peaks float64[2] of DDR and CXL in bytes/ps. Fills time and benefit float64[n]; a line touches T(r) at `ddr_reads`.
    """
    for at in range(len(reads)):
        least, by_reads = _tangent(compute[at], reads[at], ddr_reads[at], ddr, cxl, mlp)
        on_ddr = _LINE_BYTES * ddr_reads[at] / peaks[0]
        on_cxl = _LINE_BYTES * (reads[at] - ddr_reads[at]) / peaks[1]
        if on_ddr > least and on_ddr >= on_cxl:
            least, by_reads = on_ddr, _LINE_BYTES / peaks[0]
        elif on_cxl > least:
            least, by_reads = on_cxl, -_LINE_BYTES / peaks[1]
        time[at] = least
        benefit[at] = -by_reads


@njit(cache=True)
def count_reads_by_quantum(line, is_write, first, quantum_records, on_ddr, reads, ddr_reads):
    """Add consecutive records' reads, and those of pages on DDR, to float64[n_quanta]; on_ddr bool[n_pages]."""
    quantum = first // quantum_records
    next_at = (quantum + 1) * quantum_records - first
    for at in range(len(line)):
        if at == next_at:
            quantum += 1
            next_at += quantum_records
        if not is_write[at]:
            reads[quantum] += 1.0
            if on_ddr[line[at] >> np.uint32(6)]:
                ddr_reads[quantum] += 1.0
