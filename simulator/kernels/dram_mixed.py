"""One DRAM channel shared by host requests and a PIM program: who has the channel, tick by tick, quiet ticks left out.

The order within a tick: activated requests of the host; then refresh; then the side whose turn it is. A turn's end
costs what the standard's rules make it cost: the host's activated requests are served and all banks precharged before
PIM activates them all, and before the host is served PIM leaves register mode and its rows are closed.
"""

from simulator.kernels.dram_mixed_pim import (
    close_pim_rows,
    earliest,
    forget_lost_rows,
    pim_command,
    pim_waits,
    serve_pim,
    switch_mode,
)
from simulator.kernels.dram_mixed_state import (
    BY_REFRESH,
    FIRST_BANK,
    HOST,
    N_TALLY,
    NEVER,
    NO_ROW_LOST,
    O_RELEASE,
    P_DRAIN_TALLY,
    P_HOST_DRAIN,
    P_HOST_HITS_LOST,
    P_HOST_ROW_LOST,
    P_IDLE,
    P_MAX_WAIT,
    P_MODE_SWITCH,
    P_NEXT,
    P_OPERATION,
    P_PATIENCE,
    P_PROGRESS,
    P_REGISTER_MODE,
    P_ROWS_OPEN,
    P_SKIPS,
    P_TURN,
    P_TURNS,
    P_USED,
    P_WAITING_SINCE,
    PIM,
)
from simulator.kernels.dram_mixed_turns import choose_turn, host_waits
from simulator.kernels.dram_table import is_drained, note_stop
from simulator.kernels.dram_table_choice import first_ready_active, maintenance_command, next_command
from simulator.kernels.dram_table_controllers import maintain, serve, serve_queues
from simulator.kernels.dram_table_device import any_open
from simulator.kernels.dram_table_queues import entry_at, first_due, offer, take_finished
from simulator.kernels.dram_table_refresh import ask_for_maintenance
from simulator.kernels.dram_table_state import (
    ACT,
    ACTIVE_BUFFER,
    ALL_BANK,
    ANY_COMMAND,
    BANK,
    DRAINED,
    F_ARRIVING,
    F_HEAD,
    F_NOW,
    F_OUTSTANDING,
    F_STATUS,
    F_STOP,
    NO_REFRESH,
    OFFER_CYC,
    PRE_ALL,
    READ_QUEUE,
    READS,
    REFRESHES,
    ROW,
    RUNNING,
    S_DIGEST,
    S_DUE_LENGTH,
    S_LENGTH,
    S_WRITE_MODE,
    STARVED,
    T_CLOSED_ROWS,
    T_COUNTS,
    T_READ_LATENCY,
    T_REFI,
    T_REFRESH,
    T_WINDOW,
    WRITE_QUEUE,
    WRITES,
    jit,
    outermost_jit,
)


@jit
def serve_refresh(table, state, pim, now):
    """Refresh comes before either side, as soon as PIM is out of register mode."""
    if pim[P_REGISTER_MODE]:
        switch_mode(table, state, pim, BY_REFRESH, now)
        return
    n_refreshes = state[REFRESHES]
    if maintain(table, state, ANY_COMMAND, now):
        if not any_open(table, state, table[PRE_ALL], FIRST_BANK):
            pim[P_ROWS_OPEN] = 0
        if state[REFRESHES] > n_refreshes and table[T_REFRESH] == ALL_BANK:
            forget_lost_rows(table, pim)


@jit
def serve_host(table, state, requests, front, pim, program, now):
    """The host's turn: first what PIM left behind is cleared away, then its queues are served."""
    for_host = -2 - len(program)
    if pim[P_REGISTER_MODE] or pim[P_ROWS_OPEN]:
        if not host_waits(state):
            return
        if pim[P_REGISTER_MODE]:
            switch_mode(table, state, pim, for_host, now)
        else:
            close_pim_rows(table, state, pim, for_host, now)
        return
    n_activated = state[table[T_COUNTS] + table[ACT]]
    serve_queues(table, state, requests, front, ANY_COMMAND, now)
    if state[table[T_COUNTS] + table[ACT]] > n_activated:
        request = state[entry_at(table, ACTIVE_BUFFER, state[S_LENGTH + ACTIVE_BUFFER] - 1)]
        at = P_HOST_ROW_LOST + requests[request, BANK]
        if pim[at] == requests[request, ROW]:
            pim[P_HOST_HITS_LOST] += 1
        pim[at] = NO_ROW_LOST


@jit
def tick(table, state, requests, front, pim, program, now):
    """Issue at most one command."""
    n_columns = state[READS] + state[WRITES]
    place = first_ready_active(table, state, requests, now)
    if place >= 0:
        serve(table, state, requests, front, ACTIVE_BUFFER, place, ANY_COMMAND, now)
    elif state[S_DUE_LENGTH] > 0:
        serve_refresh(table, state, pim, now)
    else:
        choose_turn(state, pim, program, now)
        if pim[P_TURN] == HOST:
            serve_host(table, state, requests, front, pim, program, now)
        elif state[S_LENGTH + ACTIVE_BUFFER] == 0:
            serve_pim(table, state, pim, program, now)
    n_columns = state[READS] + state[WRITES] - n_columns
    if n_columns > 0:
        pim[P_PROGRESS] = now
        if pim[P_TURN] == HOST:
            pim[P_USED] += n_columns


@jit
def sooner(found, other, now):
    """The earlier of two ticks to visit, the other one only if it is still to come."""
    return other if now < other < found else found


@jit
def next_offer(table, requests, front, now):
    """When the front end may next have a request accepted, if no queue becomes shorter before."""
    found = NEVER
    head = front[F_HEAD]
    if head < len(requests):
        found = sooner(found, requests[head, OFFER_CYC], now)
    if table[T_WINDOW] > 0 and front[F_OUTSTANDING] > 0:
        n_slots = table[T_READ_LATENCY] + 2
        for ahead in range(n_slots):
            if front[F_ARRIVING + (now + ahead) % n_slots] > 0:
                return sooner(found, now + ahead + 1, now)
    return found


@jit
def next_of_host(table, state, requests, queue, now):
    """When some entry of a queue may next be legal."""
    found = NEVER
    for k in range(state[S_LENGTH + queue]):
        request = state[entry_at(table, queue, k)]
        command = next_command(table, state, requests, request)
        found = sooner(found, earliest(table, state, command, requests[request, BANK]), now)
    return found


@jit
def next_of_turn(table, state, requests, pim, program, now):
    """When the side whose turn it is may next issue a command."""
    if pim[P_TURN] == PIM:
        if not pim_waits(pim, program, now):
            return NEVER
        return sooner(NEVER, earliest(table, state, pim_command(table, state, pim, program), FIRST_BANK), now)
    if pim[P_REGISTER_MODE]:
        return sooner(NEVER, earliest(table, state, pim[P_MODE_SWITCH], FIRST_BANK), now)
    if pim[P_ROWS_OPEN]:
        return sooner(NEVER, earliest(table, state, table[PRE_ALL], FIRST_BANK), now)
    queue = WRITE_QUEUE if state[S_WRITE_MODE] else READ_QUEUE
    return next_of_host(table, state, requests, queue, now)


@jit
def next_event(table, state, requests, front, pim, program, now):
    """The first tick after a quiet one in which anything can happen; NEVER for none."""
    if table[T_CLOSED_ROWS]:
        return now + 1
    found = next_offer(table, requests, front, now)
    if table[T_REFRESH] != NO_REFRESH:
        found = sooner(found, (now // table[T_REFI] + 1) * table[T_REFI], now)
    found = sooner(found, next_of_host(table, state, requests, ACTIVE_BUFFER, now), now)
    if state[S_DUE_LENGTH] > 0:
        _, bank = first_due(table, state)
        command = pim[P_MODE_SWITCH] if pim[P_REGISTER_MODE] else maintenance_command(table, state)
        return sooner(found, earliest(table, state, command, bank), now)
    found = sooner(found, next_of_turn(table, state, requests, pim, program, now), now)
    at = pim[P_OPERATION]
    if at < len(program):
        found = sooner(found, program[at, O_RELEASE], now)
    if pim[P_MAX_WAIT] > 0 and pim[P_WAITING_SINCE] >= 0:
        found = sooner(found, pim[P_WAITING_SINCE] + pim[P_MAX_WAIT], now)
    return found


@jit
def note_end(state, states, requests, front, pim, program, now):
    """Whether the host, and whether both sides have nothing left; the host's statistics at its drain."""
    if pim[P_HOST_DRAIN] < 0 and is_drained(states, requests, front):
        pim[P_HOST_DRAIN] = now
        for k in range(N_TALLY):
            pim[P_DRAIN_TALLY + k] = state[k]
    if pim[P_HOST_DRAIN] >= 0 and pim[P_OPERATION] == len(program):
        front[F_STATUS] = DRAINED


@jit
def is_stuck(state, pim, program, now):
    """Whether a side has waited too long without any column command of either."""
    if pim[P_IDLE]:
        pim[P_PROGRESS] = now
    wanted = state[S_LENGTH + ACTIVE_BUFFER] > 0 or host_waits(state) or pim_waits(pim, program, now)
    pim[P_IDLE] = 0 if wanted else 1
    return now - pim[P_PROGRESS] > pim[P_PATIENCE]


@outermost_jit
def run_mixed(table, states, requests, front, pim, program, n_visits):
    """Visit at most `n_visits` more ticks, up to the last column command of the last side.

    table int64[words], states int64[1, words], requests int64[n, N_REQUEST] and front int64[words] as in `run_ticks`;
    pim int64[N_PIM + banks], program int64[k, N_OPERATION]: see `dram_mixed_state`; all but the table are changed.
    Returns the number of ticks visited; `front` has the status: RUNNING (call again), DRAINED, STARVED or OVERFULL.
    """
    state = states[0]
    for n_visited in range(1, n_visits + 1):
        now = pim[P_NEXT]
        front[F_NOW] = now - 1
        take_finished(table, state, requests, now - 1)
        before = front[F_HEAD], state[S_DUE_LENGTH], state[S_DIGEST], pim[P_TURNS], pim[P_TURN]
        offer(table, states, requests, front, now)
        if front[F_HEAD] == len(requests) and front[F_STOP] < 0:
            note_stop(states, front)
        front[F_NOW] = now
        take_finished(table, state, requests, now)
        ask_for_maintenance(table, state, front, now)
        tick(table, state, requests, front, pim, program, now)
        if is_stuck(state, pim, program, now):
            front[F_STATUS] = STARVED
        note_end(state, states, requests, front, pim, program, now)
        if front[F_STATUS] != RUNNING:
            return n_visited
        after = front[F_HEAD], state[S_DUE_LENGTH], state[S_DIGEST], pim[P_TURNS], pim[P_TURN]
        pim[P_NEXT] = now + 1
        if pim[P_SKIPS] and before == after:
            pim[P_NEXT] = next_event(table, state, requests, front, pim, program, now)
            if pim[P_NEXT] == NEVER:
                front[F_STATUS] = STARVED
                return n_visited
    return n_visits
