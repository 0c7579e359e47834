"""The AiM device cycle by cycle, written from the rules in words: the slow twin that the timing kernel must equal.

Every cycle of every channel is visited and nothing is skipped. Plain Python (run it on micro cases); `compiled()` gives
the same functions through numba for whole blocks.
"""

from __future__ import annotations

import types
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Instructions and DRAM commands in the numbering of simulator.memory.aim_isa, repeated here: the twin stands alone.
WR_GB, WR_BIAS, RD_MAC, RD_AF, MAC_ABK, AF, EWMUL, COPY_BKGB, COPY_GBBK, WR_ABK, W_MEM, R_MEM, SYNC, EOC, NO_EFFECT = (
    range(15)
)
ACT, PRE, PREA, ACT16, MAC16, AF16, EWMUL16, RD, WR, RDCP, WRCP, WRGB, WRMAC16, RDMAC16, RDAF16, WRA16, TMOD, REFAB = (
    range(18)
)
N_COMMANDS = 18
N_BANKS = 16
AF_ROW = 1 << 29
LONG_AGO = -(10**9)

FINAL_COMMAND = np.array([WRGB, WRMAC16, RDMAC16, RDAF16, MAC16, AF16, EWMUL16, RDCP, WRCP, WRA16, WR, RD, -1, -1, -1])
DONE_AFTER = np.array([3, 3, 2, 2, 1, 1, 1, 1, 1, 40, 8, 52, 1, 1, 1])
IS_REGISTER_MODE = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
IS_BLOCKING = np.array([0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0])
IS_PENDING_WRITE = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0])
NEEDS_ALL_BANKS = np.array([0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0])
NEEDS_ONE_BANK = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0, 0])

# Queues of a channel, and the fields of an entry.
AIM_QUEUE, READ_QUEUE, WRITE_QUEUE, ACTIVE = range(4)
OP, BANK, ROW = range(3)

Array = NDArray[np.int64]


class Controller(NamedTuple):
    """Entries of a queue, writes below which and above which write mode ends and starts, lines per cycle, refresh
    interval (0: none)."""

    queue_entries: int = 33
    write_low: int = 7
    write_high: int = 25
    width: int = 1
    n_refi: int = 0


class Device(NamedTuple):
    """All state of all channels, channel first."""

    channel_rule: Array
    group_rule: Array
    bank_rule: Array
    last_channel: Array
    last_group: Array
    last_bank: Array
    open_row: Array
    register_mode: Array
    write_mode: Array
    refresh_due: Array
    queue: Array
    size: Array
    reply: Array
    n_reply: Array
    writes: Array
    n_writes: Array
    backlog: Array
    counts: Array
    active_cyc: Array
    log: Array
    n_log: Array


def run_device(lines, n_channels, rules, controller, log):
    """Tick the device until the EOC reply.

    lines int64[n, 5] (opcode, columns, mask, bank, row), the last one EOC. rules int64[3, 18, 18]: at channel,
    bank-group and bank level, cycles that must pass from a row's command to a column's (negative: no rule). log
    int64[m, 4] takes the first m commands as (cycle, channel, command, bank).
    Returns (cycles, counts int64[n_channels, 18], cycles with a row open int64[n_channels], commands logged).
    """
    device = new_device(n_channels, rules, controller, log)
    head = 0
    outstanding = 0
    is_waiting = False
    cycle = 0
    while True:
        cycle += 1
        # The backlog of the head line first; a line that got in this way is all that the dispatcher does in this cycle.
        had_backlog = device.backlog.sum() > 0
        if had_backlog:
            for ch in range(n_channels):
                push(device, controller, ch, lines[head], cycle)
        if outstanding == 0:
            if is_waiting:
                is_waiting = False
                head += 1
                if lines[head - 1, 0] == EOC:
                    return cycle - 1, device.counts, device.active_cyc, device.n_log[0]
            if had_backlog:
                if device.backlog.sum() == 0:
                    head += 1
            else:
                for _ in range(controller.width):
                    op = lines[head, 0]
                    if op != NO_EFFECT:
                        for ch in range(n_channels):
                            if op == SYNC or op == EOC or (lines[head, 2] >> ch) & 1:
                                device.backlog[ch] = lines[head, 1]
                                push(device, controller, ch, lines[head], cycle)
                                outstanding += IS_BLOCKING[op]
                    is_waiting = outstanding > 0
                    if is_waiting or device.backlog.sum() > 0:
                        break
                    head += 1
        for ch in range(n_channels):
            outstanding -= deliver(device, ch, cycle)
            for bank in range(N_BANKS):
                if device.open_row[ch, bank] >= 0:
                    device.active_cyc[ch] += 1
                    break
            if controller.n_refi > 0 and cycle >= device.refresh_due[ch]:
                refresh(device, controller, ch, cycle)
            else:
                serve(device, controller, ch, cycle)


def new_device(n_channels, rules, controller, log):
    """A device with all banks closed and nothing waiting."""
    return Device(
        rules[0],
        rules[1],
        rules[2],
        np.full((n_channels, N_COMMANDS), LONG_AGO, np.int64),
        np.full((n_channels, 4, N_COMMANDS), LONG_AGO, np.int64),
        np.full((n_channels, N_BANKS, N_COMMANDS), LONG_AGO, np.int64),
        np.full((n_channels, N_BANKS), -1, np.int64),
        np.zeros(n_channels, np.int64),
        np.zeros(n_channels, np.int64),
        np.full(n_channels, controller.n_refi, np.int64),
        np.zeros((n_channels, 4, 64, 3), np.int64),
        np.zeros((n_channels, 4), np.int64),
        np.zeros((n_channels, 4096, 2), np.int64),
        np.zeros(n_channels, np.int64),
        np.zeros((n_channels, 256), np.int64),
        np.zeros(n_channels, np.int64),
        np.zeros(n_channels, np.int64),
        np.zeros((n_channels, N_COMMANDS), np.int64),
        np.zeros(n_channels, np.int64),
        log,
        np.zeros(1, np.int64),
    )


def push(device, controller, ch, line, cycle):
    """Push requests of a line into a channel until it refuses; what is left stays in the backlog."""
    while device.backlog[ch] > 0 and accept(device, controller, ch, line, cycle):
        device.backlog[ch] -= 1


def accept(device, controller, ch, line, cycle):
    """Whether the channel controller takes one request now (and takes it)."""
    op = line[0]
    if op == W_MEM or op == R_MEM:
        if device.size[ch, AIM_QUEUE] > 0:
            return False
        if op == R_MEM and device.size[ch, WRITE_QUEUE] > 0:
            # Any waiting write answers any read: the reference compares no addresses.
            add_reply(device, ch, cycle + 1, op)
            return True
        q = WRITE_QUEUE if op == W_MEM else READ_QUEUE
    else:
        if device.size[ch, READ_QUEUE] > 0 or device.size[ch, WRITE_QUEUE] > 0:
            return False
        q = AIM_QUEUE
    k = device.size[ch, q]
    if k >= controller.queue_entries:
        return False
    device.queue[ch, q, k, OP] = op
    device.queue[ch, q, k, BANK] = line[3]
    device.queue[ch, q, k, ROW] = AF_ROW if op == AF else line[4]
    device.size[ch, q] = k + 1
    return True


def add_reply(device, ch, depart, op):
    """A reply joins the channel's reply queue."""
    device.reply[ch, device.n_reply[ch], 0] = depart
    device.reply[ch, device.n_reply[ch], 1] = op
    device.n_reply[ch] += 1


def deliver(device, ch, cycle):
    """Hand over the first reply if it is due, then forget finished writes; returns the number of blocking replies."""
    n_blocking = 0
    if device.n_reply[ch] > 0 and device.reply[ch, 0, 0] <= cycle:
        op = device.reply[ch, 0, 1]
        if not ((op == SYNC or op == EOC) and device.n_writes[ch] > 0):
            for k in range(1, device.n_reply[ch]):
                device.reply[ch, k - 1, 0] = device.reply[ch, k, 0]
                device.reply[ch, k - 1, 1] = device.reply[ch, k, 1]
            device.n_reply[ch] -= 1
            n_blocking = IS_BLOCKING[op]
    kept = 0
    for k in range(device.n_writes[ch]):
        if device.writes[ch, k] > cycle:
            device.writes[ch, kept] = device.writes[ch, k]
            kept += 1
    device.n_writes[ch] = kept
    return n_blocking


def refresh(device, controller, ch, cycle):
    """A refresh is due: close all banks if one is open, then refresh; nothing else is issued meanwhile."""
    is_open = False
    for bank in range(N_BANKS):
        if device.open_row[ch, bank] >= 0:
            is_open = True
    if is_open:
        if is_ready(device, ch, PREA, 0, cycle):
            book(device, ch, PREA, 0, cycle)
            device.open_row[ch, :] = -1
    elif is_ready(device, ch, REFAB, 0, cycle):
        book(device, ch, REFAB, 0, cycle)
        device.refresh_due[ch] += controller.n_refi


def serve(device, controller, ch, cycle):
    """Issue at most one command of a waiting request: activated ones first, then AiM requests, then reads or writes."""
    q = ACTIVE
    index = first_ready(device, ch, q, cycle)
    if index < 0 and device.size[ch, AIM_QUEUE] > 0:
        q = AIM_QUEUE
        op = device.queue[ch, q, 0, OP]
        if FINAL_COMMAND[op] < 0:
            add_reply(device, ch, cycle + DONE_AFTER[op], op)
            remove(device, ch, q, 0)
            return
        if is_ready(device, ch, needed(device, ch, q, 0), device.queue[ch, q, 0, BANK], cycle):
            index = 0
    elif index < 0:
        set_write_mode(device, controller, ch)
        q = WRITE_QUEUE if device.write_mode[ch] == 1 else READ_QUEUE
        index = first_ready(device, ch, q, cycle)
    if index < 0:
        return
    command = needed(device, ch, q, index)
    for k in range(device.size[ch, ACTIVE]):
        # No precharge may close a bank for which an activated request waits.
        if command == PREA or (
            command == PRE and device.queue[ch, ACTIVE, k, BANK] == device.queue[ch, q, index, BANK]
        ):
            return
    if IS_REGISTER_MODE[device.queue[ch, q, index, OP]] != device.register_mode[ch]:
        device.register_mode[ch] = 1 - device.register_mode[ch]
        book(device, ch, TMOD, 0, cycle)
        return
    perform(device, ch, q, index, command, cycle)


def set_write_mode(device, controller, ch):
    """Whether writes are served: when no read waits or many writes do, until few are left and a read waits."""
    if device.write_mode[ch] == 0:
        if device.size[ch, READ_QUEUE] == 0 or device.size[ch, WRITE_QUEUE] > controller.write_high:
            device.write_mode[ch] = 1
    elif device.size[ch, WRITE_QUEUE] < controller.write_low and device.size[ch, READ_QUEUE] > 0:
        device.write_mode[ch] = 0


def first_ready(device, ch, q, cycle):
    """The oldest request of a queue whose next command is ready; -1 if there is none."""
    for k in range(device.size[ch, q]):
        if is_ready(device, ch, needed(device, ch, q, k), device.queue[ch, q, k, BANK], cycle):
            return k
    return -1


def perform(device, ch, q, index, command, cycle):
    """Issue the command of a request, with what it does to rows, queues, replies and pending writes."""
    op = device.queue[ch, q, index, OP]
    bank = device.queue[ch, q, index, BANK]
    row = device.queue[ch, q, index, ROW]
    book(device, ch, command, bank, cycle)
    if command == ACT:
        device.open_row[ch, bank] = row
        if q == READ_QUEUE or q == WRITE_QUEUE:
            k = device.size[ch, ACTIVE]
            for field in range(3):
                device.queue[ch, ACTIVE, k, field] = device.queue[ch, q, index, field]
            device.size[ch, ACTIVE] += 1
            remove(device, ch, q, index)
    elif command == PRE:
        device.open_row[ch, bank] = -1
    elif command == PREA:
        device.open_row[ch, :] = -1
    elif command == ACT16:
        device.open_row[ch, :] = row
    else:
        if command == WRA16:
            device.open_row[ch, :] = -1
        remove(device, ch, q, index)
        if IS_BLOCKING[op] or op == R_MEM:
            add_reply(device, ch, cycle + DONE_AFTER[op], op)
        elif IS_PENDING_WRITE[op]:
            device.writes[ch, device.n_writes[ch]] = cycle + DONE_AFTER[op]
            device.n_writes[ch] += 1


def remove(device, ch, q, index):
    """Take one entry out of a queue, keeping the order of the rest."""
    for k in range(index + 1, device.size[ch, q]):
        for field in range(3):
            device.queue[ch, q, k - 1, field] = device.queue[ch, q, k, field]
    device.size[ch, q] -= 1


def needed(device, ch, q, index):
    """The DRAM command that the request needs next."""
    op = device.queue[ch, q, index, OP]
    row = device.queue[ch, q, index, ROW]
    if NEEDS_ALL_BANKS[op]:
        is_closed = False
        for bank in range(N_BANKS):
            if device.open_row[ch, bank] >= 0 and device.open_row[ch, bank] != row:
                return PREA
            if device.open_row[ch, bank] < 0:
                is_closed = True
        return ACT16 if is_closed else FINAL_COMMAND[op]
    if NEEDS_ONE_BANK[op]:
        is_open = device.open_row[ch, device.queue[ch, q, index, BANK]]
        if is_open < 0:
            return ACT
        if is_open != row:
            return PRE
    return FINAL_COMMAND[op]


def is_ready(device, ch, command, bank, cycle):
    """Whether every timing rule allows the command at this cycle."""
    group = bank // 4
    for before in range(N_COMMANDS):
        latency = device.channel_rule[before, command]
        if latency >= 0 and cycle < device.last_channel[ch, before] + latency:
            return False
        latency = device.group_rule[before, command]
        if latency >= 0 and cycle < device.last_group[ch, group, before] + latency:
            return False
        latency = device.bank_rule[before, command]
        if latency >= 0 and cycle < device.last_bank[ch, bank, before] + latency:
            return False
    return True


def book(device, ch, command, bank, cycle):
    """Count and log a command, and note when it was issued last."""
    device.last_channel[ch, command] = cycle
    device.last_group[ch, bank // 4, command] = cycle
    device.last_bank[ch, bank, command] = cycle
    device.counts[ch, command] += 1
    n = device.n_log[0]
    if n < device.log.shape[0]:
        device.log[n, 0] = cycle
        device.log[n, 1] = ch
        device.log[n, 2] = command
        device.log[n, 3] = bank
        device.n_log[0] = n + 1


def compiled():
    """The same `run_device` through numba, for cases of millions of cycles."""
    from numba import njit

    module = types.ModuleType("compiled_twin")
    module.__dict__.update({name: value for name, value in globals().items() if not name.startswith("__")})
    for name, function in globals().items():
        if isinstance(function, types.FunctionType) and name != "compiled":
            clone = types.FunctionType(function.__code__, module.__dict__, name)
            module.__dict__[name] = njit(clone)
    return module.run_device
