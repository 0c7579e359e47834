"""One tick of each of the four controllers: one bus, two buses, two buses on half clocks, split activation."""

from simulator.kernels.dram_table_choice import (
    first_ready,
    first_ready_active,
    is_column,
    maintenance_command,
    may_maintain,
    next_command,
    queue_in_turn,
)
from simulator.kernels.dram_table_device import bank_at, change_banks, is_legal, mix, open_row, scope_of, update_ready
from simulator.kernels.dram_table_queues import append, await_data, entry_at, first_due, pop_due, remove
from simulator.kernels.dram_table_state import (
    ACT,
    ACT2,
    ACTIVATING,
    ACTIVE_BUFFER,
    ANY_COMMAND,
    BANK,
    CAS_RD,
    CAS_WR,
    CLOSED,
    COLUMN_COMMANDS,
    COLUMNS,
    CONFLICTS,
    COUNTED,
    FALLING_EDGE,
    HALF_CLOCK,
    HITS,
    IS_WRITE,
    ISSUE_CYC,
    MISSES,
    N_LOG,
    N_QUEUES,
    NO_REQUEST,
    NO_ROW,
    RDA,
    READS,
    REF_ALL,
    REF_BANK,
    REFRESHES,
    ROW,
    ROW_COMMANDS,
    S_ACT2_BY,
    S_ACTIVATING,
    S_DIGEST,
    S_DUE_LENGTH,
    S_LAST_COLUMN,
    S_LENGTH,
    S_LOGGED,
    S_PAIR_BANK,
    S_PAIR_EDGE,
    S_PAIR_WIDE,
    S_SYNC_END,
    S_SYNCED,
    SPLIT_ACTIVATE,
    T_ACT2_WITHIN,
    T_CLOSED_ROWS,
    T_CONTROLLER,
    T_COUNTS,
    T_LOG,
    T_LOGS,
    T_N_LEVELS,
    T_READ_LATENCY,
    T_ROW_CAP,
    T_SYNC_READ,
    T_SYNC_WRITE,
    T_WCK_ALWAYS_ON,
    TWO_BUS,
    WAITING,
    WRA,
    WRITES,
    inlined,
    jit,
)


@jit
def issue(table, state, command, bank, row, request, now):
    """Put a command on the bus: ready table, banks, statistics, digest, log."""
    update_ready(table, state, command, bank, now)
    change_banks(table, state, command, bank, row)
    state[table[T_COUNTS] + command] += 1
    state[S_DIGEST] = mix(mix(mix(state[S_DIGEST], now), command), bank)
    if table[T_LOGS]:
        at = table[T_LOG] + N_LOG * state[S_LOGGED]
        state[at], state[at + 1], state[at + 2], state[at + 3] = now, command, bank, request
        state[S_LOGGED] += 1


@jit
def count_row(table, state, requests, request):
    """Row statistics: once per request, by its bank's state before its first command."""
    if requests[request, COUNTED]:
        return
    requests[request, COUNTED] = 1
    row = open_row(table, state, requests[request, BANK])
    if row == requests[request, ROW]:
        state[HITS] += 1
    elif row == CLOSED or row == ACTIVATING:
        state[MISSES] += 1
    else:
        state[CONFLICTS] += 1


@jit
def with_precharge(table, state, requests, request, command, now):
    """Closed-row policy: the column command of a row that has had its share takes the precharge along, where RDA or WRA
    is legal and no other request waits on the open row."""
    bank = requests[request, BANK]
    at = bank_at(table, bank)
    if not table[T_CLOSED_ROWS] or state[at + COLUMNS] < table[T_ROW_CAP]:
        return command
    closing = table[WRA] if requests[request, IS_WRITE] else table[RDA]
    waiting = state[at + WAITING]
    if closing < 0 or (waiting >= 0 and waiting != request) or not is_legal(table, state, closing, bank, now):
        return command
    return closing


@jit
def serve_column(table, state, requests, front, queue, place, command, now):
    """Issue a request's column command; the request is done."""
    request = state[entry_at(table, queue, place)]
    bank = requests[request, BANK]
    command = with_precharge(table, state, requests, request, command, now)
    state[bank_at(table, bank) + COLUMNS] += 1
    issue(table, state, command, bank, requests[request, ROW], request, now)
    remove(table, state, queue, place)
    if queue == ACTIVE_BUFFER:
        state[bank_at(table, bank) + WAITING] = -1
    requests[request, ISSUE_CYC] = now
    state[S_LAST_COLUMN] = now
    in_step_until = now
    if requests[request, IS_WRITE]:
        state[WRITES] += 1
        in_step_until += table[T_SYNC_WRITE]
    else:
        state[READS] += 1
        await_data(table, state, requests, front, request, now + table[T_READ_LATENCY])
        in_step_until += table[T_SYNC_READ]
    if state[S_SYNC_END] < in_step_until:
        state[S_SYNC_END] = in_step_until


@jit
def remember_pair(table, state, command, bank, now):
    """What a row command on a rising edge forbids to the falling edge that ends its slot."""
    state[S_PAIR_EDGE] = now + 3 if command == table[ACT] else now + 1
    state[S_PAIR_BANK] = bank
    state[S_PAIR_WIDE] = scope_of(table, command) < table[T_N_LEVELS] - 1


@jit
def await_column(table, state, bank, request):
    """A request's row is open: it moves to the active buffer, and nobody may close the bank before it."""
    append(table, state, ACTIVE_BUFFER, request)
    state[bank_at(table, bank) + WAITING] = request


@jit
def serve(table, state, requests, front, queue, place, slot, now):
    """Issue a request's next command, which is legal, and move the request on."""
    request = state[entry_at(table, queue, place)]
    bank = requests[request, BANK]
    command = next_command(table, state, requests, request)
    count_row(table, state, requests, request)
    if is_column(table, command):
        serve_column(table, state, requests, front, queue, place, command, now)
        return
    issue(table, state, command, bank, requests[request, ROW], request, now)
    if slot == ROW_COMMANDS:
        remember_pair(table, state, command, bank, now)
    if command == table[ACT]:
        remove(table, state, queue, place)
        if table[ACT2] < 0:
            await_column(table, state, bank, request)
        else:
            state[S_ACTIVATING] = request
            state[S_ACT2_BY] = now + table[T_ACT2_WITHIN]


@jit
def maintain(table, state, slot, now):
    """Serve the head of the maintenance queue if it may issue; returns whether it did."""
    asked, bank = first_due(table, state)
    command = maintenance_command(table, state)
    if not may_maintain(table, state, slot, command, now):
        return False
    issue(table, state, command, bank, NO_ROW, NO_REQUEST, now)
    if slot == ROW_COMMANDS:
        remember_pair(table, state, command, bank, now)
    if command == asked:
        pop_due(state)
        if asked == table[REF_ALL] or asked == table[REF_BANK]:
            state[REFRESHES] += 1
    return True


@jit
def serve_queues(table, state, requests, front, slot, now):
    """Maintenance if any waits, and only then; else the queue whose turn it is."""
    if state[S_DUE_LENGTH] > 0:
        maintain(table, state, slot, now)
        return
    queue = queue_in_turn(table, state)
    place = first_ready(table, state, requests, queue, slot, now)
    if place >= 0:
        serve(table, state, requests, front, queue, place, slot, now)


@inlined
def tick_one_bus(table, state, requests, front, now):
    """DDR4, DDR5, GDDR6: one command a tick; activated requests first, then maintenance, then the queues."""
    place = first_ready_active(table, state, requests, now)
    if place >= 0:
        serve(table, state, requests, front, ACTIVE_BUFFER, place, ANY_COMMAND, now)
    else:
        serve_queues(table, state, requests, front, ANY_COMMAND, now)


@jit
def tick_column_slot(table, state, requests, front, now):
    """The column bus: activated requests first, then hits of the queues unless maintenance waits."""
    place = first_ready_active(table, state, requests, now)
    if place >= 0:
        serve(table, state, requests, front, ACTIVE_BUFFER, place, COLUMN_COMMANDS, now)
    else:
        serve_queues(table, state, requests, front, COLUMN_COMMANDS, now)


@inlined
def tick_two_bus(table, state, requests, front, now):
    """HBM2: a column command, then a row command, which sees the state after it."""
    tick_column_slot(table, state, requests, front, now)
    serve_queues(table, state, requests, front, ROW_COMMANDS, now)


@inlined
def tick_half_clock(table, state, requests, front, now):
    """HBM3: as two buses on rising edges (odd ticks); on falling edges only precharges that pairing allows."""
    if now % 2 == 1:
        tick_column_slot(table, state, requests, front, now)
        serve_queues(table, state, requests, front, ROW_COMMANDS, now)
    else:
        serve_queues(table, state, requests, front, FALLING_EDGE, now)


@jit
def finish_activation(table, state, requests, now):
    """Issue the ACT2 of the activating request; nothing restricts it."""
    request = state[S_ACTIVATING]
    bank = requests[request, BANK]
    issue(table, state, table[ACT2], bank, requests[request, ROW], request, now)
    state[S_ACTIVATING] = -1
    await_column(table, state, bank, request)


@jit
def serve_synced(table, state, requests, front, now):
    """The tick after a CAS belongs to its column command, issued or waiting."""
    request = state[S_SYNCED]
    command = next_command(table, state, requests, request)
    if not is_legal(table, state, command, requests[request, BANK], now):
        return
    state[S_SYNCED] = -1
    for queue in range(N_QUEUES):
        for place in range(state[S_LENGTH + queue]):
            if state[entry_at(table, queue, place)] == request:
                serve(table, state, requests, front, queue, place, ANY_COMMAND, now)
                return


@jit
def needs_sync(table, state, requests, request, now):
    """Whether a request's next command is a column command for which the data clock must first be brought in step."""
    if table[T_WCK_ALWAYS_ON] or now < state[S_SYNC_END]:
        return False
    return is_column(table, next_command(table, state, requests, request))


@inlined
def tick_split_activate(table, state, requests, front, now):
    """LPDDR5: activation in two commands, and CAS before the column command when the data clock has stopped.

    No second ACT1 before an outstanding ACT2, so that at most one request is activating.
    """
    if state[S_SYNCED] >= 0:
        serve_synced(table, state, requests, front, now)
        return
    activating = state[S_ACTIVATING] >= 0
    if activating and state[S_ACT2_BY] <= now:
        finish_activation(table, state, requests, now)
        return
    queue = ACTIVE_BUFFER
    place = first_ready_active(table, state, requests, now)
    if place < 0:
        if state[S_DUE_LENGTH] > 0:
            if maintain(table, state, ANY_COMMAND, now):
                return
        else:
            queue = queue_in_turn(table, state)
            place = first_ready(table, state, requests, queue, ANY_COMMAND, now)
    if place < 0:
        if activating:
            finish_activation(table, state, requests, now)
        return
    request = state[entry_at(table, queue, place)]
    if not needs_sync(table, state, requests, request, now):
        serve(table, state, requests, front, queue, place, ANY_COMMAND, now)
    elif activating and state[S_ACT2_BY] <= now + 1:
        finish_activation(table, state, requests, now)
    else:
        sync = table[CAS_WR] if requests[request, IS_WRITE] else table[CAS_RD]
        issue(table, state, sync, requests[request, BANK], requests[request, ROW], request, now)
        state[S_SYNCED] = request


@inlined
def tick_controller(table, state, requests, front, now):
    """Choose and issue, by the standard's controller."""
    controller = table[T_CONTROLLER]
    if controller == TWO_BUS:
        tick_two_bus(table, state, requests, front, now)
    elif controller == HALF_CLOCK:
        tick_half_clock(table, state, requests, front, now)
    elif controller == SPLIT_ACTIVATE:
        tick_split_activate(table, state, requests, front, now)
    else:
        tick_one_bus(table, state, requests, front, now)
