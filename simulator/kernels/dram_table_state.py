"""Names of the words of the table-driven DRAM controller: three arrays of int64 hold everything, so that a run can be
left after any tick and taken up again, and so that it compiles in seconds.

* `table`: what does not change: set-up, the device's tree, the rule rows, and where the regions of the state begin.
* `state`, one row per channel: words of the controller, then regions: history (ready table and past issues of every
  node and command), banks, queues, maintenance, reads under way, staggered refresh, command counts, command log.
* `requests`, one row per request in the front end's order: what is asked, and what became of it.

Times are ticks; banks are numbered flat (outermost level most significant); level 0 is the channel, the last level the
bank; the nodes of all levels are numbered through, level after level.
"""

from typing import Any

import numpy as np
from numba import njit

# Nothing is allocated in these kernels, so they need no reference counts. Only the outermost function is called from
# Python and kept on disk.
_options: dict[str, Any] = {"_nrt": False}
_without_wrappers = _options | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
outermost_jit = njit(cache=True, **_options)
jit = njit(**_without_wrappers)
inlined = njit(inline="always", **_options)

# --- what a command means, whatever its index in the standard: words of `table` (-1: the standard has no such command)
ACT, ACT2, PRE, PRE_ALL, RD, WR, RDA, WRA, REF_ALL, REF_BANK, CAS_RD, CAS_WR = range(12)
N_ROLES = 12

# --- table: set-up
(
    T_CONTROLLER,
    T_REFRESH,
    T_ROW_HIT_FIRST,  # scheduler FRFCFSRowHit
    T_CLOSED_ROWS,  # row policy
    T_ROW_CAP,
    T_READ_QUEUE,
    T_WRITE_QUEUE,
    T_WRITE_ON_AT,
    T_WRITE_OFF_AT,
    T_FE_RATIO,
    T_WINDOW,  # reads that may be outstanding, 0: any number
    T_READ_LATENCY,
    T_REFI,  # ticks between refreshes: of all banks, or of one
    T_RFC_BANK,
    T_RANK_LEVEL,  # level that an all-bank refresh addresses
    T_SET_LEVEL,  # level whose banks a staggered refresh goes round: stack id, else pseudo channel
    T_WCK_ALWAYS_ON,
    T_SYNC_READ,  # ticks after a read (write) for which the data clock stays in step
    T_SYNC_WRITE,
    T_ACT2_WITHIN,
    T_PATIENCE,  # ticks without a column command after which waiting requests are given up
    T_LOGS,
    T_N_LEVELS,
    T_N_BANKS,
    T_N_COMMANDS,
    T_N_RECENT,  # past issues kept per node and command: the widest window
    T_N_UNDER_WAY,  # places for reads under way
    T_QUEUE_SIZE,
) = range(N_ROLES, N_ROLES + 28)
# --- table: where its regions begin
(
    T_SCOPE,  # [commands]: innermost level that a command names
    T_BANKS_UNDER,  # [levels]
    T_NODE,  # [levels, banks]: node of a bank's path
    T_SPAN,  # [levels, commands, 2]: rules that a command sets off, first and behind the last
    T_RULES,  # [rules, 6], sorted by (level, preceding)
) = range(N_ROLES + 28, N_ROLES + 33)
# --- table: where the regions of a channel's state begin
(
    T_HISTORY,  # [nodes, commands, 2 + recent]: earliest tick, number of issues, ring of the last issue ticks
    T_BANKS,  # [banks, 4]
    T_QUEUES,  # [3, size]: requests
    T_DUE,  # [DUE_SIZE, 2]: maintenance (command, bank), a ring
    T_UNDER_WAY,  # [places]: reads in the order in which their data comes, a ring
    T_ROUNDS,  # [sets, 2]: staggered refresh: banks of a set asked for in this round; when the next may begin
    T_COUNTS,  # [commands]
    T_LOG,  # [commands of a call, 4]: tick, command, bank, request
) = range(N_ROLES + 33, N_ROLES + 41)
N_TABLE = N_ROLES + 41

# --- columns of a rule row
LEVEL, PRECEDING, FOLLOWING, LATENCY, WINDOW, SIBLING = range(6)
N_RULE = 6

# --- words of a bank
(
    OPEN_ROW,  # row, CLOSED or ACTIVATING
    WAITING,  # the request for which the bank was opened and which waits for its column command, -1 none
    COLUMNS,  # column commands since the row was opened
    CLOSING,  # a precharge is due by the closed-row policy
) = range(4)
N_BANK = 4
CLOSED = -1
ACTIVATING = -2

# --- queues of requests. These, and the slots below, are numpy's integers: for Python's, numba would compile every
# function that they are given to once per value, and take almost twice as long.
READ_QUEUE, WRITE_QUEUE, ACTIVE_BUFFER = np.arange(3)
N_QUEUES = 3

# --- controllers, refresh and what a command slot takes
ONE_BUS, TWO_BUS, HALF_CLOCK, SPLIT_ACTIVATE = range(4)
NO_REFRESH, ALL_BANK, PER_BANK, STAGGERED_PER_BANK = range(4)
ANY_COMMAND, COLUMN_COMMANDS, ROW_COMMANDS, FALLING_EDGE = np.arange(4)
NO_REQUEST = np.int64(-1)
NO_ROW = np.int64(-1)

# --- state: words of a channel; the first of them are its tally, in the order of the fields of `Tally`
HITS, MISSES, CONFLICTS, READS, WRITES, FORWARDED, COALESCED, LATENCY_SUM, REFRESHES = range(9)
N_TALLY = 9
STOP_TALLY = N_TALLY  # the same when the last request was taken
(
    S_LENGTH,  # of the three queues
    _,
    _,
    S_WRITE_MODE,
    S_SYNCED,  # request whose column command must follow its CAS, -1 none
    S_SYNC_END,  # tick from which a column command needs a CAS
    S_ACTIVATING,  # request whose ACT2 is outstanding, -1 none
    S_ACT2_BY,  # its deadline
    S_PAIR_EDGE,  # falling edge that the last row command of a rising edge restricts
    S_PAIR_BANK,
    S_PAIR_WIDE,  # that command addressed more than one bank
    S_DUE_HEAD,
    S_DUE_LENGTH,
    S_UNDER_WAY_HEAD,
    S_UNDER_WAY_LENGTH,
    S_REFRESH_BANK,  # cursor of per-bank refresh
    S_REFRESH_SET,
    S_REFRESH_NEXT,  # staggered refresh: earliest tick of the next round
    S_BACKLOG_RANK,  # staggered refresh: pseudo channels of this round still to be asked for, from this one on
    S_BACKLOG_BANK,  # bank within a pseudo channel of this round
    S_LAST_COLUMN,  # tick of the last column command, or when none waited
    S_DIGEST,
    S_LOGGED,
) = range(2 * N_TALLY, 2 * N_TALLY + 23)
N_STATE = 2 * N_TALLY + 23
N_LOG = 4  # words of a logged command
DUE_SIZE = 1568  # maintenance commands that may wait in a channel

# --- front: words of the front end and of the run; then a ring of read latency + 2 ticks: reads whose data comes then
F_NOW, F_HEAD, F_OUTSTANDING, F_STOP, F_STATUS = range(5)
F_ARRIVING = 5
RUNNING, DRAINED, STARVED, OVERFULL = range(4)

# --- columns of a request
ADDRESS, IS_WRITE, CHANNEL, BANK, ROW, OFFER_CYC, ARRIVE_CYC, DEPART_CYC, ISSUE_CYC, COUNTED = range(10)
N_REQUEST = 10
