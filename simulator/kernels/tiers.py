"""Two memory tiers under a stream of accesses: time, access bits, hint faults and what the CXL controller sees.

A quantum is a run of records during which no page moves. Its time T solves

    T = compute + (ddr reads x L_ddr(bytes_ddr / T) + cxl reads x L_cxl(bytes_cxl / T)) / mlp,   T >= bytes / peak

for either tier, L being the latency under load. L rises with load, so the right side falls as T grows: there is one
solution. Times are in ps, bandwidths in bytes per ps.
"""

from __future__ import annotations

import numpy as np
from numba import njit

CXL, DDR = 0, 1
NOT_PROTECTED = -1
# What `totals` counts (lines and records) and `spent` adds up (ps).
DDR_READS, DDR_WRITES, CXL_READS, CXL_WRITES, N_TOTALS = 0, 1, 2, 3, 4
COMPUTE, DDR_STALL, CXL_STALL, BANDWIDTH, FAULTS, N_SPENT = 0, 1, 2, 3, 4, 5
# After them `spent` keeps the part of a ps by which true time is ahead of the clock.
PART_OF_PS, N_KEPT = 5, 6
_LINE_BYTES = 64.0
_LINE_BITS = np.uint32(6)
_LARGEST_ITERATIONS = 200
_TOLERANCE = 1e-12


@njit(cache=True)
def latency_at(table, bytes_per_ps):
    """Latency, in ps, at a bandwidth: table float64[k, 2] of rising (bytes/ps, ps); flat below its first point and
    beyond its last."""
    last = len(table) - 1
    if bytes_per_ps <= table[0, 0]:
        return table[0, 1]
    if bytes_per_ps >= table[last, 0]:
        return table[last, 1]
    row = 1
    while table[row, 0] < bytes_per_ps:
        row += 1
    share = (bytes_per_ps - table[row - 1, 0]) / (table[row, 0] - table[row - 1, 0])
    return table[row - 1, 1] + share * (table[row, 1] - table[row - 1, 1])


@njit(cache=True)
def _asked(time_ps, compute_ps, ddr_reads, cxl_reads, ddr_bytes, cxl_bytes, ddr, cxl, mlp):
    """The right side of the equation above at a time."""
    stall = ddr_reads * latency_at(ddr, ddr_bytes / time_ps) + cxl_reads * latency_at(cxl, cxl_bytes / time_ps)
    return compute_ps + stall / mlp


@njit(cache=True)
def quantum_time(compute_ps, ddr_reads, cxl_reads, ddr_bytes, cxl_bytes, ddr, cxl, mlp):
    """Time of a quantum, float64 ps; reads are lines that the program waits for, bytes all that a tier moves."""
    least = compute_ps + (ddr_reads * ddr[0, 1] + cxl_reads * cxl[0, 1]) / mlp
    least = max(least, ddr_bytes / ddr[len(ddr) - 1, 0], cxl_bytes / cxl[len(cxl) - 1, 0])
    if least <= 0.0:
        return 0.0
    low, low_gap = least, _asked(least, compute_ps, ddr_reads, cxl_reads, ddr_bytes, cxl_bytes, ddr, cxl, mlp) - least
    if low_gap <= least * _TOLERANCE:
        return least
    high = low + low_gap
    high_gap = _asked(high, compute_ps, ddr_reads, cxl_reads, ddr_bytes, cxl_bytes, ddr, cxl, mlp) - high
    # False position between a time too short and one too long; an end that stays put counts half (Illinois).
    side = 0
    for _ in range(_LARGEST_ITERATIONS):
        if high - low <= high * _TOLERANCE or high_gap >= 0.0:
            break
        middle = low + (high - low) * (low_gap / (low_gap - high_gap))
        middle = min(max(middle, low), high)
        gap = _asked(middle, compute_ps, ddr_reads, cxl_reads, ddr_bytes, cxl_bytes, ddr, cxl, mlp) - middle
        if abs(gap) <= middle * _TOLERANCE:
            return middle
        if gap > 0.0:
            low, low_gap = middle, gap
            if side == 1:
                high_gap *= 0.5
            side = 1
        else:
            high, high_gap = middle, gap
            if side == -1:
                low_gap *= 0.5
            side = -1
    return high


@njit(cache=True)
def _count_records(line, is_write, at, end, tier):
    """Records at to end by what they are: DDR reads, DDR writes, CXL reads, CXL writes."""
    ddr_reads = ddr_writes = cxl_reads = cxl_writes = 0
    for index in range(at, end):
        if tier[line[index] >> _LINE_BITS] == DDR:
            if is_write[index]:
                ddr_writes += 1
            else:
                ddr_reads += 1
        elif is_write[index]:
            cxl_writes += 1
        else:
            cxl_reads += 1
    return ddr_reads, ddr_writes, cxl_reads, cxl_writes


@njit(cache=True)
def _shares(compute, ddr_reads, cxl_reads, ddr_bytes, cxl_bytes, ddr, cxl, mlp):
    """Time of a quantum and what it is made of: the wait of one line read from either tier, and the rest beside
    compute, in which all wait for bandwidth."""
    taken = quantum_time(compute, ddr_reads, cxl_reads, ddr_bytes, cxl_bytes, ddr, cxl, mlp)
    ddr_wait = cxl_wait = 0.0
    if taken > 0.0:
        ddr_wait = latency_at(ddr, ddr_bytes / taken) / mlp
        cxl_wait = latency_at(cxl, cxl_bytes / taken) / mlp
    queued = taken - compute - ddr_reads * ddr_wait - cxl_reads * cxl_wait
    if queued < 0.0:
        # At a tier's peak its last latency may be more than the reads could wait in that time.
        short = (taken - compute) / (ddr_reads * ddr_wait + cxl_reads * cxl_wait)
        ddr_wait, cxl_wait, queued = ddr_wait * short, cxl_wait * short, 0.0
    return taken, ddr_wait, cxl_wait, queued


@njit(cache=True)
def _pass_records(
    line, is_write, at, end, first_record, now_ps, time, each, ddr_wait, cxl_wait, fault_ps, tier, last_touch_ps,
    protected_ps, seen_line, seen_ps, fault_page, fault_at_ps, fault_protected_ps, request_start, request_begin_ps,
    counts,
):  # fmt: skip
    """Records at to end one after the other, from `time` after now_ps on; arguments are those of `advance`, each the
    time of any record, and waits those of a read. Returns (time after the last one, hint faults)."""
    n_seen, n_faults, n_requests = counts[0], counts[1], counts[2]
    wants_seen = len(seen_line) > 0
    for index in range(at, end):
        while n_requests < len(request_start) and first_record + index >= request_start[n_requests]:
            request_begin_ps[n_requests] = now_ps + np.int64(time)
            n_requests += 1
        page = line[index] >> _LINE_BITS
        time += each
        if protected_ps[page] != NOT_PROTECTED:
            fault_page[n_faults] = page
            fault_at_ps[n_faults] = now_ps + np.int64(time)
            fault_protected_ps[n_faults] = protected_ps[page]
            protected_ps[page] = NOT_PROTECTED
            n_faults += 1
            time += fault_ps
        if not is_write[index]:
            if tier[page] == DDR:
                time += ddr_wait
            else:
                time += cxl_wait
                if wants_seen:
                    seen_line[n_seen] = line[index]
                    seen_ps[n_seen] = now_ps + np.int64(time)
                    n_seen += 1
        # After the quantum's start even where nothing took time yet: bits that were cleared then are set again.
        last_touch_ps[page] = now_ps + max(np.int64(time), np.int64(1))
    faults = n_faults - counts[1]
    counts[0], counts[1], counts[2] = n_seen, n_faults, n_requests
    return time, faults


@njit(cache=True)
def advance(
    line, is_write, begin, first_record, quantum_records, lines_per_record, compute_ps, until_ps, now_ps,
    ddr, cxl, mlp, fault_ps, moved_bytes, tier, last_touch_ps, protected_ps,
    seen_line, seen_ps, fault_page, fault_at_ps, fault_protected_ps, request_start, request_begin_ps,
    counts, totals, spent,
):  # fmt: skip
    """Run whole quanta, at least one, from record `begin` of a chunk until `now_ps` is `until_ps` or the chunk ends.

    line uint32[n], is_write bool[n]; the chunk's first record is number `first_record` of the stream. compute_ps
    float64[q] is that of each quantum of the chunk. ddr, cxl float64[k, 2] latency tables. moved_bytes float64[2] is
    what migration moved at [CXL, DDR] since the last quantum; it loads the next one and is then zeroed. tier
    uint8[pages]; last_touch_ps, protected_ps int64[pages]. With seen_* of length n the line reads that go to CXL are
    put there (length 0: not), as hint faults are in fault_*. request_start int64[m] are records of the stream, and
    request_begin_ps int64[m] is filled. counts int64[3] holds the numbers of seen lines, faults and begun requests;
    totals int64[4] and spent float64[6] are added to. Returns (record after the last, time).
    """
    lines = float(lines_per_record)
    at = begin
    # At least one: a program gets on even if between any two quanta it waits past the next time to stop.
    while at < len(line) and (at == begin or now_ps < until_ps):
        end = min(at + quantum_records, len(line))
        ddr_reads, ddr_writes, cxl_reads, cxl_writes = _count_records(line, is_write, at, end, tier)
        compute = compute_ps[at // quantum_records]
        ddr_bytes = _LINE_BYTES * lines * (ddr_reads + ddr_writes) + moved_bytes[DDR]
        cxl_bytes = _LINE_BYTES * lines * (cxl_reads + cxl_writes) + moved_bytes[CXL]
        moved_bytes[DDR] = moved_bytes[CXL] = 0.0
        taken, ddr_wait, cxl_wait, queued = _shares(
            compute, lines * ddr_reads, lines * cxl_reads, ddr_bytes, cxl_bytes, ddr, cxl, mlp
        )
        # Time since now_ps: in a long run a float64 of the whole time would not hold a single ps.
        time, faults = _pass_records(
            line, is_write, at, end, first_record, now_ps, spent[PART_OF_PS], (compute + queued) / (end - at),
            lines * ddr_wait, lines * cxl_wait, fault_ps, tier, last_touch_ps, protected_ps, seen_line, seen_ps,
            fault_page, fault_at_ps, fault_protected_ps, request_start, request_begin_ps, counts,
        )  # fmt: skip
        # The records' times add up to this but for rounding; none of them may come after the quantum's end.
        time = max(time, spent[PART_OF_PS] + taken + faults * fault_ps)
        now_ps += np.int64(time)
        spent[PART_OF_PS] = time - np.floor(time)
        totals[DDR_READS] += ddr_reads * lines_per_record
        totals[DDR_WRITES] += ddr_writes * lines_per_record
        totals[CXL_READS] += cxl_reads * lines_per_record
        totals[CXL_WRITES] += cxl_writes * lines_per_record
        spent[COMPUTE] += compute
        spent[DDR_STALL] += lines * ddr_reads * ddr_wait
        spent[CXL_STALL] += lines * cxl_reads * cxl_wait
        spent[BANDWIDTH] += queued
        spent[FAULTS] += faults * fault_ps
        at = end
    return at, now_ps


@njit(cache=True)
def choose_coldest(tier, last_touch_ps, passed_ps, hand, n_wanted, now_ps, victims):
    """Pages of DDR to demote, by CLOCK: the hand passes over a page that was touched since it last came by.

    tier uint8[pages], last_touch_ps int64[pages], passed_ps int64[pages] (when the hand came by, updated); fills
    victims int64[>= n_wanted] and gives (how many, the hand's place). Two rounds always find enough where there is.
    """
    n_pages = len(tier)
    found = 0
    for _ in range(2 * n_pages):
        if found == n_wanted:
            break
        page = hand
        hand += 1
        if hand == n_pages:
            hand = 0
        if tier[page] != DDR:
            continue
        if last_touch_ps[page] > passed_ps[page]:
            passed_ps[page] = now_ps
            continue
        tier[page] = CXL
        victims[found] = page
        found += 1
    return found, hand
