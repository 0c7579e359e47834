"""State of the event-driven DRAM controller: what the words of its flat arrays are called.

`state` holds `WORDS` words per channel, `table` the constants of a run. A bank has a *lane*: lanes of one rank (pseudo
channel, or the whole channel) begin at a multiple of `LANES`, so that vectors cover whole ranks. A candidate's *order*
is one word: 2 ** 62 and above for none, else (not yet active: 1 bit) (age: 34 bits) (kind: 2 bits) (lane: 7 bits), so
that the least of ((ready - now) << SHIFT | order) is what first-ready first-come-first-served picks.
"""

from typing import Any

import numpy as np
from numba import njit

# Nothing is allocated here, so the functions need no reference counts, which would triple the time (measured).
# Only the outermost are called from Python: the others need no wrappers, which take longer to compile than they.
_options: dict[str, Any] = {"cache": True, "_nrt": False}
_inner: dict[str, Any] = {**_options, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
outermost = njit(**_options)
jit = njit(forceinline=False, **_inner)  # said, because options are inherited from the function that calls
inlined = njit(forceinline=True, **_inner)

MAX_LANES = 128
STRIDE = MAX_LANES + 8  # lane arrays lie apart by an odd number of cache lines
MAX_SLOTS = 1024
SLOT_WORDS = 16
NIL = (MAX_SLOTS - 1) * SLOT_WORDS  # the slot of no request: its order is NONE
LANE_MASK = MAX_LANES - 1
SLOT_MASK = MAX_SLOTS * SLOT_WORDS - 1
BASE_MASK = (1 << 31) - 1
REQUEST_MASK = (1 << 48) - 1
SHIFT = 44
KIND_SHIFT = 7
CHANNEL_SHIFT = 8  # of a request: above its lane, and whether it is a write
AGE_SHIFT = 9
ORDER_MASK = (1 << SHIFT) - 1
QUEUED = 1 << 43  # in the order of a request that still waits in a queue, not in the active buffer
NONE = 1 << 62
NEVER = 1 << 60
LONG_AGO = -(1 << 60)
BLOOM = 1024

# --- commands; the first four are the kinds of candidates
# What is handed to functions is of a numpy type: of Python's, each value would be a type, and a function, of its own.
RD, WR, ACT, PRE, PRE_ALL, REF_ALL, REF_BANK, ACT2, CAS_RD, CAS_WR = (np.int64(command) for command in range(10))
N_RULED = 7
NO_REQUEST = np.int64(-1)
ANY_TICK = np.int64(0)
FIRST_LANE = np.int64(0)
N_COMMANDS = 10

CLOSED, ACTIVATING = -1, -2
ONE_BUS, TWO_BUS, SPLIT_ACTIVATE = 0, 1, 2  # half clocks are two buses with `T_ODD`
NO_REFRESH, ALL_BANK, PER_BANK, STAGGERED_PER_BANK = range(4)
NO_WAIT, WAIT_DRAINED = -1, 2  # what `advance` may return for before its limit; 0, 1: a slot of that queue

# --- how a command raises the earliest ticks of a kind
NOT_AT_ALL, OWN_BANK, ALL_BANKS = 0, 1, 2

# --- table
(
    T_CONTROLLER, T_LANES, T_VECTORS, T_RANKS, T_LANES_PER_RANK, T_BANKS_PER_RANK, T_ODD, T_READ_QUEUE, T_WRITE_QUEUE,
    T_WRITE_ON, T_WRITE_OFF, T_ROW_HIT_FIRST, T_FE_RATIO, T_WINDOW, T_READ_LATENCY, T_REFRESH, T_REFI, T_RFC_BANK,
    T_SETS_PER_RANK, T_BANKS_PER_SET, T_FOUR_ACT, T_SYNC_READ, T_SYNC_WRITE, T_ACT2_WITHIN, T_ALWAYS_IN_SYNC,
    T_PATIENCE,
) = range(26)  # fmt: skip
T_COMMAND = 32  # a command's place in the standard's list
T_HOW = T_COMMAND + N_COMMANDS  # [preceding, kind]
T_OWN = T_HOW + N_RULED * 4  # [preceding, kind]: latency to the same bank
T_BANK = T_OWN + N_RULED * 4  # flat bank of a lane
T_LATENCY = (
    (T_BANK + MAX_LANES + 7) // 8 * 8
)  # [preceding, kind, lane of the preceding, lane]; then, from T_WAIT_AT on,
T_WAIT_AT = 30  # place of the latencies to PRE_ALL, REF_ALL, REF_BANK: [following - 4, preceding, lane, preceding lane]

# --- state: plain words
(
    CLK, WRITE_MODE, N_READ, N_WRITE, N_ACTIVE, PENDING, AGE, N_FREE, DIGEST,
    BEST_OK, BEST_CYC, BEST_ORDER,
    DUE, DUE_NEXT, DUE_BANK, DUE_SET, DUE_BACKLOG, PRIO_HEAD, PRIO_LENGTH,
    LAST_COLUMN, SYNC_END, SYNCED, ACTIVATING_SLOT, ACTIVATING_LANE, ACT2_BY,
    FINISHED, STOPPED_AT,
    HITS, MISSES, CONFLICTS, READS, WRITES, FORWARDED, COALESCED, LATENCY_SUM, REFRESHES,
) = range(36)  # fmt: skip
TALLY, N_TALLY = HITS, 9
N_KIND = 40  # candidates of each kind
COUNTS = 44  # commands by kind
# --- state: by lane
READY = 64  # [kind]: earliest tick
ORDER = READY + 4 * STRIDE  # [kind]: order of the candidate
OPEN = ORDER + 4 * STRIDE
ACTIVE = OPEN + STRIDE  # slot of the request for which the row was opened
HEAD = ACTIVE + STRIDE  # [queue]: oldest request
TAIL = HEAD + 2 * STRIDE
HIT = TAIL + 2 * STRIDE  # [queue]: oldest request for the open row
OTHER = HIT + 2 * STRIDE  # [queue]: oldest request for any other row
LAST = OTHER + 2 * STRIDE  # [command]: last tick
RECENT = LAST + N_RULED * STRIDE  # [rank]: ring of the last four activations, and its place
PUSHED = RECENT + 8 * 16  # [rank, set]: banks asked in this round of a staggered refresh, and when the next may begin
# --- state: by slot, whose number is its place: what belongs to one request lies in two cache lines
SLOTS = PUSHED + 2 * 64
KEY, NEXT, BEFORE, ROW, REQUEST, ARRIVED, ADDRESS, COUNTED, IS_WRITE = range(SLOTS, SLOTS + 9)
FREE = SLOTS + MAX_SLOTS * SLOT_WORDS
FILTER = FREE + MAX_SLOTS  # how many queued writes hash to each place
PRIO = FILTER + BLOOM  # ring of maintenance: command, lane
PRIO_SIZE = 2048
RING = PRIO + 2 * PRIO_SIZE  # the last reads served: tick of their data, latency
RING_SIZE = 8192
WORDS = (RING + 2 * RING_SIZE + 7) // 8 * 8  # whole cache lines, so that vectors do not straddle them

# --- words of the front end
(
    F_NEXT, F_TICK, F_USED, F_WAIT, F_LIMIT, F_STOP, F_DRAINED, F_STATUS, F_LOGGED, F_UNISSUED, F_FLYING, F_PHASE,
    F_CHANNEL, F_CATCHING_UP, F_STREAM_FROM,
) = range(15)  # fmt: skip
N_FRONT = 16
RUNNING, DONE, STARVED, OVERFULL = range(4)
