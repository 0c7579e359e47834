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
    PENDING,
    PRE,
    PRE_ALL,
    PRIO,
    PRIO_HEAD,
    PRIO_LENGTH,
    PRIO_SIZE,
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
from simulator.kernels.vectors import LANES, first_of

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
    return min(activate, first_of_kind(s, base, table, PRE, now, 0))


@jit
def first_active(s, base, table, now):
    """The first column command of active requests alone."""
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
def maintain(s, base, table, latency, issue, flight, log, front, channel, limit):
    """One step while maintenance waits (one bus): active requests first, then the head of the maintenance queue."""
    now = s[base + CLK] + 1
    head = base + PRIO + 2 * (s[base + PRIO_HEAD] & (PRIO_SIZE - 1))
    lane = s[head + 1]
    command = maintenance_command(s, base, table)
    column = first_active(s, base, table, now)
    column_cyc = tick_of(column, now)
    ready = NEVER
    if may_close(s, base, table, command, lane):
        ready = maintenance_ready(s, base, table, command, lane, now)
    cyc = min(column_cyc, ready)
    check_patience(s, base, table, front, min(cyc, limit))
    if cyc > limit:
        s[base + CLK] = limit
        return
    s[base + CLK] = cyc
    if column_cyc <= ready:
        serve_column(s, base, table, latency, issue, flight, log, front, channel, column, cyc)
    else:
        serve_maintenance(s, base, table, log, front, channel, command, lane, cyc)


@inlined
def advance_one_bus(s, base, table, latency, issue, flight, log, front, channel, limit, wait):
    """One command a tick."""
    room = log.shape[0] - SPARE_LOG if log.shape[0] > 0 else NEVER
    order = s[base + BEST_ORDER]
    while s[base + CLK] < limit and front[F_LOGGED] < room and front[F_STATUS] == RUNNING:
        now = s[base + CLK] + 1
        while s[base + DUE] <= now:
            ask_for_refresh(s, base, table, front)
        if s[base + PRIO_LENGTH] > 0:
            maintain(s, base, table, latency, issue, flight, log, front, channel, limit)
            if wait == WAIT_DRAINED and s[base + PENDING] == 0:
                return
            continue
        if would_switch(s, base, table) and tick_of(first_active(s, base, table, now), now) > now:
            switch_mode(s, base, table)
        if s[base + BEST_OK] == 0:
            first = the_only_one(s, base, order, now)
            if first == NONE:
                first = min(first_column(s, base, table, now), first_row(s, base, table, now))
            s[base + BEST_CYC] = tick_of(first, now)
            s[base + BEST_ORDER] = first & ((1 << SHIFT) - 1)
            s[base + BEST_OK] = 1
        cyc = s[base + BEST_CYC]
        if cyc > limit or cyc >= s[base + DUE]:
            s[base + CLK] = min(limit, s[base + DUE] - 1)
            continue
        order = s[base + BEST_ORDER]
        s[base + CLK] = cyc
        kind = (order >> KIND_SHIFT) & 3
        if kind <= WR:
            freed = serve_column(s, base, table, latency, issue, flight, log, front, channel, order, cyc)
        else:
            freed = serve_row(s, base, table, log, front, channel, order, cyc)
        if is_over(s, base, wait, freed):
            return


@jit
def advance_two_buses(s, base, table, latency, issue, flight, log, front, channel, limit, wait):
    """In every tick a column command and a row command; on half clocks (`T_ODD`) columns, activations and refreshes
    only in odd ticks."""
    room = log.shape[0] - SPARE_LOG if log.shape[0] > 0 else NEVER
    odd = table[T_ODD]
    while s[base + CLK] < limit and front[F_LOGGED] < room and front[F_STATUS] == RUNNING:
        now = s[base + CLK] + 1
        while s[base + DUE] <= now:
            ask_for_refresh(s, base, table, front)
        maintains = s[base + PRIO_LENGTH] > 0
        until = limit
        if maintains:
            check_patience(s, base, table, front, now)
            column = first_active(s, base, table, now)
            head = base + PRIO + 2 * (s[base + PRIO_HEAD] & (PRIO_SIZE - 1))
            lane = s[head + 1]
            command = maintenance_command(s, base, table)
            row_cyc = NEVER
            if may_close(s, base, table, command, lane):
                row_cyc = maintenance_ready(s, base, table, command, lane, now)
                if command > PRE_ALL:
                    row_cyc |= odd
            row = NONE
        else:
            if would_switch(s, base, table) and tick_of(first_active(s, base, table, now), now) > now:
                switch_mode(s, base, table)
            column = first_column(s, base, table, now)
            row = first_row(s, base, table, now)
            row_cyc = tick_of(row, now)
            until = min(limit, s[base + DUE] - 1)
        column_cyc = tick_of(column, now)
        cyc = min(column_cyc, row_cyc)
        if cyc > until:
            s[base + CLK] = until
            continue
        s[base + CLK] = cyc
        over = False
        if column_cyc == cyc:
            freed = serve_column(s, base, table, latency, issue, flight, log, front, channel, column, cyc)
            over = is_over(s, base, wait, freed)
        if maintains:
            if column_cyc == cyc:
                row_cyc = NEVER
                command = maintenance_command(s, base, table)
                if may_close(s, base, table, command, lane):
                    row_cyc = maintenance_ready(s, base, table, command, lane, cyc)
                    if command > PRE_ALL:
                        row_cyc |= odd
            if row_cyc == cyc:
                serve_maintenance(s, base, table, log, front, channel, command, lane, cyc)
        else:
            if column_cyc == cyc:
                if would_switch(s, base, table):
                    switch_mode(s, base, table)
                row = first_row(s, base, table, cyc)
                row_cyc = tick_of(row, cyc)
            if row_cyc == cyc:
                freed = serve_row(s, base, table, log, front, channel, row & ((1 << SHIFT) - 1), cyc)
                over = over or is_over(s, base, wait, freed)
        if over:
            return


@inlined
def serve_in_step(s, base, table, latency, issue, flight, log, front, channel, order, now):
    """A column command of LPDDR5, or the CAS that must go before it where the data clock is out of step."""
    if now < s[base + SYNC_END] or table[T_ALWAYS_IN_SYNC]:
        return serve_column(s, base, table, latency, issue, flight, log, front, channel, order, now)
    lane = order & LANE_MASK
    kind = (order >> KIND_SHIFT) & 1
    slot = s[base + ACTIVE + lane] if order & QUEUED == 0 else s[base + HIT + kind * STRIDE + lane]
    s[base + SYNCED] = order
    note_command(s, base, table, log, front, channel, CAS_RD + kind, lane, s[base + REQUEST + (slot & SLOT_MASK)], now)
    return NO_WAIT


@jit
def advance_split(s, base, table, latency, issue, flight, log, front, channel, limit, wait):
    """LPDDR5: activation in two commands, and a data clock that must be in step before a column command."""
    room = log.shape[0] - SPARE_LOG if log.shape[0] > 0 else NEVER
    while s[base + CLK] < limit and front[F_LOGGED] < room and front[F_STATUS] == RUNNING:
        now = s[base + CLK] + 1
        while s[base + DUE] <= now:
            ask_for_refresh(s, base, table, front)
        if s[base + SYNCED] >= 0:
            order = s[base + SYNCED]
            kind = (order >> KIND_SHIFT) & 1
            cyc = max(now, s[base + READY + kind * STRIDE + (order & LANE_MASK)])
            if cyc > limit:
                s[base + CLK] = limit
                continue
            s[base + CLK] = cyc
            s[base + SYNCED] = -1
            freed = serve_column(s, base, table, latency, issue, flight, log, front, channel, order, cyc)
            if is_over(s, base, wait, freed):
                return
            continue
        activating = s[base + ACTIVATING_SLOT] != NIL
        until = limit
        if activating:
            until = now
            if s[base + ACT2_BY] <= now:
                s[base + CLK] = now
                serve_second_activate(s, base, table, log, front, channel, now)
                continue
        maintains = s[base + PRIO_LENGTH] > 0
        row_cyc = NEVER
        command, lane = 0, 0
        if maintains:
            check_patience(s, base, table, front, now)
            first = first_active(s, base, table, now)
            lane = s[base + PRIO + 2 * (s[base + PRIO_HEAD] & (PRIO_SIZE - 1)) + 1]
            command = maintenance_command(s, base, table)
            if may_close(s, base, table, command, lane):
                row_cyc = maintenance_ready(s, base, table, command, lane, now)
        else:
            if would_switch(s, base, table) and tick_of(first_active(s, base, table, now), now) > now:
                switch_mode(s, base, table)
            first = min(first_column(s, base, table, now), first_of_kind(s, base, table, PRE, now, 0))
            if not activating:
                first = min(first, first_of_kind(s, base, table, ACT, now, 0))
                until = min(limit, s[base + DUE] - 1)
        first_cyc = tick_of(first, now)
        cyc = min(first_cyc, row_cyc)
        if cyc > until:
            if activating:
                s[base + CLK] = now
                serve_second_activate(s, base, table, log, front, channel, now)
            else:
                s[base + CLK] = until
            continue
        s[base + CLK] = cyc
        if row_cyc < first_cyc:
            serve_maintenance(s, base, table, log, front, channel, command, lane, cyc)
            continue
        order = first & ((1 << SHIFT) - 1)
        kind = (order >> KIND_SHIFT) & 3
        if kind <= WR:
            needs_cas = cyc >= s[base + SYNC_END] and not table[T_ALWAYS_IN_SYNC]
            if activating and needs_cas and s[base + ACT2_BY] <= cyc + 1:
                serve_second_activate(s, base, table, log, front, channel, cyc)
                continue
            freed = serve_in_step(s, base, table, latency, issue, flight, log, front, channel, order, cyc)
            if needs_cas:
                continue
        else:
            freed = serve_row(s, base, table, log, front, channel, order, cyc)
        if is_over(s, base, wait, freed):
            return
