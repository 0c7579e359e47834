"""Plain reads and writes of one AiM channel: first ready first served, write mode, requests that had a row opened."""

from simulator.kernels.aim_commands import (
    idle_until,
    issue,
    needed_one,
    push_reply,
    ready_one,
    refresh,
    settle_rows,
)
from simulator.kernels.aim_state import (
    ACT,
    AIM_LAST,
    BANK_MASK,
    BASE_MASK,
    CURSOR,
    DUE,
    MODE,
    N_ACTIVE,
    N_READ,
    N_WRITE,
    NEVER,
    OPCODE_MASK,
    OPEN,
    PRE,
    PREA,
    QUEUE_ACTIVE,
    QUEUE_READ,
    QUEUE_WRITE,
    R_MEM,
    T_DEPTH,
    T_DONE,
    T_FINAL,
    T_WRITE_HIGH,
    T_WRITE_LOW,
    TMOD,
    W_MEM,
    WRITE_MODE,
    WRITES_DONE,
    inlined,
    jit,
)


@inlined
def finish_plain(state, table, base, opcode, bank, cyc):
    """Issue the column command of a plain read or write."""
    issue(state, table, base, table[T_FINAL + opcode], bank, cyc)
    if opcode == R_MEM:
        push_reply(state, base, cyc + table[T_DONE + opcode])
    else:
        state[base + WRITES_DONE] = max(state[base + WRITES_DONE], cyc + table[T_DONE + opcode])


@jit
def entry_ready(state, table, base, entry):
    """(command, earliest cycle) of a queued plain request; entries pack row << 8 | bank << 1 | is-write."""
    bank = (entry >> 1) & 127
    command = needed_one(state, base, bank, entry >> 8)
    if command < 0:
        command = table[T_FINAL + (W_MEM if entry & 1 else R_MEM)]
    return command, ready_one(state, table, base, command, bank)


@jit
def pick(state, table, base, queue, size, cyc):
    """First request of a queue, in order of age, that is ready at `cyc`, and else the cycle at which one will be."""
    soonest = NEVER
    for k in range(size):
        _command, at = entry_ready(state, table, base, state[base + queue + k])
        if at <= cyc:
            return k, cyc
        soonest = min(soonest, at)
    return -1, soonest


@jit
def drop_entry(state, base, queue, n_entries, k):
    """Take entry `k` out of a queue whose length is word `n_entries`."""
    size = state[base + n_entries]
    for j in range(k + 1, size):
        state[base + queue + j - 1] = state[base + queue + j]
    state[base + n_entries] = size - 1


@jit
def next_queue(state, table, base):
    """Queue that is served when nothing active is ready: writes or reads, by the write-mode rule."""
    n_read, n_write = state[base + N_READ], state[base + N_WRITE]
    if state[base + WRITE_MODE] == 0:
        if n_read == 0 or n_write > table[T_WRITE_HIGH]:
            state[base + WRITE_MODE] = 1
    elif n_write < table[T_WRITE_LOW] and n_read > 0:
        state[base + WRITE_MODE] = 0
    return state[base + WRITE_MODE]


@jit
def closing_is_suppressed(state, base, command, bank):
    """A precharge must not close a bank for which an activated request still waits."""
    for k in range(state[base + N_ACTIVE]):
        if command == PREA or (state[base + QUEUE_ACTIVE + k] >> 1) & 127 == bank:
            return True
    return False


@jit
def issue_entry(state, table, base, queue, n_entries, k, cyc):
    """Issue at `cyc` what a request needs: mode switch, PRE, ACT (the request becomes active) or its own command."""
    if state[base + MODE] == 1:
        issue(state, table, base, TMOD, 0, cyc)
        state[base + MODE] = 0
        return
    entry = state[base + queue + k]
    bank = (entry >> 1) & 127
    command = needed_one(state, base, bank, entry >> 8)
    if command < 0:
        drop_entry(state, base, queue, n_entries, k)
        finish_plain(state, table, base, W_MEM if entry & 1 else R_MEM, bank, cyc)
        return
    issue(state, table, base, command, bank, cyc)
    settle_rows(state, base, command, bank, entry >> 8, cyc)
    if command == ACT and queue != QUEUE_ACTIVE:
        drop_entry(state, base, queue, n_entries, k)
        state[base + QUEUE_ACTIVE + state[base + N_ACTIVE]] = entry
        state[base + N_ACTIVE] += 1


@jit
def advance(state, table, base, until, stop_at):
    """Run a channel's plain requests up to (not including) cycle `until`, its AiM queue being empty.

    `stop_at` ends it sooner: 0 never, n > 0 as soon as fewer than n reads and fewer than n writes wait.
    """
    while True:
        if stop_at > 0 and state[base + N_READ] < stop_at and state[base + N_WRITE] < stop_at:
            return
        cyc = state[base + CURSOR]
        n_active = state[base + N_ACTIVE]
        if n_active == 0 and state[base + N_READ] == 0 and state[base + N_WRITE] == 0:
            if until < NEVER:
                idle_until(state, table, base, until)
            return
        if cyc >= until:
            return
        if cyc >= state[base + DUE]:
            refresh(state, table, base, until)
            continue
        k, soonest = pick(state, table, base, QUEUE_ACTIVE, n_active, cyc)
        if k >= 0:
            issue_entry(state, table, base, QUEUE_ACTIVE, N_ACTIVE, k, cyc)
            continue
        writes = next_queue(state, table, base)
        queue, n_entries = (QUEUE_WRITE, N_WRITE) if writes else (QUEUE_READ, N_READ)
        size = state[base + n_entries]
        k, at = pick(state, table, base, queue, size, cyc)
        if k >= 0:
            entry = state[base + queue + k]
            bank = (entry >> 1) & 127
            if needed_one(state, base, bank, entry >> 8) != PRE or not closing_is_suppressed(state, base, PRE, bank):
                issue_entry(state, table, base, queue, n_entries, k, cyc)
                continue
            # The oldest ready request may not close its bank: wait until an older one, or an active one, becomes ready.
            for j in range(k):
                _command, other = entry_ready(state, table, base, state[base + queue + j])
                soonest = min(soonest, other)
        else:
            soonest = min(soonest, at)
        state[base + CURSOR] = min(until, max(cyc + 1, min(soonest, state[base + DUE])))


@jit
def issue_active_before(state, table, base, cyc):
    """Let active plain requests that are ready no later than `cyc` go first; whether one command was issued.

    None is issued once a refresh is due.
    """
    n_active = state[base + N_ACTIVE]
    now = state[base + CURSOR]
    if n_active == 0 or now > cyc or now >= state[base + DUE]:
        return False
    k, soonest = pick(state, table, base, QUEUE_ACTIVE, n_active, now)
    if k < 0:
        if soonest > cyc or soonest >= state[base + DUE]:
            return False
        now = soonest
        k, soonest = pick(state, table, base, QUEUE_ACTIVE, n_active, now)
    issue_entry(state, table, base, QUEUE_ACTIVE, N_ACTIVE, k, now)
    return True


@inlined
def is_hit(state, table, base, opcode, bank, row, cyc):
    """Whether a plain request offered at `cyc` to an idle channel can issue its column command at once."""
    return (
        state[base + OPEN + bank] == row
        and state[base + CURSOR] <= cyc
        and state[base + N_READ] + state[base + N_WRITE] + state[base + N_ACTIVE] + state[base + MODE] == 0
        and ready_one(state, table, base, table[T_FINAL + opcode], bank) <= cyc
        and cyc < state[base + DUE]
    )


@jit
def queue_plain(state, table, base, opcode, bank, row, offered, is_last):
    """One plain read or write in one channel, offered in a cycle; returns the cycle in which it is queued.

    `is_last`: the dispatcher hands out nothing more in the cycle in which it was offered.
    """
    cyc = max(offered, state[base + AIM_LAST] + 1)
    advance(state, table, base, cyc, 0)
    if (is_last or cyc > offered) and is_hit(state, table, base, opcode, bank, row, cyc):
        finish_plain(state, table, base, opcode, bank, cyc)
        state[base + WRITE_MODE] = 1 if opcode == W_MEM else 0
        return cyc
    if opcode == R_MEM and state[base + N_WRITE] > 0:
        # The reference answers any read from any waiting write.
        push_reply(state, base, cyc + 1)
        return cyc
    queue, n_entries = (QUEUE_WRITE, N_WRITE) if opcode == W_MEM else (QUEUE_READ, N_READ)
    while state[base + n_entries] >= table[T_DEPTH]:
        advance(state, table, base, cyc + 1, 0)
        cyc += 1
    state[base + queue + state[base + n_entries]] = (row << 8) | (bank << 1) | (1 if opcode == W_MEM else 0)
    state[base + n_entries] += 1
    return cyc


@inlined
def one_burst(state, table, base, opcode, bank, row, cyc, is_last):
    """A plain read or write offered to one channel at `cyc`; returns the cycle in which it is queued.

    `is_last`: the dispatcher hands out nothing more in this cycle.
    """
    base = base & BASE_MASK
    opcode = opcode & OPCODE_MASK
    bank = bank & BANK_MASK
    if is_last and is_hit(state, table, base, opcode, bank, row, cyc):
        finish_plain(state, table, base, opcode, bank, cyc)
        state[base + WRITE_MODE] = 1 if opcode == W_MEM else 0
        return cyc
    return queue_plain(state, table, base, opcode, bank, row, cyc, is_last)
