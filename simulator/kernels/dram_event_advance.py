"""The event-driven controllers: from one tick in which a command can issue to the next.

`advance_*` take a channel from tick `CLK` to `limit`, or return at the end of a tick in which what `wait` names has
happened. They rely on this: write mode, evaluated twice with the same queues, does not change twice, so that it need
be looked at only in the first tick after a queue has changed; and nothing but an issue, an arrival or a refresh that
falls due changes what may issue.
"""

from simulator.kernels.dram_event_queues import switch_mode, would_switch
from simulator.kernels.dram_event_refresh import ask_for_refresh
from simulator.kernels.dram_event_serve import (
    maintenance_command,
    maintenance_lane,
    maintenance_ready,
    may_close,
    note_command,
    serve_column,
    serve_maintenance,
    serve_row,
    serve_second_activate,
)
from simulator.kernels.dram_event_state import (
    ACT,
    ACT2_BY,
    ACTIVATING_SLOT,
    ACTIVE,
    ANY_TICK,
    BASE_MASK,
    BEST_CYC,
    BEST_OK,
    BEST_ORDER,
    CAS_RD,
    CLK,
    DUE,
    F_LOGGED,
    F_STATUS,
    HIT,
    IS_WRITE,
    KIND_SHIFT,
    LANE_MASK,
    LAST_COLUMN,
    N_ACTIVE,
    N_KIND,
    NEVER,
    NIL,
    NO_WAIT,
    NONE,
    ORDER,
    ORDER_MASK,
    PENDING,
    PRE,
    PRE_ALL,
    PRIO_LENGTH,
    QUEUED,
    RD,
    READY,
    REQUEST,
    RUNNING,
    SHIFT,
    SLOT_MASK,
    STARVED,
    STRIDE,
    SYNC_END,
    SYNCED,
    T_ALWAYS_IN_SYNC,
    T_LANES,
    T_ODD,
    T_PATIENCE,
    T_VECTORS,
    WAIT_DRAINED,
    WR,
    inlined,
    jit,
)
from simulator.kernels.vectors import LANES, apart, first_of

SPARE_LOG = 16  # rows that one step may log


@inlined
def first_of_kind(s, base, table, kind, now, odd):
    """The candidate of a kind that comes first: ticks after `now` and order, NONE if there is none."""
    best = NONE
    if s[base + N_KIND + kind] > 0:
        place = base + kind * STRIDE
        for vector in range(table[T_VECTORS]):
            at = place + vector * LANES
            best = min(best, first_of(s, at + READY, at + ORDER, now, odd, SHIFT))
    return best


@inlined
def first_column(s, base, table, now):
    """The first of all column commands, active requests before queued ones."""
    odd = table[T_ODD]
    return min(first_of_kind(s, base, table, RD, now, odd), first_of_kind(s, base, table, WR, now, odd))


@inlined
def first_row(s, base, table, now):
    """The first of all activations and precharges for the queue whose turn it is."""
    activate = first_of_kind(s, base, table, ACT, now, table[T_ODD])
    return min(activate, first_of_kind(s, base, table, PRE, now, ANY_TICK))


@jit
def first_active(s, base, table, now):
    """The first column command of active requests alone."""
    base &= BASE_MASK
    best = NONE
    if s[base + N_ACTIVE] == 0:
        return best
    odd = table[T_ODD]
    for lane in range(table[T_LANES]):
        slot = s[base + ACTIVE + lane] & SLOT_MASK
        if slot != NIL:
            kind = s[base + IS_WRITE + slot]
            ready = max(s[base + READY + kind * STRIDE + lane], now) | odd
            best = min(best, (ready - now) << SHIFT | s[base + ORDER + kind * STRIDE + lane])
    return best


@inlined
def the_only_one(s, base, order, now):
    """The candidate of the last one's bank and kind, if there is no other, as in a stream; else NONE."""
    kinds = base + N_KIND
    if s[kinds] + s[kinds + 1] + s[kinds + 2] + s[kinds + 3] != 1:
        return NONE
    place = base + ((order >> KIND_SHIFT) & 3) * STRIDE + (order & LANE_MASK)
    only = s[place + ORDER]
    if only >= NONE:
        return NONE
    return (max(s[place + READY], now) - now) << SHIFT | only


@inlined
def tick_of(first, now):
    """The tick of a candidate, NEVER of none."""
    return now + (first >> SHIFT) if first < NONE else NEVER


@inlined
def is_over(s, base, wait, freed):
    """Whether what the front end waits for has happened with this command."""
    if wait == NO_WAIT:
        return False
    return freed == wait or (wait == WAIT_DRAINED and s[base + PENDING] == 0)


@inlined
def check_patience(s, base, table, front, now):
    """Give up where refreshes leave no room for requests."""
    if s[base + PENDING] > 0 and now - s[base + LAST_COLUMN] > table[T_PATIENCE]:
        front[F_STATUS] = STARVED


@jit
def maintenance_cyc(s, base, table, front, now, limit):
    """The tick from `now` on in which the head of the maintenance queue may issue its next command; NEVER while it
    would close a bank on a request that waits."""
    apart()
    check_patience(s, base, table, front, now)
    lane = maintenance_lane(s, base)
    command = maintenance_command(s, base, table)
    if not may_close(s, base, table, command, lane):
        return NEVER
    cyc = maintenance_ready(s, base, table, command, lane, now)
    # Precharges alone may go on a falling edge of half clocks.
    return cyc if command == PRE or command == PRE_ALL else cyc | table[T_ODD]


@inlined
def find_best(s, base, table, now):
    """Make the best candidate of one bus known: its tick and order."""
    if s[base + BEST_OK] == 0:
        first = the_only_one(s, base, s[base + BEST_ORDER], now)
        if first == NONE:
            first = min(first_column(s, base, table, now), first_row(s, base, table, now))
        s[base + BEST_CYC] = tick_of(first, now)
        s[base + BEST_ORDER] = first & ORDER_MASK
        s[base + BEST_OK] = 1


@inlined
def turn_if_due(s, base, table, now):
    """Evaluate the write mode, unless an active request has the tick."""
    if would_switch(s, base, table) and tick_of(first_active(s, base, table, now), now) > now:
        switch_mode(s, base, table)


@inlined
def advance_one_bus(s, base, table, latency, issue, flight, log, front, channel, limit, wait):
    """One command a tick: active requests, then maintenance, then the queue whose turn it is."""
    room = log.shape[0] - SPARE_LOG if log.shape[0] > 0 else NEVER
    while s[base + CLK] < limit and front[F_LOGGED] < room and front[F_STATUS] == RUNNING:
        now = s[base + CLK] + 1
        while s[base + DUE] <= now:
            ask_for_refresh(s, base, table, front)
        if s[base + PRIO_LENGTH] > 0:
            column = first_active(s, base, table, now)
            order = column & ORDER_MASK
            cyc = tick_of(column, now)
            maintained = maintenance_cyc(s, base, table, front, now, limit)
            if maintained < cyc and maintained <= limit:
                s[base + CLK] = maintained
                serve_maintenance(s, base, table, log, front, channel, maintained)
                continue
            until = limit
        else:
            turn_if_due(s, base, table, now)
            find_best(s, base, table, now)
            cyc = s[base + BEST_CYC]
            order = s[base + BEST_ORDER]
            until = min(limit, s[base + DUE] - 1)
        if cyc > until:
            s[base + CLK] = until
            continue
        s[base + CLK] = cyc
        if (order >> KIND_SHIFT) & 3 <= WR:
            freed = serve_column(s, base, table, latency, issue, flight, log, front, channel, order, cyc)
        else:
            freed = serve_row(s, base, table, log, front, channel, order, cyc)
        if is_over(s, base, wait, freed):
            return


@inlined
def advance_two_buses(s, base, table, latency, issue, flight, log, front, channel, limit, wait):
    """In every tick a column command, then a row command; on half clocks (`T_ODD`) columns, activations and refreshes
    only in odd ticks."""
    room = log.shape[0] - SPARE_LOG if log.shape[0] > 0 else NEVER
    while s[base + CLK] < limit and front[F_LOGGED] < room and front[F_STATUS] == RUNNING:
        now = s[base + CLK] + 1
        while s[base + DUE] <= now:
            ask_for_refresh(s, base, table, front)
        maintains = s[base + PRIO_LENGTH] > 0
        row = NONE
        if maintains:
            column = first_active(s, base, table, now)
            row_cyc = maintenance_cyc(s, base, table, front, now, limit)
            until = limit
        else:
            turn_if_due(s, base, table, now)
            column = first_column(s, base, table, now)
            row = first_row(s, base, table, now)
            row_cyc = tick_of(row, now)
            until = min(limit, s[base + DUE] - 1)
        cyc = min(tick_of(column, now), row_cyc)
        if cyc > until:
            s[base + CLK] = until
            continue
        s[base + CLK] = cyc
        over = False
        if tick_of(column, now) == cyc:
            freed = serve_column(s, base, table, latency, issue, flight, log, front, channel, column & ORDER_MASK, cyc)
            over = is_over(s, base, wait, freed)
            # The row slot sees what the column slot did.
            if maintains:
                row_cyc = maintenance_cyc(s, base, table, front, cyc, limit)
            else:
                if would_switch(s, base, table):
                    switch_mode(s, base, table)
                row = first_row(s, base, table, cyc)
                row_cyc = tick_of(row, cyc)
        if row_cyc == cyc:
            if maintains:
                serve_maintenance(s, base, table, log, front, channel, cyc)
            else:
                freed = serve_row(s, base, table, log, front, channel, row & ORDER_MASK, cyc)
                over = over or is_over(s, base, wait, freed)
        if over:
            return


@inlined
def needs_sync(s, base, table, cyc):
    """Whether the data clock of LPDDR5 is out of step, so that a column command needs a CAS before it."""
    return cyc >= s[base + SYNC_END] and not table[T_ALWAYS_IN_SYNC]


@jit
def begin_sync(s, base, table, log, front, channel, order, now):
    """Issue the CAS of a candidate, whose column command then has the bus to itself."""
    lane = order & LANE_MASK
    kind = (order >> KIND_SHIFT) & 1
    slot = s[base + HIT + kind * STRIDE + lane] if order & QUEUED else s[base + ACTIVE + lane]
    s[base + SYNCED] = order
    request = s[base + REQUEST + (slot & SLOT_MASK)]
    note_command(s, base, table, log, front, channel, CAS_RD + kind, lane, request, now)


@jit
def choose_split(s, base, table, front, now, limit, activating):
    """The first candidate of LPDDR5 (-1: maintenance, NEVER for its tick if there is none): tick and order.

    While a second activation is outstanding, no other row is opened.
    """
    if s[base + PRIO_LENGTH] > 0:
        first = first_active(s, base, table, now)
        cyc = tick_of(first, now)
        maintained = maintenance_cyc(s, base, table, front, now, limit)
        return (maintained, -1) if maintained < cyc else (cyc, first & ORDER_MASK)
    turn_if_due(s, base, table, now)
    first = min(first_column(s, base, table, now), first_of_kind(s, base, table, PRE, now, ANY_TICK))
    if not activating:
        first = min(first, first_of_kind(s, base, table, ACT, now, ANY_TICK))
    return tick_of(first, now), first & ORDER_MASK


@inlined
def advance_split(s, base, table, latency, issue, flight, log, front, channel, limit, wait):
    """LPDDR5: one bus, activation in two commands, and a data clock that must be in step before a column command.

    A second activation has no rules: it fills the first tick that nobody else takes, or its deadline's.
    """
    room = log.shape[0] - SPARE_LOG if log.shape[0] > 0 else NEVER
    while s[base + CLK] < limit and front[F_LOGGED] < room and front[F_STATUS] == RUNNING:
        now = s[base + CLK] + 1
        while s[base + DUE] <= now:
            ask_for_refresh(s, base, table, front)
        order = s[base + SYNCED]
        activating = s[base + ACTIVATING_SLOT] != NIL
        until = limit
        if order >= 0:
            activating = False
            cyc = max(now, s[base + READY + ((order >> KIND_SHIFT) & 1) * STRIDE + (order & LANE_MASK)])
        elif activating and s[base + ACT2_BY] <= now:
            cyc = NEVER
        else:
            if s[base + PRIO_LENGTH] == 0 and not activating:
                until = min(limit, s[base + DUE] - 1)
            cyc, order = choose_split(s, base, table, front, now, limit, activating)
        is_column = order >= 0 and (order >> KIND_SHIFT) & 3 <= WR
        syncs = is_column and s[base + SYNCED] < 0 and needs_sync(s, base, table, cyc)
        if activating and (cyc > now or (syncs and s[base + ACT2_BY] <= now + 1)):
            s[base + CLK] = now
            serve_second_activate(s, base, table, log, front, channel, now)
            continue
        if cyc > until:
            s[base + CLK] = until
            continue
        s[base + CLK] = cyc
        freed = NO_WAIT
        if order < 0:
            serve_maintenance(s, base, table, log, front, channel, cyc)
        elif syncs:
            begin_sync(s, base, table, log, front, channel, order, cyc)
        elif is_column:
            s[base + SYNCED] = -1
            freed = serve_column(s, base, table, latency, issue, flight, log, front, channel, order, cyc)
        else:
            freed = serve_row(s, base, table, log, front, channel, order, cyc)
        if is_over(s, base, wait, freed):
            return
