"""Rounds of plain bursts, channel by channel: exact as long as no channel refuses a line, since then none waits for
another.

A channel is walked until a round ends as it began; the other rounds repeat that one and are jumped over. A channel that
stands as another did, and is sent the same lines at another time, ends as that one did, so much later or earlier.
"""

from simulator.kernels.aim_plain import advance, one_burst
from simulator.kernels.aim_state import (
    ACTIVE_CYC,
    COUNTS,
    DUE,
    N_COMMANDS,
    OPEN_SINCE,
    ORDER_END,
    T_WIDTH,
    TIMES,
    TIMES_END,
    WORDS,
    copy_queues,
    copy_state,
    equal_states,
    jit,
    settle_open_time,
)


@jit
def sort_by_channel(roster, targets, order, first, n_targets):
    """Fill `order` with the positions of a run's targets, sorted by channel, and the roster with each channel's end.

    Returns the number of channels looked at.
    """
    n_channels = 0
    for k in range(n_targets):
        n_channels = max(n_channels, targets[first + k, 0] + 1)
    for channel in range(n_channels):
        roster[ORDER_END + channel] = 0
    for k in range(n_targets):
        roster[ORDER_END + targets[first + k, 0]] += 1
    begin = 0
    for channel in range(n_channels):
        count = roster[ORDER_END + channel]
        roster[ORDER_END + channel] = begin
        begin += count
    for k in range(n_targets):
        channel = targets[first + k, 0]
        order[roster[ORDER_END + channel]] = k
        roster[ORDER_END + channel] += 1
    return n_channels


@jit
def same_lines(targets, order, first, begin_a, begin_b, n):
    """Whether two channels are sent the same banks at the same distances."""
    for i in range(n):
        a, b = order[begin_a + i], order[begin_b + i]
        if targets[first + a, 1] != targets[first + b, 1] or a - order[begin_a] != b - order[begin_b]:
            return False
    return True


@jit
def repeat_result(state, snapshot, base, done, delay):
    """Give a channel what became of an equal one, `delay` cycles later; `snapshot` holds the other's beginning."""
    for k in range(TIMES):
        state[base + k] = state[done + k]
    for k in range(TIMES, TIMES_END):
        state[base + k] = state[done + k] + delay
    copy_queues(state, done, state, base)
    for c in range(N_COMMANDS):
        state[base + COUNTS + c] += state[done + COUNTS + c] - snapshot[done + COUNTS + c]
    state[base + ACTIVE_CYC] += state[done + ACTIVE_CYC] - snapshot[done + ACTIVE_CYC]
    state[base + OPEN_SINCE] = state[done + OPEN_SINCE] + delay if state[done + OPEN_SINCE] >= 0 else -1


@jit
def jump_rounds(state, base, snapshot, kept, now, before, remaining):
    """Shift a channel past repetitions of what happened since cycle `before`, up to `remaining` of them.

    `kept` is where the snapshot holds the state at `before`. Returns how many: 0 if the state differs from that. No
    refresh is jumped over.
    """
    unchanged = state[base + DUE] == snapshot[kept + DUE] and state[base + ACTIVE_CYC] == snapshot[kept + ACTIVE_CYC]
    if not unchanged or not equal_states(state, base, now, snapshot, kept, before):
        return 0
    period = now - before
    remaining = min(remaining, (state[base + DUE] - now) // period - 1)
    if remaining <= 0:
        return 0
    for k in range(TIMES, TIMES_END):
        state[base + k] += remaining * period
    for c in range(N_COMMANDS):
        state[base + COUNTS + c] += remaining * (state[base + COUNTS + c] - snapshot[kept + COUNTS + c])
    return remaining


@jit
def walk_rounds(
    state, table, base, snapshot, kept, targets, order, first, begin, end, n_targets, opcode, row, n_rounds, line
):  # fmt: skip
    """All rounds of one channel; whether it took every line when it was offered.

    `line` numbers the run's first line from the beginning of time, as many to a cycle as the dispatcher hands out.
    """
    width = table[T_WIDTH]
    step = 0
    kept_step = 0
    while step < n_rounds:
        for i in range(begin, end):
            at = line + step * n_targets + order[i]
            cyc = at
            is_last = True
            if width > 1:
                cyc = at // width
                is_last = at - cyc * width == width - 1
            if one_burst(state, table, base, opcode, targets[first + order[i], 1], row, cyc, is_last) != cyc:
                return False
        step += 1
        if step == 1 or n_rounds - step <= 1 or step * n_targets % width:
            continue
        now = (line + step * n_targets) // width
        advance(state, table, base, now, 0)
        skipped = 0
        if kept_step:
            before = (line + kept_step * n_targets) // width
            # The last round is walked, so that the channel is not taken beyond its last line.
            remaining = (n_rounds - step - 1) // (step - kept_step)
            skipped = jump_rounds(state, base, snapshot, kept, now, before, remaining)
        if skipped:
            step += skipped * (step - kept_step)
            kept_step = 0
        else:
            copy_state(state, base, snapshot, kept)
            kept_step = step
    return True


@jit
def rounds_by_channel(
    state, table, snapshot, roster, targets, order, first, n_targets, opcode, row, n_rounds, line
):  # fmt: skip
    """Rounds of bursts to classes of one channel each; False, and nothing has happened, if a channel refuses a line.

    A class of one channel uses the slot of that number.
    snapshot int64[(n_channels + 1) * WORDS] takes the states at the beginning, and one to compare rounds with.
    """
    width = table[T_WIDTH]
    n_channels = sort_by_channel(roster, targets, order, first, n_targets)
    kept = snapshot.size - WORDS
    end_cyc = (line + n_targets * n_rounds) // width + 1
    done = -1
    done_begin = 0
    done_end = 0
    done_cyc = 0
    end = 0
    for channel in range(n_channels):
        begin = end
        end = roster[ORDER_END + channel]
        if begin == end:
            continue
        base = channel * WORDS
        at = line + order[begin]
        cyc = at // width
        advance(state, table, base, cyc, 0)
        settle_open_time(state, base, cyc)
        copy_state(state, base, snapshot, base)
        if (
            done >= 0
            and end - begin == done_end - done_begin
            and (at - line - order[done_begin]) % width == 0
            and min(state[base + DUE], state[done + DUE], snapshot[done + DUE]) > end_cyc
            and same_lines(targets, order, first, begin, done_begin, end - begin)
            and equal_states(state, base, cyc, snapshot, done, done_cyc)
        ):
            repeat_result(state, snapshot, base, done, cyc - done_cyc)
            continue
        if not walk_rounds(
            state,
            table,
            base,
            snapshot,
            kept,
            targets,
            order,
            first,
            begin,
            end,
            n_targets,
            opcode,
            row,
            n_rounds,
            line,
        ):
            for other in range(channel + 1):
                if roster[ORDER_END + other] > (roster[ORDER_END + other - 1] if other else 0):
                    copy_state(snapshot, other * WORDS, state, other * WORDS)
            return False
        done, done_begin, done_end, done_cyc = base, begin, end, cyc
    return True
