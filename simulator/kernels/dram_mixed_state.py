"""Names of the words of a DRAM channel that host requests and a PIM program share.

The host's side is that of the table-driven controller (`dram_table_state`). Beside its arrays are two more of int64:

* `pim`: words of the PIM side and of the arbiter between the two, then the row of the host's that PIM closed in each
  bank.
* `program`, one row per operation of the PIM program, in order: a run of equal column commands.
"""

import numpy as np

# numpy's integers: for Python's, numba would compile every function that they are given to once per value.
FIRST_BANK = np.int64(0)
BY_REFRESH = np.int64(-1)

# --- columns of an operation
(
    O_COMMAND,
    O_ROW,  # row that must be open in all banks, -1: none
    O_COUNT,  # column commands
    O_REGISTER,  # served in register mode
    O_RELEASE,  # first tick at which it may be served
    O_FIRST_CYC,  # of its first column command
    O_LAST_CYC,  # of its last
) = range(7)
N_OPERATION = 7

HOST, PIM = np.arange(2)
PIM_FIRST, HOST_FIRST, ALTERNATE = range(3)

(
    P_POLICY,
    P_PREEMPT_ANY,  # the host may take over between any two PIM commands, else between operations
    P_HOST_QUANTUM,  # column commands
    P_PIM_QUANTUM,  # operations
    P_MAX_WAIT,  # ticks, 0: any
    P_ACT_ALL,  # indices of commands, -1: the standard has none
    P_MODE_SWITCH,
    P_PATIENCE,
    P_SKIPS,  # quiet ticks are stepped over
    P_NEXT,  # next tick to visit
    P_OPERATION,  # the program's next operation
    P_DONE,  # column commands of it issued
    P_REGISTER_MODE,
    P_ROWS_OPEN,  # banks may be open from an all-bank activation
    P_ROW,  # the row of that
    P_ROW_LOST,  # the row of PIM's that the host had closed
    P_AT_END,  # nothing of PIM's next operation is begun
    P_TURN,
    P_SINCE,  # tick from which the turn holds
    P_USED,  # column commands or operations of this turn
    P_FORCED,  # the turn was given because of a long wait
    P_WAITING_SINCE,  # tick from which the other side wants the turn, -1: it does not
    P_PROGRESS,  # tick of the last column command of either side, or when nothing was wanted
    P_IDLE,
    P_HOST_DRAIN,  # tick in which the last request had its column command, -1: not yet
    P_PIM_END,  # tick of the last PIM column command
    P_PIM_TICKS,  # in PIM's turns
    P_TURNS,  # turns given to PIM
    P_FORCED_TURNS,
    P_LONGEST_HOST_WAIT,  # for a turn
    P_LONGEST_PIM_WAIT,
    P_HOST_ROWS_CLOSED,  # by PIM
    P_HOST_HITS_LOST,  # host activations of the row that PIM had closed
    P_PIM_ROWS_CLOSED,  # all banks at once, by the host
    P_PIM_ROWS_REOPENED,
    P_PRECHARGES_FOR_HOST,  # of all banks
    P_PRECHARGES_FOR_PIM,
) = range(37)
P_DRAIN_TALLY = 37
N_TALLY = 9
P_HOST_ROW_LOST = P_DRAIN_TALLY + N_TALLY  # [banks]
N_PIM = P_HOST_ROW_LOST
NO_ROW_LOST = -1
NEVER = 1 << 62
