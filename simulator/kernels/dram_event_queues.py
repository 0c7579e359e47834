"""Queues of the event-driven DRAM controller: requests by bank in order of age, and the candidates that they make."""

from simulator.kernels.dram_event_state import (
    ACT,
    ACTIVE,
    ADDRESS,
    AGE,
    AGE_SHIFT,
    ARRIVED,
    BASE_MASK,
    BEFORE,
    BEST_CYC,
    BEST_OK,
    BEST_ORDER,
    BLOOM,
    CLK,
    CLOSED,
    COUNTED,
    FILTER,
    FREE,
    HEAD,
    HIT,
    IS_WRITE,
    KEY,
    KIND_SHIFT,
    LAST_COLUMN,
    N_FREE,
    N_KIND,
    N_READ,
    N_WRITE,
    NEXT,
    NIL,
    NONE,
    OPEN,
    ORDER,
    OTHER,
    PENDING,
    PRE,
    QUEUED,
    RD,
    READY,
    REQUEST,
    ROW,
    SLOT_MASK,
    STRIDE,
    T_LANES,
    T_ROW_HIT_FIRST,
    T_WRITE_OFF,
    T_WRITE_ON,
    TAIL,
    WR,
    WRITE_MODE,
    inlined,
    jit,
)
from simulator.kernels.vectors import apart


@inlined
def filter_place(address):
    """Where an address is counted in the filter of queued writes."""
    return ((address * 0x61C8864680B583EB) >> 52) & (BLOOM - 1)


@inlined
def set_order(s, base, kind, lane, order):
    """Set a candidate (or none), and keep count."""
    place = base + ORDER + kind * STRIDE + lane
    s[base + N_KIND + kind] += (1 if order < NONE else 0) - (1 if s[place] < NONE else 0)
    s[place] = order


@inlined
def refresh_lane(s, base, table, lane):
    """Find the candidates of a bank anew: of its active request and of the queue whose turn it is."""
    queue = s[base + WRITE_MODE] & 1
    hit = s[base + HIT + queue * STRIDE + lane] & SLOT_MASK
    other = s[base + OTHER + queue * STRIDE + lane] & SLOT_MASK
    active = s[base + ACTIVE + lane] & SLOT_MASK
    open_row = s[base + OPEN + lane]
    column = s[base + KEY + hit]
    row = s[base + KEY + other]
    waits = s[base + KEY + active] ^ QUEUED
    active_writes = s[base + IS_WRITE + active]
    read = NONE if queue else column
    write = column if queue else NONE
    if active != NIL:
        if active_writes:
            write = waits
        else:
            read = waits
    may_close = open_row >= 0 and active == NIL
    if table[T_ROW_HIT_FIRST] and hit != NIL and s[base + ARRIVED + hit] <= s[base + ARRIVED + other]:
        may_close = False
    set_order(s, base, RD, lane, read | RD << KIND_SHIFT | lane)
    set_order(s, base, WR, lane, write | WR << KIND_SHIFT | lane)
    set_order(s, base, ACT, lane, (row if open_row == CLOSED else NONE) | ACT << KIND_SHIFT | lane)
    set_order(s, base, PRE, lane, (row if may_close else NONE) | PRE << KIND_SHIFT | lane)


@jit
def switch_mode(s, base, table):
    """Turn from reads to writes or back: every bank offers others."""
    apart()
    base &= BASE_MASK
    s[base + WRITE_MODE] ^= 1
    s[base + BEST_OK] = 0
    for lane in range(table[T_LANES]):
        refresh_lane(s, base, table, lane)


@inlined
def would_switch(s, base, table):
    """Whether evaluating the write mode now would change it."""
    n_reads = s[base + N_READ]
    n_writes = s[base + N_WRITE]
    if s[base + WRITE_MODE]:
        return n_writes <= table[T_WRITE_OFF] and n_reads > 0
    return n_writes >= table[T_WRITE_ON] or n_reads == 0


@inlined
def next_of_row(s, base, slot, row):
    """The next request for a row, from a slot of a bank's list on; NIL for none."""
    while slot != NIL and s[base + ROW + slot] != row:
        slot = s[base + NEXT + slot] & SLOT_MASK
    return slot


@inlined
def next_of_another(s, base, slot, row):
    """The next request for any other row, from a slot on; NIL for none."""
    while slot != NIL and s[base + ROW + slot] == row:
        slot = s[base + NEXT + slot] & SLOT_MASK
    return slot


@inlined
def open_lane(s, base, lane, row):
    """A bank's row is open: find each queue's first hit and first other."""
    s[base + OPEN + lane] = row
    for queue in range(2):
        place = base + queue * STRIDE + lane
        head = s[place + HEAD] & SLOT_MASK
        s[place + HIT] = next_of_row(s, base, head, row)
        s[place + OTHER] = next_of_another(s, base, head, row)


@inlined
def close_lane(s, base, lane):
    """A bank is closed: its oldest requests would open it."""
    s[base + OPEN + lane] = CLOSED
    for queue in range(2):
        place = base + queue * STRIDE + lane
        s[place + HIT] = NIL
        s[place + OTHER] = s[place + HEAD]


@inlined
def unlink(s, base, queue, lane, slot):
    """Take a request out of its bank's list and its queue; the slot stays its own."""
    before = s[base + BEFORE + slot] & SLOT_MASK
    after = s[base + NEXT + slot] & SLOT_MASK
    s[base + NEXT + before] = after
    s[base + BEFORE + after] = before
    place = base + queue * STRIDE + lane
    if before == NIL:
        s[place + HEAD] = after
    if after == NIL:
        s[place + TAIL] = before
    s[base + N_READ + queue] -= 1
    if queue:
        s[base + FILTER + filter_place(s[base + ADDRESS + slot])] -= 1


@inlined
def free_slot(s, base, slot):
    """Give a slot back."""
    n_free = s[base + N_FREE] & SLOT_MASK
    s[base + FREE + n_free] = slot
    s[base + N_FREE] = n_free + 1
    s[base + PENDING] -= 1


@inlined
def is_being_written(s, base, lane, address):
    """Whether a queued write has exactly this address."""
    if s[base + FILTER + filter_place(address)] == 0:
        return False
    slot = s[base + HEAD + STRIDE + lane] & SLOT_MASK
    while slot != NIL and s[base + ADDRESS + slot] != address:
        slot = s[base + NEXT + slot] & SLOT_MASK
    return slot != NIL


@inlined
def offer_best(s, base, table, kind, lane, now):
    """A candidate has come up that may be before the best known one."""
    if table[T_ROW_HIT_FIRST]:
        # A hit may forbid the precharge that was best.
        s[base + BEST_OK] = 0
    elif s[base + BEST_OK]:
        order = s[base + ORDER + kind * STRIDE + lane]
        ready = max(s[base + READY + kind * STRIDE + lane], now)
        best = s[base + BEST_CYC]
        if order < NONE and (ready < best or (ready == best and order < s[base + BEST_ORDER])):
            s[base + BEST_CYC] = ready
            s[base + BEST_ORDER] = order


@inlined
def enqueue(s, base, table, queue, lane, row, address, request):
    """Put a request, which arrives after tick `CLK`, at the end of its bank's list."""
    n_free = (s[base + N_FREE] - 1) & SLOT_MASK
    s[base + N_FREE] = n_free
    slot = s[base + FREE + n_free] & SLOT_MASK
    clk = s[base + CLK]
    age = s[base + AGE]
    s[base + AGE] = age + 1
    s[base + KEY + slot] = QUEUED | age << AGE_SHIFT
    s[base + ROW + slot] = row
    s[base + REQUEST + slot] = request
    s[base + ARRIVED + slot] = clk
    s[base + IS_WRITE + slot] = queue
    s[base + COUNTED + slot] = 0
    s[base + ADDRESS + slot] = address
    place = base + queue * STRIDE + lane
    tail = s[place + TAIL] & SLOT_MASK
    s[base + NEXT + slot] = NIL
    s[base + BEFORE + slot] = tail
    s[base + NEXT + tail] = slot
    if tail == NIL:
        s[place + HEAD] = slot
    s[place + TAIL] = slot
    s[base + N_READ + queue] += 1
    if queue:
        s[base + FILTER + filter_place(address)] += 1
    if s[base + PENDING] == 0:
        s[base + LAST_COLUMN] = clk
    s[base + PENDING] += 1
    is_hit = s[base + OPEN + lane] == row
    first = place + (HIT if is_hit else OTHER)
    if s[first] == NIL:
        s[first] = slot
        if s[base + WRITE_MODE] == queue:
            refresh_lane(s, base, table, lane)
            offer_best(s, base, table, queue, lane, clk + 1)
            offer_best(s, base, table, ACT, lane, clk + 1)
            offer_best(s, base, table, PRE, lane, clk + 1)
