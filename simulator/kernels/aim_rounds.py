"""Rounds of plain bursts: one line per target and round, line by line or, where nothing is refused, channel by
channel."""

from simulator.kernels.aim_channel_rounds import rounds_by_channel
from simulator.kernels.aim_classes import split
from simulator.kernels.aim_plain import one_burst
from simulator.kernels.aim_state import AIM_LAST, CLASS_OF, MEMBERS, T_WIDTH, WORDS, jit


@jit
def burst_rounds(
    state, table, snapshot, roster, tallies, targets, order, first, n_targets,
    opcode, row, n_rounds, closed_form, cyc, in_cycle,
):  # fmt: skip
    """`n_rounds` rounds of one burst to each of a run's targets; returns (next cycle, lines already in it)."""
    width = table[T_WIDTH]
    for k in range(first, first + n_targets):
        channel = targets[k, 0]
        slot = roster[CLASS_OF + channel]
        # A class of one channel uses the slot of that number.
        if roster[MEMBERS + slot] != 1 << channel:
            split(state, roster, tallies, slot, 1 << channel)
    if closed_form and n_targets * n_rounds > 1:
        if width == 1:
            # Until the instructions before it have left its channel's queue, the first line waits, and with it all.
            cyc = max(cyc, state[targets[first, 0] * WORDS + AIM_LAST] + 1)
        line = cyc * width + in_cycle
        if rounds_by_channel(
            state, table, snapshot, roster, targets, order, first, n_targets, opcode, row, n_rounds, line
        ):
            line += n_targets * n_rounds
            return line // width, line % width
    for _ in range(n_rounds):
        for k in range(first, first + n_targets):
            in_cycle += 1
            is_last = in_cycle >= width
            queued = one_burst(state, table, targets[k, 0] * WORDS, opcode, targets[k, 1], row, cyc, is_last)
            if is_last or queued > cyc:
                cyc = queued + 1
                in_cycle = 0
    return cyc, in_cycle
