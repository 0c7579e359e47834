"""One channel of an HBM stack with processing units: a program of products, moves and barriers, command by command.

Each tick the controller issues at most one row command and one column command. It takes the oldest request of its
queue that is ready; a barrier holds back the column commands behind it, but lets rows be closed and opened for them. A
refresh comes first: it closes all banks as soon as that is allowed, and no row is opened meanwhile.

The queue holds rows (kind, bank, group, row, ticks to the next product). Where nothing can be issued, the clock jumps
to the next tick at which something can.

Source: AttAcc's memory controller on Ramulator 2, rebuilt from its description. Not modelled: host traffic beside it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Kinds of runs. A row of a program is (kind, count, base row, first column, pattern, repeat, first move); of products,
# `repeat` is the ticks that each keeps the units busy.
MAC, WRGB, MVSB, MVGB, SFM, BARRIER = 0, 1, 2, 3, 4, 5
N_RUN_COLUMNS = 7

# Places in the timing array, in ticks.
(ACT_MAC, ACT_PRE, ACT_ACT, PRE_ACT, MAC_PRE, MAC_MAC, MAC_MAC_RANK, MAC_MAC_GROUP, ACT_ANY, PREA_ACT, ACT_PREA,
 MAC_PREA, ACT_REF, PRE_REF, PREA_REF, REF_ACT, MOVE_BUS, MOVE_RANK, MOVE_GROUP, REFI, N_REF,
 REF_REF) = range(22)  # fmt: skip
N_TIMINGS = 22

# Places in the layout array: how column numbers fall on groups, banks and rows, and how groups fall on ranks.
N_GROUPS_IN_TURN, N_BANKS_IN_TURN, BANK_TURNS_FIRST, COLUMNS_PER_ROW, GROUPS_PER_RANK, QUEUE = range(6)
N_LAYOUT = 6

# Places in the counts: commands by kind, then rows, refreshes, and where the ticks between products went.
N_ACT, N_PRE, N_REFRESH, ROW_TICKS, REFRESH_TICKS, MOVE_TICKS = range(6, 12)
N_COUNTS = 12

_NEVER = -(1 << 40)
_FAR = 1 << 60


@njit(cache=True)
def _column_place(column, layout):
    """Bank, group and row (from a region's first) of a column's number."""
    group = column % layout[N_GROUPS_IN_TURN]
    rest = column // layout[N_GROUPS_IN_TURN]
    n_banks, per_row = layout[N_BANKS_IN_TURN], layout[COLUMNS_PER_ROW]
    bank = rest % n_banks if layout[BANK_TURNS_FIRST] else (rest // per_row) % n_banks
    return group * n_banks + bank, group, rest // (n_banks * per_row)


@njit(cache=True)
def _fetch(runs, at, offset, patterns, layout, entry):
    """Write command `offset` of run `at` into the queue's entry."""
    kind = runs[at, 0]
    entry[0] = kind
    entry[1] = entry[2] = 0
    entry[3] = -1
    if kind == MAC:
        bank, group, row = _column_place(runs[at, 3] + offset, layout)
        entry[1], entry[2], entry[3], entry[4] = bank, group, runs[at, 2] + row, runs[at, 5]
    elif kind != BARRIER:
        pattern = patterns[runs[at, 4]]
        entry[2] = pattern[((runs[at, 6] + offset) // runs[at, 5]) % len(pattern)]


@njit(cache=True)
def _remove(queue, n_queued, at):
    for i in range(at, n_queued - 1):
        queue[i, 0], queue[i, 1] = queue[i + 1, 0], queue[i + 1, 1]
        queue[i, 2], queue[i, 3], queue[i, 4] = queue[i + 1, 2], queue[i + 1, 3], queue[i + 1, 4]


@njit(cache=True)
def _is_wanted(queue, n_queued, bank, row):
    """Whether a product in the queue reads this row of the bank."""
    for i in range(n_queued):
        if queue[i, 0] == MAC and queue[i, 1] == bank and queue[i, 3] == row:
            return True
    return False


@njit(cache=True)
def _pick(queue, n_queued, row_allowed, col_allowed, timing, layout, open_row, acted, read, closed, group_mac, rank_mac,
          group_moved, rank_moved, last, now):  # fmt: skip
    """The oldest request that may be issued at `now`: (its place or -1, whether its command is a row command, the
    earliest tick at which one may be)."""
    earliest = _FAR
    behind_barrier = False
    for i in range(n_queued):
        kind = queue[i, 0]
        if kind == BARRIER:
            behind_barrier = True
            continue
        group = queue[i, 2]
        rank = group // layout[GROUPS_PER_RANK]
        if kind != MAC:
            if behind_barrier or not col_allowed:
                continue
            ready = max(last[2] + timing[MOVE_BUS], rank_moved[rank] + timing[MOVE_RANK])
            ready = max(ready, group_moved[group] + timing[MOVE_GROUP])
            if ready <= now:
                return i, False, now
            earliest = min(earliest, ready)
            continue
        bank = queue[i, 1]
        if open_row[bank] == queue[i, 3]:
            if behind_barrier or not col_allowed:
                continue
            ready = max(acted[bank] + timing[ACT_MAC], last[1] + last[5])
            ready = max(ready, rank_mac[rank] + timing[MAC_MAC_RANK])
            ready = max(ready, group_mac[group] + timing[MAC_MAC_GROUP])
            if ready <= now:
                return i, False, now
        elif not row_allowed:
            continue
        elif open_row[bank] < 0:
            ready = max(closed[bank] + timing[PRE_ACT], acted[bank] + timing[ACT_ACT])
            ready = max(ready, last[0] + timing[ACT_ANY], last[3] + timing[PREA_ACT])
            ready = max(ready, last[4] + timing[REF_ACT])
            if ready <= now:
                return i, True, now
        else:
            ready = max(read[bank] + timing[MAC_PRE], acted[bank] + timing[ACT_PRE])
            ready = max(ready, last[0] + timing[ACT_ANY])
            if ready <= now:
                if i == 0 or not _is_wanted(queue, n_queued, bank, open_row[bank]):
                    return i, True, now
                continue
        earliest = min(earliest, ready)
    return -1, False, earliest


@njit(cache=True)
def run_channel(runs, patterns, timing, layout, n_banks, counts):
    """Ticks that a channel's program takes, until its queue is empty and no refresh waits.

    `runs` int64[n, 7] (see above), `patterns` int64[p, q] groups that moves go to in turn, `timing` int64[22], `layout`
    int64[6]; adds to `counts` int64[12].
    """
    open_row = np.full(n_banks, -1, np.int64)
    acted, read, closed = (
        np.full(n_banks, _NEVER, np.int64), np.full(n_banks, _NEVER, np.int64), np.full(n_banks, _NEVER, np.int64),
    )  # fmt: skip
    n_groups = max(patterns.max() + 1, layout[N_GROUPS_IN_TURN])
    n_ranks = (n_groups - 1) // layout[GROUPS_PER_RANK] + 1
    group_mac, group_moved = np.full(n_groups, _NEVER, np.int64), np.full(n_groups, _NEVER, np.int64)
    rank_mac, rank_moved = np.full(n_ranks, _NEVER, np.int64), np.full(n_ranks, _NEVER, np.int64)
    last = np.full(6, _NEVER, np.int64)  # activates, products, moves, closings of all banks, refreshes; [5] see below
    last[5] = timing[MAC_MAC]  # ticks from the last product to the next
    queue = np.zeros((layout[QUEUE], 5), np.int64)
    n_runs, at, offset, n_queued = len(runs), 0, 0, 0
    now, n_refresh, next_refresh = 0, 0, timing[REFI]
    n_open, gap_has_act, gap_has_refresh = 0, False, 0
    while True:
        now += 1
        while at < n_runs and n_queued < len(queue):
            if offset >= runs[at, 1]:
                at, offset = at + 1, 0
                continue
            _fetch(runs, at, offset, patterns, layout, queue[n_queued])
            n_queued, offset = n_queued + 1, offset + 1
        if at >= n_runs and n_queued == 0 and n_refresh == 0:
            return now
        if now >= next_refresh:
            n_refresh += timing[N_REF]
            next_refresh += timing[REFI]
        earliest, row_allowed, col_allowed, changed = next_refresh, n_refresh == 0, True, False
        if n_refresh > 0:
            if n_open > 0:
                ready = max(last[0] + timing[ACT_PREA], last[1] + timing[MAC_PREA])
                if ready <= now:
                    open_row[:] = -1
                    n_open, last[3], changed = 0, now, True
            else:
                ready = max(last[3] + timing[PREA_REF], last[0] + timing[ACT_REF], closed.max() + timing[PRE_REF])
                if n_refresh % timing[N_REF] == 0:  # the first pseudo channel's; the others' follow tick by tick
                    ready = max(ready, last[4] + timing[REF_REF])
                if ready <= now:
                    if n_refresh % timing[N_REF] == 0:
                        last[4] = now
                        counts[N_REFRESH] += 1
                        gap_has_refresh = 1
                    n_refresh, changed = n_refresh - 1, True
            earliest = min(earliest, ready) if ready > now else now
        for _ in range(2):
            if n_queued > 0 and queue[0, 0] == BARRIER:
                _remove(queue, n_queued, 0)
                n_queued, changed = n_queued - 1, True
                counts[BARRIER] += 1
                if n_queued > 0 and queue[0, 0] == BARRIER:
                    break
            if n_queued == 0:
                break
            pick, is_row, ready = _pick(
                queue, n_queued, row_allowed, col_allowed, timing, layout, open_row, acted, read, closed, group_mac,
                rank_mac, group_moved, rank_moved, last, now,
            )  # fmt: skip
            if pick < 0:
                earliest = min(earliest, ready)
                break
            changed = True
            kind, bank, group = queue[pick, 0], queue[pick, 1], queue[pick, 2]
            if is_row:
                row_allowed = False
                if open_row[bank] < 0:
                    open_row[bank], acted[bank], last[0] = queue[pick, 3], now, now
                    n_open += 1
                    counts[N_ACT] += 1
                    gap_has_act = True
                else:
                    open_row[bank], closed[bank] = -1, now
                    n_open -= 1
                    counts[N_PRE] += 1
                continue
            col_allowed = False
            rank = group // layout[GROUPS_PER_RANK]
            counts[kind] += 1
            if kind == MAC:
                waited = now - last[1] - last[5] if last[1] >= 0 else now
                if gap_has_refresh:
                    counts[REFRESH_TICKS] += waited
                elif gap_has_act:
                    counts[ROW_TICKS] += waited
                else:
                    counts[MOVE_TICKS] += waited
                gap_has_act, gap_has_refresh = False, 0
                last[5] = max(timing[MAC_MAC], queue[pick, 4])
                read[bank] = last[1] = group_mac[group] = rank_mac[rank] = now
            else:
                last[2] = group_moved[group] = rank_moved[rank] = now
            _remove(queue, n_queued, pick)
            n_queued -= 1
        if not changed and earliest > now + 1:
            now = earliest - 1
