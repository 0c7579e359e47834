"""The PIM side of a shared DRAM channel: what a program's next operation needs, and issuing it.

A command of a PIM program comes after those before it. An operation on a row needs it open in all banks: where any bank
is open otherwise, all are precharged; where all are closed, all are activated. Operations on registers need register
mode, all others, and the host's requests, the other mode; a switch of mode is a command of its own.
Source: AiM simulator of the CENT repository (order, prerequisites, modes), told in own words.
"""

from simulator.kernels.dram_mixed_state import (
    FIRST_BANK,
    NO_ROW_LOST,
    O_COMMAND,
    O_COUNT,
    O_FIRST_CYC,
    O_LAST_CYC,
    O_REGISTER,
    O_RELEASE,
    O_ROW,
    P_ACT_ALL,
    P_AT_END,
    P_DONE,
    P_HOST_ROW_LOST,
    P_HOST_ROWS_CLOSED,
    P_MODE_SWITCH,
    P_OPERATION,
    P_PIM_END,
    P_PIM_ROWS_CLOSED,
    P_PIM_ROWS_REOPENED,
    P_PRECHARGES_FOR_HOST,
    P_PRECHARGES_FOR_PIM,
    P_PROGRESS,
    P_REGISTER_MODE,
    P_ROW,
    P_ROW_LOST,
    P_ROWS_OPEN,
    P_USED,
)
from simulator.kernels.dram_table_controllers import issue
from simulator.kernels.dram_table_device import bank_at, banks_of, history_at, is_legal, node_of, open_row, scope_of
from simulator.kernels.dram_table_state import CLOSED, NO_ROW, OPEN_ROW, PRE_ALL, T_N_BANKS, T_N_LEVELS, jit


@jit
def pim_waits(pim, program, now):
    """Whether an operation of the program may be served."""
    at = pim[P_OPERATION]
    return at < len(program) and program[at, O_RELEASE] <= now


@jit
def pim_command(table, state, pim, program):
    """The command that the program's next operation needs next."""
    at = pim[P_OPERATION]
    if program[at, O_REGISTER] != pim[P_REGISTER_MODE]:
        return pim[P_MODE_SWITCH]
    row = program[at, O_ROW]
    if row < 0:
        return program[at, O_COMMAND]
    n_open = 0
    n_right = 0
    for bank in range(table[T_N_BANKS]):
        found = open_row(table, state, bank)
        if found != CLOSED:
            n_open += 1
            if found == row:
                n_right += 1
    if n_open == 0:
        return pim[P_ACT_ALL]
    return program[at, O_COMMAND] if n_right == table[T_N_BANKS] else table[PRE_ALL]


@jit
def earliest(table, state, command, bank):
    """The first tick at which every node on the command's path, and below its scope, is ready for it."""
    scope = scope_of(table, command)
    latest = 0
    for level in range(table[T_N_LEVELS] - 1, -1, -1):
        first = last = node_of(table, level, bank)
        if level > scope:
            start, end = banks_of(table, command, bank)
            first, last = node_of(table, level, start), node_of(table, level, end - 1)
        for node in range(first, last + 1):
            ready = state[history_at(table, node, command)]
            if ready > latest:
                latest = ready
    return latest


@jit
def switch_mode(table, state, pim, request, now):
    """Leave or enter register mode, if that is legal now."""
    command = pim[P_MODE_SWITCH]
    if is_legal(table, state, command, FIRST_BANK, now):
        issue(table, state, command, FIRST_BANK, NO_ROW, request, now)
        pim[P_REGISTER_MODE] = 1 - pim[P_REGISTER_MODE]


@jit
def close_pim_rows(table, state, pim, request, now):
    """For the host: precharge all banks that PIM opened, if that is legal now."""
    if is_legal(table, state, table[PRE_ALL], FIRST_BANK, now):
        issue(table, state, table[PRE_ALL], FIRST_BANK, NO_ROW, request, now)
        pim[P_ROW_LOST] = pim[P_ROW]
        pim[P_ROWS_OPEN] = 0
        pim[P_PIM_ROWS_CLOSED] += 1
        pim[P_PRECHARGES_FOR_HOST] += 1


@jit
def note_lost_rows(table, state, pim):
    """PIM precharges all banks: remember the rows that the host had open."""
    pim[P_PRECHARGES_FOR_PIM] += 1
    if pim[P_ROWS_OPEN]:
        return
    for bank in range(table[T_N_BANKS]):
        row = open_row(table, state, bank)
        if row != CLOSED:
            pim[P_HOST_ROW_LOST + bank] = row
            pim[P_HOST_ROWS_CLOSED] += 1


@jit
def forget_lost_rows(table, pim):
    """A refresh closes all rows: what either side had open before is nobody's loss."""
    pim[P_ROW_LOST] = NO_ROW_LOST
    for bank in range(table[T_N_BANKS]):
        pim[P_HOST_ROW_LOST + bank] = NO_ROW_LOST


@jit
def open_all(table, state, pim, row):
    """An all-bank activation."""
    for bank in range(table[T_N_BANKS]):
        state[bank_at(table, bank) + OPEN_ROW] = row
    pim[P_ROWS_OPEN] = 1
    pim[P_ROW] = row
    if pim[P_ROW_LOST] == row:
        pim[P_PIM_ROWS_REOPENED] += 1
    pim[P_ROW_LOST] = NO_ROW_LOST


@jit
def count_column(pim, program, now):
    """A column command of the program's next operation was issued."""
    at = pim[P_OPERATION]
    if pim[P_DONE] == 0:
        program[at, O_FIRST_CYC] = now
    pim[P_DONE] += 1
    pim[P_PIM_END] = now
    pim[P_PROGRESS] = now
    if pim[P_DONE] == program[at, O_COUNT]:
        program[at, O_LAST_CYC] = now
        pim[P_OPERATION] += 1
        pim[P_DONE] = 0
        pim[P_USED] += 1
        pim[P_AT_END] = 1


@jit
def serve_pim(table, state, pim, program, now):
    """Issue the program's next command if it is legal now."""
    command = pim_command(table, state, pim, program)
    if not is_legal(table, state, command, FIRST_BANK, now):
        return
    at = pim[P_OPERATION]
    row = program[at, O_ROW]
    if command == table[PRE_ALL]:
        note_lost_rows(table, state, pim)
    issue(table, state, command, FIRST_BANK, row, -2 - at, now)
    pim[P_AT_END] = 0
    if command == pim[P_MODE_SWITCH]:
        pim[P_REGISTER_MODE] = 1 - pim[P_REGISTER_MODE]
    elif command == pim[P_ACT_ALL]:
        open_all(table, state, pim, row)
    elif command == table[PRE_ALL]:
        pim[P_ROWS_OPEN] = 0
    else:
        count_column(pim, program, now)
