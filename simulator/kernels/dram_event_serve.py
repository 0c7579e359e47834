"""Commands of the event-driven DRAM controller: what each does to ready times, banks, requests and statistics."""

from simulator.kernels.dram_event_queues import (
    close_lane,
    free_slot,
    next_of_row,
    open_lane,
    refresh_lane,
    set_order,
    unlink,
)
from simulator.kernels.dram_event_state import (
    ACT,
    ACT2,
    ACT2_BY,
    ACTIVATING,
    ACTIVATING_LANE,
    ACTIVATING_SLOT,
    ACTIVE,
    ALL_BANKS,
    ARRIVED,
    BEST_OK,
    CLOSED,
    CONFLICTS,
    COUNTED,
    COUNTS,
    DIGEST,
    F_FLYING,
    F_LOGGED,
    F_UNISSUED,
    FINISHED,
    HIT,
    HITS,
    KEY,
    KIND_SHIFT,
    LANE_MASK,
    LAST,
    LAST_COLUMN,
    LATENCY_SUM,
    MISSES,
    N_ACTIVE,
    N_RULED,
    NEXT,
    NIL,
    NO_REQUEST,
    NO_WAIT,
    NOT_AT_ALL,
    OPEN,
    OTHER,
    PRE,
    PRE_ALL,
    PRIO,
    PRIO_HEAD,
    PRIO_LENGTH,
    PRIO_SIZE,
    QUEUED,
    RD,
    READS,
    READY,
    RECENT,
    REF_ALL,
    REFRESHES,
    REQUEST,
    RING,
    RING_SIZE,
    ROW,
    SLOT_MASK,
    SPLIT_ACTIVATE,
    STRIDE,
    SYNC_END,
    T_ACT2_WITHIN,
    T_BANK,
    T_COMMAND,
    T_CONTROLLER,
    T_FE_RATIO,
    T_FOUR_ACT,
    T_HOW,
    T_LANES,
    T_LANES_PER_RANK,
    T_LATENCY,
    T_OWN,
    T_READ_LATENCY,
    T_ROW_HIT_FIRST,
    T_SYNC_READ,
    T_VECTORS,
    T_WAIT_AT,
    T_WINDOW,
    WRITE_MODE,
    inlined,
    jit,
)
from simulator.kernels.vectors import LANES, apart, raise_by_row, raise_to

FNV_PRIME = 1099511628211


@inlined
def note_command(s, base, table, log, front, channel, command, lane, request, now):
    """Count a command, mix it into the digest, and log it where a log is kept."""
    bank = table[T_BANK + lane]
    digest = (s[base + DIGEST] ^ now) * FNV_PRIME
    digest = (digest ^ table[T_COMMAND + command]) * FNV_PRIME
    s[base + DIGEST] = (digest ^ bank) * FNV_PRIME
    s[base + COUNTS + command] += 1
    if log.shape[0] > 0:
        k = front[F_LOGGED]
        log[k, 0] = now
        log[k, 1] = table[T_COMMAND + command]
        log[k, 2] = bank
        log[k, 3] = request
        log[k, 4] = channel
        front[F_LOGGED] = k + 1


@inlined
def raise_ready(s, base, table, command, lane, now):
    """Raise the earliest ticks of the four kinds of candidates after a command."""
    n_lanes = table[T_LANES]
    for kind in range(4):
        how = table[T_HOW + command * 4 + kind]
        place = base + READY + kind * STRIDE
        if how == ALL_BANKS:
            row = T_LATENCY + ((command * 4 + kind) * n_lanes + lane) * n_lanes
            for vector in range(table[T_VECTORS]):
                raise_by_row(s, place + vector * LANES, table, row + vector * LANES, now)
        elif how != NOT_AT_ALL:
            s[place + lane] = max(s[place + lane], now + table[T_OWN + command * 4 + kind])
    s[base + LAST + command * STRIDE + lane] = now
    s[base + BEST_OK] = 0


@inlined
def four_activations(s, base, table, lane, now):
    """The activation after four of a rank waits for the window that they opened."""
    rank = lane // table[T_LANES_PER_RANK]
    ring = base + RECENT + rank * 8
    newest = s[ring + 4] & 3
    oldest = (newest + 1) & 3
    s[ring + newest] = now
    s[ring + 4] = oldest
    least = s[ring + oldest] + table[T_FOUR_ACT]
    first = base + READY + ACT * STRIDE + rank * table[T_LANES_PER_RANK]
    for vector in range(table[T_LANES_PER_RANK] // LANES):
        raise_to(s, first + vector * LANES, least)


@inlined
def finish_read(s, base, table, latency, flight, front, request, arrived, depart):
    """Data of a read will be there at `depart`."""
    latency[request] = depart - arrived
    s[base + LATENCY_SUM] += depart - arrived
    k = s[base + FINISHED]
    place = base + RING + 2 * (k & (RING_SIZE - 1))
    s[place] = depart
    s[place + 1] = depart - arrived
    s[base + FINISHED] = k + 1
    if table[T_WINDOW] > 0:
        n_flying = front[F_FLYING]
        flight[n_flying] = depart
        front[F_UNISSUED] -= 1
        front[F_FLYING] = n_flying + 1


@inlined
def serve_column(s, base, table, latency, issue, flight, log, front, channel, order, now):
    """Issue the column command of a candidate; returns the queue in which a slot became free, NO_WAIT for none."""
    lane = order & LANE_MASK
    kind = (order >> KIND_SHIFT) & 1
    is_queued = order & QUEUED
    queue_lane = base + kind * STRIDE + lane
    freed = NO_WAIT
    if is_queued:
        slot = s[queue_lane + HIT] & SLOT_MASK
        unlink(s, base, kind, lane, slot)
        s[queue_lane + HIT] = next_of_row(s, base, s[base + NEXT + slot] & SLOT_MASK, s[base + OPEN + lane])
        s[base + HITS] += 1 - s[base + COUNTED + slot]
        freed = kind
    else:
        slot = s[base + ACTIVE + lane] & SLOT_MASK
        s[base + ACTIVE + lane] = NIL
        s[base + N_ACTIVE] -= 1
    request = s[base + REQUEST + slot]
    issue[request] = now
    s[base + READS + kind] += 1
    if kind == RD:
        arrived = s[base + ARRIVED + slot]
        finish_read(s, base, table, latency, flight, front, request, arrived, now + table[T_READ_LATENCY])
    s[base + SYNC_END] = max(s[base + SYNC_END], now + table[T_SYNC_READ + kind])
    s[base + LAST_COLUMN] = now
    free_slot(s, base, slot)
    raise_ready(s, base, table, kind, lane, now)
    if is_queued and not table[T_ROW_HIT_FIRST]:
        hit = s[queue_lane + HIT] & SLOT_MASK
        set_order(s, base, kind, lane, s[base + KEY + hit] | kind << KIND_SHIFT | lane)
    else:
        refresh_lane(s, base, table, lane)
    note_command(s, base, table, log, front, channel, kind, lane, request, now)
    return freed


@jit
def order_active(s, base, table, slot):
    """Of active requests that arrived in one tick, the one activated first is served first: exchange their ages."""
    apart()
    while True:
        # The least age above ours comes down to us, until ours is the greatest.
        least, its_lane = NIL, 0
        for lane in range(table[T_LANES]):
            other = s[base + ACTIVE + lane] & SLOT_MASK
            if (
                other != NIL
                and s[base + ARRIVED + other] == s[base + ARRIVED + slot]
                and s[base + KEY + other] > s[base + KEY + slot]
                and (least == NIL or s[base + KEY + other] < s[base + KEY + least])
            ):
                least, its_lane = other, lane
        if least == NIL:
            return
        key = s[base + KEY + least]
        s[base + KEY + least] = s[base + KEY + slot]
        s[base + KEY + slot] = key
        refresh_lane(s, base, table, its_lane)


@inlined
def make_active(s, base, table, lane, slot):
    """A row is open for a request: it waits, before all others, for its column."""
    s[base + ACTIVE + lane] = slot
    s[base + N_ACTIVE] += 1
    open_lane(s, base, lane, s[base + ROW + slot])
    if table[T_FE_RATIO] > 1:
        order_active(s, base, table, slot)
    refresh_lane(s, base, table, lane)


@inlined
def serve_row(s, base, table, log, front, channel, order, now):
    """Issue the activation or precharge of a queued candidate; returns the queue in which a slot became free."""
    lane = order & LANE_MASK
    queue = s[base + WRITE_MODE] & 1
    slot = s[base + OTHER + queue * STRIDE + lane] & SLOT_MASK
    first_time = 1 - s[base + COUNTED + slot]
    s[base + COUNTED + slot] = 1
    request = s[base + REQUEST + slot]
    freed = NO_WAIT
    if (order >> KIND_SHIFT) & 3 == ACT:
        command = ACT
        s[base + MISSES] += first_time
        unlink(s, base, queue, lane, slot)
        freed = queue
        raise_ready(s, base, table, ACT, lane, now)
        four_activations(s, base, table, lane, now)
        if table[T_CONTROLLER] == SPLIT_ACTIVATE:
            s[base + OPEN + lane] = ACTIVATING
            s[base + ACTIVATING_SLOT] = slot
            s[base + ACTIVATING_LANE] = lane
            s[base + ACT2_BY] = now + table[T_ACT2_WITHIN]
            refresh_lane(s, base, table, lane)
        else:
            make_active(s, base, table, lane, slot)
    else:
        command = PRE
        s[base + CONFLICTS] += first_time
        close_lane(s, base, lane)
        raise_ready(s, base, table, PRE, lane, now)
        refresh_lane(s, base, table, lane)
    note_command(s, base, table, log, front, channel, command, lane, request, now)
    return freed


@inlined
def serve_second_activate(s, base, table, log, front, channel, now):
    """ACT2: the row whose activation was begun is open."""
    lane = s[base + ACTIVATING_LANE] & LANE_MASK
    slot = s[base + ACTIVATING_SLOT] & SLOT_MASK
    s[base + ACTIVATING_SLOT] = NIL
    make_active(s, base, table, lane, slot)
    note_command(s, base, table, log, front, channel, ACT2, lane, s[base + REQUEST + slot], now)


@inlined
def maintenance_lane(s, base):
    """The (first) bank that the head of the maintenance queue addresses."""
    return s[base + PRIO + 2 * (s[base + PRIO_HEAD] & (PRIO_SIZE - 1)) + 1] & LANE_MASK


@inlined
def maintenance_command(s, base, table):
    """What the head of the maintenance queue needs next: a precharge of what is open in its scope, or what it asks."""
    command = s[base + PRIO + 2 * (s[base + PRIO_HEAD] & (PRIO_SIZE - 1))]
    lane = maintenance_lane(s, base)
    if command == REF_ALL:
        for other in range(lane, lane + table[T_LANES_PER_RANK]):
            if s[base + OPEN + other] != CLOSED:
                return PRE_ALL
        return REF_ALL
    return PRE if s[base + OPEN + lane] != CLOSED else command


@inlined
def maintenance_ready(s, base, table, command, lane, now):
    """Earliest tick, from `now` on, of a maintenance command; of PRE the ready table knows, others look back."""
    ready = now
    if command == PRE:
        return max(ready, s[base + READY + PRE * STRIDE + lane])
    n_lanes = table[T_LANES]
    for preceding in range(N_RULED):
        row = table[T_WAIT_AT] + (((command - PRE_ALL) * N_RULED + preceding) * n_lanes + lane) * n_lanes
        last = base + LAST + preceding * STRIDE
        for other in range(n_lanes):
            ready = max(ready, s[last + other] + table[row + other])
    return ready


@inlined
def may_close(s, base, table, command, lane):
    """Whether no bank that a maintenance command addresses is open, or being opened, for a request that waits."""
    first, last = lane, lane + 1
    if command == PRE_ALL or command == REF_ALL:
        last = lane + table[T_LANES_PER_RANK]
    for other in range(first, last):
        if s[base + ACTIVE + other] != NIL or s[base + OPEN + other] == ACTIVATING:
            return False
    return True


@jit
def serve_maintenance(s, base, table, log, front, channel, now):
    """Issue what the head of the maintenance queue needs; a refresh leaves it."""
    apart()
    lane = maintenance_lane(s, base)
    command = maintenance_command(s, base, table)
    last = lane + 1
    if command == PRE_ALL or command == REF_ALL:
        last = lane + table[T_LANES_PER_RANK]
    raise_ready(s, base, table, command, lane, now)
    for other in range(lane, last):
        s[base + LAST + command * STRIDE + other] = now
        if command == PRE_ALL or command == PRE:
            close_lane(s, base, other)
            refresh_lane(s, base, table, other)
    if command != PRE_ALL and command != PRE:
        s[base + PRIO_HEAD] += 1
        s[base + PRIO_LENGTH] -= 1
        s[base + REFRESHES] += 1
    note_command(s, base, table, log, front, channel, command, lane, NO_REQUEST, now)
