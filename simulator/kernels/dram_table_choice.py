"""Which request the table-driven controller serves next: prerequisites, first-ready-first-come, write mode."""

from simulator.kernels.dram_table_device import any_open, bank_at, banks_of, is_legal, node_of, open_row
from simulator.kernels.dram_table_queues import entry_at, first_due
from simulator.kernels.dram_table_state import (
    ACT,
    ACT2,
    ACTIVATING,
    ACTIVE_BUFFER,
    ANY_COMMAND,
    ARRIVE_CYC,
    BANK,
    CLOSED,
    COLUMN_COMMANDS,
    FALLING_EDGE,
    IS_WRITE,
    OPEN_ROW,
    PRE,
    PRE_ALL,
    RD,
    READ_QUEUE,
    REF_ALL,
    REF_BANK,
    ROW,
    ROW_COMMANDS,
    S_ACTIVATING,
    S_LENGTH,
    S_PAIR_BANK,
    S_PAIR_EDGE,
    S_PAIR_WIDE,
    S_WRITE_MODE,
    T_RANK_LEVEL,
    T_ROW_HIT_FIRST,
    T_WRITE_OFF_AT,
    T_WRITE_ON_AT,
    WAITING,
    WR,
    WRITE_QUEUE,
    jit,
)


@jit
def is_column(table, command):
    """Whether a command moves data (a request never asks for RDA or WRA by itself)."""
    return command == table[RD] or command == table[WR]


@jit
def next_command(table, state, requests, request):
    """The command that a request needs next, by its bank's state."""
    row = open_row(table, state, requests[request, BANK])
    if row == CLOSED:
        return table[ACT]
    if row == ACTIVATING:
        return table[ACT2]
    if row != requests[request, ROW]:
        return table[PRE]
    return table[WR] if requests[request, IS_WRITE] else table[RD]


@jit
def fits_slot(table, state, slot, command, bank, now):
    """Whether a command may go into this slot at all. On a falling edge only precharges, and none that the row command
    of the rising edge before it excludes: in one pseudo channel, either of them wide, or both for one bank."""
    if slot == ANY_COMMAND:
        return True
    if slot == COLUMN_COMMANDS:
        return is_column(table, command)
    if slot == ROW_COMMANDS:
        return not is_column(table, command)
    is_wide = command == table[PRE_ALL]
    if command != table[PRE] and not is_wide:
        return False
    if state[S_PAIR_EDGE] != now:
        return True
    rank = table[T_RANK_LEVEL]
    if node_of(table, rank, state[S_PAIR_BANK]) != node_of(table, rank, bank):
        return True
    return not (is_wide or state[S_PAIR_WIDE] or state[S_PAIR_BANK] == bank)


@jit
def has_older_hit(table, state, requests, queue, request):
    """Whether an entry of the queue, arrived no later than the request, hits the row that the request would close."""
    bank = requests[request, BANK]
    row = open_row(table, state, bank)
    for k in range(state[S_LENGTH + queue]):
        other = state[entry_at(table, queue, k)]
        if requests[other, ARRIVE_CYC] > requests[request, ARRIVE_CYC]:
            return False
        if requests[other, BANK] == bank and requests[other, ROW] == row:
            return True
    return False


@jit
def may_compete(table, state, requests, queue, slot, request, command, now):
    """Whether a queued request may issue this next command, ready or not: it closes no bank in which an activated
    request waits, starts no activation before an outstanding ACT2, and fits the slot."""
    bank = requests[request, BANK]
    if command == table[ACT] and state[S_ACTIVATING] >= 0:
        return False
    if command == table[ACT2]:
        return False
    if command == table[PRE]:
        if state[bank_at(table, bank) + WAITING] >= 0:
            return False
        if table[T_ROW_HIT_FIRST] and has_older_hit(table, state, requests, queue, request):
            return False
    return fits_slot(table, state, slot, command, bank, now)


@jit
def first_ready(table, state, requests, queue, slot, now):
    """Place of the oldest entry of a queue (kept in order of arrival) whose next command may issue now; -1 for none."""
    for k in range(state[S_LENGTH + queue]):
        request = state[entry_at(table, queue, k)]
        command = next_command(table, state, requests, request)
        if is_legal(table, state, command, requests[request, BANK], now) and may_compete(
            table, state, requests, queue, slot, request, command, now
        ):
            return k
    return -1


@jit
def first_ready_active(table, state, requests, now):
    """Place of the oldest request of the active buffer (in order of activation) that may issue now; -1 for none."""
    best = -1
    best_arrive = 0
    for k in range(state[S_LENGTH + ACTIVE_BUFFER]):
        request = state[entry_at(table, ACTIVE_BUFFER, k)]
        if best >= 0 and requests[request, ARRIVE_CYC] >= best_arrive:
            continue
        command = next_command(table, state, requests, request)
        if is_legal(table, state, command, requests[request, BANK], now):
            best = k
            best_arrive = requests[request, ARRIVE_CYC]
    return best


@jit
def queue_in_turn(table, state):
    """Update the write mode, and say which queue is served."""
    n_reads = state[S_LENGTH + READ_QUEUE]
    n_writes = state[S_LENGTH + WRITE_QUEUE]
    if state[S_WRITE_MODE]:
        if n_writes <= table[T_WRITE_OFF_AT] and n_reads > 0:
            state[S_WRITE_MODE] = 0
    elif n_writes >= table[T_WRITE_ON_AT] or n_reads == 0:
        state[S_WRITE_MODE] = 1
    return WRITE_QUEUE if state[S_WRITE_MODE] else READ_QUEUE


@jit
def touches_waiting(table, state, command, bank):
    """Whether a bank in the command's scope is activating, or open for a request that waits for its column command."""
    start, end = banks_of(table, command, bank)
    for other in range(start, end):
        at = bank_at(table, other)
        if state[at + WAITING] >= 0 or state[at + OPEN_ROW] == ACTIVATING:
            return True
    return False


@jit
def maintenance_command(table, state):
    """What the head of the maintenance queue needs next: what it asks for, or the precharge before a refresh."""
    command, bank = first_due(table, state)
    if command == table[REF_ALL] and any_open(table, state, command, bank):
        return table[PRE_ALL]
    if command == table[REF_BANK] and any_open(table, state, command, bank):
        return table[PRE]
    return command


@jit
def may_maintain(table, state, slot, command, now):
    """Whether the head of the maintenance queue may issue this command now."""
    _, bank = first_due(table, state)
    if slot == COLUMN_COMMANDS or touches_waiting(table, state, command, bank):
        return False
    if slot == FALLING_EDGE and not fits_slot(table, state, slot, command, bank, now):
        return False
    return is_legal(table, state, command, bank, now)
