"""Which request the table-driven controller serves next: prerequisites, first-ready-first-come, write mode."""

from simulator.kernels.dram_table_device import any_open, first_of_scope, is_legal
from simulator.kernels.dram_table_state import (
    ACT,
    ACT2,
    ACTIVATING,
    ACTIVE_BUFFER,
    ANY_COMMAND,
    CLOSED,
    COLUMN_COMMANDS,
    FALLING_EDGE,
    PRE,
    PRE_ALL,
    RD,
    READ_QUEUE,
    REF_ALL,
    REF_BANK,
    ROW_COMMANDS,
    S_RANK_LEVEL,
    S_ROW_HIT_FIRST,
    S_WRITE_OFF_AT,
    S_WRITE_ON_AT,
    W_ACTIVATING,
    W_DUE_HEAD,
    W_PAIR_BANK,
    W_PAIR_EDGE,
    W_PAIR_WIDE,
    W_WRITE_MODE,
    WR,
    WRITE_QUEUE,
    jit,
)


@jit
def is_column(device, command):
    """Whether a command moves data (a request never asks for RDA or WRA by itself)."""
    return command == device.role[RD] or command == device.role[WR]


@jit
def next_command(device, traffic, channel, request):
    """The command that a request needs next, by its bank's state."""
    row = device.open_row[channel, traffic.bank[request]]
    if row == CLOSED:
        return device.role[ACT]
    if row == ACTIVATING:
        return device.role[ACT2]
    if row != traffic.row[request]:
        return device.role[PRE]
    return device.role[WR] if traffic.is_write[request] else device.role[RD]


@jit
def fits_slot(device, control, channel, slot, command, bank, now):
    """Whether a command may go into this slot at all. On a falling edge only precharges, and none that the row command
    of the rising edge before it excludes: in one pseudo channel, either of them wide, or both for one bank."""
    if slot == ANY_COMMAND:
        return True
    if slot == COLUMN_COMMANDS:
        return is_column(device, command)
    if slot == ROW_COMMANDS:
        return not is_column(device, command)
    wide = command == device.role[PRE_ALL]
    if command != device.role[PRE] and not wide:
        return False
    word = control.word[channel]
    if word[W_PAIR_EDGE] != now:
        return True
    rank = device.node_of[control.setup[S_RANK_LEVEL]]
    if rank[word[W_PAIR_BANK]] != rank[bank]:
        return True
    return not (wide or word[W_PAIR_WIDE] or word[W_PAIR_BANK] == bank)


@jit
def has_no_older_hit(device, control, traffic, channel, queue, request):
    """Whether no entry of the queue, arrived no later than the request, hits the row that the request would close."""
    bank = traffic.bank[request]
    for k in range(control.length[channel, queue]):
        other = control.entries[channel, queue, k]
        if traffic.arrive_cyc[other] > traffic.arrive_cyc[request]:
            return True
        if traffic.bank[other] == bank and traffic.row[other] == device.open_row[channel, bank]:
            return False
    return True


@jit
def is_eligible(device, control, traffic, channel, queue, slot, request, command, now):
    """Whether a queued request may compete with this next command, ready or not."""
    bank = traffic.bank[request]
    if command == device.role[PRE]:
        if control.active[channel, bank] >= 0:
            return False
        if control.setup[S_ROW_HIT_FIRST] and not has_no_older_hit(device, control, traffic, channel, queue, request):
            return False
    elif command == device.role[ACT]:
        if control.word[channel, W_ACTIVATING] >= 0:
            return False
    elif command == device.role[ACT2]:
        return False
    return fits_slot(device, control, channel, slot, command, bank, now)


@jit
def first_ready(device, control, traffic, channel, queue, slot, now):
    """Place of the oldest entry of a queue (kept in order of arrival) whose next command may issue now; -1 for none."""
    for k in range(control.length[channel, queue]):
        request = control.entries[channel, queue, k]
        command = next_command(device, traffic, channel, request)
        if is_legal(device, channel, command, traffic.bank[request], now) and is_eligible(
            device, control, traffic, channel, queue, slot, request, command, now
        ):
            return k
    return -1


@jit
def first_ready_active(device, control, traffic, channel, now):
    """Place of the oldest request of the active buffer (kept in order of activation) that may issue now; -1 for none."""
    best = -1
    best_arrive = 0
    for k in range(control.length[channel, ACTIVE_BUFFER]):
        request = control.entries[channel, ACTIVE_BUFFER, k]
        if best >= 0 and traffic.arrive_cyc[request] >= best_arrive:
            continue
        command = next_command(device, traffic, channel, request)
        if is_legal(device, channel, command, traffic.bank[request], now):
            best = k
            best_arrive = traffic.arrive_cyc[request]
    return best


@jit
def queue_in_turn(control, channel):
    """Update the write mode, and say which queue is served."""
    word = control.word[channel]
    n_reads = control.length[channel, READ_QUEUE]
    n_writes = control.length[channel, WRITE_QUEUE]
    if word[W_WRITE_MODE]:
        if n_writes <= control.setup[S_WRITE_OFF_AT] and n_reads > 0:
            word[W_WRITE_MODE] = 0
    elif n_writes >= control.setup[S_WRITE_ON_AT] or n_reads == 0:
        word[W_WRITE_MODE] = 1
    return WRITE_QUEUE if word[W_WRITE_MODE] else READ_QUEUE


@jit
def touches_waiting(device, control, channel, command, bank):
    """Whether a bank in the command's scope is activating, or open for a request that waits for its column."""
    start = first_of_scope(device, command, bank)
    for other in range(start, start + device.banks_under[device.scope[command]]):
        if control.active[channel, other] >= 0 or device.open_row[channel, other] == ACTIVATING:
            return True
    return False


@jit
def maintenance_command(device, control, channel):
    """What the head of the maintenance queue needs next: what it asks for, or the precharge before a refresh."""
    head = control.word[channel, W_DUE_HEAD]
    command = control.due[channel, head, 0]
    if command == device.role[REF_ALL] and any_open(device, channel, command, control.due[channel, head, 1]):
        return device.role[PRE_ALL]
    if command == device.role[REF_BANK] and any_open(device, channel, command, control.due[channel, head, 1]):
        return device.role[PRE]
    return command


@jit
def may_maintain(device, control, channel, slot, command, now):
    """Whether the head of the maintenance queue may issue this command now."""
    bank = control.due[channel, control.word[channel, W_DUE_HEAD], 1]
    if slot == COLUMN_COMMANDS or touches_waiting(device, control, channel, command, bank):
        return False
    if slot == FALLING_EDGE and not fits_slot(device, control, channel, slot, command, bank, now):
        return False
    return is_legal(device, channel, command, bank, now)
