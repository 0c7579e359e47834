"""Rounds of plain bursts: one burst per target and round; rounds that repeat the last one exactly are jumped over."""

from simulator.kernels.aim_classes import split
from simulator.kernels.aim_plain import advance, finish_plain, is_hit, queue_plain
from simulator.kernels.aim_state import (
    ACTIVE_CYC,
    CLASS_OF,
    COUNTS,
    DUE,
    INVOLVED,
    LEADERS,
    MEMBERS,
    N_CLASSES,
    N_COMMANDS,
    T_WIDTH,
    TIMES,
    TIMES_END,
    W_MEM,
    WORDS,
    WRITE_MODE,
    equal_states,
    inlined,
    jit,
    take_snapshot,
)


@inlined
def one_burst(state, table, roster, tallies, opcode, channel, bank, row, cyc, is_last):
    """A plain read or write offered to one channel at `cyc`; returns the cycle in which it is queued.

    `is_last`: the dispatcher hands out nothing more in this cycle.
    """
    slot = roster[CLASS_OF + channel]
    if roster[MEMBERS + slot] != 1 << channel:
        slot = split(state, roster, tallies, slot, 1 << channel)
    base = slot * WORDS
    if is_last and is_hit(state, table, base, opcode, bank, row, cyc):
        finish_plain(state, table, base, opcode, bank, cyc)
        state[base + WRITE_MODE] = 1 if opcode == W_MEM else 0
        return cyc
    return queue_plain(state, table, base, opcode, bank, row, cyc, is_last)


@jit
def find_involved(roster, targets, first, n_targets):
    """List the classes that a run's targets reach; returns how many."""
    n_involved = 0
    for i in range(roster[N_CLASSES]):
        slot = roster[LEADERS + i]
        for k in range(first, first + n_targets):
            if roster[CLASS_OF + targets[k, 0]] == slot:
                roster[INVOLVED + n_involved] = slot
                n_involved += 1
                break
    return n_involved


@jit
def skip_rounds(state, table, snapshot, roster, n_involved, now, before, remaining):
    """Shift the involved classes past repetitions of what happened since cycle `before`, up to `remaining` of them.

    Returns how many: 0 if the states differ from those that were kept then. No refresh is jumped over.
    """
    for i in range(n_involved):
        base = roster[INVOLVED + i] * WORDS
        advance(state, table, base, now, 0)
        same = state[base + DUE] == snapshot[base + DUE] and state[base + ACTIVE_CYC] == snapshot[base + ACTIVE_CYC]
        if not same or not equal_states(state, base, now, snapshot, base, before):
            return 0
    period = now - before
    for i in range(n_involved):
        base = roster[INVOLVED + i] * WORDS
        remaining = min(remaining, (state[base + DUE] - now) // period - 1)
    if remaining <= 0:
        return 0
    for i in range(n_involved):
        base = roster[INVOLVED + i] * WORDS
        for k in range(TIMES, TIMES_END):
            state[base + k] += remaining * period
        for c in range(N_COMMANDS):
            state[base + COUNTS + c] += remaining * (state[base + COUNTS + c] - snapshot[base + COUNTS + c])
    return remaining


@jit
def keep_rounds(state, table, snapshot, roster, n_involved, now):
    """Keep the states of the classes at the end of a round, to compare the next round with."""
    for i in range(n_involved):
        base = roster[INVOLVED + i] * WORDS
        advance(state, table, base, now, 0)
        take_snapshot(state, snapshot, base)


@jit
def burst_rounds(
    state, table, snapshot, roster, tallies, targets, first, n_targets,
    opcode, row, n_rounds, closed_form, cyc, in_cycle,
):  # fmt: skip
    """`n_rounds` rounds of one burst to each of a run's targets; returns (next cycle, lines already in it)."""
    width = table[T_WIDTH]
    before = -1
    before_step = 0
    n_involved = 0
    step = 0
    while step < n_rounds:
        for k in range(first, first + n_targets):
            in_cycle += 1
            is_last = in_cycle >= width
            queued = one_burst(state, table, roster, tallies, opcode, targets[k, 0], targets[k, 1], row, cyc, is_last)
            if is_last or queued > cyc:
                cyc = queued + 1
                in_cycle = 0
        step += 1
        if not closed_form or step == 1 or n_rounds - step <= 1 or in_cycle > 0:
            continue
        if n_involved == 0:
            n_involved = find_involved(roster, targets, first, n_targets)
        skipped = 0
        if before >= 0:
            # Several lines a cycle: it may take several rounds until one begins a cycle again.
            remaining = (n_rounds - step) // (step - before_step)
            skipped = skip_rounds(state, table, snapshot, roster, n_involved, cyc, before, remaining)
        if skipped:
            cyc += skipped * (cyc - before)
            step += skipped * (step - before_step)
            before = -1
        else:
            keep_rounds(state, table, snapshot, roster, n_involved, cyc)
            before = cyc
            before_step = step
    return cyc, in_cycle
