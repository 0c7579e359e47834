"""The queue of a channel with processing units, and the state that its commands change.

Equal neighbours stand in one segment with a count: what may be issued for one may be issued for all of them, and the
oldest goes first.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Kinds of runs. A row of a program is (kind, count, base row, first column, pattern, repeat, first move); of products,
# `repeat` is the ticks that each keeps the units busy.
MAC, WRGB, MVSB, MVGB, SFM, BARRIER = 0, 1, 2, 3, 4, 5
N_RUN_COLUMNS = 7

# A channel is one vector of words. First its rules: ticks between commands,
(ACT_MAC, ACT_PRE, ACT_ACT, PRE_ACT, MAC_PRE, MAC_MAC, MAC_MAC_RANK, MAC_MAC_GROUP, ACT_ANY, PREA_ACT, ACT_PREA,
 MAC_PREA, ACT_REF, PRE_REF, PREA_REF, REF_ACT, MOVE_BUS, MOVE_RANK, MOVE_GROUP, REFI, N_REF,
 REF_REF) = range(22)  # fmt: skip
# how column numbers fall on groups, banks and rows, and groups on ranks, how many banks and groups have a state of
# their own, and the queue's entries;
(N_GROUPS_IN_TURN, N_BANKS_IN_TURN, BANK_TURNS_FIRST, COLUMNS_PER_ROW, GROUPS_PER_RANK, N_BANKS, N_GROUPS,
 QUEUE) = range(22, 30)  # fmt: skip
N_RULES = 30
# then the counts: commands by kind, rows, refreshes, and where the ticks between products went;
COUNTS = 30
N_ACT, N_PRE, N_REFRESH, ROW_TICKS, REFRESH_TICKS, MOVE_TICKS = range(36, 42)
N_COUNTS = 12
# then the state: first segment of the queue and the end of its last, entries and moves in it, the last tick that was
# looked at, refreshes that wait and when more come, open banks, what passed since the last product, ticks of the last
# commands, ticks from the last product to the next, the run and its offset after the commands to come;
(HEAD, TAIL, N_QUEUED, N_MOVES, NOW, WAITING, NEXT_REFRESH, N_OPEN, GAP_HAS_ACT, GAP_HAS_REFRESH, LAST_ACT, LAST_MAC,
 LAST_MOVE, LAST_PREA, LAST_REF, MAC_WAIT, AT, OFFSET) = range(42, 60)  # fmt: skip
# then the segment of commands to come, banks, groups, ranks, and the queue's segments.
COMING = 60
BANKS = 68

# Words of a segment; bank, group and rank are the places of theirs.
KIND, BANK, GROUP, RANK, ROW, BUSY, COUNT = range(7)
N_SEGMENT = 8

# Words of a bank: its open row (-1 none), and ticks of its last activation, product and closing.
OPEN, ACTED, READ, CLOSED = range(4)
N_BANK_WORDS = 4

# Words of a group and of a rank: ticks of its last product and move.
DONE, MOVED = range(2)
N_GROUP_WORDS = 2

NEVER = -(1 << 40)
FAR = 1 << 60


@njit(cache=True, error_model="numpy", forceinline=True)
def new_channel(rules):
    """A closed and idle channel of these rules, int64[30]."""
    n_banks, n_groups = rules[N_BANKS], rules[N_GROUPS]
    n_ranks = (n_groups - 1) // rules[GROUPS_PER_RANK] + 1
    first = BANKS + N_BANK_WORDS * n_banks + N_GROUP_WORDS * (n_groups + n_ranks)
    words = np.zeros(first + 2 * N_SEGMENT * rules[QUEUE], np.int64)
    words[:N_RULES] = rules
    words[BANKS:first] = NEVER
    for bank in range(n_banks):
        words[BANKS + N_BANK_WORDS * bank + OPEN] = -1
    words[HEAD] = words[TAIL] = first
    words[LAST_ACT : LAST_REF + 1] = NEVER
    words[MAC_WAIT], words[NEXT_REFRESH] = words[MAC_MAC], words[REFI]
    return words


@njit(cache=True, error_model="numpy", forceinline=True)
def _decode_products(words, column, row):
    """The products from `column` on that read one row: how many; bank, group and row into the commands to come."""
    n_groups, n_banks, per_row = words[N_GROUPS_IN_TURN], words[N_BANKS_IN_TURN], words[COLUMNS_PER_ROW]
    group, rest = column % n_groups, column // n_groups
    bank = rest % n_banks if words[BANK_TURNS_FIRST] else (rest // per_row) % n_banks
    words[COMING + BANK] = BANKS + N_BANK_WORDS * (group * n_banks + bank)
    words[COMING + ROW] = row + rest // (n_banks * per_row)
    n = 1 if n_groups > 1 or (words[BANK_TURNS_FIRST] and n_banks > 1) else per_row - rest % per_row
    return group, n


@njit(cache=True, error_model="numpy", forceinline=True)
def has_more(words, runs, patterns):
    """Whether the program has commands that are not in the queue; the next of them then are the commands to come."""
    if words[COMING + COUNT] > 0:
        return True
    run, offset = words[AT], words[OFFSET]
    while run < len(runs) and offset >= runs[run, 1]:
        run, offset = run + 1, 0
    words[AT], words[OFFSET] = run, offset
    if run >= len(runs):
        return False
    kind = runs[run, 0]
    words[COMING + KIND] = kind
    if kind == MAC:
        group, n = _decode_products(words, runs[run, 3] + offset, runs[run, 2])
        words[COMING + BUSY] = runs[run, 5]
    else:
        repeat, place = runs[run, 5], runs[run, 6] + offset
        words[COMING + BANK], words[COMING + ROW], words[COMING + BUSY] = -1, -1, 0
        group = patterns[runs[run, 4], (place // repeat) % patterns.shape[1]]
        n = 1 if kind == BARRIER else repeat - place % repeat
    groups = BANKS + N_BANK_WORDS * words[N_BANKS]
    words[COMING + GROUP] = groups + N_GROUP_WORDS * group
    words[COMING + RANK] = groups + N_GROUP_WORDS * (words[N_GROUPS] + group // words[GROUPS_PER_RANK])
    words[COMING + COUNT] = n = min(n, runs[run, 1] - offset)
    words[OFFSET] = offset + n
    return True


@njit(cache=True, error_model="numpy", forceinline=True)
def take(words, n):
    """Put `n` of the commands to come into the queue."""
    words[N_QUEUED] += n
    words[COMING + COUNT] -= n
    kind, tail = words[COMING + KIND], words[TAIL]
    if kind != MAC and kind != BARRIER:
        words[N_MOVES] += n
    last = tail - N_SEGMENT
    if (
        tail > words[HEAD] and kind != BARRIER and words[last + KIND] == kind
        and words[last + GROUP] == words[COMING + GROUP] and words[last + BANK] == words[COMING + BANK]
        and words[last + ROW] == words[COMING + ROW] and words[last + BUSY] == words[COMING + BUSY]
    ):  # fmt: skip
        words[last + COUNT] += n
        return
    if tail == len(words):
        first, head = len(words) - 2 * N_SEGMENT * words[QUEUE], words[HEAD]
        for i in range(head, tail):
            words[first + i - head] = words[i]
        tail = first + tail - head
        words[HEAD] = first
    for k in range(COUNT):
        words[tail + k] = words[COMING + k]
    words[tail + COUNT] = n
    words[TAIL] = tail + N_SEGMENT


@njit(cache=True, error_model="numpy", forceinline=True)
def fill(words, runs, patterns):
    """Put commands into the queue until it is full or the program is at its end."""
    room = words[QUEUE] - words[N_QUEUED]
    while room > 0 and has_more(words, runs, patterns):
        n = min(room, words[COMING + COUNT])
        take(words, n)
        room -= n


@njit(cache=True, error_model="numpy", forceinline=True)
def remove(words, at):
    """Take one command out of a segment."""
    words[N_QUEUED] -= 1
    words[at + COUNT] -= 1
    if words[at + KIND] != MAC and words[at + KIND] != BARRIER:
        words[N_MOVES] -= 1
    if words[at + COUNT] == 0:
        # Most stand near the head.
        for i in range(at - 1, words[HEAD] - 1, -1):
            words[i + N_SEGMENT] = words[i]
        words[HEAD] += N_SEGMENT


@njit(cache=True, error_model="numpy", forceinline=True)
def column_ready(words, at):
    """First tick at which a segment's product (of an open row) or move may be issued."""
    group, rank = words[at + GROUP], words[at + RANK]
    if words[at + KIND] == MAC:
        ready = max(words[words[at + BANK] + ACTED] + words[ACT_MAC], words[LAST_MAC] + words[MAC_WAIT])
        ready = max(ready, words[rank + DONE] + words[MAC_MAC_RANK])
        return max(ready, words[group + DONE] + words[MAC_MAC_GROUP])
    ready = max(words[LAST_MOVE] + words[MOVE_BUS], words[rank + MOVED] + words[MOVE_RANK])
    return max(ready, words[group + MOVED] + words[MOVE_GROUP])


@njit(cache=True, error_model="numpy", forceinline=True)
def count_wait(words, tick):
    """Count the ticks for which a product at `tick` waited for more than the product before it."""
    waited = tick - words[LAST_MAC] - words[MAC_WAIT] if words[LAST_MAC] >= 0 else tick
    if words[GAP_HAS_REFRESH]:
        words[REFRESH_TICKS] += waited
    elif words[GAP_HAS_ACT]:
        words[ROW_TICKS] += waited
    else:
        words[MOVE_TICKS] += waited
    words[GAP_HAS_ACT] = words[GAP_HAS_REFRESH] = 0


@njit(cache=True, error_model="numpy", forceinline=True)
def issue_column(words, at, tick):
    """Issue a segment's product or move."""
    kind, group, rank = words[at + KIND], words[at + GROUP], words[at + RANK]
    words[COUNTS + kind] += 1
    if kind == MAC:
        count_wait(words, tick)
        words[MAC_WAIT] = max(words[MAC_MAC], words[at + BUSY])
        words[words[at + BANK] + READ] = words[LAST_MAC] = tick
        words[group + DONE] = words[rank + DONE] = tick
    else:
        words[LAST_MOVE] = words[group + MOVED] = words[rank + MOVED] = tick
    remove(words, at)
