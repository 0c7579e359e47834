"""Queues of the table-driven controller: requests taken from the front end, maintenance, reads under way."""

from simulator.kernels.dram_table_state import (
    ADDRESS,
    ARRIVE_CYC,
    CHANNEL,
    COALESCED,
    DEPART_CYC,
    DUE_SIZE,
    F_ARRIVING,
    F_HEAD,
    F_OUTSTANDING,
    F_STATUS,
    FORWARDED,
    IS_WRITE,
    LATENCY_SUM,
    OFFER_CYC,
    OVERFULL,
    READ_QUEUE,
    S_DUE_HEAD,
    S_DUE_LENGTH,
    S_LENGTH,
    S_UNDER_WAY_HEAD,
    S_UNDER_WAY_LENGTH,
    T_DUE,
    T_FE_RATIO,
    T_N_UNDER_WAY,
    T_QUEUE_SIZE,
    T_QUEUES,
    T_READ_LATENCY,
    T_READ_QUEUE,
    T_UNDER_WAY,
    T_WINDOW,
    T_WRITE_QUEUE,
    WRITE_QUEUE,
    jit,
)


@jit
def entry_at(table, queue, place):
    """Where the state keeps a queue's entry."""
    return table[T_QUEUES] + queue * table[T_QUEUE_SIZE] + place


@jit
def append(table, state, queue, request):
    """Put a request at a queue's end."""
    state[entry_at(table, queue, state[S_LENGTH + queue])] = request
    state[S_LENGTH + queue] += 1


@jit
def remove(table, state, queue, place):
    """Take an entry out of a queue; those behind it close up."""
    state[S_LENGTH + queue] -= 1
    for k in range(place, state[S_LENGTH + queue]):
        at = entry_at(table, queue, k)
        state[at] = state[at + 1]


@jit
def push_due(table, state, front, command, bank):
    """Ask for a maintenance command; they are served strictly in this order."""
    if state[S_DUE_LENGTH] == DUE_SIZE:
        front[F_STATUS] = OVERFULL
        return
    at = table[T_DUE] + 2 * ((state[S_DUE_HEAD] + state[S_DUE_LENGTH]) % DUE_SIZE)
    state[at] = command
    state[at + 1] = bank
    state[S_DUE_LENGTH] += 1


@jit
def first_due(table, state):
    """Command and bank at the head of the maintenance queue."""
    at = table[T_DUE] + 2 * state[S_DUE_HEAD]
    return state[at], state[at + 1]


@jit
def pop_due(state):
    """Drop the head of the maintenance queue."""
    state[S_DUE_HEAD] = (state[S_DUE_HEAD] + 1) % DUE_SIZE
    state[S_DUE_LENGTH] -= 1


@jit
def await_data(table, state, requests, front, request, depart_cyc):
    """A read's data will be there at `depart_cyc`."""
    requests[request, DEPART_CYC] = depart_cyc
    place = (state[S_UNDER_WAY_HEAD] + state[S_UNDER_WAY_LENGTH]) % table[T_N_UNDER_WAY]
    state[table[T_UNDER_WAY] + place] = request
    state[S_UNDER_WAY_LENGTH] += 1
    front[F_ARRIVING + depart_cyc % (table[T_READ_LATENCY] + 2)] += 1


@jit
def take_finished(table, state, requests, now):
    """Count reads whose data is there, from the head only: a forwarded read waits behind an earlier one."""
    while state[S_UNDER_WAY_LENGTH] > 0:
        request = state[table[T_UNDER_WAY] + state[S_UNDER_WAY_HEAD]]
        if requests[request, DEPART_CYC] > now:
            return
        state[LATENCY_SUM] += requests[request, DEPART_CYC] - requests[request, ARRIVE_CYC]
        state[S_UNDER_WAY_HEAD] = (state[S_UNDER_WAY_HEAD] + 1) % table[T_N_UNDER_WAY]
        state[S_UNDER_WAY_LENGTH] -= 1


@jit
def is_being_written(table, state, requests, request):
    """Whether a write to exactly this address waits in the write queue (its row not yet activated for it)."""
    for k in range(state[S_LENGTH + WRITE_QUEUE]):
        if requests[state[entry_at(table, WRITE_QUEUE, k)], ADDRESS] == requests[request, ADDRESS]:
            return True
    return False


@jit
def accept(table, state, requests, front, request, tick):
    """Offer one request before `tick`: forwarded, coalesced, queued, or refused (returns False)."""
    requests[request, ARRIVE_CYC] = tick - 1
    is_write = requests[request, IS_WRITE]
    if is_being_written(table, state, requests, request):
        if is_write:
            state[COALESCED] += 1
        else:
            state[FORWARDED] += 1
            front[F_OUTSTANDING] += 1
            await_data(table, state, requests, front, request, tick)
        return True
    queue = WRITE_QUEUE if is_write else READ_QUEUE
    if state[S_LENGTH + queue] >= table[T_WRITE_QUEUE if is_write else T_READ_QUEUE]:
        return False
    if not is_write:
        front[F_OUTSTANDING] += 1
    append(table, state, queue, request)
    return True


@jit
def offer(table, states, requests, front, tick):
    """The front end's turn before a memory tick: offer requests in order until one is refused or none is due."""
    arrived = F_ARRIVING + (tick - 1) % (table[T_READ_LATENCY] + 2)
    front[F_OUTSTANDING] -= front[arrived]
    front[arrived] = 0
    n_offers = 1 if tick == 1 else table[T_FE_RATIO]
    for _ in range(n_offers):
        request = front[F_HEAD]
        if request == len(requests) or requests[request, OFFER_CYC] > tick:
            return
        if 0 < table[T_WINDOW] <= front[F_OUTSTANDING]:
            return
        if not accept(table, states[requests[request, CHANNEL]], requests, front, request, tick):
            return
        front[F_HEAD] += 1
