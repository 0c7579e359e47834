"""Streams in the event-driven DRAM controller: a full queue, and hits of open rows of one bank, or of two in turn.

Until anything else may issue (an activation, a precharge, the column of an activated request, a refresh), only the hits
do, at ticks known beforehand, and each lets one more request in. As long as these are of one row too, and only join
their bank's list, nothing else changes.
"""

from simulator.kernels.dram_event_advance import first_active, first_of_kind, tick_of
from simulator.kernels.dram_event_queues import filter_place, set_order, would_switch
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
    F_NEXT,
    F_STREAM_FROM,
    FILTER,
    FINISHED,
    HEAD,
    HIT,
    HITS,
    IS_WRITE,
    KEY,
    KIND_SHIFT,
    LANE_MASK,
    LAST_COLUMN,
    LATENCY_SUM,
    N_ACTIVE,
    N_KIND,
    N_WRITE,
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
    REQUEST_MASK,
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
    """Whether a full queue has hits, and its next requests, from number `i` on, are all of one row."""
    n_hits = s[base + N_KIND + queue]
    if n_hits == 0 or n_hits > 3 or s[base + PRIO_LENGTH] > 0 or s[base + WRITE_MODE] != queue:
        return False
    if i + WORTHWHILE > requests.shape[0]:
        return False
    for k in range(i + 1, i + WORTHWHILE):
        if requests[k, 2] != requests[i, 2] or requests[k, 1] != requests[i, 1]:
            return False
    return table[T_ROW_HIT_FIRST] == 0 and not would_switch(s, base, table)


@inlined
def limit_of_others(s, base, table, now):
    """The earliest tick in which anything but a queued hit may issue."""
    row = min(first_of_kind(s, base, table, ACT, now, ANY_TICK), first_of_kind(s, base, table, PRE, now, ANY_TICK))
    return min(s[base + DUE], tick_of(min(row, first_active(s, base, table, now)), now))


@inlined
def pitch(table, queue, lane, other):
    """Ticks between a column command to a bank and one of the same kind to another."""
    n_lanes = table[T_LANES]
    return table[T_LATENCY + (queue * 5 * n_lanes + lane) * n_lanes + other]


@inlined
def stream_lanes(s, base, table, queue):
    """The one bank, or the two, with hits in the queue (the same twice if it is one); NIL if that is not so, or if
    requests for other rows wait there."""
    place = base + queue * STRIDE
    n_hits = s[base + N_KIND] + s[base + N_KIND + 1] - s[base + N_ACTIVE]
    if n_hits < 1 or n_hits > 2:
        return NIL, NIL
    lane, other = NIL, NIL
    for k in range(table[T_LANES]):
        if is_queued_hit(s, base, queue, k):
            if s[place + OTHER + k] != NIL:
                return NIL, NIL
            lane, other = other, k
            n_hits -= 1
            if n_hits == 0:
                break
    return (other, other) if lane == NIL else (lane, other)


@inlined
def joins_a_list(s, base, queue, lane, row):
    """Whether a request changes nothing but its bank's list: it waits behind another, or behind an activated one."""
    if s[base + OPEN + lane] != row:
        return s[base + OTHER + queue * STRIDE + lane] != NIL
    active = s[base + ACTIVE + lane] & SLOT_MASK
    is_behind = active != NIL and s[base + IS_WRITE + active] == queue
    return is_behind or s[base + HIT + queue * STRIDE + lane] != NIL


@inlined
def next_turns(s, base, table, queue, lane, other, to):
    """How one or two banks with hits take turns, while requests for `to` come in: the bank served first, the other (the
    same if the first is served alone), the first tick, the ticks to the second, and from there to the third, as long as
    it goes on. NIL for the banks if it is not so plain."""
    place = base + queue * STRIDE
    now = s[base + CLK] + 1
    cyc, cyc2 = max(s[place + READY + lane], now), max(s[place + READY + other], now)
    own, across = max(1, pitch(table, queue, lane, lane)), max(1, pitch(table, queue, lane, other))
    if lane == other:
        return lane, lane, cyc, own, own
    head, head2 = s[place + HEAD + lane] & SLOT_MASK, s[place + HEAD + other] & SLOT_MASK
    if cyc2 < cyc or (cyc2 == cyc and s[base + KEY + head2] < s[base + KEY + head]):
        lane, other, cyc, cyc2, head2 = other, lane, cyc2, cyc, head
    step = max(cyc2 - cyc, across)
    if across < own and (step + across <= own or step == across):
        return lane, other, cyc, step, max(own - step, across)
    tail = s[place + TAIL + lane] & SLOT_MASK
    if across >= own and to != lane and s[base + KEY + tail] < s[base + KEY + head2]:
        # Both are ready at once, and all of the first bank's are older.
        return lane, lane, cyc, own, own
    return NIL, NIL, cyc, own, own


@inlined
def note_data(s, base, latency, request, arrived, depart, nth):
    """Data of the `nth` read will be there at a tick; returns its latency."""
    taken = depart - arrived
    latency[request] = taken
    ring = base + RING + 2 * (nth & (RING_SIZE - 1))
    s[ring], s[ring + 1] = depart, taken
    return taken


@inlined
def refill(s, base, slot, key, row, address, request, clk, tail):
    """A slot's request has been served; another takes the slot, and joins a list behind `tail`."""
    s[base + NEXT + tail] = slot
    s[base + BEFORE + slot] = tail
    s[base + KEY + slot] = key
    s[base + ROW + slot] = row
    s[base + REQUEST + slot] = request
    s[base + ARRIVED + slot] = clk
    s[base + COUNTED + slot] = 0
    s[base + ADDRESS + slot] = address


@inlined
def settle_head(s, base, queue, lane, head):
    """A bank's list begins with another hit, or is empty."""
    place = base + queue * STRIDE + lane
    s[place + HEAD] = head
    s[place + HIT] = head
    s[base + BEFORE + head] = NIL
    if head == NIL:
        s[place + TAIL] = NIL
    set_order(s, base, queue, lane, s[base + KEY + head] | queue << KIND_SHIFT | lane)


@inlined
def settle_tail(s, base, queue, lane, row, first, last):
    """A bank's list has grown by requests for a row, from slot `first` to slot `last`."""
    place = base + queue * STRIDE + lane
    s[base + NEXT + last] = NIL
    s[place + TAIL] = last
    if s[place + HEAD] == NIL:
        s[place + HEAD] = first
    if s[base + OPEN + lane] == row and s[place + HIT] == NIL:
        s[place + HIT] = first


@inlined
def count_stream(s, base, queue, n_served, n_counted, latencies, digest, cyc):
    """Add a stream that ended in tick `cyc` to the statistics; `n_counted` of its requests had been counted before."""
    s[base + CLK], s[base + LAST_COLUMN], s[base + DIGEST] = cyc, cyc, digest
    s[base + AGE] += n_served
    s[base + HITS] += n_served - n_counted
    s[base + READS + queue] += n_served
    s[base + COUNTS + queue] += n_served
    if queue == RD:
        s[base + LATENCY_SUM] += latencies
        s[base + FINISHED] += n_served


@inlined
def serve_in_turn(s, base, table, requests, latency, issue, front, queue, lane, other, cyc, step, step2, limit):
    """Serve hits of one bank, or of two in turn, until a tick or the end of a bank's list; each lets in one more
    request of the same row as the first. Returns whether it served any."""
    i = front[F_NEXT] & REQUEST_MASK
    first_i = i
    row, where = requests[i, 1], requests[i, 2]
    to = (where >> 1) & LANE_MASK
    place = base + queue * STRIDE
    head, head2 = s[place + HEAD + lane] & SLOT_MASK, s[place + HEAD + other] & SLOT_MASK
    newcomer, tail = head, s[place + TAIL + to] & SLOT_MASK
    age = s[base + AGE] - i
    bank, bank2, code = table[T_BANK + lane], table[T_BANK + other], table[T_COMMAND + queue]
    lag, finished = table[T_READ_LATENCY], s[base + FINISHED] - i
    n_counted, latencies, digest = 0, 0, s[base + DIGEST]
    filters = s[base + N_WRITE] > 0
    n = requests.shape[0]
    while i < n and cyc < limit and head != NIL and requests[i, 2] == where and requests[i, 1] == row:
        address = requests[i, 0]
        if filters and s[base + FILTER + filter_place(address)] > 0:
            break
        slot = head
        head = s[base + NEXT + slot] & SLOT_MASK
        request = s[base + REQUEST + slot] & REQUEST_MASK
        issue[request] = cyc
        n_counted += s[base + COUNTED + slot]
        if queue == RD:
            latencies += note_data(s, base, latency, request, s[base + ARRIVED + slot], cyc + lag, finished + i)
        else:
            s[base + FILTER + filter_place(s[base + ADDRESS + slot])] -= 1
            s[base + FILTER + filter_place(address)] += 1
        digest = (((digest ^ cyc) * FNV_PRIME ^ code) * FNV_PRIME ^ bank) * FNV_PRIME
        refill(s, base, slot, QUEUED | (age + i) << AGE_SHIFT, row, address, i, cyc, tail)
        tail = slot
        cyc += step
        if lane != other:
            head, head2, bank, bank2, step, step2 = head2, head, bank2, bank, step2, step
        i += 1
    n_served = i - first_i
    if n_served == 0:
        return False
    front[F_NEXT] = i
    # The end of a list may be the begin of another stream; what else ended this one takes a command to be over.
    front[F_STREAM_FROM] = i if head == NIL else i + 1
    settle_tail(s, base, queue, to, row, newcomer, tail)
    if lane != other:
        if n_served & 1:
            lane, other = other, lane
        settle_head(s, base, queue, other, head2)
        if n_served > 1:
            raise_ready(s, base, table, queue, lane, cyc - step - step2)
    settle_head(s, base, queue, lane, head)
    raise_ready(s, base, table, queue, other, cyc - step2)
    count_stream(s, base, queue, n_served, n_counted, latencies, digest, cyc - step2)
    return True


@jit
def stream_hits(s, base, table, requests, latency, issue, front, queue):
    """Serve hits, and take in those that follow, while the stream lasts; returns whether it took any.

    The queue is full, and the front end holds its next request, number `front[F_NEXT]`, for it; that number goes on.
    """
    apart()
    base &= BASE_MASK
    i = front[F_NEXT]
    to = (requests[i, 2] >> 1) & LANE_MASK
    if not joins_a_list(s, base, queue, to, requests[i, 1]):
        return False
    lane, other = stream_lanes(s, base, table, queue)
    if lane == NIL:
        return False
    lane, other, cyc, step, step2 = next_turns(s, base, table, queue, lane, other, to)
    if lane == NIL or (to == lane and s[base + NEXT + s[base + HEAD + queue * STRIDE + lane]] == NIL):
        return False
    limit = limit_of_others(s, base, table, s[base + CLK] + 1)
    return serve_in_turn(s, base, table, requests, latency, issue, front, queue, lane, other, cyc, step, step2, limit)
