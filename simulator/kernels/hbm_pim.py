"""One channel of an HBM stack with processing units: a program of products, moves and barriers, command by command.

Each tick the controller issues at most one row command and one column command. It takes the oldest request of its
queue that is ready; a barrier holds back the column commands behind it, but lets rows be closed and opened for them. A
refresh comes first: it closes all banks as soon as that is allowed, and no row is opened meanwhile.

Where nothing can be issued, the clock jumps to the next tick at which something can; where no row command can be,
column commands are issued by themselves (`hbm_pim_columns`).

Source: AttAcc's memory controller on Ramulator 2, rebuilt from its description. Not modelled: host traffic beside it.
"""

from __future__ import annotations

from numba import njit

from simulator.kernels.hbm_pim_columns import run_columns
from simulator.kernels.hbm_pim_queue import (
    ACT_ACT,
    ACT_ANY,
    ACT_PRE,
    ACT_PREA,
    ACT_REF,
    ACTED,
    BANK,
    BANKS,
    BARRIER,
    CLOSED,
    COUNTS,
    FAR,
    GAP_HAS_ACT,
    GAP_HAS_REFRESH,
    HEAD,
    KIND,
    LAST_ACT,
    LAST_MAC,
    LAST_PREA,
    LAST_REF,
    MAC,
    MAC_PRE,
    MAC_PREA,
    N_ACT,
    N_BANK_WORDS,
    N_BANKS,
    N_COUNTS,
    N_OPEN,
    N_PRE,
    N_QUEUED,
    N_REF,
    N_REFRESH,
    N_SEGMENT,
    NEXT_REFRESH,
    NOW,
    OPEN,
    PRE_ACT,
    PRE_REF,
    PREA_ACT,
    PREA_REF,
    READ,
    REF_ACT,
    REF_REF,
    REFI,
    ROW,
    TAIL,
    WAITING,
    column_ready,
    fill,
    issue_column,
    new_channel,
    remove,
)  # fmt: skip


@njit(cache=True, error_model="numpy", forceinline=True)
def _is_wanted(words, bank):
    """Whether a product in the queue reads the bank's open row."""
    row = words[bank + OPEN]
    for i in range(words[HEAD], words[TAIL], N_SEGMENT):
        if words[i + KIND] == MAC and words[i + BANK] == bank and words[i + ROW] == row:
            return True
    return False


@njit(cache=True, error_model="numpy", forceinline=True)
def _row_ready(words, bank):
    """First tick at which a bank's row may be opened, or closed where one is open."""
    ready = words[LAST_ACT] + words[ACT_ANY]
    if words[bank + OPEN] >= 0:
        return max(ready, max(words[bank + READ] + words[MAC_PRE], words[bank + ACTED] + words[ACT_PRE]))
    ready = max(ready, max(words[bank + CLOSED] + words[PRE_ACT], words[bank + ACTED] + words[ACT_ACT]))
    return max(ready, max(words[LAST_PREA] + words[PREA_ACT], words[LAST_REF] + words[REF_ACT]))


@njit(cache=True, error_model="numpy", forceinline=True)
def _pick(words, may_row, may_column):
    """The oldest request that may be issued now: (its segment or -1, whether its command is a row command, the earliest
    tick at which one may be)."""
    now, earliest, head = words[NOW], FAR, words[HEAD]
    for i in range(head, words[TAIL], N_SEGMENT):
        if words[i + KIND] == BARRIER:
            may_column = False
            continue
        bank = words[i + BANK]
        is_row = words[i + KIND] == MAC and words[bank + OPEN] != words[i + ROW]
        if not (may_row if is_row else may_column):
            continue
        ready = _row_ready(words, bank) if is_row else column_ready(words, i)
        if ready <= now:
            if is_row and i > head and words[bank + OPEN] >= 0 and _is_wanted(words, bank):
                continue
            return i, is_row, now
        earliest = min(earliest, ready)
    return -1, False, earliest


@njit(cache=True, error_model="numpy", forceinline=True)
def _issue_row_command(words, at):
    """Open the row of a segment's product, or close the one that is open."""
    bank = words[at + BANK]
    if words[bank + OPEN] < 0:
        words[bank + OPEN] = words[at + ROW]
        words[bank + ACTED] = words[LAST_ACT] = words[NOW]
        words[N_OPEN] += 1
        words[N_ACT] += 1
        words[GAP_HAS_ACT] = 1
    else:
        words[bank + OPEN], words[bank + CLOSED] = -1, words[NOW]
        words[N_OPEN] -= 1
        words[N_PRE] += 1


@njit(cache=True, error_model="numpy", forceinline=True)
def _refresh(words):
    """Close all banks for a refresh that waits, or refresh: (whether one of them was done, when it may be)."""
    now = words[NOW]
    if words[N_OPEN] > 0:
        ready = max(words[LAST_ACT] + words[ACT_PREA], words[LAST_MAC] + words[MAC_PREA])
        if ready > now:
            return False, ready
        for bank in range(BANKS, BANKS + N_BANK_WORDS * words[N_BANKS], N_BANK_WORDS):
            words[bank + OPEN] = -1
        words[N_OPEN], words[LAST_PREA] = 0, now
        return True, now
    ready = max(words[LAST_PREA] + words[PREA_REF], words[LAST_ACT] + words[ACT_REF])
    for bank in range(BANKS, BANKS + N_BANK_WORDS * words[N_BANKS], N_BANK_WORDS):
        ready = max(ready, words[bank + CLOSED] + words[PRE_REF])
    is_first = words[WAITING] % words[N_REF] == 0
    if is_first:  # the first pseudo channel's; the others' follow tick by tick
        ready = max(ready, words[LAST_REF] + words[REF_REF])
    if ready > now:
        return False, ready
    if is_first:
        words[LAST_REF] = now
        words[N_REFRESH] += 1
        words[GAP_HAS_REFRESH] = 1
    words[WAITING] -= 1
    return True, now


@njit(cache=True, error_model="numpy", forceinline=True)
def _serve(words, may_row):
    """Use both command slots of this tick: (whether anything was done, when something can be)."""
    may_column, changed, earliest = True, False, FAR
    for _ in range(2):
        # A barrier that has come to the front has nothing left to wait for; one leaves for each slot.
        if words[N_QUEUED] > 0 and words[words[HEAD] + KIND] == BARRIER:
            remove(words, words[HEAD])
            changed = True
            words[COUNTS + BARRIER] += 1
            if words[N_QUEUED] > 0 and words[words[HEAD] + KIND] == BARRIER:
                break
        if words[N_QUEUED] == 0:
            break
        at, is_row, ready = _pick(words, may_row, may_column)
        if at < 0:
            earliest = min(earliest, ready)
            break
        changed = True
        if is_row:
            may_row = False
            _issue_row_command(words, at)
        else:
            may_column = False
            issue_column(words, at, words[NOW])
    return changed, earliest


@njit(cache=True, error_model="numpy", forceinline=True)
def _tick(words):
    """One tick in every detail; the clock then stands before the next at which something can be issued."""
    words[NOW] += 1
    if words[NOW] >= words[NEXT_REFRESH]:
        words[WAITING] += words[N_REF]
        words[NEXT_REFRESH] += words[REFI]
    earliest, may_row, changed = words[NEXT_REFRESH], words[WAITING] == 0, False
    if not may_row:
        changed, ready = _refresh(words)
        earliest = min(earliest, ready)
    has_served, ready = _serve(words, may_row)
    earliest = min(earliest, ready)
    if not (changed or has_served) and earliest > words[NOW] + 1:
        words[NOW] = earliest - 1


@njit(cache=True, error_model="numpy")
def run_channel(runs, patterns, rules, counts):
    """Ticks that a channel's program takes, until its queue is empty and no refresh waits.

    `runs` int64[n, 7] (see `hbm_pim_queue`), `patterns` int64[p, q] groups that moves go to in turn, `rules` int64[30];
    `counts` int64[12] are set.
    """
    words = new_channel(rules)
    while True:
        fill(words, runs, patterns)
        if words[N_QUEUED] == 0 and words[WAITING] == 0:
            break
        if words[WAITING] == 0:
            run_columns(words, runs, patterns)
            if words[N_QUEUED] == 0:
                continue
        _tick(words)
    counts[:] = words[COUNTS : COUNTS + N_COUNTS]
    return words[NOW] + 1
