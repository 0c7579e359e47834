"""State of the table-driven DRAM controller: what its arrays and words are called. Everything is in arrays, so that a
run can be left after any tick and taken up again.

Times are ticks; a channel's banks are numbered flat (outermost level most significant); level 0 is the channel, the
last level the bank; nodes of all levels are numbered through, level after level.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Nothing is allocated in these kernels: without reference counts, tuples of arrays cost nothing to take apart.
_options: dict[str, Any] = {"cache": True, "_nrt": False}
jit = njit(**_options)

Ints = NDArray[np.int64]

# --- open_row of a bank that has no row open
CLOSED = -1
ACTIVATING = -2

# --- what a command means, whatever its index in the standard: places in `role` (-1: the standard has no such command)
ACT, ACT2, PRE, PRE_ALL, RD, WR, RDA, WRA, REF_ALL, REF_BANK, CAS_RD, CAS_WR = range(12)
N_ROLES = 12

# --- columns of a rule row
LEVEL, PRECEDING, FOLLOWING, LATENCY, WINDOW, SIBLING = range(6)

# --- queues of requests
READ_QUEUE, WRITE_QUEUE, ACTIVE_BUFFER = range(3)

# --- controllers, refresh and what a command slot takes
ONE_BUS, TWO_BUS, HALF_CLOCK, SPLIT_ACTIVATE = range(4)
NO_REFRESH, ALL_BANK, PER_BANK, STAGGERED_PER_BANK = range(4)
ANY_COMMAND, COLUMN_COMMANDS, ROW_COMMANDS, FALLING_EDGE = range(4)

# --- setup: constants of a run
(
    S_CONTROLLER,
    S_REFRESH,
    S_ROW_HIT_FIRST,  # scheduler FRFCFSRowHit
    S_CLOSED_ROWS,  # row policy
    S_ROW_CAP,
    S_READ_QUEUE,
    S_WRITE_QUEUE,
    S_WRITE_ON_AT,
    S_WRITE_OFF_AT,
    S_FE_RATIO,
    S_WINDOW,
    S_READ_LATENCY,
    S_REFI,  # ticks between refreshes: of all banks, or of one
    S_RFC_BANK,
    S_RANK_LEVEL,  # level that an all-bank refresh addresses
    S_SET_LEVEL,  # level whose banks a staggered refresh goes round: stack id, else pseudo channel
    S_WCK_ALWAYS_ON,
    S_SYNC_READ,  # ticks after a read (write) for which the data clock stays in step
    S_SYNC_WRITE,
    S_ACT2_WITHIN,
    S_PATIENCE,  # ticks without a column command after which waiting requests are given up
) = range(21)
N_SETUP = 21

# --- words of a channel
(
    W_WRITE_MODE,
    W_SYNCED,  # request whose column command must follow its CAS, -1 none
    W_SYNC_END,  # tick from which a column command needs a CAS
    W_ACTIVATING,  # request whose ACT2 is outstanding, -1 none
    W_ACT2_BY,  # its deadline
    W_PAIR_EDGE,  # falling edge that the last row command of a rising edge restricts
    W_PAIR_BANK,
    W_PAIR_WIDE,  # that command addressed more than one bank
    W_DUE_HEAD,  # ring of maintenance: head and length
    W_DUE_LENGTH,
    W_FINISHED_HEAD,  # ring of reads whose data is under way: head and length
    W_FINISHED_LENGTH,
    W_REFRESH_BANK,  # cursor of per-bank refresh
    W_REFRESH_SET,
    W_REFRESH_NEXT,  # staggered refresh: earliest tick of the next round
    W_BACKLOG_NEXT,  # staggered refresh: pseudo channels of this round still to be asked, from this one on
    W_BACKLOG_BANK,  # bank within a pseudo channel of this round
    W_LAST_COLUMN,
    W_LOGGED,
) = range(19)
N_WORDS = 19

# --- words of the front end and the run
F_NOW, F_HEAD, F_OUTSTANDING, F_DONE, F_STOP, F_STATUS = range(6)
N_FRONT = 6
RUNNING, DRAINED, STARVED, OVERFULL = range(4)

# --- tally, in the order of the fields of `Tally`
HITS, MISSES, CONFLICTS, READS, WRITES, FORWARDED, COALESCED, LATENCY_SUM, REFRESHES = range(9)
N_TALLY = 9

DUE_SIZE = 1568  # maintenance commands that may wait in a channel


class Device(NamedTuple):
    """Rules and state of the DRAM behind every channel.

    `rules` is sorted by (level, preceding); `rules_from[level, command]` to `rules_to` are those that a command sets off.
    """

    rules: Ints  # [k, 6]
    rules_from: Ints  # [levels, commands]
    rules_to: Ints
    node_of: Ints  # [levels, banks]: node of a bank's path
    banks_under: Ints  # [levels]
    scope: Ints  # [commands]: innermost level that a command names
    role: Ints  # [N_ROLES]: command index
    ready: Ints  # [channels, nodes, commands]: earliest tick
    recent: Ints  # [channels, nodes, commands, window]: ring of the last issue ticks
    n_recent: Ints  # [channels, nodes, commands]: how many there ever were
    open_row: Ints  # [channels, banks]: row, CLOSED or ACTIVATING


class Traffic(NamedTuple):
    """Requests in the order of the front end, and what became of them."""

    address: Ints
    is_write: NDArray[np.uint8]
    channel: Ints
    bank: Ints
    row: Ints
    offer_cyc: Ints  # [n] or [0]
    arrive_cyc: Ints
    depart_cyc: Ints
    issue_cyc: Ints
    counted: NDArray[np.uint8]  # in the row statistics


class Control(NamedTuple):
    """Queues, set-up and statistics of every channel's controller."""

    setup: Ints  # [N_SETUP]
    entries: Ints  # [channels, 3, size]: requests in each queue, in order of arrival
    length: Ints  # [channels, 3]
    active: Ints  # [channels, banks]: the request for which the bank was opened and which waits for its column, or -1
    columns: Ints  # [channels, banks]: column commands since the row was opened
    closing: Ints  # [channels, banks]: a precharge is due by the closed-row policy
    due: Ints  # [channels, DUE_SIZE, 2]: maintenance (command, bank), a ring
    finished: Ints  # [channels, size]: reads in the order in which their data comes, a ring
    pushed: Ints  # [channels, sets, 2]: staggered refresh: banks of a set asked in this round, and when the next may begin
    word: Ints  # [channels, N_WORDS]
    front: Ints  # [N_FRONT]
    arriving: Ints  # [read latency + 2]: reads whose data comes at a tick, a ring
    tally: Ints  # [channels, N_TALLY]
    stop_tally: Ints
    n_commands: Ints  # [channels, commands]
    digest: NDArray[np.uint64]  # [channels]
    log: Ints  # [channels, size, 4]: tick, command, bank, request; size 0: no log
