"""Queues of the table-driven controller: requests taken from the front end, maintenance, reads that are finished."""

from simulator.kernels.dram_table_state import (
    COALESCED,
    DUE_SIZE,
    F_DONE,
    F_HEAD,
    F_OUTSTANDING,
    F_STATUS,
    FORWARDED,
    LATENCY_SUM,
    OVERFULL,
    READ_QUEUE,
    S_FE_RATIO,
    S_READ_QUEUE,
    S_WINDOW,
    S_WRITE_QUEUE,
    W_DUE_HEAD,
    W_DUE_LENGTH,
    W_FINISHED_HEAD,
    W_FINISHED_LENGTH,
    WRITE_QUEUE,
    jit,
)


@jit
def append(control, channel, queue, request):
    """Put a request at a queue's end."""
    control.entries[channel, queue, control.length[channel, queue]] = request
    control.length[channel, queue] += 1


@jit
def remove(control, channel, queue, place):
    """Take the entry at a place out of a queue; those behind it close up."""
    control.length[channel, queue] -= 1
    for k in range(place, control.length[channel, queue]):
        control.entries[channel, queue, k] = control.entries[channel, queue, k + 1]


@jit
def push_due(control, channel, command, bank):
    """Ask for a maintenance command; served strictly in this order."""
    word = control.word[channel]
    if word[W_DUE_LENGTH] == DUE_SIZE:
        control.front[F_STATUS] = OVERFULL
        return
    place = (word[W_DUE_HEAD] + word[W_DUE_LENGTH]) % DUE_SIZE
    control.due[channel, place, 0] = command
    control.due[channel, place, 1] = bank
    word[W_DUE_LENGTH] += 1


@jit
def pop_due(control, channel):
    """Drop the head of the maintenance queue."""
    word = control.word[channel]
    word[W_DUE_HEAD] = (word[W_DUE_HEAD] + 1) % DUE_SIZE
    word[W_DUE_LENGTH] -= 1


@jit
def push_finished(control, traffic, channel, request, depart_cyc):
    """A read's data will be there at `depart_cyc`."""
    traffic.depart_cyc[request] = depart_cyc
    word = control.word[channel]
    size = control.finished.shape[1]
    control.finished[channel, (word[W_FINISHED_HEAD] + word[W_FINISHED_LENGTH]) % size] = request
    word[W_FINISHED_LENGTH] += 1
    control.arriving[depart_cyc % len(control.arriving)] += 1


@jit
def take_finished(control, traffic, channel, now):
    """Count reads whose data is there, from the head only: a forwarded read waits behind an earlier one."""
    word = control.word[channel]
    size = control.finished.shape[1]
    while word[W_FINISHED_LENGTH] > 0:
        request = control.finished[channel, word[W_FINISHED_HEAD]]
        if traffic.depart_cyc[request] > now:
            return
        control.tally[channel, LATENCY_SUM] += traffic.depart_cyc[request] - traffic.arrive_cyc[request]
        word[W_FINISHED_HEAD] = (word[W_FINISHED_HEAD] + 1) % size
        word[W_FINISHED_LENGTH] -= 1


@jit
def is_being_written(control, traffic, request):
    """Whether a write to exactly this address waits in the write queue (its row not yet activated for it)."""
    channel = traffic.channel[request]
    for k in range(control.length[channel, WRITE_QUEUE]):
        if traffic.address[control.entries[channel, WRITE_QUEUE, k]] == traffic.address[request]:
            return True
    return False


@jit
def accept(control, traffic, request, tick):
    """Offer one request before `tick`: forwarded, coalesced, queued, or refused (returns False)."""
    channel = traffic.channel[request]
    traffic.arrive_cyc[request] = tick - 1
    if is_being_written(control, traffic, request):
        control.front[F_DONE] += 1
        if traffic.is_write[request]:
            control.tally[channel, COALESCED] += 1
        else:
            control.tally[channel, FORWARDED] += 1
            control.front[F_OUTSTANDING] += 1
            push_finished(control, traffic, channel, request, tick)
        return True
    queue = WRITE_QUEUE if traffic.is_write[request] else READ_QUEUE
    size = control.setup[S_WRITE_QUEUE] if traffic.is_write[request] else control.setup[S_READ_QUEUE]
    if control.length[channel, queue] >= size:
        return False
    if queue == READ_QUEUE:
        control.front[F_OUTSTANDING] += 1
    append(control, channel, queue, request)
    return True


@jit
def offer(control, traffic, tick):
    """The front end's turn before a memory tick: offer requests in order until one is refused or none is due."""
    front = control.front
    arrived = (tick - 1) % len(control.arriving)
    front[F_OUTSTANDING] -= control.arriving[arrived]
    control.arriving[arrived] = 0
    n_offers = 1 if tick == 1 else control.setup[S_FE_RATIO]
    for _ in range(n_offers):
        request = front[F_HEAD]
        if request == len(traffic.address):
            return
        if len(traffic.offer_cyc) > 0 and traffic.offer_cyc[request] > tick:
            return
        if 0 < control.setup[S_WINDOW] <= front[F_OUTSTANDING]:
            return
        if not accept(control, traffic, request, tick):
            return
        front[F_HEAD] += 1
