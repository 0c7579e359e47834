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
    OPEN_SINCE,
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
def one_burst(state, table, roster, tallies, opcode, channel, bank, row, cyc):
    """A plain read or write offered to one channel at `cyc`; returns the cycle in which it is queued."""
    slot = roster[CLASS_OF + channel]
    if roster[MEMBERS + slot] != 1 << channel:
        slot = split(state, roster, tallies, slot, 1 << channel)
    base = slot * WORDS
    if is_hit(state, table, base, opcode, bank, row, cyc):
        finish_plain(state, table, base, opcode, bank, cyc)
        state[base + WRITE_MODE] = 1 if opcode == W_MEM else 0
        return cyc
    return queue_plain(state, table, base, opcode, bank, row, cyc)


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
    """How many further rounds repeat the last one exactly (0: states still change); shifts the classes past them."""
    for i in range(n_involved):
        base = roster[INVOLVED + i] * WORDS
        advance(state, table, base, now, 0)
        if not equal_states(state, base, now, snapshot, base, before):
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
        toggled = state[base + ACTIVE_CYC] - snapshot[base + ACTIVE_CYC]
        if toggled:
            state[base + ACTIVE_CYC] += remaining * toggled
            state[base + OPEN_SINCE] += remaining * period
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
    n_involved = 0
    step = 0
    while step < n_rounds:
        for k in range(first, first + n_targets):
            queued = one_burst(state, table, roster, tallies, opcode, targets[k, 0], targets[k, 1], row, cyc)
            in_cycle += 1
            if queued > cyc or in_cycle >= width:
                cyc = queued + 1
                in_cycle = 0
        remaining = n_rounds - step - 1
        step += 1
        if not closed_form or remaining <= 1 or step == 1 or in_cycle > 0:
            continue
        if n_involved == 0:
            n_involved = find_involved(roster, targets, first, n_targets)
        skipped = 0
        if before >= 0:
            skipped = skip_rounds(state, table, snapshot, roster, n_involved, cyc, before, remaining)
        if skipped:
            cyc += skipped * (cyc - before)
            step += skipped
            before = -1
        else:
            keep_rounds(state, table, snapshot, roster, n_involved, cyc)
            before = cyc
    return cyc, in_cycle
