"""Stretches in which a channel with processing units issues column commands only.

While no product in the queue lacks its row, or lacks only the row that the oldest product's bank will close after it,
no row command can be issued, whatever the clock says. Then the next command is the column command that is ready first,
and equal products with nothing else before the next barrier follow each other at one distance, all at once.
"""

from __future__ import annotations

from numba import njit

from simulator.kernels.hbm_pim_queue import (
    BANK,
    BARRIER,
    BUSY,
    COMING,
    COUNT,
    COUNTS,
    DONE,
    FAR,
    GROUP,
    HEAD,
    KIND,
    LAST_MAC,
    MAC,
    MAC_MAC,
    MAC_MAC_GROUP,
    MAC_MAC_RANK,
    MAC_WAIT,
    MOVE_TICKS,
    N_MOVES,
    N_QUEUED,
    N_SEGMENT,
    NEXT_REFRESH,
    NOW,
    OPEN,
    QUEUE,
    RANK,
    READ,
    ROW,
    TAIL,
    column_ready,
    count_wait,
    has_more,
    issue_column,
    take,
)  # fmt: skip


@njit(cache=True, error_model="numpy", forceinline=True)
def _held(words, bank, row):
    """Of a product's row: 0 where it is open, 1 where the oldest product keeps another open in the bank, else -1."""
    if words[bank + OPEN] == row:
        return 0
    head = words[HEAD]
    if head == words[TAIL] or words[head + KIND] != MAC or words[head + BANK] != bank:
        return -1
    return 1 if words[bank + OPEN] == words[head + ROW] else -1


@njit(cache=True, error_model="numpy", forceinline=True)
def _n_held(words):
    """Segments whose row the oldest product holds back; -1 where a row command may be possible or a barrier leaves."""
    n = 0
    for i in range(words[HEAD], words[TAIL], N_SEGMENT):
        if words[i + KIND] == MAC:
            held = _held(words, words[i + BANK], words[i + ROW])
            if held < 0:
                return -1
            n += held
        elif words[i + KIND] == BARRIER and i == words[HEAD]:
            return -1
    return n


@njit(cache=True, error_model="numpy", forceinline=True)
def _fill_held(words, runs, patterns, n_held):
    """Fill the queue: the segments held back then, as `_n_held`."""
    room = words[QUEUE] - words[N_QUEUED]
    while room > 0 and has_more(words, runs, patterns):
        if words[COMING + KIND] == MAC and n_held >= 0:
            held = _held(words, words[COMING + BANK], words[COMING + ROW])
            n_held = n_held + held if held >= 0 else -1
        n = min(room, words[COMING + COUNT])
        take(words, n)
        room -= n
    return n_held


@njit(cache=True, error_model="numpy", forceinline=True)
def _next_column(words, floor):
    """The segment whose column command is the first to be ready from `floor` on, and when."""
    first_product = max(floor, words[LAST_MAC] + words[MAC_WAIT])
    found, earliest = -1, FAR
    for i in range(words[HEAD], words[TAIL], N_SEGMENT):
        kind = words[i + KIND]
        if kind == BARRIER:
            break
        if kind == MAC:
            if earliest <= first_product or words[words[i + BANK] + OPEN] != words[i + ROW]:
                continue
            ready = max(column_ready(words, i), floor)
            if ready < earliest:
                found, earliest = i, ready
            if ready <= first_product and words[N_MOVES] == 0:
                break
        else:
            ready = max(column_ready(words, i), floor)
            if ready < earliest:
                found, earliest = i, ready
        if earliest == floor:
            break
    return found, earliest


@njit(cache=True, error_model="numpy", forceinline=True)
def _is_alone(words):
    """Whether only the oldest segment's column commands can come: (that, whether a barrier stands behind it)."""
    head = words[HEAD]
    for i in range(head + N_SEGMENT, words[TAIL], N_SEGMENT):
        kind = words[i + KIND]
        if kind == BARRIER:
            return True, True
        if kind != MAC or words[i + BANK] != words[head + BANK]:
            return False, False
    return True, False


@njit(cache=True, error_model="numpy", forceinline=True)
def _n_in_a_row(words, runs, patterns, most, has_barrier):
    """Issue up to `most` products of the oldest segment, all but its last: how many. For each a command comes into the
    queue; one that could go before the next product ends the row."""
    n = 0
    while n < most:
        step = min(most - n, words[words[HEAD] + COUNT] - 1)
        if step > 0 and has_more(words, runs, patterns):
            kind = words[COMING + KIND]
            if kind == MAC:
                held = _held(words, words[COMING + BANK], words[COMING + ROW])
                if held < 0 or not (has_barrier or words[COMING + BANK] == words[words[HEAD] + BANK]):
                    break
            elif kind == BARRIER:
                has_barrier = True
            elif not has_barrier:
                break
            step = min(step, words[COMING + COUNT])
            take(words, step)
        if step <= 0:
            break
        words[words[HEAD] + COUNT] -= step
        words[N_QUEUED] -= step
        n += step
    return n


@njit(cache=True, error_model="numpy", forceinline=True)
def _issue_row(words, runs, patterns, first):
    """Issue equal products from tick `first` on at one distance, as many as are sure to be next: whether any was."""
    head = words[HEAD]
    is_alone, has_barrier = _is_alone(words)
    if not is_alone:
        return False
    wait = max(words[MAC_MAC], words[head + BUSY])
    distance = max(wait, max(words[MAC_MAC_RANK], words[MAC_MAC_GROUP]))
    most = (words[NEXT_REFRESH] - 1 - first) // distance + 1
    n = _n_in_a_row(words, runs, patterns, most, has_barrier)
    if n == 0:
        return False
    head = words[HEAD]
    count_wait(words, first)
    words[COUNTS + MAC] += n
    words[MOVE_TICKS] += (n - 1) * (distance - wait)
    last = first + (n - 1) * distance
    words[MAC_WAIT], words[NOW] = wait, last
    words[words[head + BANK] + READ] = words[LAST_MAC] = last
    words[words[head + GROUP] + DONE] = words[words[head + RANK] + DONE] = last
    return True


@njit(cache=True, error_model="numpy")
def run_columns(words, runs, patterns):
    """Issue column commands while no row command can be, no refresh waits, and no barrier leaves; the queue is full
    for the tick after the last."""
    n_held = _n_held(words)
    while n_held >= 0 and words[N_QUEUED] > 0:
        at, ready = _next_column(words, words[NOW] + 1)
        head = words[HEAD]
        if ready >= words[NEXT_REFRESH]:
            words[NOW] = words[NEXT_REFRESH] - 1
            return
        if at == head and words[head + COUNT] == 1:
            next_is_barrier = head + N_SEGMENT < words[TAIL] and words[head + N_SEGMENT + KIND] == BARRIER
            if n_held > 0 or next_is_barrier:
                words[NOW] = ready - 1
                return
        may_repeat = at == head and words[head + KIND] == MAC and words[head + COUNT] > 1
        if may_repeat and _issue_row(words, runs, patterns, ready):
            n_held = _n_held(words)
            continue
        issue_column(words, at, ready)
        words[NOW] = ready
        n_held = _fill_held(words, runs, patterns, n_held)
        if words[N_QUEUED] > 0 and words[words[HEAD] + KIND] == BARRIER:
            return
