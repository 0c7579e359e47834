"""Refresh managers and the closed-row policy of the table-driven controller: they ask, the controller serves."""

from simulator.kernels.dram_table_device import is_legal
from simulator.kernels.dram_table_queues import push_due
from simulator.kernels.dram_table_state import (
    ALL_BANK,
    PER_BANK,
    PRE,
    REF_ALL,
    REF_BANK,
    S_CLOSED_ROWS,
    S_RANK_LEVEL,
    S_REFI,
    S_REFRESH,
    S_RFC_BANK,
    S_ROW_CAP,
    S_SET_LEVEL,
    STAGGERED_PER_BANK,
    W_BACKLOG_BANK,
    W_BACKLOG_NEXT,
    W_REFRESH_BANK,
    W_REFRESH_NEXT,
    W_REFRESH_SET,
    jit,
)


@jit
def refresh_all(device, control, channel, now):
    """At every interval, a refresh of every rank (pseudo channel, channel), in order."""
    if now % control.setup[S_REFI] == 0:
        step = device.banks_under[control.setup[S_RANK_LEVEL]]
        for bank in range(0, device.open_row.shape[1], step):
            push_due(control, channel, device.role[REF_ALL], bank)


@jit
def refresh_one(device, control, channel, now):
    """At every interval, a refresh of the next bank in flat order."""
    if now % control.setup[S_REFI] == 0:
        word = control.word[channel]
        push_due(control, channel, device.role[REF_BANK], word[W_REFRESH_BANK])
        word[W_REFRESH_BANK] = (word[W_REFRESH_BANK] + 1) % device.open_row.shape[1]


@jit
def push_backlog(device, control, channel, now):
    """Ask for the backlog's next refresh; when a set has had all its banks, its next round waits a refresh's time."""
    word = control.word[channel]
    per_rank = device.banks_under[control.setup[S_RANK_LEVEL]]
    per_set = device.banks_under[control.setup[S_SET_LEVEL]]
    bank = word[W_BACKLOG_NEXT] * per_rank + word[W_BACKLOG_BANK]
    push_due(control, channel, device.role[REF_BANK], bank)
    word[W_BACKLOG_NEXT] += 1
    pushed = control.pushed[channel, bank // per_set]
    pushed[0] += 1
    if pushed[0] == per_set:
        pushed[0] = 0
        pushed[1] = now + control.setup[S_RFC_BANK]


@jit
def refresh_staggered(device, control, channel, now):
    """Per-bank refresh of HBM3: the same bank of every pseudo channel, one request a tick, set (stack id) after set."""
    word = control.word[channel]
    per_rank = device.banks_under[control.setup[S_RANK_LEVEL]]
    per_set = device.banks_under[control.setup[S_SET_LEVEL]]
    n_ranks = device.open_row.shape[1] // per_rank
    sets_per_rank = per_rank // per_set
    if word[W_BACKLOG_NEXT] < n_ranks:
        push_backlog(device, control, channel, now)
        return
    if now < word[W_REFRESH_NEXT]:
        return
    for rank in range(n_ranks):
        if now < control.pushed[channel, rank * sets_per_rank + word[W_REFRESH_SET], 1]:
            word[W_REFRESH_NEXT] = now + 1
            return
    word[W_BACKLOG_NEXT] = 0
    word[W_BACKLOG_BANK] = word[W_REFRESH_SET] * per_set + word[W_REFRESH_BANK]
    word[W_REFRESH_BANK] += 1
    if word[W_REFRESH_BANK] == per_set:
        word[W_REFRESH_BANK] = 0
        word[W_REFRESH_SET] = (word[W_REFRESH_SET] + 1) % sets_per_rank
    push_backlog(device, control, channel, now)
    word[W_REFRESH_NEXT] += control.setup[S_REFI]


@jit
def ask_for_maintenance(device, control, channel, now):
    """What refresh, then the row policy, want in this tick."""
    refresh = control.setup[S_REFRESH]
    if refresh == ALL_BANK:
        refresh_all(device, control, channel, now)
    elif refresh == PER_BANK:
        refresh_one(device, control, channel, now)
    elif refresh == STAGGERED_PER_BANK:
        refresh_staggered(device, control, channel, now)
    if control.setup[S_CLOSED_ROWS]:
        close_rows(device, control, channel, now)


@jit
def close_rows(device, control, channel, now):
    """Ask once for the precharge of every row that has had its share of column commands, when it is legal."""
    precharge = device.role[PRE]
    for bank in range(device.open_row.shape[1]):
        if control.columns[channel, bank] < control.setup[S_ROW_CAP] or control.closing[channel, bank]:
            continue
        if is_legal(device, channel, precharge, bank, now):
            push_due(control, channel, precharge, bank)
            control.closing[channel, bank] = 1
