"""Refresh managers of the event-driven DRAM controller: when each next asks, and for what."""

from simulator.kernels.dram_event_state import (
    ALL_BANK,
    DUE,
    DUE_BACKLOG,
    DUE_BANK,
    DUE_NEXT,
    DUE_SET,
    F_STATUS,
    OVERFULL,
    PER_BANK,
    PRIO,
    PRIO_HEAD,
    PRIO_LENGTH,
    PRIO_SIZE,
    PUSHED,
    REF_ALL,
    REF_BANK,
    T_BANKS_PER_RANK,
    T_BANKS_PER_SET,
    T_LANES_PER_RANK,
    T_RANKS,
    T_REFI,
    T_REFRESH,
    T_RFC_BANK,
    T_SETS_PER_RANK,
    jit,
)
from simulator.kernels.vectors import apart

MOST_WAITING = 1568  # maintenance commands, as published


@jit
def push(s, base, front, command, lane):
    """Ask for a maintenance command; served strictly in this order."""
    length = s[base + PRIO_LENGTH]
    if length == MOST_WAITING:
        front[F_STATUS] = OVERFULL
        return
    place = base + PRIO + 2 * ((s[base + PRIO_HEAD] + length) & (PRIO_SIZE - 1))
    s[place] = command
    s[place + 1] = lane
    s[base + PRIO_LENGTH] = length + 1


@jit
def staggered_due(s, base, table):
    """When the next round of a staggered refresh begins: interval over, and its set done in every pseudo channel."""
    due = s[base + DUE_NEXT]
    for rank in range(table[T_RANKS]):
        place = base + PUSHED + 2 * (rank * table[T_SETS_PER_RANK] + s[base + DUE_SET])
        due = max(due, s[place + 1])
    return due


@jit
def push_staggered(s, base, table, front, now):
    """Ask for one bank of the round under way, or begin the next: the same bank of every pseudo channel, one a tick."""
    if s[base + DUE_BACKLOG] == 0:
        s[base + DUE_NEXT] = now + table[T_REFI]
    rank = s[base + DUE_BACKLOG]
    place = base + PUSHED + 2 * (rank * table[T_SETS_PER_RANK] + s[base + DUE_SET])
    lane = rank * table[T_LANES_PER_RANK] + s[base + DUE_SET] * table[T_BANKS_PER_SET] + s[base + DUE_BANK]
    push(s, base, front, REF_BANK, lane)
    s[place] += 1
    if s[place] == table[T_BANKS_PER_SET]:
        s[place] = 0
        s[place + 1] = now + table[T_RFC_BANK]
    s[base + DUE_BACKLOG] = rank + 1
    if rank + 1 < table[T_RANKS]:
        s[base + DUE] = now + 1
        return
    s[base + DUE_BACKLOG] = 0
    s[base + DUE_BANK] += 1
    if s[base + DUE_BANK] == table[T_BANKS_PER_SET]:
        s[base + DUE_BANK] = 0
        s[base + DUE_SET] = (s[base + DUE_SET] + 1) % table[T_SETS_PER_RANK]
    s[base + DUE] = max(staggered_due(s, base, table), now + 1)


@jit
def ask_for_refresh(s, base, table, front):
    """What the refresh manager wants in tick `DUE` (which may be past, while maintenance waits); sets the next."""
    apart()
    now = s[base + DUE]
    if table[T_REFRESH] == ALL_BANK:
        for rank in range(table[T_RANKS]):
            push(s, base, front, REF_ALL, rank * table[T_LANES_PER_RANK])
        s[base + DUE] = now + table[T_REFI]
    elif table[T_REFRESH] == PER_BANK:
        bank = s[base + DUE_BANK]
        lane = bank // table[T_BANKS_PER_RANK] * table[T_LANES_PER_RANK] + bank % table[T_BANKS_PER_RANK]
        push(s, base, front, REF_BANK, lane)
        s[base + DUE_BANK] = (bank + 1) % (table[T_RANKS] * table[T_BANKS_PER_RANK])
        s[base + DUE] = now + table[T_REFI]
    else:
        push_staggered(s, base, table, front, now)
