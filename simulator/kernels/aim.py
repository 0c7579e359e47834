"""Command timing of an AiM device: one in-order dispatcher, many channels, exact to the clock, without ticking.

The dispatcher hands out one host instruction per clock; a channel queues it, opens rows, switches between register and
data mode, and issues at most one DRAM command per clock. Channels meet only in the dispatcher: when a queue refuses
(the rest of the instruction waits and nothing else is decoded) and when an instruction blocks until every addressed
channel has replied. Between those points each channel is advanced on its own, from event to event.

Channels in equal states that are sent equal instructions stay equal, so a *class* of channels is simulated once. An
instruction to some members splits a class; after a blocking instruction, classes whose states have become equal are
merged again.
"""

from simulator.kernels.aim_classes import flush_counts, merge_now_and_then, split, start_classes
from simulator.kernels.aim_lines import aim_line
from simulator.kernels.aim_plain import advance
from simulator.kernels.aim_rounds import burst_rounds
from simulator.kernels.aim_state import (
    CLASS_OF,
    COUNTS,
    EOC,
    LEADERS,
    MEMBERS,
    N_CLASSES,
    N_COMMANDS,
    NO_EFFECT,
    SYNC,
    T_WIDTH,
    WORDS,
    inlined,
    jit,
    settle_open_time,
)


@inlined
def send(state, table, roster, tallies, opcode, n, mask, bank, row, cyc, closed_form):
    """One AiM instruction to every addressed class, offered at `cyc`.

    Returns (cycle in which its last request is queued, cycle in which the last reply has come; 0: nobody replies).
    """
    queued = cyc
    reply = 0
    i = 0
    while i < roster[N_CLASSES]:
        slot = roster[LEADERS + i]
        addressed = roster[MEMBERS + slot] & mask
        # What is parted off stands at the end of the list: if that is the addressed part, it gets its turn there.
        if addressed and addressed != roster[MEMBERS + slot] and split(state, roster, tallies, slot, addressed) != slot:
            addressed = 0
        if addressed:
            taken, answered = aim_line(state, table, slot * WORDS, opcode, n, bank, row, cyc, closed_form)
            queued = max(queued, taken)
            reply = max(reply, answered)
        i += 1
    return queued, reply


@jit
def close_section(state, table, roster, tallies, section_cyc, section_counts, section, cyc, in_cycle):
    """Note when a section has left the dispatcher, and what channel 0 has been sent: reads and writes up to now."""
    section_cyc[section] = cyc if in_cycle else cyc - 1
    base = roster[CLASS_OF] * WORDS
    advance(state, table, base, cyc, 0)
    for c in range(N_COMMANDS):
        section_counts[section, c] = tallies[0, c] + state[base + COUNTS + c]


@jit
def close_device(state, table, roster, tallies, end):
    """The device has answered the end of commands in cycle `end`: what went on until then is counted."""
    for i in range(roster[N_CLASSES]):
        slot = roster[LEADERS + i]
        advance(state, table, slot * WORDS, end + 1, 0)
        settle_open_time(state, slot * WORDS, end)
        flush_counts(state, roster, tallies, slot)


@jit
def run_program(
    runs, targets, section_ends, n_channels, table, use_classes, closed_form,
    state, snapshot, order, roster, tallies, section_cyc, section_counts,
):  # fmt: skip
    """Time a program on one device.

    runs int64[n, 9] and targets int64[m, 2] as in `AimProgram`; section_ends int64[s]; table int64[TABLE_WORDS].
    `use_classes`: simulate equal channels once; `closed_form`: jump over runs of columns and repeated rounds of
    bursts. Work space: state int64[n_channels * WORDS], snapshot int64[(n_channels + 1) * WORDS], roster
    int64[ROSTER_WORDS] and order int64[m], m being the most targets of a run. Fills, from zeros, tallies
    int64[n_channels, TALLY_WORDS] (commands, and clocks with a row open), section_cyc int64[s] (cycle in which the
    section's last instruction has left the dispatcher) and section_counts int64[s, 18] (commands of channel 0 so
    far). Returns (device cycles, number of classes at the end).
    """
    start_classes(state, table, roster, n_channels, use_classes)
    everyone = (1 << n_channels) - 1
    width = table[T_WIDTH]
    cyc = 1
    in_cycle = 0
    end = 0
    section = 0
    for r in range(runs.shape[0]):
        opcode, n, mask, bank, row = runs[r, 0], runs[r, 1], runs[r, 2], runs[r, 3], runs[r, 4]
        if opcode == SYNC or opcode == EOC:
            mask = everyone
        elif opcode == NO_EFFECT:
            mask = 0
        repeat = runs[r, 5]
        if runs[r, 8] > 0:
            cyc, in_cycle = burst_rounds(
                state, table, snapshot, roster, tallies, targets, order, runs[r, 7], runs[r, 8],
                opcode, row, repeat, closed_form, cyc, in_cycle,
            )  # fmt: skip
            repeat = 0
        for _ in range(repeat):
            queued, reply = send(state, table, roster, tallies, opcode, n, mask, bank, row, cyc, closed_form)
            row += runs[r, 6]
            in_cycle += 1
            if reply:
                end = reply
                cyc = max(queued, reply) + 1
                in_cycle = 0
                if use_classes:
                    merge_now_and_then(state, table, roster, tallies, cyc)
            elif queued > cyc or in_cycle >= width:
                cyc = queued + 1
                in_cycle = 0
        while section < section_ends.shape[0] and section_ends[section] == r + 1:
            close_section(state, table, roster, tallies, section_cyc, section_counts, section, cyc, in_cycle)
            section += 1
        if opcode == EOC:
            break
    close_device(state, table, roster, tallies, end)
    return end, roster[N_CLASSES]
