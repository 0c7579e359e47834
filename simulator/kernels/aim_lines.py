"""AiM instructions of one channel, in order: what must precede them, then their columns one after the other."""

from simulator.kernels.aim_commands import (
    all_closed,
    idle_until,
    issue,
    needed_all,
    needed_one,
    push_reply,
    ready_one,
    refresh,
    settle_rows,
)
from simulator.kernels.aim_plain import advance, closing_is_suppressed, issue_active_before
from simulator.kernels.aim_state import (
    AF,
    AF_ROW,
    AIM_INDEX,
    AIM_LAST,
    BANK_MASK,
    BASE_MASK,
    COMMAND_MASK,
    COUNTS,
    CURSOR,
    DUE,
    EOC,
    ISSUES,
    LAST_REPLY,
    MODE,
    N_ACTIVE,
    N_READ,
    N_WRITE,
    NEVER,
    OPCODE_MASK,
    PRE,
    PREA,
    R_MEM,
    READY,
    RING,
    SYNC,
    T_BLOCKING,
    T_DEPTH,
    T_DONE,
    T_FINAL,
    T_NEEDS,
    T_PITCH,
    T_POSTED,
    T_REGISTER,
    TMOD,
    WR_ABK,
    WRITES_DONE,
    inlined,
    jit,
)


@inlined
def enter(state, table, base, cyc):
    """Cycle at which the channel takes an AiM request offered at `cyc`: no plain request may wait in its queues."""
    if state[base + N_READ] + state[base + N_WRITE] + state[base + N_ACTIVE] == 0:
        if state[base + CURSOR] < cyc:
            idle_until(state, table, base, cyc)
        return cyc
    advance(state, table, base, cyc, 0)
    if state[base + N_READ] + state[base + N_WRITE] > 0:
        advance(state, table, base, NEVER, 1)
        cyc = max(cyc, state[base + CURSOR])
    state[base + CURSOR] = max(state[base + CURSOR], cyc)
    return cyc


@inlined
def open_for(state, table, base, opcode, bank, row):
    """Issue what must precede the column command (refresh, mode switch, PRE, ACT); returns its earliest cycle."""
    needs = table[T_NEEDS + opcode]
    final = table[T_FINAL + opcode]
    while True:
        command = -1
        if needs == 2:
            command = needed_all(state, base, row)
        elif needs == 1:
            command = needed_one(state, base, bank, row)
        wanted = (final if command < 0 else command) & COMMAND_MASK
        cyc = max(
            state[base + CURSOR],
            ready_one(state, table, base, wanted, bank) if needs == 1 else state[base + READY + wanted],
        )
        if state[base + N_ACTIVE] > 0:
            suppressed = (command == PRE or command == PREA) and closing_is_suppressed(state, base, command, bank)
            if suppressed:
                # Until nothing active waits any more, or a refresh closes all banks anyway.
                cyc = NEVER
            if issue_active_before(state, table, base, cyc):
                continue
        if cyc >= state[base + DUE]:
            refresh(state, table, base, NEVER)
            continue
        if table[T_REGISTER + opcode] != state[base + MODE]:
            issue(state, table, base, TMOD, 0, cyc)
            state[base + MODE] = 1 - state[base + MODE]
            continue
        if command < 0:
            return cyc
        issue(state, table, base, command, bank, cyc)
        settle_rows(state, base, command, bank, row, cyc)


@inlined
def columns(state, table, base, opcode, n, bank, row, closed_form):
    """Issue the `n` column commands of one instruction, one by one or in jumps; returns the cycle of the last."""
    command = table[T_FINAL + opcode] & COMMAND_MASK
    pitch = table[T_PITCH + command]
    first_index = state[base + AIM_INDEX]
    done = 0
    cyc = 0
    while done < n:
        cyc = open_for(state, table, base, opcode, bank, row)
        due = state[base + DUE]
        # An active plain request may slip in between columns, and a refresh may fall due: then one column at a time.
        run = n - done
        if state[base + N_ACTIVE] > 0:
            run = 1
        elif cyc + (run - 1) * pitch >= due:
            run = (due - 1 - cyc) // pitch + 1
        index = first_index + done
        if closed_form:
            for k in range(max(0, run - table[T_DEPTH] - 1), run):
                state[base + ISSUES + ((index + k) & (RING - 1))] = cyc + k * pitch
            cyc += (run - 1) * pitch
        else:
            at = cyc
            for k in range(run):
                cyc = at
                state[base + ISSUES + ((index + k) & (RING - 1))] = cyc
                at = cyc + pitch
        issue(state, table, base, command, bank, cyc)
        state[base + COUNTS + command] += run - 1
        done += run
    state[base + AIM_INDEX] = first_index + n
    state[base + AIM_LAST] = cyc
    if opcode == WR_ABK:
        all_closed(state, base, cyc)
    if table[T_POSTED + opcode]:
        state[base + WRITES_DONE] = max(state[base + WRITES_DONE], cyc + table[T_DONE + opcode])
    return cyc


@jit
def synchronise(state, table, base):
    """SYNC or EOC in one channel: returns the cycle of its reply, which waits for writes issued meanwhile."""
    while True:
        cyc = state[base + CURSOR]
        if cyc >= state[base + DUE]:
            refresh(state, table, base, NEVER)
        elif not issue_active_before(state, table, base, cyc):
            break
    state[base + AIM_LAST] = cyc
    state[base + CURSOR] = cyc + 1
    state[base + AIM_INDEX] += 1
    state[base + ISSUES + ((state[base + AIM_INDEX] - 1) & (RING - 1))] = cyc
    earliest = max(cyc + 1, state[base + LAST_REPLY] + 1)
    n_reads = state[base + COUNTS + table[T_FINAL + R_MEM]]
    while True:
        reply = max(earliest, state[base + WRITES_DONE] + 1)
        if state[base + CURSOR] < reply and state[base + CURSOR] >= state[base + DUE]:
            refresh(state, table, base, reply)
        elif not issue_active_before(state, table, base, reply - 1):
            break
    # Replies of reads that were issued meanwhile leave after this one.
    n_reads = state[base + COUNTS + table[T_FINAL + R_MEM]] - n_reads
    state[base + LAST_REPLY] = max(reply + n_reads, state[base + LAST_REPLY])
    return reply


@inlined
def aim_line(state, table, base, opcode, n, bank, row, cyc, closed_form):
    """One AiM instruction in one channel, offered at `cyc`: (cycle of its last request queued, of its reply or 0)."""
    base = base & BASE_MASK
    opcode = opcode & OPCODE_MASK
    bank = bank & BANK_MASK
    cyc = enter(state, table, base, cyc)
    last_index = state[base + AIM_INDEX] + n - 1
    if opcode == SYNC or opcode == EOC:
        reply = synchronise(state, table, base)
        queued = cyc
        if last_index >= table[T_DEPTH]:
            queued = max(cyc, state[base + ISSUES + ((last_index - table[T_DEPTH]) & (RING - 1))] + 1)
        return queued, reply
    issued = columns(state, table, base, opcode, n, bank, AF_ROW if opcode == AF else row, closed_form)
    if last_index >= table[T_DEPTH]:
        cyc = max(cyc, state[base + ISSUES + ((last_index - table[T_DEPTH]) & (RING - 1))] + 1)
    reply = 0
    if table[T_BLOCKING + opcode]:
        reply = push_reply(state, base, issued + table[T_DONE + opcode])
    return cyc, reply
