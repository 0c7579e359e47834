"""Streams in the event-driven DRAM controller: a full queue, and hits of open rows of one or two banks.

Until anything else may issue (an activation, a precharge, the column of an activated request, a refresh), only the hits
do, and each lets one more request in. As long as that is another hit of the same banks, nothing but the two banks'
earliest ticks need be kept.
"""

from simulator.kernels.dram_event_advance import first_of_kind, tick_of
from simulator.kernels.dram_event_queues import filter_place, refresh_lane, would_switch
from simulator.kernels.dram_event_serve import FNV_PRIME, raise_ready
from simulator.kernels.dram_event_state import (
    ACT,
    ACTIVE,
    ADDRESS,
    AGE,
    AGE_SHIFT,
    ANY_TICK,
    ARRIVED,
    BASE_MASK,
    BEFORE,
    CLK,
    COUNTED,
    COUNTS,
    DIGEST,
    DUE,
    F_LOGGED,
    F_NEXT,
    FILTER,
    FINISHED,
    FIRST_LANE,
    HEAD,
    HIT,
    HITS,
    IS_WRITE,
    KEY,
    LAST_COLUMN,
    LATENCY_SUM,
    N_KIND,
    N_WRITE,
    NEVER,
    NEXT,
    NIL,
    NONE,
    OPEN,
    ORDER,
    OTHER,
    PRE,
    PRIO_LENGTH,
    QUEUED,
    RD,
    READS,
    READY,
    REQUEST,
    RING,
    RING_SIZE,
    ROW,
    SLOT_MASK,
    STRIDE,
    T_BANK,
    T_COMMAND,
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

WORTHWHILE = 6  # hits in a row


@inlined
def is_queued_hit(s, base, queue, lane):
    """Whether a bank offers a column command of the queue for a request that still waits in it, and no other row."""
    order = s[base + ORDER + queue * STRIDE + lane]
    return order < NONE and order & QUEUED != 0


@inlined
def may_stream(s, base, table, requests, i, queue):
    """Whether a full queue has hits, and its next requests, from number `i` on, are all of one bank."""
    n_hits = s[base + N_KIND + queue]
    if n_hits == 0 or n_hits > 3 or s[base + PRIO_LENGTH] > 0 or s[base + WRITE_MODE] != queue:
        return False
    if i + WORTHWHILE > requests.shape[0]:
        return False
    for k in range(i + 1, i + WORTHWHILE):
        if requests[k, 1] != requests[i, 1] or requests[k, 4] != queue or requests[k, 0] != requests[i, 0]:
            return False
    return table[T_ROW_HIT_FIRST] == 0 and not would_switch(s, base, table)


@jit
def limit_of_others(s, base, table, queue, now):
    """The earliest tick in which anything but a queued hit of the queue may issue."""
    limit = s[base + DUE]
    for kind in (1 - queue, ACT, PRE):
        limit = min(limit, tick_of(first_of_kind(s, base, table, kind, now, ANY_TICK), now))
    for lane in range(table[T_LANES]):
        if s[base + ORDER + queue * STRIDE + lane] < NONE and not is_queued_hit(s, base, queue, lane):
            limit = min(limit, s[base + READY + queue * STRIDE + lane])
    return limit


@jit
def hit_lane(s, base, table, queue, first):
    """The first bank from `first` on with hits in the queue; the number of lanes for none."""
    lane = first
    while lane < table[T_LANES] and not is_queued_hit(s, base, queue, lane):
        lane += 1
    return lane


@inlined
def pitch(table, queue, lane, other):
    """Ticks between a column command to a bank and one of the same kind to another."""
    n_lanes = table[T_LANES]
    return table[T_LATENCY + (queue * 5 * n_lanes + lane) * n_lanes + other]


@inlined
def admits(s, base, requests, i, channel, queue, lane, other):
    """Whether request `i` changes nothing but the lists of its bank: it is of the queue, neither forwarded nor
    coalesced, and a hit of the two banks, or in another bank behind one that is activated or waits like it."""
    mine = requests[i, 1]
    if requests[i, 0] != channel or requests[i, 4] != queue:
        return False
    if s[base + N_WRITE] > 0 and s[base + FILTER + filter_place(requests[i, 3])] > 0:
        return False
    hits = s[base + OPEN + mine] == requests[i, 2]
    if mine == lane or mine == other:
        return hits
    if hits:
        active = s[base + ACTIVE + mine] & SLOT_MASK
        return active != NIL and s[base + IS_WRITE + active] == queue
    return s[base + OTHER + queue * STRIDE + mine] != NIL


@inlined
def append_elsewhere(s, base, queue, lane, slot):
    """Link a slot to the end of the list of a bank that the stream does not serve."""
    place = base + queue * STRIDE + lane
    tail = s[place + TAIL] & SLOT_MASK
    s[base + NEXT + tail] = slot
    s[base + BEFORE + slot] = tail
    if tail == NIL:
        s[place + HEAD] = slot
    s[place + TAIL] = slot
    if s[base + ROW + slot] == s[base + OPEN + lane] and s[place + HIT] == NIL:
        s[place + HIT] = slot


@inlined
def refill(s, base, queue, slot, row, address, request, clk):
    """A slot's request has been served; another takes it, last of its bank's list, whose end must be linked to it."""
    if queue:
        s[base + FILTER + filter_place(s[base + ADDRESS + slot])] -= 1
        s[base + FILTER + filter_place(address)] += 1
    age = s[base + AGE]
    s[base + AGE] = age + 1
    s[base + NEXT + slot] = NIL
    s[base + KEY + slot] = QUEUED | age << AGE_SHIFT
    s[base + ROW + slot] = row
    s[base + REQUEST + slot] = request
    s[base + ARRIVED + slot] = clk
    s[base + COUNTED + slot] = 0
    s[base + ADDRESS + slot] = address


@jit
def settle_list(s, base, table, queue, lane, head, tail, last):
    """Write down what became of a bank: its list, linked backwards, its earliest ticks, its candidates."""
    place = base + queue * STRIDE + lane
    s[place + HEAD] = head
    s[place + TAIL] = tail if head != NIL else NIL
    s[place + HIT] = head
    before = NIL
    slot = head
    while slot != NIL:
        s[base + BEFORE + slot] = before
        before = slot
        slot = s[base + NEXT + slot] & SLOT_MASK
    if last >= 0:
        raise_ready(s, base, table, queue, lane, last)
    refresh_lane(s, base, table, lane)


@inlined
def note_column(table, log, front, channel, digest, command, lane, request, now):
    """The digest with one more column command, which is logged where a log is kept."""
    bank = table[T_BANK + lane]
    if log.shape[0] > 0:
        k = front[F_LOGGED]
        log[k, 0] = now
        log[k, 1] = table[T_COMMAND + command]
        log[k, 2] = bank
        log[k, 3] = request
        log[k, 4] = channel
        front[F_LOGGED] = k + 1
    return (((digest ^ now) * FNV_PRIME ^ table[T_COMMAND + command]) * FNV_PRIME ^ bank) * FNV_PRIME


@jit
def stream_lanes(s, base, table, queue):
    """The one bank, or the two, with hits in the queue (the same twice if it is one); NIL if that is not so, or if
    requests for other rows wait there."""
    n_lanes = table[T_LANES]
    lane = hit_lane(s, base, table, queue, FIRST_LANE)
    other = hit_lane(s, base, table, queue, lane + 1)
    if lane >= n_lanes or hit_lane(s, base, table, queue, other + 1) < n_lanes:
        return NIL, NIL
    if other >= n_lanes:
        other = lane
    pure = s[base + OTHER + queue * STRIDE + lane] == NIL and s[base + OTHER + queue * STRIDE + other] == NIL
    return (lane, other) if pure else (NIL, NIL)


@inlined
def linked(s, base, head, tail, slot):
    """Head and tail of a list with one more slot at its end."""
    if head == NIL:
        return slot, slot
    s[base + NEXT + tail] = slot
    return head, slot


@inlined
def note_read(s, base, table, latency, slot, request, nth, cyc):
    """The latency of the read that is the `nth` served of a stream."""
    depart = cyc + table[T_READ_LATENCY]
    taken = depart - s[base + ARRIVED + slot]
    latency[request] = taken
    ring = base + RING + 2 * ((s[base + FINISHED] + nth) & (RING_SIZE - 1))
    s[ring], s[ring + 1] = depart, taken
    return taken


@inlined
def count_stream(s, base, queue, n_served, n_counted, latencies):
    """Add a stream to the statistics; `n_counted` of its requests had been counted before."""
    s[base + HITS] += n_served - n_counted
    s[base + READS + queue] += n_served
    s[base + COUNTS + queue] += n_served
    s[base + LATENCY_SUM] += latencies
    s[base + FINISHED] += n_served if queue == RD else 0


@jit
def stream_hits(s, base, table, requests, latency, issue, log, front, channel, queue, room):
    """Serve hits, and take in those that follow, while the stream lasts; returns whether it took any.

    The queue is full, and the front end holds its next request, number `front[F_NEXT]`, for it; that number goes on.
    """
    apart()
    base &= BASE_MASK
    i = front[F_NEXT]
    lane, other = stream_lanes(s, base, table, queue)
    if lane == NIL:
        return False
    cyc = s[base + CLK]
    limit = limit_of_others(s, base, table, queue, cyc + 1)
    place = base + queue * STRIDE
    head, tail, ready = s[place + HEAD + lane] & SLOT_MASK, s[place + TAIL + lane] & SLOT_MASK, s[place + READY + lane]
    head2, tail2, ready2 = NIL, NIL, NEVER
    if other != lane:
        head2, tail2 = s[place + HEAD + other] & SLOT_MASK, s[place + TAIL + other] & SLOT_MASK
        ready2 = s[place + READY + other]
    own, across = pitch(table, queue, lane, lane), pitch(table, queue, lane, other)
    last, last2 = -1, -1
    first = i
    n_counted, latencies, digest = 0, 0, s[base + DIGEST]
    n = requests.shape[0]
    while i < n and front[F_LOGGED] < room and admits(s, base, requests, i, channel, queue, lane, other):
        cyc1 = max(ready, cyc + 1) if head != NIL else NEVER
        cyc2 = max(ready2, cyc + 1) if head2 != NIL else NEVER
        is_first = cyc1 < cyc2 or (cyc1 == cyc2 and s[base + KEY + head] < s[base + KEY + head2])
        if min(cyc1, cyc2) >= limit:
            break
        if is_first:
            slot, cyc, last, served = head, cyc1, cyc1, lane
            head = s[base + NEXT + slot] & SLOT_MASK
            ready, ready2 = max(ready, cyc + own), max(ready2, cyc + across)
        else:
            slot, cyc, last2, served = head2, cyc2, cyc2, other
            head2 = s[base + NEXT + slot] & SLOT_MASK
            ready, ready2 = max(ready, cyc + across), max(ready2, cyc + own)
        request = s[base + REQUEST + slot]
        issue[request] = cyc
        n_counted += s[base + COUNTED + slot]
        digest = note_column(table, log, front, channel, digest, queue, served, request, cyc)
        if queue == RD:
            latencies += note_read(s, base, table, latency, slot, request, i - first, cyc)
        refill(s, base, queue, slot, requests[i, 2], requests[i, 3], i, cyc)
        if requests[i, 1] == lane:
            head, tail = linked(s, base, head, tail, slot)
        elif requests[i, 1] == other:
            head2, tail2 = linked(s, base, head2, tail2, slot)
        else:
            append_elsewhere(s, base, queue, requests[i, 1], slot)
        i += 1
    if i == first:
        return False
    front[F_NEXT] = i
    s[base + CLK], s[base + LAST_COLUMN], s[base + DIGEST] = cyc, cyc, digest
    count_stream(s, base, queue, i - first, n_counted, latencies)
    settle_list(s, base, table, queue, lane, head, tail, last)
    if other != lane:
        settle_list(s, base, table, queue, other, head2, tail2, last2)
    return True
