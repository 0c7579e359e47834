"""The event-driven DRAM controller: the results of walking every tick, without the ticks in which nothing can happen.

Channels meet only in the front end, which offers requests in order. So each channel is taken forward on its own, up to
the tick before which it is offered its next request, or until it has room for it.
Source: the semantics of Ramulator 2.1 (commit c5b1c3a, MIT), studied and told in own words; equal to it command by
command.
"""

from simulator.kernels.dram_event_advance import SPARE_LOG, advance_one_bus, advance_split, advance_two_buses
from simulator.kernels.dram_event_queues import enqueue, is_being_written
from simulator.kernels.dram_event_serve import finish_read
from simulator.kernels.dram_event_state import (
    ACTIVATING_SLOT,
    ACTIVE,
    BASE_MASK,
    CHANNEL_SHIFT,
    CLK,
    COALESCED,
    DIGEST,
    DONE,
    DUE,
    DUE_NEXT,
    F_CATCHING_UP,
    F_CHANNEL,
    F_DRAINED,
    F_FLYING,
    F_LIMIT,
    F_LOGGED,
    F_NEXT,
    F_PHASE,
    F_STATUS,
    F_STOP,
    F_STREAM_FROM,
    F_TICK,
    F_UNISSUED,
    F_USED,
    F_WAIT,
    FINISHED,
    FORWARDED,
    FREE,
    HEAD,
    HIT,
    KEY,
    LANE_MASK,
    LAST,
    LAST_COLUMN,
    LATENCY_SUM,
    LONG_AGO,
    MAX_SLOTS,
    N_FREE,
    N_READ,
    N_RULED,
    N_TALLY,
    NEVER,
    NIL,
    NO_WAIT,
    NONE,
    ONE_BUS,
    OPEN,
    ORDER,
    OTHER,
    PENDING,
    RECENT,
    RING,
    RING_SIZE,
    RUNNING,
    SLOT_WORDS,
    SPLIT_ACTIVATE,
    STARVED,
    STRIDE,
    SYNCED,
    T_CONTROLLER,
    T_FE_RATIO,
    T_PATIENCE,
    T_READ_LATENCY,
    T_READ_QUEUE,
    T_REFI,
    T_REFRESH,
    T_WINDOW,
    TAIL,
    TALLY,
    WAIT_DRAINED,
    WORDS,
    inlined,
    jit,
    outermost,
)
from simulator.kernels.dram_event_stream import may_stream, stream_hits

# Phases of a run: requests are offered; the front end waits for data; all channels reach the last request's tick,
# drain, and reach the last column's tick.
OFFERING, FLYING, STOPPING, DRAINING, SETTLING = range(5)
FNV_START = -3750763034362895579  # 14695981039346656037 as a signed word


@outermost
def reset(state, n_channels, table):
    """All banks closed, all queues empty. `state` is zero."""
    for channel in range(n_channels):
        base = channel * WORDS
        for lane in range(STRIDE):
            state[base + OPEN + lane] = -1
            state[base + ACTIVE + lane] = NIL
            for k in range(4):
                state[base + ORDER + k * STRIDE + lane] = NONE
            for k in range(2):
                state[base + HEAD + k * STRIDE + lane] = NIL
                state[base + TAIL + k * STRIDE + lane] = NIL
                state[base + HIT + k * STRIDE + lane] = NIL
                state[base + OTHER + k * STRIDE + lane] = NIL
            for k in range(N_RULED):
                state[base + LAST + k * STRIDE + lane] = LONG_AGO
        for rank in range(16):
            for k in range(4):
                state[base + RECENT + rank * 8 + k] = LONG_AGO
        for k in range(MAX_SLOTS - 1):
            state[base + FREE + k] = (MAX_SLOTS - 2 - k) * SLOT_WORDS
        state[base + N_FREE] = MAX_SLOTS - 1
        state[base + KEY + NIL] = NONE
        state[base + DIGEST] = FNV_START
        state[base + SYNCED] = -1
        state[base + ACTIVATING_SLOT] = NIL
        state[base + DUE] = table[T_REFI] if table[T_REFRESH] > 0 else NEVER
        state[base + DUE_NEXT] = table[T_REFI]


@jit
def not_arrived(state, base, cyc):
    """Latencies, summed, of finished reads whose data is not there by a tick: those behind the first such, in order."""
    total = 0
    behind = 0
    k = state[base + FINISHED] - 1
    first = max(0, k + 1 - RING_SIZE)
    while k >= first:
        place = base + RING + 2 * (k & (RING_SIZE - 1))
        behind += state[place + 1]
        if state[place] > cyc:
            total = behind
        k -= 1
    return total


@jit
def take_tally(state, n_channels, cyc, tally):
    """Statistics of every channel at the end of a tick."""
    for channel in range(n_channels):
        base = channel * WORDS
        for k in range(N_TALLY):
            tally[channel, k] = state[base + TALLY + k]
        tally[channel, LATENCY_SUM - TALLY] -= not_arrived(state, base, cyc)


@inlined
def accept(s, base, table, latency, flight, front, requests, i):
    """Offer request `i` after tick `CLK`: forwarded, coalesced or queued; False if there is no room."""
    queue = requests[i, 2] & 1
    lane = (requests[i, 2] >> 1) & LANE_MASK
    address = requests[i, 0]
    if s[base + N_READ + 1] > 0 and is_being_written(s, base, lane, address):
        if queue:
            s[base + COALESCED] += 1
        else:
            s[base + FORWARDED] += 1
            arrived = s[base + CLK]
            front[F_UNISSUED] += 1
            finish_read(s, base, table, latency, flight, front, i, arrived, arrived + 1)
        return True
    if s[base + N_READ + queue] >= table[T_READ_QUEUE + queue]:
        return False
    enqueue(s, base, table, queue, lane, requests[i, 1], address, i)
    front[F_UNISSUED] += 1 - queue
    return True


@inlined
def after_acceptance(table, front, tick, used):
    """A request was taken before `tick`, after `used` others: before which tick the next is offered."""
    front[F_STOP] = tick - 1
    used += 1
    if used == table[T_FE_RATIO] or tick == 1:
        tick += 1
        used = 0
    front[F_TICK], front[F_USED] = tick, used


@jit
def still_flying(flight, front, cyc):
    """Reads whose data is not there by a tick; the others are forgotten."""
    n_flying = 0
    for k in range(front[F_FLYING]):
        if flight[k] > cyc:
            flight[n_flying] = flight[k]
            n_flying += 1
    front[F_FLYING] = n_flying
    return n_flying


@jit
def wait_for_data(state, n_channels, table, flight, front, tick):
    """Whether too many reads are outstanding before a tick; sets how far channels must go to know when data comes."""
    outstanding = front[F_UNISSUED] + still_flying(flight, front, tick - 1)
    if outstanding < table[T_WINDOW]:
        return False
    first = NEVER
    for k in range(front[F_FLYING]):
        first = min(first, flight[k])
    front[F_CHANNEL] = 0
    front[F_CATCHING_UP] = 0
    for channel in range(n_channels):
        if state[channel * WORDS + CLK] < tick - 1:
            # Reads that count as waiting may long have been served.
            front[F_CATCHING_UP] = 1
            front[F_LIMIT] = tick - 1
            return True
    # A read issued later than this brings its data after the first of those under way, or after all channels' ticks.
    front[F_LIMIT] = min(tick - 1 + table[T_READ_LATENCY], first - table[T_READ_LATENCY] - 1)
    return True


@jit
def after_all_channels(state, n_channels, table, flight, front, tallies, phase):
    """All channels have done their part of a phase: what comes next."""
    front[F_CHANNEL] = 0
    if phase == FLYING and front[F_CATCHING_UP]:
        return OFFERING
    if phase == FLYING:
        first = NEVER
        for k in range(front[F_FLYING]):
            first = min(first, flight[k])
        for channel in range(n_channels):
            base = channel * WORDS
            if state[base + PENDING] > 0 and front[F_LIMIT] - state[base + LAST_COLUMN] > table[T_PATIENCE]:
                front[F_STATUS] = STARVED
        front[F_TICK] = first + 1 if first < NEVER else max(front[F_LIMIT] + 1, front[F_TICK])
        front[F_USED] = 0
        return OFFERING
    if phase == STOPPING:
        take_tally(state, n_channels, front[F_STOP], tallies[0])
        front[F_LIMIT] = NEVER
        return DRAINING
    if phase == DRAINING:
        front[F_DRAINED] = front[F_STOP]
        for channel in range(n_channels):
            front[F_DRAINED] = max(front[F_DRAINED], state[channel * WORDS + LAST_COLUMN])
        front[F_LIMIT] = front[F_DRAINED]
        return SETTLING
    take_tally(state, n_channels, front[F_DRAINED], tallies[1])
    front[F_STATUS] = DONE
    return SETTLING


@inlined
def take_forward(s, base, table, latency, issue, flight, log, front, channel, limit, wait):
    """Take a channel forward by the controller of its standard."""
    if table[T_CONTROLLER] == ONE_BUS:
        advance_one_bus(s, base, table, latency, issue, flight, log, front, channel, limit, wait)
    elif table[T_CONTROLLER] == SPLIT_ACTIVATE:
        advance_split(s, base, table, latency, issue, flight, log, front, channel, limit, wait)
    else:
        advance_two_buses(s, base, table, latency, issue, flight, log, front, channel, limit, wait)


@jit
def next_channel(state, n_channels, table, flight, front, tallies):
    """In a phase in which nothing is offered: the next channel that is not yet where the phase wants all; -1 if the
    phase has ended."""
    phase = front[F_PHASE]
    for channel in range(front[F_CHANNEL], n_channels):
        base = channel * WORDS
        is_there = state[base + PENDING] == 0 if phase == DRAINING else state[base + CLK] >= front[F_LIMIT]
        if not is_there:
            front[F_CHANNEL] = channel
            return channel
    front[F_PHASE] = after_all_channels(state, n_channels, table, flight, front, tallies, phase)
    return -1


@jit
def must_wait(state, n_channels, table, offers, flight, front, i):
    """Move to the tick before which request `i` is offered; whether too many reads are outstanding there."""
    if offers.shape[0] > 0 and offers[i] > front[F_TICK]:
        front[F_TICK] = offers[i]
        front[F_USED] = 0
    if table[T_WINDOW] == 0:
        return False
    if wait_for_data(state, n_channels, table, flight, front, front[F_TICK]):
        front[F_PHASE] = FLYING
        return True
    return False


@outermost
def run_events(state, n_channels, table, requests, offers, latency, issue, flight, log, front, tallies, until):
    """Serve requests up to number `until` (and all that is left, once all were offered), or until the log is full.

    state int64[n_channels * WORDS] and table int64 are those of `dram_event_state`; requests int64[n, 3]: address, row,
    and in one word (channel) (lane: 7 bits) (is it a write: 1 bit); offers int64[n], or none; fills latency and issue
    int64[n] and log int64[m, 5] (m may be 0); flight int64[window + 1]; front int64[N_FRONT] is kept between calls;
    tallies int64[2, n_channels, N_TALLY] at the stop and at the end. `front[F_STATUS]` says how it ended.
    """
    room = log.shape[0] - SPARE_LOG if log.shape[0] > 0 else NEVER
    n = requests.shape[0]
    paced = offers.shape[0] > 0 or table[T_WINDOW] > 0
    streams = table[T_CONTROLLER] == ONE_BUS and not paced and log.shape[0] == 0
    while front[F_STATUS] == RUNNING and front[F_LOGGED] < room:
        i, phase, wait = front[F_NEXT], front[F_PHASE], front[F_WAIT]
        if phase != OFFERING:
            channel = next_channel(state, n_channels, table, flight, front, tallies)
            if channel < 0:
                continue
            limit = front[F_LIMIT]
            wait = WAIT_DRAINED if phase == DRAINING else NO_WAIT
        elif i == n:
            front[F_PHASE], front[F_LIMIT], front[F_CHANNEL] = STOPPING, front[F_STOP], 0
            continue
        elif i >= until:
            break
        else:
            if paced and wait == NO_WAIT and must_wait(state, n_channels, table, offers, flight, front, i):
                continue
            channel = requests[i, 2] >> CHANNEL_SHIFT
            limit = front[F_TICK] - 1 if wait == NO_WAIT else NEVER
        base = (channel * WORDS) & BASE_MASK
        if (
            streams
            and wait != NO_WAIT
            and i >= front[F_STREAM_FROM]
            and may_stream(state, base, table, requests, i, wait)
        ):
            if stream_hits(state, base, table, requests, latency, issue, front, wait):
                front[F_WAIT] = NO_WAIT
                after_acceptance(table, front, state[base + CLK] + 1, 0)
                continue
            front[F_STREAM_FROM] = i + 2
        if state[base + CLK] < limit:
            take_forward(state, base, table, latency, issue, flight, log, front, channel, limit, wait)
        if phase != OFFERING:
            continue
        if wait != NO_WAIT:
            if state[base + N_READ + wait] >= table[T_READ_QUEUE + wait]:
                continue
            front[F_TICK], front[F_USED], front[F_WAIT] = state[base + CLK] + 1, 0, NO_WAIT
        elif state[base + CLK] < limit:
            continue
        if accept(state, base, table, latency, flight, front, requests, i):
            front[F_NEXT] = i + 1
            after_acceptance(table, front, front[F_TICK], front[F_USED])
        else:
            front[F_WAIT] = requests[i, 2] & 1
