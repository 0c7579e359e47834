"""One tick of each of the four controllers: one bus, two buses, two buses on half clocks, split activation."""

from simulator.kernels.dram_table_choice import (
    first_ready,
    first_ready_active,
    is_column,
    may_maintain,
    maintenance_command,
    next_command,
    queue_in_turn,
)
from simulator.kernels.dram_table_device import change_banks, is_legal, mix, update_ready
from simulator.kernels.dram_table_queues import append, pop_due, push_finished, remove
from simulator.kernels.dram_table_state import (
    ACT,
    ACT2,
    ACTIVE_BUFFER,
    ANY_COMMAND,
    CAS_RD,
    CAS_WR,
    CLOSED,
    COLUMN_COMMANDS,
    CONFLICTS,
    F_DONE,
    FALLING_EDGE,
    HALF_CLOCK,
    HITS,
    MISSES,
    PRE,
    RDA,
    READS,
    REF_ALL,
    REF_BANK,
    REFRESHES,
    ROW_COMMANDS,
    S_ACT2_WITHIN,
    S_CLOSED_ROWS,
    S_CONTROLLER,
    S_READ_LATENCY,
    S_ROW_CAP,
    S_SYNC_READ,
    S_SYNC_WRITE,
    S_WCK_ALWAYS_ON,
    SPLIT_ACTIVATE,
    TWO_BUS,
    W_ACT2_BY,
    W_ACTIVATING,
    W_DUE_HEAD,
    W_DUE_LENGTH,
    W_LAST_COLUMN,
    W_LOGGED,
    W_PAIR_BANK,
    W_PAIR_EDGE,
    W_PAIR_WIDE,
    W_SYNC_END,
    W_SYNCED,
    WRA,
    WRITES,
    jit,
)


@jit
def issue(device, control, channel, command, bank, row, request, now):
    """Put a command on the bus: ready table, banks, statistics, digest, log."""
    update_ready(device, channel, command, bank, now)
    change_banks(device, control, channel, command, bank, row)
    control.n_commands[channel, command] += 1
    control.digest[channel] = mix(mix(mix(control.digest[channel], now), command), bank)
    if control.log.shape[1] > 0:
        k = control.word[channel, W_LOGGED]
        control.log[channel, k, 0] = now
        control.log[channel, k, 1] = command
        control.log[channel, k, 2] = bank
        control.log[channel, k, 3] = request
        control.word[channel, W_LOGGED] = k + 1


@jit
def count_row(device, control, traffic, channel, request):
    """Row statistics: once per request, by its bank's state before its first command."""
    if traffic.counted[request]:
        return
    traffic.counted[request] = 1
    row = device.open_row[channel, traffic.bank[request]]
    if row == traffic.row[request]:
        control.tally[channel, HITS] += 1
    elif row == CLOSED:
        control.tally[channel, MISSES] += 1
    else:
        control.tally[channel, CONFLICTS] += 1


@jit
def with_precharge(device, control, traffic, channel, request, command, now):
    """Closed-row policy: the column command of a row that has had its share takes the precharge along, where RDA or WRA
    is legal and no other request waits on the open row."""
    bank = traffic.bank[request]
    if not control.setup[S_CLOSED_ROWS] or control.columns[channel, bank] < control.setup[S_ROW_CAP]:
        return command
    closing = device.role[WRA] if traffic.is_write[request] else device.role[RDA]
    waits = control.active[channel, bank]
    if closing < 0 or (waits >= 0 and waits != request) or not is_legal(device, channel, closing, bank, now):
        return command
    return closing


@jit
def serve_column(device, control, traffic, channel, queue, place, command, now):
    """Issue a request's column command; the request is done."""
    request = control.entries[channel, queue, place]
    bank = traffic.bank[request]
    command = with_precharge(device, control, traffic, channel, request, command, now)
    control.columns[channel, bank] += 1
    issue(device, control, channel, command, bank, traffic.row[request], request, now)
    remove(control, channel, queue, place)
    if queue == ACTIVE_BUFFER:
        control.active[channel, bank] = -1
    traffic.issue_cyc[request] = now
    control.front[F_DONE] += 1
    control.word[channel, W_LAST_COLUMN] = now
    in_step_until = now
    if traffic.is_write[request]:
        control.tally[channel, WRITES] += 1
        in_step_until += control.setup[S_SYNC_WRITE]
    else:
        control.tally[channel, READS] += 1
        push_finished(control, traffic, channel, request, now + control.setup[S_READ_LATENCY])
        in_step_until += control.setup[S_SYNC_READ]
    if control.word[channel, W_SYNC_END] < in_step_until:
        control.word[channel, W_SYNC_END] = in_step_until


@jit
def remember_pair(device, control, channel, command, bank, now):
    """What a row command on a rising edge forbids to the falling edge that ends its slot."""
    word = control.word[channel]
    word[W_PAIR_EDGE] = now + 3 if command == device.role[ACT] else now + 1
    word[W_PAIR_BANK] = bank
    word[W_PAIR_WIDE] = device.scope[command] < device.node_of.shape[0] - 1


@jit
def serve(device, control, traffic, channel, queue, place, slot, now):
    """Issue a request's next command, which is legal, and move the request on."""
    request = control.entries[channel, queue, place]
    bank = traffic.bank[request]
    command = next_command(device, traffic, channel, request)
    count_row(device, control, traffic, channel, request)
    if is_column(device, command):
        serve_column(device, control, traffic, channel, queue, place, command, now)
        return
    issue(device, control, channel, command, bank, traffic.row[request], request, now)
    if slot == ROW_COMMANDS:
        remember_pair(device, control, channel, command, bank, now)
    if command == device.role[ACT]:
        remove(control, channel, queue, place)
        if device.role[ACT2] < 0:
            append(control, channel, ACTIVE_BUFFER, request)
            control.active[channel, bank] = request
        else:
            control.word[channel, W_ACTIVATING] = request
            control.word[channel, W_ACT2_BY] = now + control.setup[S_ACT2_WITHIN]


@jit
def maintain(device, control, channel, slot, now):
    """Serve the head of the maintenance queue if it may issue; returns whether it did."""
    head = control.word[channel, W_DUE_HEAD]
    bank = control.due[channel, head, 1]
    asked = control.due[channel, head, 0]
    command = maintenance_command(device, control, channel)
    if not may_maintain(device, control, channel, slot, command, now):
        return False
    issue(device, control, channel, command, bank, 0, -1, now)
    if slot == ROW_COMMANDS:
        remember_pair(device, control, channel, command, bank, now)
    if command == asked:
        pop_due(control, channel)
        if asked == device.role[REF_ALL] or asked == device.role[REF_BANK]:
            control.tally[channel, REFRESHES] += 1
    return True


@jit
def serve_queues(device, control, traffic, channel, slot, now):
    """Maintenance if any waits, and only then; else the queue whose turn it is."""
    if control.word[channel, W_DUE_LENGTH] > 0:
        maintain(device, control, channel, slot, now)
        return
    queue = queue_in_turn(control, channel)
    place = first_ready(device, control, traffic, channel, queue, slot, now)
    if place >= 0:
        serve(device, control, traffic, channel, queue, place, slot, now)


@jit
def tick_one_bus(device, control, traffic, channel, now):
    """DDR4, DDR5, GDDR6: one command a tick; activated requests first, then maintenance, then the queues."""
    place = first_ready_active(device, control, traffic, channel, now)
    if place >= 0:
        serve(device, control, traffic, channel, ACTIVE_BUFFER, place, ANY_COMMAND, now)
    else:
        serve_queues(device, control, traffic, channel, ANY_COMMAND, now)


@jit
def tick_column_slot(device, control, traffic, channel, now):
    """The column bus: activated requests first, then hits of the queues unless maintenance waits."""
    place = first_ready_active(device, control, traffic, channel, now)
    if place >= 0:
        serve(device, control, traffic, channel, ACTIVE_BUFFER, place, COLUMN_COMMANDS, now)
    else:
        serve_queues(device, control, traffic, channel, COLUMN_COMMANDS, now)


@jit
def tick_two_bus(device, control, traffic, channel, now):
    """HBM2: a column command, then a row command, which sees the state after it."""
    tick_column_slot(device, control, traffic, channel, now)
    serve_queues(device, control, traffic, channel, ROW_COMMANDS, now)


@jit
def tick_half_clock(device, control, traffic, channel, now):
    """HBM3: as two buses on rising edges (odd ticks); on falling edges only precharges that pairing allows."""
    if now % 2 == 1:
        tick_column_slot(device, control, traffic, channel, now)
        serve_queues(device, control, traffic, channel, ROW_COMMANDS, now)
    else:
        serve_queues(device, control, traffic, channel, FALLING_EDGE, now)


@jit
def finish_activation(device, control, traffic, channel, now):
    """Issue the ACT2 of the activating request; nothing restricts it."""
    request = control.word[channel, W_ACTIVATING]
    bank = traffic.bank[request]
    issue(device, control, channel, device.role[ACT2], bank, traffic.row[request], request, now)
    control.word[channel, W_ACTIVATING] = -1
    append(control, channel, ACTIVE_BUFFER, request)
    control.active[channel, bank] = request


@jit
def serve_synced(device, control, traffic, channel, now):
    """The tick after a CAS belongs to its column command, issued or waiting."""
    word = control.word[channel]
    request = word[W_SYNCED]
    command = next_command(device, traffic, channel, request)
    if not is_legal(device, channel, command, traffic.bank[request], now):
        return
    word[W_SYNCED] = -1
    for queue in range(control.length.shape[1]):
        for place in range(control.length[channel, queue]):
            if control.entries[channel, queue, place] == request:
                serve(device, control, traffic, channel, queue, place, ANY_COMMAND, now)
                return


@jit
def needs_sync(device, control, traffic, channel, request, now):
    """Whether a request's next command is a column command for which the data clock must first be brought in step."""
    if control.setup[S_WCK_ALWAYS_ON] or now < control.word[channel, W_SYNC_END]:
        return False
    return is_column(device, next_command(device, traffic, channel, request))


@jit
def tick_split_activate(device, control, traffic, channel, now):
    """LPDDR5: activation in two commands, and CAS before the column command when the data clock has stopped.

    No second ACT1 before an outstanding ACT2, so that at most one request is activating.
    """
    word = control.word[channel]
    if word[W_SYNCED] >= 0:
        serve_synced(device, control, traffic, channel, now)
        return
    activating = word[W_ACTIVATING] >= 0
    if activating and word[W_ACT2_BY] <= now:
        finish_activation(device, control, traffic, channel, now)
        return
    queue = ACTIVE_BUFFER
    place = first_ready_active(device, control, traffic, channel, now)
    if place < 0:
        if word[W_DUE_LENGTH] > 0:
            if maintain(device, control, channel, ANY_COMMAND, now):
                return
        else:
            queue = queue_in_turn(control, channel)
            place = first_ready(device, control, traffic, channel, queue, ANY_COMMAND, now)
    if place < 0:
        if activating:
            finish_activation(device, control, traffic, channel, now)
        return
    request = control.entries[channel, queue, place]
    if not needs_sync(device, control, traffic, channel, request, now):
        serve(device, control, traffic, channel, queue, place, ANY_COMMAND, now)
    elif activating and word[W_ACT2_BY] <= now + 1:
        finish_activation(device, control, traffic, channel, now)
    else:
        sync = device.role[CAS_WR] if traffic.is_write[request] else device.role[CAS_RD]
        issue(device, control, channel, sync, traffic.bank[request], traffic.row[request], request, now)
        word[W_SYNCED] = request


@jit
def tick_controller(device, control, traffic, channel, now):
    """Choose and issue, by the standard's controller."""
    controller = control.setup[S_CONTROLLER]
    if controller == TWO_BUS:
        tick_two_bus(device, control, traffic, channel, now)
    elif controller == HALF_CLOCK:
        tick_half_clock(device, control, traffic, channel, now)
    elif controller == SPLIT_ACTIVATE:
        tick_split_activate(device, control, traffic, channel, now)
    else:
        tick_one_bus(device, control, traffic, channel, now)
