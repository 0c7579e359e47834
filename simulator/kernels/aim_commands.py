"""DRAM commands of one AiM channel: which rules they raise, which rows they open, when refreshes fall due."""

from simulator.kernels.aim_state import (
    ACT,
    ACT16,
    ACTIVE_CYC,
    BANK_MASK,
    COMMAND_MASK,
    COUNTS,
    CURSOR,
    DUE,
    LAST_REPLY,
    LOCAL_MASK,
    N_BANKS,
    N_COMMANDS,
    N_LOCAL,
    OPEN,
    OPEN_SINCE,
    PRE,
    PREA,
    READY,
    READY_BANK,
    READY_GROUP,
    REFAB,
    T_BANK,
    T_CHANNEL,
    T_GROUP,
    T_HAS_BANK,
    T_HAS_GROUP,
    T_LOCAL,
    T_REFI,
    UNIFORM,
    WRITE_MODE,
    inlined,
    jit,
)


@inlined
def issue(state, table, base, command, bank, cyc):
    """Book one DRAM command: raise the earliest times that its rules constrain, and count it."""
    command = command & COMMAND_MASK
    bank = bank & BANK_MASK
    rule = T_CHANNEL + command * N_COMMANDS
    for k in range(N_COMMANDS):
        state[base + READY + k] = max(state[base + READY + k], cyc + table[rule + k])
    if table[T_HAS_GROUP + command]:
        rule = T_GROUP + command * N_LOCAL
        first = base + READY_GROUP + (bank >> 2) * N_LOCAL
        for k in range(N_LOCAL):
            state[first + k] = max(state[first + k], cyc + table[rule + k])
    if table[T_HAS_BANK + command]:
        rule = T_BANK + command * N_LOCAL
        first = base + READY_BANK + bank * N_LOCAL
        for k in range(N_LOCAL):
            state[first + k] = max(state[first + k], cyc + table[rule + k])
    state[base + COUNTS + command] += 1
    state[base + CURSOR] = cyc + 1


@jit
def all_closed(state, base, cyc):
    """Every bank is closed from `cyc` on."""
    for bank in range(N_BANKS):
        state[base + OPEN + bank] = -1
    state[base + UNIFORM] = -1
    if state[base + OPEN_SINCE] >= 0:
        state[base + ACTIVE_CYC] += cyc - state[base + OPEN_SINCE]
        state[base + OPEN_SINCE] = -1


@jit
def refresh(state, table, base, until):
    """Go on with the refresh that is due, up to (not including) cycle `until`: close all banks, then refresh them.

    Nothing else is issued meanwhile: where the refresh has to wait, the channel's cursor moves to `until`.
    """
    if state[base + UNIFORM] != -1:
        cyc = max(state[base + DUE], state[base + CURSOR], state[base + READY + PREA])
        if cyc >= until:
            state[base + CURSOR] = until
            return
        issue(state, table, base, PREA, 0, cyc)
        all_closed(state, base, cyc)
    cyc = max(state[base + DUE], state[base + CURSOR], state[base + READY + REFAB])
    if cyc >= until:
        state[base + CURSOR] = until
        return
    issue(state, table, base, REFAB, 0, cyc)
    state[base + DUE] += table[T_REFI]


@jit
def idle_until(state, table, base, until):
    """A channel with nothing to do reaches `until`: refreshes when due, else the write-mode rule finds no reads."""
    while state[base + CURSOR] < until:
        if state[base + DUE] <= state[base + CURSOR]:
            refresh(state, table, base, until)
        else:
            state[base + WRITE_MODE] = 1
            state[base + CURSOR] = min(until, state[base + DUE])


@inlined
def needed_all(state, base, row):
    """Command that a request to all banks needs next: PREA, ACT16, or -1 for its own."""
    uniform = state[base + UNIFORM]
    if uniform == row:
        return -1
    if uniform == -1:
        return ACT16
    if uniform >= 0:
        return PREA
    for bank in range(N_BANKS):
        is_open = state[base + OPEN + bank]
        if is_open >= 0 and is_open != row:
            return PREA
    return ACT16


@inlined
def needed_one(state, base, bank, row):
    """Command that a request to one bank needs next: PRE, ACT, or -1 for its own."""
    is_open = state[base + OPEN + bank]
    if is_open == row:
        return -1
    return ACT if is_open < 0 else PRE


@inlined
def ready_one(state, table, base, command, bank):
    """Earliest cycle that the rules of channel, bank group and bank leave for a command to one bank."""
    bank = bank & BANK_MASK
    local = table[T_LOCAL + command] & LOCAL_MASK
    cyc = max(state[base + READY + command], state[base + READY_GROUP + (bank >> 2) * N_LOCAL + local])
    return max(cyc, state[base + READY_BANK + bank * N_LOCAL + local])


@jit
def settle_rows(state, base, command, bank, row, cyc):
    """Open rows after ACT, PRE, PREA or ACT16."""
    if command == PREA:
        all_closed(state, base, cyc)
        return
    if state[base + OPEN_SINCE] < 0:
        state[base + OPEN_SINCE] = cyc
    if command == ACT16:
        for b in range(N_BANKS):
            state[base + OPEN + b] = row
        state[base + UNIFORM] = row
        return
    state[base + OPEN + bank] = row if command == ACT else -1
    first = state[base + OPEN]
    for b in range(1, N_BANKS):
        if state[base + OPEN + b] != first:
            state[base + UNIFORM] = -2
            return
    state[base + UNIFORM] = first
    if first < 0:
        all_closed(state, base, cyc)


@inlined
def push_reply(state, base, depart):
    """A reply enters the channel's reply queue: one leaves per cycle, in order. Returns the cycle of this one."""
    cyc = max(depart, state[base + LAST_REPLY] + 1)
    state[base + LAST_REPLY] = cyc
    return cyc
