"""Reading a DRAM command log: the rule that held each command back, what every tick was waited for, and open rows.

All three are one pass over the log, a channel after another, and read a standard as tables, so they hold for any.
"""

from typing import Any

import numpy as np
from numba import njit

_options: dict[str, Any] = {"cache": True, "_nrt": False}
jit = njit(**_options)

# Columns of a row of `pull`: a rule seen from the command that waits.
P_LEVEL, P_BASE, P_DEPTH, P_WINDOW, P_LATENCY, P_KIND, P_SPAN, P_ROW = range(8)
PLAIN, SIBLING, WIDE = 0, 1, 2
PULL_WIDTH = 8
# Columns of a row of `push`: where a command is remembered.
S_LEVEL, S_BASE, S_DEPTH = range(3)
PUSH_WIDTH = 3
# What is waited for besides rules, in the order of the last entries of `parts`.
BURST, NO_REQUEST, QUEUE_FULL, COMMAND_BUS, SCHEDULING, REFRESH, AFTERWARDS = range(7)
N_CAUSES = 7
# What a command does to its scope: bits.
OPENS, CLOSES, CLOSES_ALL, REFRESHES_ALL, REFRESHES_BANK, COLUMN = 1, 2, 4, 8, 16, 32


@jit
def earliest_legal(
    cyc, command, bank, channel, pull_start, pull, push_start, push, node_of, past, earliest, rule, cause
):
    """When every command was first legal under all rules, by which rule, and after which command.

    cyc int64[m], command int16[m], bank int32[m], channel int16[m], channel after channel; rules as `pull`
    int64[rows, 8] by following command (`pull_start` int64[n_commands + 1]), memories as `push` int64[rows, 3] by
    command; node_of int32[n_levels + 1, n_banks]; past int64[...] is work space for log indices, most recent first.
    Fills earliest int64[m] (-1: never held), rule int64[m] and cause int64[m] (log index, -1). Of rules that end at one
    tick the first row counts.
    """
    current = -1
    for i in range(cyc.shape[0]):
        if channel[i] != current:
            current = channel[i]
            past[:] = -1
        kind = np.uint64(command[i])
        at = np.uint64(bank[i])
        latest = -1
        by_rule = -1
        by_command = -1
        for r in range(pull_start[kind], pull_start[kind + np.uint64(1)]):
            node = np.int64(node_of[np.uint64(pull[r, P_LEVEL]), at])
            shape = pull[r, P_KIND]
            if shape == PLAIN:
                before = past[np.uint64(pull[r, P_BASE] + node * pull[r, P_DEPTH] + pull[r, P_WINDOW])]
                if before >= 0:
                    ready = cyc[np.uint64(before)] + pull[r, P_LATENCY]
                    if ready > latest:
                        latest, by_rule, by_command = ready, pull[r, P_ROW], before
            else:
                span = pull[r, P_SPAN]
                first = node - node % span if shape == SIBLING else node
                for other in range(first, first + span):
                    if shape == SIBLING and other == node:
                        continue
                    before = past[np.uint64(pull[r, P_BASE] + other * pull[r, P_DEPTH] + pull[r, P_WINDOW])]
                    if before >= 0:
                        ready = cyc[np.uint64(before)] + pull[r, P_LATENCY]
                        if ready > latest:
                            latest, by_rule, by_command = ready, pull[r, P_ROW], before
        earliest[i] = latest
        rule[i] = by_rule
        cause[i] = by_command
        for r in range(push_start[kind], push_start[kind + np.uint64(1)]):
            depth = push[r, S_DEPTH]
            base = push[r, S_BASE] + np.int64(node_of[np.uint64(push[r, S_LEVEL]), at]) * depth
            for k in range(depth - 1, 0, -1):
                past[np.uint64(base + k)] = past[np.uint64(base + k - 1)]
            past[np.uint64(base)] = i


@jit
def attribute_slack(
    cyc, command, request, effect, bus, slot_ticks, arrival, offered, first, waiting, since, until, parts, other
):
    """Say what ticks `since` <= t < `until` were lost to, in which command `waiting` was legal but not issued."""
    if effect[command[waiting]] & (CLOSES_ALL | REFRESHES_ALL | REFRESHES_BANK):
        parts[other + REFRESH] += until - since
        return
    who = request[waiting]
    if who >= 0:
        offer = min(until, offered[who] + 1)
        if offer > since:
            parts[other + NO_REQUEST] += offer - since
            since = offer
        arrived = min(until, arrival[who] + 1)
        if arrived > since:
            parts[other + QUEUE_FULL] += arrived - since
            since = arrived
    busy = 0
    k = waiting - 1
    while k >= first and cyc[k] >= since:
        if effect[command[k]] & (CLOSES_ALL | REFRESHES_ALL | REFRESHES_BANK):
            # Refresh stops the whole channel from when it is due until it is issued.
            parts[other + REFRESH] += min(cyc[k] + 1, until) - since
            since = min(cyc[k] + 1, until)
            break
        if cyc[k] < until and bus[command[k]] == bus[command[waiting]]:
            busy += slot_ticks[command[k]]
        k -= 1
    busy = min(busy, until - since)
    parts[other + COMMAND_BUS] += busy
    parts[other + SCHEDULING] += until - since - busy


@jit
def own_preparation(command, bank, channel, effect, last_open, last_close, own):
    """For a column command that is the first to a row the place of the activation, for an activation that of the
    precharge before it, else -1: fills own int64[m]. last_open, last_close int64[n_banks] are work space."""
    current = -1
    for i in range(command.shape[0]):
        if channel[i] != current:
            current = channel[i]
            last_open[:] = -1
            last_close[:] = -1
        at = np.uint64(bank[i])
        does = effect[np.uint64(command[i])]
        own[i] = -1
        if does & COLUMN:
            own[i] = last_open[at]
            last_open[at] = -1
        elif does & OPENS:
            own[i] = last_close[at]
            last_close[at] = -1
            last_open[at] = i
        elif does & CLOSES:
            last_close[at] = i


@jit
def attribute_ticks(
    cyc, command, channel, request, earliest, rule, cause, own, effect, bus, slot_ticks, arrival, offered, pitch, end,
    parts
):  # fmt: skip
    """Attribute every tick from 0 to `end` of every channel in the log to what its next column command waited for.

    Between two column commands the data bus is busy for `pitch` ticks; the rest is walked back from the later one along
    what held it: its rule, back to the command that the rule counts from, that command's own rule, and so on. Steps
    that both had to take (activate, precharge) do not part them, so they are stepped over on both sides. Adds to parts
    int64[n_rules + 7]. Returns the number of channels that appear.
    """
    n_channels, other = 0, parts.shape[0] - N_CAUSES
    current, first, earlier = -1, 0, -1
    for i in range(cyc.shape[0]):
        if channel[i] != current:
            if current >= 0:
                parts[other + AFTERWARDS] += end - (cyc[earlier] if earlier >= 0 else 0)
            current = channel[i]
            n_channels += 1
            first = i
            earlier = -1
        if not effect[command[i]] & COLUMN:
            continue
        floor = 0
        if earlier >= 0:
            floor = min(cyc[earlier] + pitch, cyc[i])
            parts[other + BURST] += floor - cyc[earlier]
        until, j, twin = cyc[i], i, earlier
        while until > floor:
            legal = min(max(earliest[j], floor), until) if rule[j] >= 0 else floor
            if until > legal:
                attribute_slack(
                    cyc,
                    command,
                    request,
                    effect,
                    bus,
                    slot_ticks,
                    arrival,
                    offered,
                    first,
                    j,
                    legal,
                    until,
                    parts,
                    other,
                )
                until = legal
            if until > floor:
                before = cause[j]
                if twin >= 0 and own[twin] >= 0 and own[j] == before:
                    floor -= until - cyc[before]
                    until = cyc[before]
                    twin = own[twin]
                else:
                    # A latency may be negative (write on one rank, then read on another).
                    since = min(max(cyc[before], floor), until)
                    parts[rule[j]] += until - since
                    until = since
                    twin = -1
                j = before
        earlier = i
    if current >= 0:
        parts[other + AFTERWARDS] += end - (cyc[earlier] if earlier >= 0 else 0)
    return n_channels


@jit
def settle_open(opened, busy_until, last_cyc, any_cyc, bank_cyc, scope, now):
    """Add the ticks up to `now` in which a scope had rows open or was refreshing."""
    if opened[scope] > 0:
        any_cyc[scope] += now - last_cyc[scope]
        bank_cyc[scope] += (now - last_cyc[scope]) * opened[scope]
    elif busy_until[scope] > last_cyc[scope]:
        any_cyc[scope] += min(busy_until[scope], now) - last_cyc[scope]
    last_cyc[scope] = now


@jit
def open_residency(
    cyc, command, bank, channel, effect, busy_cyc, scope_of, first_bank, is_open, opened, busy_until, last_cyc, any_cyc,
    bank_cyc, end
):  # fmt: skip
    """Ticks up to `end` in which each scope (rank, pseudo channel, ...) had a row open or was refreshing.

    effect int64[n_commands] bits, busy_cyc int64[n_commands] how long a refresh lasts; scope_of int32[n_banks],
    first_bank int32[n_scopes + 1]; the rest is state of one channel (zero), but any_cyc and bank_cyc
    int64[n_channels, n_scopes], which are filled: ticks with any such bank, and summed over banks. RDA and WRA close
    their bank at once.
    """
    n_scopes = opened.shape[0]
    current = -1
    for i in range(cyc.shape[0] + 1):
        at_end = i == cyc.shape[0]
        if at_end or channel[i] != current:
            if current >= 0:
                for scope in range(n_scopes):
                    settle_open(opened, busy_until, last_cyc, any_cyc[current], bank_cyc[current], scope, end)
            if at_end:
                break
            current = channel[i]
            is_open[:] = 0
            opened[:] = 0
            busy_until[:] = 0
            last_cyc[:] = 0
        does = effect[command[i]]
        if does & ~COLUMN == 0:
            continue
        at = bank[i]
        scope = scope_of[at]
        now = min(cyc[i], end)
        settle_open(opened, busy_until, last_cyc, any_cyc[current], bank_cyc[current], scope, now)
        if does & OPENS and is_open[at] == 0:
            is_open[at] = 1
            opened[scope] += 1
        elif does & CLOSES and is_open[at] == 1:
            is_open[at] = 0
            opened[scope] -= 1
        elif does & CLOSES_ALL:
            is_open[first_bank[scope] : first_bank[scope + 1]] = 0
            opened[scope] = 0
        elif does & (REFRESHES_ALL | REFRESHES_BANK):
            busy_until[scope] = max(busy_until[scope], now + busy_cyc[command[i]])
            n_banks = first_bank[scope + 1] - first_bank[scope] if does & REFRESHES_ALL else 1
            bank_cyc[current, scope] += min(busy_cyc[command[i]], end - now) * n_banks
