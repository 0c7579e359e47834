"""Streams in the event-driven DRAM controller: a full queue whose requests all hit open rows of one or two banks.

Then nothing can issue but the column commands of these requests, and each lets one more request in. As long as that is
another hit of the same banks, only the two banks' earliest ticks need be kept.
"""

from simulator.kernels.dram_event_queues import filter_place, set_order, would_switch
from simulator.kernels.dram_event_serve import finish_read, note_command, raise_ready
from simulator.kernels.dram_event_state import (
    ACT,
    ADDRESS,
    AGE,
    AGE_SHIFT,
    ARRIVED,
    BASE_MASK,
    BEFORE,
    CLK,
    COUNTED,
    DUE,
    F_LOGGED,
    F_NEXT,
    FILTER,
    FIRST_LANE,
    HEAD,
    HIT,
    HITS,
    KEY,
    KIND_SHIFT,
    LAST_COLUMN,
    N_ACTIVE,
    N_KIND,
    N_WRITE,
    NEVER,
    NEXT,
    NIL,
    NONE,
    OPEN,
    ORDER,
    PRE,
    PRIO_LENGTH,
    QUEUED,
    RD,
    READS,
    READY,
    REQUEST,
    ROW,
    SLOT_MASK,
    STRIDE,
    T_LANES,
    T_LATENCY,
    T_READ_LATENCY,
    T_ROW_HIT_FIRST,
    TAIL,
    WRITE_MODE,
    inlined,
    jit,
)
from simulator.kernels.vectors import apart

WORTHWHILE = 4  # requests


@inlined
def only_hits(s, base, table, queue):
    """Whether all that a channel could issue are column commands of a queue, in one or two banks."""
    kinds = base + N_KIND
    n_hits = s[kinds + queue]
    others = s[kinds + 1 - queue] + s[kinds + ACT] + s[kinds + PRE] + s[base + N_ACTIVE]
    others += s[base + PRIO_LENGTH] + table[T_ROW_HIT_FIRST]
    return others == 0 and 0 < n_hits <= 2 and s[base + WRITE_MODE] == queue and not would_switch(s, base, table)


@inlined
def hit_lane(s, base, table, queue, first):
    """The first bank, from `first` on, with a hit in a queue; past the last for none."""
    lane = first
    while lane < table[T_LANES] and s[base + ORDER + queue * STRIDE + lane] >= NONE:
        lane += 1
    return lane


@inlined
def continues(s, base, requests, i, channel, queue, lane, other):
    """Whether request `i` is one more hit of the same queue and banks, and is neither forwarded nor coalesced."""
    mine = requests[i, 1]
    return (
        requests[i, 0] == channel
        and requests[i, 4] == queue
        and (mine == lane or mine == other)
        and s[base + OPEN + mine] == requests[i, 2]
        and (s[base + N_WRITE] == 0 or s[base + FILTER + filter_place(requests[i, 3])] == 0)
    )


@inlined
def pitch(table, queue, lane, other):
    """Ticks between a column command to a bank and one of the same kind to another."""
    n_lanes = table[T_LANES]
    return table[T_LATENCY + (queue * 5 * n_lanes + lane) * n_lanes + other]


@inlined
def replace_oldest(s, base, queue, lane, to, address, request, clk):
    """The oldest request of a bank leaves, a hit of bank `to` takes its slot; the queue stays full."""
    place = base + queue * STRIDE + lane
    slot = s[place + HEAD] & SLOT_MASK
    head = s[base + NEXT + slot] & SLOT_MASK
    s[place + HEAD] = head
    s[base + BEFORE + head] = NIL
    if head == NIL:
        s[place + TAIL] = NIL
    place = base + queue * STRIDE + to
    tail = s[place + TAIL] & SLOT_MASK
    s[base + NEXT + tail] = slot
    s[base + NEXT + slot] = NIL
    s[base + BEFORE + slot] = tail
    if tail == NIL:
        s[place + HEAD] = slot
    s[place + TAIL] = slot
    age = s[base + AGE]
    s[base + AGE] = age + 1
    s[base + KEY + slot] = QUEUED | age << AGE_SHIFT
    s[base + ROW + slot] = s[base + OPEN + to]
    s[base + REQUEST + slot] = request
    s[base + ARRIVED + slot] = clk
    s[base + COUNTED + slot] = 0
    if queue:
        s[base + FILTER + filter_place(s[base + ADDRESS + slot])] -= 1
        s[base + FILTER + filter_place(address)] += 1
    s[base + ADDRESS + slot] = address


@jit
def stream_hits(s, base, table, requests, latency, issue, flight, log, front, channel, queue, room):
    """Serve hits, and take in those that follow, while the stream lasts; returns whether it took any.

    The queue is full, and the front end holds its next request, number `front[F_NEXT]`, for it; that number goes on.
    """
    apart()
    base &= BASE_MASK
    lane = hit_lane(s, base, table, queue, FIRST_LANE)
    other = hit_lane(s, base, table, queue, lane + 1)
    n_lanes = table[T_LANES]
    cyc = s[base + CLK]
    first_i = front[F_NEXT]
    i = first_i
    n = requests.shape[0]
    ready = s[base + READY + queue * STRIDE + lane]
    alone = other == n_lanes
    # A second bank that has no hit never comes first.
    other = lane if alone else other
    other_ready = NEVER if alone else s[base + READY + queue * STRIDE + other]
    to_self, to_other, to_first = pitch(table, queue, lane, lane), NEVER, NEVER
    if not alone:
        to_other, to_first = pitch(table, queue, lane, other), pitch(table, queue, other, lane)
    last, other_last = -1, -1
    heads = base + HEAD + queue * STRIDE
    n_first, n_hits = 0, 0
    due = s[base + DUE]
    while i < n and front[F_LOGGED] < room and continues(s, base, requests, i, channel, queue, lane, other):
        now = cyc + 1
        slot = s[heads + lane] & SLOT_MASK
        other_slot = s[heads + other] & SLOT_MASK
        mine = max(ready, now) if slot != NIL else NEVER
        its = max(other_ready, now) if not alone and other_slot != NIL else NEVER
        takes_first = mine < its or (mine == its and s[base + KEY + slot] < s[base + KEY + other_slot])
        issued = mine if takes_first else its
        if issued >= due:
            break
        cyc = issued
        served = lane if takes_first else other
        slot = slot if takes_first else other_slot
        if takes_first:
            last = cyc
            ready = max(ready, cyc + to_self)
            other_ready = max(other_ready, cyc + to_other)
        else:
            other_last = cyc
            other_ready = max(other_ready, cyc + to_self)
            ready = max(ready, cyc + to_first)
        request = s[base + REQUEST + slot]
        n_first += 1 - s[base + COUNTED + slot]
        n_hits += 1
        issue[request] = cyc
        if queue == RD:
            arrived = s[base + ARRIVED + slot]
            finish_read(s, base, table, latency, flight, front, request, arrived, cyc + table[T_READ_LATENCY])
        note_command(s, base, table, log, front, channel, queue, served, request, cyc)
        replace_oldest(s, base, queue, served, requests[i, 1], requests[i, 3], i, cyc)
        i += 1
    if n_hits == 0:
        return False
    s[base + CLK] = cyc
    s[base + LAST_COLUMN] = cyc
    s[base + HITS] += n_first
    s[base + READS + queue] += n_hits
    front[F_NEXT] = i
    if last >= 0:
        raise_ready(s, base, table, queue, lane, last)
    if other_last >= 0:
        raise_ready(s, base, table, queue, other, other_last)
    for mine in (lane, other):
        place = base + queue * STRIDE + mine
        hit = s[place + HEAD] & SLOT_MASK
        s[place + HIT] = hit
        set_order(s, base, queue, mine, s[base + KEY + hit] | queue << KIND_SHIFT | mine)
    return True
