"""Classes of AiM channels in equal states: parted by an instruction to some members, joined when they meet again."""

from simulator.kernels.aim_plain import advance
from simulator.kernels.aim_state import (
    ACTIVE_CYC,
    CLASS_OF,
    COUNTS,
    DUE,
    LEADERS,
    MEMBERS,
    MERGE_FAILURES,
    MERGE_WAIT,
    N_CLASSES,
    N_COMMANDS,
    TALLY_ACTIVE,
    WORDS,
    clear_state,
    equal_states,
    jit,
    settle_open_time,
)


@jit
def start_classes(state, table, roster, n_channels, use_classes):
    """All channels at the start: one class of all, or each channel a class of its own."""
    roster[MERGE_FAILURES] = 0
    roster[MERGE_WAIT] = 0
    roster[N_CLASSES] = 1 if use_classes else n_channels
    for channel in range(n_channels):
        clear_state(state, table, channel * WORDS)
        roster[MEMBERS + channel] = 0 if use_classes else 1 << channel
        roster[LEADERS + channel] = 0 if use_classes else channel
        roster[CLASS_OF + channel] = 0 if use_classes else channel
    if use_classes:
        roster[MEMBERS] = (1 << n_channels) - 1


@jit
def flush_counts(state, roster, tallies, slot):
    """Give every member of a class what the class has counted since the last flush."""
    base = slot * WORDS
    total = state[base + ACTIVE_CYC]
    for c in range(N_COMMANDS):
        total += state[base + COUNTS + c]
    if total == 0:
        return
    mask = roster[MEMBERS + slot]
    channel = 0
    while mask:
        if mask & 1:
            for c in range(N_COMMANDS):
                tallies[channel, c] += state[base + COUNTS + c]
            tallies[channel, TALLY_ACTIVE] += state[base + ACTIVE_CYC]
        mask >>= 1
        channel += 1
    for c in range(N_COMMANDS):
        state[base + COUNTS + c] = 0
    state[base + ACTIVE_CYC] = 0


@jit
def enrol(roster, mask, slot):
    """Note the class of every channel in `mask`."""
    channel = 0
    while mask:
        if mask & 1:
            roster[CLASS_OF + channel] = slot
        mask >>= 1
        channel += 1


@jit
def split(state, roster, tallies, slot, addressed):
    """Part a class into the addressed members and the rest; returns the slot of the addressed."""
    flush_counts(state, roster, tallies, slot)
    rest = roster[MEMBERS + slot] & ~addressed
    # A class uses the slot of one of its channels: the part that has this one keeps it, the other takes one of its own.
    moved = addressed if (rest >> slot) & 1 else rest
    fresh = 0
    while not (moved >> fresh) & 1:
        fresh += 1
    for k in range(WORDS):
        state[fresh * WORDS + k] = state[slot * WORDS + k]
    roster[MEMBERS + fresh] = moved
    roster[MEMBERS + slot] ^= moved
    enrol(roster, moved, fresh)
    roster[LEADERS + roster[N_CLASSES]] = fresh
    roster[N_CLASSES] += 1
    return fresh if moved == addressed else slot


@jit
def merge(state, table, roster, tallies, now):
    """Join classes whose states have become equal."""
    for i in range(roster[N_CLASSES]):
        advance(state, table, roster[LEADERS + i] * WORDS, now, 0)
    i = 0
    while i < roster[N_CLASSES]:
        a = roster[LEADERS + i]
        j = i + 1
        while j < roster[N_CLASSES]:
            b = roster[LEADERS + j]
            same = state[a * WORDS + DUE] == state[b * WORDS + DUE]
            if same and equal_states(state, a * WORDS, now, state, b * WORDS, now):
                # For how long rows have been open is history that the members do not share: settle it first.
                settle_open_time(state, a * WORDS, now)
                settle_open_time(state, b * WORDS, now)
                flush_counts(state, roster, tallies, a)
                flush_counts(state, roster, tallies, b)
                enrol(roster, roster[MEMBERS + b], a)
                roster[MEMBERS + a] |= roster[MEMBERS + b]
                roster[N_CLASSES] -= 1
                roster[LEADERS + j] = roster[LEADERS + roster[N_CLASSES]]
            else:
                j += 1
        i += 1


@jit
def merge_now_and_then(state, table, roster, tallies, now):
    """After a blocking instruction: try to join classes, less often the more often it was in vain."""
    if roster[N_CLASSES] == 1:
        return
    roster[MERGE_WAIT] -= 1
    if roster[MERGE_WAIT] > 0:
        return
    before = roster[N_CLASSES]
    merge(state, table, roster, tallies, now)
    roster[MERGE_FAILURES] = roster[MERGE_FAILURES] + 1 if roster[N_CLASSES] == before else 0
    roster[MERGE_WAIT] = 1 << min(roster[MERGE_FAILURES], 3)
