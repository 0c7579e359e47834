"""Reads of each page in each interval of a stream, as a sparse table whose rows are pages."""

import numpy as np
from numba import njit


@njit(cache=True)
def count_reads(line, is_write, first, interval_records, interval, reads, out_page, out_interval, out_reads):
    """Close the counts of pages that are read again in a later interval.

    line uint32[n] (page x 64 + word), is_write bool[n] of consecutive records from number `first` on. `interval`
    int32[n_pages] (-1: none) and `reads` int32[n_pages] are the open count of each page, kept from call to call. Fills
    out_page, out_interval, out_reads int32[at least n] with closed counts, those of one page in order of time; returns
    how many.
    """
    n_out = 0
    now = first // interval_records
    next_at = (now + 1) * interval_records - first
    for at in range(len(line)):
        if at == next_at:
            now += 1
            next_at += interval_records
        if is_write[at]:
            continue
        page = line[at] >> np.uint32(6)
        if interval[page] != now:
            if interval[page] >= 0:
                out_page[n_out] = page
                out_interval[n_out] = interval[page]
                out_reads[n_out] = reads[page]
                n_out += 1
            interval[page] = now
            reads[page] = 0
        reads[page] += 1
    return n_out


@njit(cache=True)
def rows_of_pages(page, interval, reads, last_interval, last_reads, offset, row_interval, row_reads):
    """Sort closed counts by page, and put each page's open one behind them.

    page, interval, reads int32[n] as `count_reads` gave them, `last_interval` and `last_reads` int32[n_pages] the open
    counts; `offset` int64[n_pages + 1], zeros, becomes where each page's row starts. Fills row_interval and row_reads
    int32[n + pages with an open count].
    """
    n_pages = len(last_interval)
    for at in range(len(page)):
        offset[page[at] + 1] += 1
    for one in range(n_pages):
        offset[one + 1] += offset[one] + (1 if last_interval[one] >= 0 else 0)
    for one in range(n_pages):
        if last_interval[one] >= 0:
            row_interval[offset[one + 1] - 1] = last_interval[one]
            row_reads[offset[one + 1] - 1] = last_reads[one]
    # Each row's start runs through it, and is then the next row's start, less the open count.
    for at in range(len(page)):
        to = offset[page[at]]
        offset[page[at]] = to + 1
        row_interval[to] = interval[at]
        row_reads[to] = reads[at]
    for one in range(n_pages, 0, -1):
        offset[one] = offset[one - 1] + (1 if last_interval[one - 1] >= 0 else 0)
    offset[0] = 0
