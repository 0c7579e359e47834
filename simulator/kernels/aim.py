"""Command timing of an AiM device: one in-order dispatcher, many channels, exact to the clock, without ticking.

The dispatcher hands out one host instruction per clock; a channel queues it, opens rows, switches between register and data mode,
and issues at most one DRAM command per clock. Channels meet only in the dispatcher: when a queue refuses (the rest of the
instruction waits and nothing else is decoded) and when an instruction blocks until every addressed channel has replied.
Between those points each channel is advanced on its own, from event to event.

Channels in equal states that are sent equal instructions stay equal, so a *class* of channels is simulated once. An instruction
to some members splits a class; after a blocking instruction, classes whose states have become equal are merged again.

State of a class: one row of `state` (int64), in the order of the offsets below; constants of the part: one vector `table`.
"""

from numba import njit

# Nothing is allocated here, so the functions need no reference counts, which would cost more than the work (3x, measured).
jit = njit(cache=True, _nrt=False)
# Passing two arrays to a function that is not inlined costs some 15 ns a call: the hot path is inlined.
inlined = njit(cache=True, _nrt=False, inline="always")

N_COMMANDS = 18
ACT, PRE, PREA, ACT16, TMOD, REFAB = 0, 1, 2, 3, 16, 17
WR_ABK, AF, W_MEM, R_MEM, SYNC, EOC, NO_EFFECT = 9, 5, 10, 11, 12, 13, 14
N_OPCODES = 15
AF_ROW = 1 << 29
N_BANKS = 16
BANKS_PER_GROUP = 4
N_GROUPS = N_BANKS // BANKS_PER_GROUP
MAX_ENTRIES = 64
RING = 128
NEVER = 1 << 60

# Commands that rules constrain at bank-group or bank level: ACT, PRE, RD, WR, RDCP, WRCP, padded to a vector's width.
N_LOCAL = 8

# --- table: constants of a part
T_CHANNEL = 0  # latency[preceding, following] in clocks, -NEVER where there is no rule
T_GROUP = T_CHANNEL + N_COMMANDS * N_COMMANDS  # the same for the local commands only, [preceding, local following]
T_BANK = T_GROUP + N_COMMANDS * N_LOCAL
T_HAS_GROUP = T_BANK + N_COMMANDS * N_LOCAL  # whether a preceding command has rules at that level
T_HAS_BANK = T_HAS_GROUP + N_COMMANDS
T_LOCAL = T_HAS_BANK + N_COMMANDS  # command to local command
T_PITCH = T_LOCAL + N_COMMANDS
T_FINAL = T_PITCH + N_COMMANDS
T_DONE = T_FINAL + N_OPCODES
T_REGISTER = T_DONE + N_OPCODES
T_NEEDS = T_REGISTER + N_OPCODES
T_POSTED = T_NEEDS + N_OPCODES
T_BLOCKING = T_POSTED + N_OPCODES
T_DEPTH = T_BLOCKING + N_OPCODES
T_WRITE_LOW = T_DEPTH + 1
T_WRITE_HIGH = T_WRITE_LOW + 1
T_REFI = T_WRITE_HIGH + 1
T_WIDTH = T_REFI + 1
TABLE_WORDS = T_WIDTH + 1

# --- state: plain words, times (compared relative to now), accumulators, queues
MODE = 0
WRITE_MODE = 1
UNIFORM = 2  # row open in all banks, -1 all closed, -2 neither
N_READ = 3
N_WRITE = 4
N_ACTIVE = 5
OPEN = 6
TIMES = OPEN + N_BANKS
CURSOR = TIMES
LAST_REPLY = TIMES + 1
WRITES_DONE = TIMES + 2
AIM_LAST = TIMES + 3
READY = TIMES + 4
READY_GROUP = READY + N_COMMANDS
READY_BANK = READY_GROUP + N_GROUPS * N_LOCAL
TIMES_END = READY_BANK + N_BANKS * N_LOCAL
DUE = TIMES_END
OPEN_SINCE = DUE + 1
ACTIVE_CYC = DUE + 2
AIM_INDEX = DUE + 3
COUNTS = DUE + 4
HOT_END = COUNTS + N_COMMANDS
QUEUE_READ = HOT_END
QUEUE_WRITE = QUEUE_READ + MAX_ENTRIES
QUEUE_ACTIVE = QUEUE_WRITE + MAX_ENTRIES
ISSUES = QUEUE_ACTIVE + 2 * MAX_ENTRIES  # ring of the last issue times of the AiM queue
WORDS = ISSUES + RING


@inlined
def issue(state, table, base, command, bank, cyc):
    """Book one DRAM command: raise the earliest times that its rules constrain, and count it."""
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
def refresh_before(state, table, base, cyc):
    """Send every all-bank refresh that falls due up to `cyc`; whether one was sent."""
    sent = False
    while cyc >= state[base + DUE]:
        due = state[base + DUE]
        if state[base + UNIFORM] != -1:
            at = max(due, state[base + CURSOR], state[base + READY + PREA])
            issue(state, table, base, PREA, 0, at)
            all_closed(state, base, at)
        at = max(due, state[base + CURSOR], state[base + READY + REFAB])
        issue(state, table, base, REFAB, 0, at)
        state[base + DUE] = due + table[T_REFI]
        sent = True
    return sent


@jit
def idle_until(state, table, base, cyc):
    """A channel with nothing to do reaches `cyc`: refreshes happen when due, and the write-mode rule sees no reads."""
    if state[base + DUE] < cyc:
        refresh_before(state, table, base, cyc - 1)
    if state[base + CURSOR] < cyc:
        state[base + WRITE_MODE] = 1
        state[base + CURSOR] = cyc


@jit
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


@jit
def needed_one(state, base, bank, row):
    """Command that a request to one bank needs next: PRE, ACT, or -1 for its own."""
    is_open = state[base + OPEN + bank]
    if is_open == row:
        return -1
    return ACT if is_open < 0 else PRE


@inlined
def ready_one(state, table, base, command, bank):
    """Earliest cycle that the rules of channel, bank group and bank leave for a command to one bank."""
    local = table[T_LOCAL + command]
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
    """A reply enters the channel's reply queue: one leaves per cycle, in order. Returns the cycle in which it leaves."""
    cyc = max(depart, state[base + LAST_REPLY] + 1)
    state[base + LAST_REPLY] = cyc
    return cyc


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
        command, at = entry_ready(state, table, base, state[base + queue + k])
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
    """Issue at `cyc` what the chosen request needs: mode switch, PRE, ACT (the request becomes active) or its own command."""
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
        if refresh_before(state, table, base, cyc):
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
                command, other = entry_ready(state, table, base, state[base + queue + j])
                soonest = min(soonest, other)
        else:
            soonest = min(soonest, at)
        state[base + CURSOR] = min(until, max(cyc + 1, min(soonest, state[base + DUE])))


@jit
def issue_active_before(state, table, base, cyc):
    """Let active plain requests that are ready no later than `cyc` go first; whether one command was issued."""
    n_active = state[base + N_ACTIVE]
    if n_active == 0:
        return False
    now = state[base + CURSOR]
    if refresh_before(state, table, base, now):
        return True
    k, soonest = pick(state, table, base, QUEUE_ACTIVE, n_active, now)
    if k < 0:
        if soonest > cyc or soonest >= state[base + DUE]:
            return False
        now = soonest
        k, soonest = pick(state, table, base, QUEUE_ACTIVE, n_active, now)
    issue_entry(state, table, base, QUEUE_ACTIVE, N_ACTIVE, k, now)
    return True


@inlined
def enter(state, table, base, cyc):
    """Cycle at which the channel takes an AiM request offered at `cyc`: no plain request may wait in its queues."""
    if state[base + N_READ] + state[base + N_WRITE] + state[base + N_ACTIVE] == 0:
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
    """Issue what must precede the instruction's column command (refresh, mode switch, PRE, ACT); returns its earliest cycle."""
    needs = table[T_NEEDS + opcode]
    final = table[T_FINAL + opcode]
    while True:
        command = -1
        if needs == 2:
            command = needed_all(state, base, row)
        elif needs == 1:
            command = needed_one(state, base, bank, row)
        wanted = final if command < 0 else command
        cyc = max(state[base + CURSOR], ready_one(state, table, base, wanted, bank) if needs == 1 else state[base + READY + wanted])
        if state[base + N_ACTIVE] > 0:
            suppressed = (command == PRE or command == PREA) and closing_is_suppressed(state, base, command, bank)
            if issue_active_before(state, table, base, NEVER if suppressed else cyc):
                continue
            if suppressed:
                # Nothing active can go before the refresh that closes all banks anyway.
                refresh_before(state, table, base, state[base + DUE])
                continue
        if cyc >= state[base + DUE]:
            refresh_before(state, table, base, cyc)
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
    """Issue the `n` column commands of one instruction; returns the cycle of the last. Walks them one by one, or jumps."""
    command = table[T_FINAL + opcode]
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
    cyc = state[base + CURSOR]
    while issue_active_before(state, table, base, cyc):
        cyc = state[base + CURSOR]
    state[base + AIM_LAST] = cyc
    state[base + CURSOR] = cyc + 1
    state[base + AIM_INDEX] += 1
    state[base + ISSUES + ((state[base + AIM_INDEX] - 1) & (RING - 1))] = cyc
    earliest = max(cyc + 1, state[base + LAST_REPLY] + 1)
    n_reads = state[base + COUNTS + table[T_FINAL + R_MEM]]
    while True:
        reply = max(earliest, state[base + WRITES_DONE] + 1)
        if not issue_active_before(state, table, base, reply - 1):
            break
    # Replies of reads that were issued meanwhile leave after this one.
    n_reads = state[base + COUNTS + table[T_FINAL + R_MEM]] - n_reads
    state[base + LAST_REPLY] = max(reply + n_reads, state[base + LAST_REPLY])
    return reply


@inlined
def aim_line(state, table, base, opcode, n, bank, row, cyc, closed_form):
    """One AiM instruction in one channel, offered at `cyc`: (cycle in which its last request is queued, cycle of its reply)."""
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
def queue_plain(state, table, base, opcode, bank, row, cyc):
    """One plain read or write in one channel, offered at `cyc`; returns the cycle in which it is queued."""
    cyc = max(cyc, state[base + AIM_LAST] + 1)
    advance(state, table, base, cyc, 0)
    if is_hit(state, table, base, opcode, bank, row, cyc):
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


@jit
def equal_states(state, a, now_a, other, b, now_b):
    """Whether two states are equal from now on: same words, same times relative to now (what lies in the past is past)."""
    if state[a + AIM_LAST] >= now_a or other[b + AIM_LAST] >= now_b:
        return False
    for k in range(TIMES):
        if state[a + k] != other[b + k]:
            return False
    for k in range(TIMES, TIMES_END):
        if max(state[a + k] - now_a, 0) != max(other[b + k] - now_b, 0):
            return False
    for k in range(state[a + N_READ]):
        if state[a + QUEUE_READ + k] != other[b + QUEUE_READ + k]:
            return False
    for k in range(state[a + N_WRITE]):
        if state[a + QUEUE_WRITE + k] != other[b + QUEUE_WRITE + k]:
            return False
    for k in range(state[a + N_ACTIVE]):
        if state[a + QUEUE_ACTIVE + k] != other[b + QUEUE_ACTIVE + k]:
            return False
    return True


@jit
def settle_open_time(state, base, now):
    """Count the time for which rows have been open up to now."""
    if state[base + OPEN_SINCE] >= 0:
        state[base + ACTIVE_CYC] += now - state[base + OPEN_SINCE]
        state[base + OPEN_SINCE] = now


@jit
def flush_counts(state, members, slot, channel_counts, channel_active):
    """Give every member of a class what the class has counted since the last flush."""
    base = slot * WORDS
    mask = members[slot]
    total = state[base + ACTIVE_CYC]
    for c in range(N_COMMANDS):
        total += state[base + COUNTS + c]
    if total == 0:
        return
    channel = 0
    while mask:
        if mask & 1:
            for c in range(N_COMMANDS):
                channel_counts[channel, c] += state[base + COUNTS + c]
            channel_active[channel] += state[base + ACTIVE_CYC]
        mask >>= 1
        channel += 1
    for c in range(N_COMMANDS):
        state[base + COUNTS + c] = 0
    state[base + ACTIVE_CYC] = 0


@jit
def split(state, members, leaders, n_classes, slot, addressed, class_of, channel_counts, channel_active):
    """Part a class into the addressed members and the rest; returns (slot of the addressed, number of classes)."""
    flush_counts(state, members, slot, channel_counts, channel_active)
    rest = members[slot] & ~addressed
    moved = addressed if (rest >> slot) & 1 else rest
    fresh = 0
    while not (moved >> fresh) & 1:
        fresh += 1
    for k in range(WORDS):
        state[fresh * WORDS + k] = state[slot * WORDS + k]
    members[fresh] = moved
    members[slot] ^= moved
    channel = 0
    mask = moved
    while mask:
        if mask & 1:
            class_of[channel] = fresh
        mask >>= 1
        channel += 1
    leaders[n_classes] = fresh
    return (fresh if moved == addressed else slot), n_classes + 1


@jit
def merge(state, members, leaders, n_classes, class_of, channel_counts, channel_active, now):
    """Join classes whose states have become equal; returns the number of classes left."""
    i = 0
    while i < n_classes:
        a = leaders[i]
        j = i + 1
        while j < n_classes:
            b = leaders[j]
            same = state[a * WORDS + DUE] == state[b * WORDS + DUE]
            if same and equal_states(state, a * WORDS, now, state, b * WORDS, now):
                # For how long rows have been open is history that the members do not share: settle it first.
                settle_open_time(state, a * WORDS, now)
                settle_open_time(state, b * WORDS, now)
                flush_counts(state, members, a, channel_counts, channel_active)
                flush_counts(state, members, b, channel_counts, channel_active)
                mask = members[b]
                channel = 0
                while mask:
                    if mask & 1:
                        class_of[channel] = a
                    mask >>= 1
                    channel += 1
                members[a] |= members[b]
                n_classes -= 1
                leaders[j] = leaders[n_classes]
            else:
                j += 1
        i += 1
    return n_classes


@jit
def take_snapshot(state, snapshot, base):
    """Copy a class's words, queued entries included, without what lies in unused queue places."""
    for k in range(base, base + HOT_END):
        snapshot[k] = state[k]
    for k in range(base + QUEUE_READ, base + QUEUE_READ + state[base + N_READ]):
        snapshot[k] = state[k]
    for k in range(base + QUEUE_WRITE, base + QUEUE_WRITE + state[base + N_WRITE]):
        snapshot[k] = state[k]
    for k in range(base + QUEUE_ACTIVE, base + QUEUE_ACTIVE + state[base + N_ACTIVE]):
        snapshot[k] = state[k]


@jit
def skip_rounds(state, table, snapshot, involved, n_involved, now, before, remaining):
    """How many further rounds repeat the last one exactly, and shift the classes past them (0: the state still changes)."""
    for i in range(n_involved):
        base = involved[i] * WORDS
        advance(state, table, base, now, 0)
        if not equal_states(state, base, now, snapshot, base, before):
            return 0
    period = now - before
    for i in range(n_involved):
        base = involved[i] * WORDS
        remaining = min(remaining, (state[base + DUE] - now) // period - 1)
    if remaining <= 0:
        return 0
    for i in range(n_involved):
        base = involved[i] * WORDS
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
def run_program(
    runs, targets, section_ends, n_channels, table, use_classes, closed_form,
    state, snapshot, members, leaders, class_of, involved, channel_counts, channel_active, section_cyc, section_counts,
):  # fmt: skip
    """Time a program on one device.

    runs int64[n, 9] and targets int64[m, 2] as in `AimProgram`; section_ends int64[s]; table int64[TABLE_WORDS].
    `use_classes`: simulate equal channels once; `closed_form`: jump over runs of columns and repeated rounds of bursts.
    Work space: state and snapshot int64[n_channels * WORDS], members, leaders, class_of and involved int64[n_channels].
    Fills, from zeros, channel_counts int64[n_channels, 18] (commands), channel_active int64[n_channels] (clocks with a row open),
    section_cyc int64[s] (cycle in which the section's last instruction has left the dispatcher) and section_counts int64[s, 18]
    (commands of channel 0 so far). Returns (device cycles, number of classes at the end).
    """
    for ch in range(n_channels):
        base = ch * WORDS
        for k in range(WORDS):
            state[base + k] = 0
        state[base + UNIFORM] = -1
        state[base + OPEN_SINCE] = -1
        state[base + DUE] = table[T_REFI] if table[T_REFI] > 0 else NEVER
        for bank in range(N_BANKS):
            state[base + OPEN + bank] = -1
        for k in range(READY, TIMES_END):
            state[base + k] = -NEVER
        state[base + CURSOR] = 1
        members[ch] = 0
        leaders[ch] = 0
        class_of[ch] = 0
    everyone = (1 << n_channels) - 1
    n_classes = 1
    if use_classes:
        members[0] = everyone
    else:
        n_classes = n_channels
        for ch in range(n_channels):
            members[ch] = 1 << ch
            leaders[ch] = ch
            class_of[ch] = ch
    cyc = 1
    in_cycle = 0
    width = table[T_WIDTH]
    failures = 0
    wait = 0
    end = 0
    section = 0
    for r in range(runs.shape[0]):
        opcode = runs[r, 0]
        n = runs[r, 1]
        mask = runs[r, 2]
        bank = runs[r, 3]
        row = runs[r, 4]
        n_targets = runs[r, 8]
        before = 0
        has_snapshot = False
        step = 0
        while step < runs[r, 5]:
            if n_targets > 0:
                for k in range(runs[r, 7], runs[r, 7] + n_targets):
                    ch = targets[k, 0]
                    slot = class_of[ch]
                    if members[slot] != 1 << ch:
                        slot, n_classes = split(
                            state, members, leaders, n_classes, slot, 1 << ch, class_of, channel_counts, channel_active
                        )
                    base = slot * WORDS
                    bank = targets[k, 1]
                    queued = cyc
                    if is_hit(state, table, base, opcode, bank, row, cyc):
                        finish_plain(state, table, base, opcode, bank, cyc)
                        state[base + WRITE_MODE] = 1 if opcode == W_MEM else 0
                    else:
                        queued = queue_plain(state, table, base, opcode, bank, row, cyc)
                    in_cycle += 1
                    if queued > cyc or in_cycle >= width:
                        cyc = queued + 1
                        in_cycle = 0
                remaining = runs[r, 5] - step - 1
                if closed_form and remaining > 1 and step > 0:
                    if step == 1:
                        n_involved = 0
                        for i in range(n_classes):
                            for k in range(runs[r, 7], runs[r, 7] + n_targets):
                                if class_of[targets[k, 0]] == leaders[i]:
                                    involved[n_involved] = leaders[i]
                                    n_involved += 1
                                    break
                    skipped = 0
                    if has_snapshot and in_cycle == 0:
                        skipped = skip_rounds(state, table, snapshot, involved, n_involved, cyc, before, remaining)
                    if skipped:
                        cyc += skipped * (cyc - before)
                        step += skipped
                        has_snapshot = False
                    elif in_cycle == 0:
                        for i in range(n_involved):
                            advance(state, table, involved[i] * WORDS, cyc, 0)
                            take_snapshot(state, snapshot, involved[i] * WORDS)
                        before = cyc
                        has_snapshot = True
                step += 1
                continue
            step += 1
            queued = cyc
            reply = 0
            if opcode != NO_EFFECT:
                if opcode == SYNC or opcode == EOC:
                    mask = everyone
                i = 0
                while i < n_classes:
                    slot = leaders[i]
                    addressed = members[slot] & mask
                    if addressed:
                        if addressed != members[slot]:
                            slot, n_classes = split(
                                state, members, leaders, n_classes, slot, addressed, class_of, channel_counts, channel_active
                            )
                            if slot != leaders[i]:
                                # The rest keeps this place and is not addressed; the new class comes later in the list.
                                i += 1
                                continue
                        q, a = aim_line(state, table, slot * WORDS, opcode, n, bank, row, cyc, closed_form)
                        queued = max(queued, q)
                        reply = max(reply, a)
                    i += 1
                row += runs[r, 6]
            if reply:
                cyc = max(queued, reply) + 1
                in_cycle = 0
                end = reply
                if use_classes and n_classes > 1:
                    wait -= 1
                    if wait <= 0:
                        left = merge(
                            state, members, leaders, n_classes, class_of, channel_counts, channel_active, cyc
                        )
                        failures = failures + 1 if left == n_classes else 0
                        n_classes = left
                        wait = 1 << min(failures, 3)
                if opcode == EOC:
                    break
            else:
                in_cycle += 1
                if queued > cyc or in_cycle >= width:
                    cyc = queued + 1
                    in_cycle = 0
        while section < section_ends.shape[0] and section_ends[section] == r + 1:
            section_cyc[section] = cyc - 1
            for c in range(N_COMMANDS):
                section_counts[section, c] = channel_counts[0, c] + state[class_of[0] * WORDS + COUNTS + c]
            section += 1
        if opcode == EOC:
            break
    for i in range(n_classes):
        base = leaders[i] * WORDS
        advance(state, table, base, end + 1, 0)
        settle_open_time(state, base, end)
        flush_counts(state, members, leaders[i], channel_counts, channel_active)
    return end, n_classes
