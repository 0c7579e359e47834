"""Refresh managers and the closed-row policy of the table-driven controller: they ask, the controller serves."""

from simulator.kernels.dram_table_device import bank_at, banks_under, is_legal
from simulator.kernels.dram_table_queues import push_due
from simulator.kernels.dram_table_state import (
    ALL_BANK,
    CLOSING,
    COLUMNS,
    PER_BANK,
    PRE,
    REF_ALL,
    REF_BANK,
    S_BACKLOG_BANK,
    S_BACKLOG_RANK,
    S_REFRESH_BANK,
    S_REFRESH_NEXT,
    S_REFRESH_SET,
    STAGGERED_PER_BANK,
    T_CLOSED_ROWS,
    T_N_BANKS,
    T_RANK_LEVEL,
    T_REFI,
    T_REFRESH,
    T_RFC_BANK,
    T_ROUNDS,
    T_ROW_CAP,
    T_SET_LEVEL,
    inlined,
    jit,
)


@jit
def refresh_all(table, state, front, now):
    """At every interval, a refresh of every rank (pseudo channel, channel), in order."""
    if now % table[T_REFI] == 0:
        for bank in range(0, table[T_N_BANKS], banks_under(table, table[T_RANK_LEVEL])):
            push_due(table, state, front, table[REF_ALL], bank)


@jit
def refresh_one(table, state, front, now):
    """At every interval, a refresh of the next bank in flat order."""
    if now % table[T_REFI] == 0:
        push_due(table, state, front, table[REF_BANK], state[S_REFRESH_BANK])
        state[S_REFRESH_BANK] = (state[S_REFRESH_BANK] + 1) % table[T_N_BANKS]


@jit
def push_backlog(table, state, front, now):
    """Ask for the backlog's next refresh; a set that has had all its banks waits a refresh's time for its next."""
    per_set = banks_under(table, table[T_SET_LEVEL])
    bank = state[S_BACKLOG_RANK] * banks_under(table, table[T_RANK_LEVEL]) + state[S_BACKLOG_BANK]
    push_due(table, state, front, table[REF_BANK], bank)
    state[S_BACKLOG_RANK] += 1
    rounds = table[T_ROUNDS] + 2 * (bank // per_set)
    state[rounds] += 1
    if state[rounds] == per_set:
        state[rounds] = 0
        state[rounds + 1] = now + table[T_RFC_BANK]


@jit
def refresh_staggered(table, state, front, now):
    """Per-bank refresh of HBM3: the same bank of every pseudo channel, one request a tick, set (stack id) after set."""
    per_rank = banks_under(table, table[T_RANK_LEVEL])
    per_set = banks_under(table, table[T_SET_LEVEL])
    n_ranks = table[T_N_BANKS] // per_rank
    if state[S_BACKLOG_RANK] < n_ranks:
        push_backlog(table, state, front, now)
        return
    if now < state[S_REFRESH_NEXT]:
        return
    for rank in range(n_ranks):
        this_set = rank * (per_rank // per_set) + state[S_REFRESH_SET]
        if now < state[table[T_ROUNDS] + 2 * this_set + 1]:
            state[S_REFRESH_NEXT] = now + 1
            return
    state[S_BACKLOG_RANK] = 0
    state[S_BACKLOG_BANK] = state[S_REFRESH_SET] * per_set + state[S_REFRESH_BANK]
    state[S_REFRESH_BANK] += 1
    if state[S_REFRESH_BANK] == per_set:
        state[S_REFRESH_BANK] = 0
        state[S_REFRESH_SET] = (state[S_REFRESH_SET] + 1) % (per_rank // per_set)
    push_backlog(table, state, front, now)
    state[S_REFRESH_NEXT] += table[T_REFI]


@jit
def close_rows(table, state, front, now):
    """Ask once for the precharge of every row that has had its share of column commands, when it is legal."""
    for bank in range(table[T_N_BANKS]):
        at = bank_at(table, bank)
        if state[at + COLUMNS] < table[T_ROW_CAP] or state[at + CLOSING]:
            continue
        if is_legal(table, state, table[PRE], bank, now):
            push_due(table, state, front, table[PRE], bank)
            state[at + CLOSING] = 1


@inlined
def ask_for_maintenance(table, state, front, now):
    """What refresh, then the row policy, want in this tick."""
    refresh = table[T_REFRESH]
    if refresh == ALL_BANK:
        refresh_all(table, state, front, now)
    elif refresh == PER_BANK:
        refresh_one(table, state, front, now)
    elif refresh == STAGGERED_PER_BANK:
        refresh_staggered(table, state, front, now)
    if table[T_CLOSED_ROWS]:
        close_rows(table, state, front, now)
