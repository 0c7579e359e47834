"""A DRAM device by its rule rows alone: when a command is legal, and what it does to the ready table and the banks."""

import numpy as np

from simulator.kernels.dram_table_state import (
    ACT,
    ACT2,
    ACTIVATING,
    CLOSED,
    CLOSING,
    COLUMNS,
    FOLLOWING,
    LATENCY,
    N_BANK,
    N_RULE,
    OPEN_ROW,
    PRE,
    PRE_ALL,
    RDA,
    SIBLING,
    T_BANKS,
    T_BANKS_UNDER,
    T_HISTORY,
    T_N_BANKS,
    T_N_COMMANDS,
    T_N_LEVELS,
    T_N_RECENT,
    T_NODE,
    T_RULES,
    T_SCOPE,
    T_SPAN,
    WINDOW,
    WRA,
    jit,
)

FNV_PRIME = np.uint64(1099511628211)
FNV_START = np.uint64(14695981039346656037)


@jit
def scope_of(table, command):
    """Innermost level that a command names."""
    return table[table[T_SCOPE] + command]


@jit
def banks_under(table, level):
    """Banks in one node of a level."""
    return table[table[T_BANKS_UNDER] + level]


@jit
def node_of(table, level, bank):
    """The node of a level on a bank's path."""
    return table[table[T_NODE] + level * table[T_N_BANKS] + bank]


@jit
def banks_of(table, command, bank):
    """First bank, and the one behind the last, of the node that a command for `bank` addresses."""
    size = banks_under(table, scope_of(table, command))
    first = bank // size * size
    return first, first + size


@jit
def history_at(table, node, command):
    """Where the state keeps a node's history of a command; its first word is the earliest tick for the next."""
    return table[T_HISTORY] + (node * table[T_N_COMMANDS] + command) * (2 + table[T_N_RECENT])


@jit
def bank_at(table, bank):
    """Where the state keeps the words of a bank."""
    return table[T_BANKS] + bank * N_BANK


@jit
def open_row(table, state, bank):
    """A bank's open row, CLOSED or ACTIVATING."""
    return state[bank_at(table, bank) + OPEN_ROW]


@jit
def is_legal(table, state, command, bank, now):
    """Whether every node on the command's path, and every node below a wider command's scope, is ready for it."""
    scope = scope_of(table, command)
    for level in range(table[T_N_LEVELS] - 1, -1, -1):
        first = last = node_of(table, level, bank)
        if level > scope:
            start, end = banks_of(table, command, bank)
            first, last = node_of(table, level, start), node_of(table, level, end - 1)
        for node in range(first, last + 1):
            if state[history_at(table, node, command)] > now:
                return False
    return True


@jit
def delay(table, state, node, command, earliest):
    """A node takes no such command before `earliest`."""
    at = history_at(table, node, command)
    if state[at] < earliest:
        state[at] = earliest


@jit
def note_issue(table, state, level, node, command, now):
    """Push an issue into the history of a node that the command addresses, and apply the node's own rules."""
    n_kept = table[T_N_RECENT]
    at = history_at(table, node, command)
    ring = at + 2
    n_issues = state[at + 1]
    state[ring + n_issues % n_kept] = now
    n_issues += 1
    state[at + 1] = n_issues
    span = table[T_SPAN] + 2 * (level * table[T_N_COMMANDS] + command)
    for k in range(table[span], table[span + 1]):
        rule = table[T_RULES] + k * N_RULE
        window = table[rule + WINDOW]
        if table[rule + SIBLING] == 0 and n_issues >= window:
            counted_from = state[ring + (n_issues - window) % n_kept]
            delay(table, state, node, table[rule + FOLLOWING], counted_from + table[rule + LATENCY])


@jit
def hold_siblings(table, state, level, bank, command, now):
    """Apply the sibling rules of a command to the other nodes of the same parent."""
    span = table[T_SPAN] + 2 * (level * table[T_N_COMMANDS] + command)
    for k in range(table[span], table[span + 1]):
        rule = table[T_RULES] + k * N_RULE
        if table[rule + SIBLING] == 0:
            continue
        own = node_of(table, level, bank)
        size = banks_under(table, level - 1)
        start = bank // size * size
        for node in range(node_of(table, level, start), node_of(table, level, start + size - 1) + 1):
            if node != own:
                delay(table, state, node, table[rule + FOLLOWING], now + table[rule + LATENCY])


@jit
def update_ready(table, state, command, bank, now):
    """Everything that a command issued now says about later commands."""
    scope = scope_of(table, command)
    start, end = banks_of(table, command, bank)
    for level in range(table[T_N_LEVELS]):
        if level <= scope:
            note_issue(table, state, level, node_of(table, level, bank), command, now)
            if level > 0:
                hold_siblings(table, state, level, bank, command, now)
        else:
            for node in range(node_of(table, level, start), node_of(table, level, end - 1) + 1):
                note_issue(table, state, level, node, command, now)


@jit
def change_banks(table, state, command, bank, row):
    """Open or close what a command opens or closes."""
    if command == table[ACT]:
        state[bank_at(table, bank) + OPEN_ROW] = row if table[ACT2] < 0 else ACTIVATING
    elif command == table[ACT2]:
        state[bank_at(table, bank) + OPEN_ROW] = row
    elif command == table[PRE] or command == table[PRE_ALL] or command == table[RDA] or command == table[WRA]:
        start, end = banks_of(table, command, bank)
        for closed in range(start, end):
            at = bank_at(table, closed)
            state[at + OPEN_ROW] = CLOSED
            state[at + COLUMNS] = 0
            state[at + CLOSING] = 0


@jit
def any_open(table, state, command, bank):
    """Whether a bank in the command's scope is not closed."""
    start, end = banks_of(table, command, bank)
    for other in range(start, end):
        if open_row(table, state, other) != CLOSED:
            return True
    return False


@jit
def mix(digest, value):
    """One step of the command stream's 64-bit digest (FNV-1a over whole words)."""
    return np.int64((np.uint64(digest) ^ np.uint64(value)) * FNV_PRIME)
