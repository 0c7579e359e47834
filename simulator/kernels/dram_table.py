"""The table-driven, ticking DRAM controller: every tick of every channel is walked, any standard from its rule rows.

The oracle of the event-driven kernels, and what serves a standard or a set-up that they do not know.
Source: the semantics of Ramulator 2.1 (commit c5b1c3a, MIT), studied and told in own words; equal to it command by
command.
"""

from simulator.kernels.dram_table_controllers import tick_controller
from simulator.kernels.dram_table_queues import offer, take_finished
from simulator.kernels.dram_table_refresh import ask_for_maintenance
from simulator.kernels.dram_table_state import (
    COALESCED,
    DRAINED,
    F_HEAD,
    F_NOW,
    F_STATUS,
    F_STOP,
    FORWARDED,
    N_QUEUES,
    N_TALLY,
    READS,
    RUNNING,
    S_LAST_COLUMN,
    S_LENGTH,
    STARVED,
    STOP_TALLY,
    T_PATIENCE,
    WRITES,
    jit,
    outermost_jit,
)


@jit
def note_stop(states, front):
    """The last request has been taken: the ticks so far, and every channel's statistics so far."""
    front[F_STOP] = front[F_NOW]
    for channel in range(len(states)):
        for k in range(N_TALLY):
            states[channel, STOP_TALLY + k] = states[channel, k]


@jit
def is_starved(table, state, now):
    """Whether requests have waited in a channel for too long without any column command."""
    n_waiting = 0
    for queue in range(N_QUEUES):
        n_waiting += state[S_LENGTH + queue]
    if n_waiting == 0:
        state[S_LAST_COLUMN] = now
    return now - state[S_LAST_COLUMN] > table[T_PATIENCE]


@jit
def is_drained(states, requests, front):
    """Whether every request has had its column command, or needed none."""
    if front[F_HEAD] < len(requests):
        return False
    n_done = 0
    for channel in range(len(states)):
        state = states[channel]
        n_done += state[READS] + state[WRITES] + state[FORWARDED] + state[COALESCED]
    return n_done == len(requests)


@outermost_jit
def run_ticks(table, states, requests, front, n_ticks):
    """Walk at most `n_ticks` more ticks, up to the one in which the last request gets its column command.

    table int64[words], states int64[channels, words], requests int64[n, N_REQUEST], front int64[words]: see
    `dram_table_state`; all but the table are changed. Returns the status: RUNNING (call again), DRAINED, STARVED
    (requests wait, and no column command is issued) or OVERFULL (maintenance is asked for faster than it is served).
    """
    for now in range(front[F_NOW] + 1, front[F_NOW] + 1 + n_ticks):
        offer(table, states, requests, front, now)
        if front[F_HEAD] == len(requests) and front[F_STOP] < 0:
            note_stop(states, front)
        front[F_NOW] = now
        for channel in range(len(states)):
            state = states[channel]
            take_finished(table, state, requests, now)
            ask_for_maintenance(table, state, front, now)
            tick_controller(table, state, requests, front, now)
            if is_starved(table, state, now):
                front[F_STATUS] = STARVED
        if is_drained(states, requests, front):
            front[F_STATUS] = DRAINED
        if front[F_STATUS] != RUNNING:
            break
    return front[F_STATUS]
