"""The table-driven, ticking DRAM controller: every tick of every channel is walked, any standard from its rule rows.

The oracle of the event-driven kernels, and what serves a standard or a set-up that they do not know.
Source: the semantics of Ramulator 2.1 (commit c5b1c3a, MIT), studied and told in own words; equal to it command by command.
"""

from simulator.kernels.dram_table_controllers import tick_controller
from simulator.kernels.dram_table_queues import offer, take_finished
from simulator.kernels.dram_table_refresh import ask_for_maintenance
from simulator.kernels.dram_table_state import (
    DRAINED,
    F_DONE,
    F_HEAD,
    F_NOW,
    F_STATUS,
    F_STOP,
    RUNNING,
    S_PATIENCE,
    STARVED,
    W_LAST_COLUMN,
    jit,
)


@jit
def note_stop(control):
    """The last request has been taken: the ticks so far, and every channel's statistics so far."""
    control.front[F_STOP] = control.front[F_NOW]
    for channel in range(control.tally.shape[0]):
        for k in range(control.tally.shape[1]):
            control.stop_tally[channel, k] = control.tally[channel, k]


@jit
def is_starved(control, channel, now):
    """Whether requests have waited in a channel for too long without any column command."""
    word = control.word[channel]
    waiting = control.length[channel, 0] + control.length[channel, 1] + control.length[channel, 2]
    if waiting == 0:
        word[W_LAST_COLUMN] = now
    return now - word[W_LAST_COLUMN] > control.setup[S_PATIENCE]


@jit
def run_ticks(device, control, traffic, n_ticks):
    """Walk at most `n_ticks` more ticks, up to the one in which the last request gets its column command.

    device, control, traffic: the tuples of arrays of `dram_table_state`, read and changed; returns the status word:
    RUNNING (call again), DRAINED, STARVED (requests wait, and no column command is issued) or OVERFULL (maintenance is
    asked for faster than it can be served).
    """
    front = control.front
    for now in range(front[F_NOW] + 1, front[F_NOW] + 1 + n_ticks):
        offer(control, traffic, now)
        if front[F_HEAD] == len(traffic.address) and front[F_STOP] < 0:
            note_stop(control)
        front[F_NOW] = now
        for channel in range(control.length.shape[0]):
            take_finished(control, traffic, channel, now)
            ask_for_maintenance(device, control, channel, now)
            tick_controller(device, control, traffic, channel, now)
            if is_starved(control, channel, now):
                front[F_STATUS] = STARVED
        if front[F_HEAD] == len(traffic.address) and front[F_DONE] == len(traffic.address):
            front[F_STATUS] = DRAINED
        if front[F_STATUS] != RUNNING:
            break
    return front[F_STATUS]
