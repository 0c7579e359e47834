"""State of an AiM channel class and constants of a part, as words of two vectors; what is equal, and what is copied.

A class of channels is one row of `state` (int64), words in the order of the offsets below; the constants of a part are
one vector `table`.
"""

from typing import Any

from numba import njit

# Nothing is allocated here, so the functions need no reference counts, which would triple the time (measured).
_options: dict[str, Any] = {"cache": True, "_nrt": False}
jit = njit(**_options)
# Passing two arrays to a function that is not inlined costs some 15 ns a call: the hot path is inlined.
inlined = njit(inline="always", **_options)

N_COMMANDS = 18
ACT, PRE, PREA, ACT16, TMOD, REFAB = 0, 1, 2, 3, 16, 17
WR_ABK, AF, W_MEM, R_MEM, SYNC, EOC, NO_EFFECT = 9, 5, 10, 11, 12, 13, 14
N_OPCODES = 15
AF_ROW = 1 << 29
N_BANKS = 16
BANKS_PER_GROUP = 4
N_GROUPS = N_BANKS // BANKS_PER_GROUP
MAX_ENTRIES = 64
RING = 128
NEVER = 1 << 60

# Commands that rules constrain at bank-group or bank level: ACT, PRE, RD, WR, RDCP, WRCP, padded to a vector's width.
N_LOCAL = 8

# --- table: constants of a part
T_CHANNEL = 0  # latency[preceding, following] in clocks, -NEVER where there is no rule
T_GROUP = T_CHANNEL + N_COMMANDS * N_COMMANDS  # the same for the local commands only, [preceding, local following]
T_BANK = T_GROUP + N_COMMANDS * N_LOCAL
T_HAS_GROUP = T_BANK + N_COMMANDS * N_LOCAL  # whether a preceding command has rules at that level
T_HAS_BANK = T_HAS_GROUP + N_COMMANDS
T_LOCAL = T_HAS_BANK + N_COMMANDS  # command to local command
T_PITCH = T_LOCAL + N_COMMANDS
T_FINAL = T_PITCH + N_COMMANDS
T_DONE = T_FINAL + N_OPCODES
T_REGISTER = T_DONE + N_OPCODES
T_NEEDS = T_REGISTER + N_OPCODES
T_POSTED = T_NEEDS + N_OPCODES
T_BLOCKING = T_POSTED + N_OPCODES
T_DEPTH = T_BLOCKING + N_OPCODES
T_WRITE_LOW = T_DEPTH + 1
T_WRITE_HIGH = T_WRITE_LOW + 1
T_REFI = T_WRITE_HIGH + 1
T_WIDTH = T_REFI + 1
TABLE_WORDS = T_WIDTH + 1

# --- state: plain words, times (compared relative to now), accumulators, queues
MODE = 0
WRITE_MODE = 1
UNIFORM = 2  # row open in all banks, -1 all closed, -2 neither
N_READ = 3
N_WRITE = 4
N_ACTIVE = 5
OPEN = 6
TIMES = OPEN + N_BANKS
CURSOR = TIMES
LAST_REPLY = TIMES + 1
WRITES_DONE = TIMES + 2
AIM_LAST = TIMES + 3
READY = TIMES + 4
READY_GROUP = READY + N_COMMANDS
READY_BANK = READY_GROUP + N_GROUPS * N_LOCAL
TIMES_END = READY_BANK + N_BANKS * N_LOCAL
DUE = TIMES_END
OPEN_SINCE = DUE + 1
ACTIVE_CYC = DUE + 2
AIM_INDEX = DUE + 3
COUNTS = DUE + 4
HOT_END = COUNTS + N_COMMANDS
QUEUE_READ = HOT_END
QUEUE_WRITE = QUEUE_READ + MAX_ENTRIES
QUEUE_ACTIVE = QUEUE_WRITE + MAX_ENTRIES
ISSUES = QUEUE_ACTIVE + 2 * MAX_ENTRIES  # ring of the last issue times of the AiM queue
WORDS = ISSUES + RING

# --- roster: which channels form which class. A class is known by its slot, the row of `state` that it uses.
MAX_CHANNELS = 62

# An index that has passed one of these masks is known not to be negative, and the compiler leaves out what numba adds
# for negative ones (1.5x, measured). They change no value.
BASE_MASK = 0xFFFF
BANK_MASK = N_BANKS - 1
OPCODE_MASK = 15
COMMAND_MASK = 31
LOCAL_MASK = N_LOCAL - 1
assert WORDS * MAX_CHANNELS <= BASE_MASK + 1
MEMBERS = 0  # of a slot: mask of its channels
LEADERS = MEMBERS + MAX_CHANNELS  # slots in use, in no order
CLASS_OF = LEADERS + MAX_CHANNELS  # of a channel: its slot
ORDER_END = CLASS_OF + MAX_CHANNELS  # of a channel: end of its targets where they are sorted by channel
N_CLASSES = ORDER_END + MAX_CHANNELS
MERGE_FAILURES = N_CLASSES + 1
MERGE_WAIT = N_CLASSES + 2
ROSTER_WORDS = N_CLASSES + 3

# --- tallies of a channel: its commands, then the clocks with a row open
TALLY_ACTIVE = N_COMMANDS
TALLY_WORDS = N_COMMANDS + 1


@jit
def clear_state(state, table, base):
    """A channel at the start: all banks closed, nothing waiting, every command allowed."""
    for k in range(WORDS):
        state[base + k] = 0
    for k in range(READY, TIMES_END):
        state[base + k] = -NEVER
    for bank in range(N_BANKS):
        state[base + OPEN + bank] = -1
    state[base + UNIFORM] = -1
    state[base + OPEN_SINCE] = -1
    state[base + DUE] = table[T_REFI] if table[T_REFI] > 0 else NEVER
    state[base + CURSOR] = 1


@jit
def equal_states(state, a, now_a, other, b, now_b):
    """Whether two states are equal from now on: same words, same times relative to now, all past times being one."""
    if state[a + AIM_LAST] >= now_a or other[b + AIM_LAST] >= now_b:
        return False
    for k in range(TIMES):
        if state[a + k] != other[b + k]:
            return False
    for k in range(TIMES, TIMES_END):
        if max(state[a + k] - now_a, 0) != max(other[b + k] - now_b, 0):
            return False
    for k in range(state[a + N_READ]):
        if state[a + QUEUE_READ + k] != other[b + QUEUE_READ + k]:
            return False
    for k in range(state[a + N_WRITE]):
        if state[a + QUEUE_WRITE + k] != other[b + QUEUE_WRITE + k]:
            return False
    for k in range(state[a + N_ACTIVE]):
        if state[a + QUEUE_ACTIVE + k] != other[b + QUEUE_ACTIVE + k]:
            return False
    return True


@jit
def copy_queues(source, a, target, b):
    """Copy the plain requests that wait in a state, as its lengths say, without what lies in unused places."""
    for k in range(source[a + N_READ]):
        target[b + QUEUE_READ + k] = source[a + QUEUE_READ + k]
    for k in range(source[a + N_WRITE]):
        target[b + QUEUE_WRITE + k] = source[a + QUEUE_WRITE + k]
    for k in range(source[a + N_ACTIVE]):
        target[b + QUEUE_ACTIVE + k] = source[a + QUEUE_ACTIVE + k]


@jit
def copy_state(source, a, target, b):
    """Copy a state but for the ring of issue times, to compare with it or to come back to it after plain requests."""
    for k in range(HOT_END):
        target[b + k] = source[a + k]
    copy_queues(source, a, target, b)


@jit
def settle_open_time(state, base, now):
    """Count the time for which rows have been open up to now."""
    if state[base + OPEN_SINCE] >= 0:
        state[base + ACTIVE_CYC] += now - state[base + OPEN_SINCE]
        state[base + OPEN_SINCE] = now
