"""The AiM device cycle by cycle, written from the rules in words: the slow twin that the event-driven kernel must equal.

Every cycle of every channel is visited and nothing is skipped. Plain Python (run it on micro cases); `compiled()` gives the same
functions through numba for whole blocks.
"""

from __future__ import annotations

import numpy as np

# Host instructions and DRAM commands share the numbering of simulator.memory.aim_isa; repeated here so that the twin stands alone.
WR_GB, WR_BIAS, RD_MAC, RD_AF, MAC_ABK, AF, EWMUL, COPY_BKGB, COPY_GBBK, WR_ABK, W_MEM, R_MEM, SYNC, EOC, NO_EFFECT = (
    range(15)
)
(ACT, PRE, PREA, ACT16, MAC16, AF16, EWMUL16, RD, WR, RDCP, WRCP, WRGB, WRMAC16, RDMAC16, RDAF16, WRA16, TMOD) = range(
    17
)
N_COMMANDS = 17
NO_COMMAND = -1
AF_ROW = 1 << 29
QUEUE_ENTRIES = 33

FINAL_COMMAND = np.array([WRGB, WRMAC16, RDMAC16, RDAF16, MAC16, AF16, EWMUL16, RDCP, WRCP, WRA16, WR, RD, -1, -1, -1])
DONE_AFTER = np.array([3, 3, 2, 2, 1, 1, 1, 1, 1, 40, 8, 52, 1, 1, 1])
IS_REGISTER_MODE = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
IS_BLOCKING = np.array([0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0])
IS_PENDING_WRITE = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0])
NEEDS_ALL_BANKS = np.array([0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0])
NEEDS_ONE_BANK = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0, 0])


def run_device(opcode, n_columns, mask, bank, row, n_channels, n_banks, channel_rule, group_rule, bank_rule):
    """Tick the device until the EOC reply; returns (cycles, command counts[channel, command]).

    The three rule tables are int64[command, command]: cycles that must pass from a row's command to a column's command
    (negative: no rule), at channel, bank-group and bank level.
    """
    never = -(10**9)
    last_channel = np.full((n_channels, N_COMMANDS), never, np.int64)
    last_group = np.full((n_channels, 4, N_COMMANDS), never, np.int64)
    last_bank = np.full((n_channels, n_banks, N_COMMANDS), never, np.int64)
    open_row = np.full((n_channels, n_banks), -1, np.int64)
    register_mode = np.zeros(n_channels, np.int64)
    write_mode = np.zeros(n_channels, np.int64)
    # queue kinds: 0 AiM FIFO, 1 read, 2 write, 3 active; entries are (opcode, bank, row)
    queue = np.zeros((n_channels, 4, 64, 3), np.int64)
    size = np.zeros((n_channels, 4), np.int64)
    # replies: FIFO of (depart, opcode); writes: departs
    reply = np.zeros((n_channels, 4096, 2), np.int64)
    n_reply = np.zeros(n_channels, np.int64)
    writes = np.zeros((n_channels, 256), np.int64)
    n_writes = np.zeros(n_channels, np.int64)
    backlog = np.zeros(n_channels, np.int64)
    counts = np.zeros((n_channels, N_COMMANDS), np.int64)
    outstanding = 0
    head = 0
    cycle = 0
    n_lines = opcode.shape[0]
    had_line = False
    while True:
        cycle += 1
        # dispatcher: backlog first
        total_backlog = 0
        for ch in range(n_channels):
            total_backlog += backlog[ch]
        left = 0
        if total_backlog > 0:
            for ch in range(n_channels):
                while backlog[ch] > 0:
                    if not accept(queue, size, reply, n_reply, ch, opcode[head], bank[head], row[head], cycle):
                        break
                    backlog[ch] -= 1
                left += backlog[ch]
        if outstanding == 0:
            if had_line:  # a blocking line whose replies all came
                head += 1
                had_line = False
                if opcode[head - 1] == EOC:
                    return cycle - 1, counts
            if total_backlog > 0:
                if left == 0:
                    head += 1
            elif head < n_lines:
                op = opcode[head]
                if op == NO_EFFECT:
                    head += 1
                else:
                    refused = 0
                    for ch in range(n_channels):
                        addressed = op == SYNC or op == EOC or (mask[head] >> ch) & 1
                        if not addressed:
                            continue
                        n = n_columns[head]
                        if IS_BLOCKING[op]:
                            outstanding += 1
                        while n > 0:
                            if not accept(queue, size, reply, n_reply, ch, op, bank[head], row[head], cycle):
                                break
                            n -= 1
                        backlog[ch] = n
                        refused += n
                    if IS_BLOCKING[op]:
                        had_line = True
                    elif refused == 0:
                        head += 1
        for ch in range(n_channels):
            # (a) replies, then finished writes
            if n_reply[ch] > 0 and reply[ch, 0, 0] <= cycle:
                op = reply[ch, 0, 1]
                if not ((op == SYNC or op == EOC) and n_writes[ch] > 0):
                    for k in range(1, n_reply[ch]):
                        reply[ch, k - 1, 0] = reply[ch, k, 0]
                        reply[ch, k - 1, 1] = reply[ch, k, 1]
                    n_reply[ch] -= 1
                    if IS_BLOCKING[op]:
                        outstanding -= 1
            kept = 0
            for k in range(n_writes[ch]):
                if writes[ch, k] > cycle:
                    writes[ch, kept] = writes[ch, k]
                    kept += 1
            n_writes[ch] = kept
            # (b) one command
            which = -1
            index = -1
            for k in range(size[ch, 3]):
                command = needed(queue, open_row, ch, 3, k, n_banks)
                if is_ready(
                    last_channel,
                    last_group,
                    last_bank,
                    channel_rule,
                    group_rule,
                    bank_rule,
                    ch,
                    command,
                    queue[ch, 3, k, 1],
                    cycle,
                ):
                    which = 3
                    index = k
                    break
            if which < 0:
                if size[ch, 0] > 0:
                    op = queue[ch, 0, 0, 0]
                    if FINAL_COMMAND[op] < 0:
                        reply[ch, n_reply[ch], 0] = cycle + DONE_AFTER[op]
                        reply[ch, n_reply[ch], 1] = op
                        n_reply[ch] += 1
                        remove(queue, size, ch, 0, 0)
                        continue
                    command = needed(queue, open_row, ch, 0, 0, n_banks)
                    if is_ready(
                        last_channel,
                        last_group,
                        last_bank,
                        channel_rule,
                        group_rule,
                        bank_rule,
                        ch,
                        command,
                        queue[ch, 0, 0, 1],
                        cycle,
                    ):
                        which = 0
                        index = 0
                else:
                    if write_mode[ch] == 0:
                        if size[ch, 1] == 0 or size[ch, 2] > 25:
                            write_mode[ch] = 1
                    elif size[ch, 2] < 7 and size[ch, 1] > 0:
                        write_mode[ch] = 0
                    q = 2 if write_mode[ch] == 1 else 1
                    for k in range(size[ch, q]):
                        command = needed(queue, open_row, ch, q, k, n_banks)
                        if is_ready(
                            last_channel,
                            last_group,
                            last_bank,
                            channel_rule,
                            group_rule,
                            bank_rule,
                            ch,
                            command,
                            queue[ch, q, k, 1],
                            cycle,
                        ):
                            which = q
                            index = k
                            break
                if which >= 0:
                    command = needed(queue, open_row, ch, which, index, n_banks)
                    if command == PRE or command == PREA:
                        for k in range(size[ch, 3]):
                            if command == PREA or queue[ch, 3, k, 1] == queue[ch, which, index, 1]:
                                which = -1
                                break
            if which < 0:
                continue
            op = queue[ch, which, index, 0]
            b = queue[ch, which, index, 1]
            r = queue[ch, which, index, 2]
            command = needed(queue, open_row, ch, which, index, n_banks)
            if IS_REGISTER_MODE[op] != register_mode[ch]:
                register_mode[ch] = 1 - register_mode[ch]
                last_channel[ch, TMOD] = cycle
                counts[ch, TMOD] += 1
                continue
            counts[ch, command] += 1
            last_channel[ch, command] = cycle
            last_group[ch, b // 4, command] = cycle
            last_bank[ch, b, command] = cycle
            if command == ACT:
                open_row[ch, b] = r
                if which == 1 or which == 2:
                    k = size[ch, 3]
                    queue[ch, 3, k, 0] = op
                    queue[ch, 3, k, 1] = b
                    queue[ch, 3, k, 2] = r
                    size[ch, 3] += 1
                    remove(queue, size, ch, which, index)
            elif command == PRE:
                open_row[ch, b] = -1
            elif command == PREA:
                open_row[ch, :] = -1
            elif command == ACT16:
                open_row[ch, :] = AF_ROW if op == AF else r
            else:
                if command == WRA16:
                    open_row[ch, :] = -1
                remove(queue, size, ch, which, index)
                if IS_BLOCKING[op] or op == R_MEM:
                    reply[ch, n_reply[ch], 0] = cycle + DONE_AFTER[op]
                    reply[ch, n_reply[ch], 1] = op
                    n_reply[ch] += 1
                elif IS_PENDING_WRITE[op]:
                    writes[ch, n_writes[ch]] = cycle + DONE_AFTER[op]
                    n_writes[ch] += 1


def accept(queue, size, reply, n_reply, ch, op, b, r, cycle):
    """Whether the channel controller takes one request now (and takes it)."""
    if op == W_MEM or op == R_MEM:
        if size[ch, 0] > 0:
            return False
        if op == R_MEM and size[ch, 2] > 0:
            reply[ch, n_reply[ch], 0] = cycle + 1
            reply[ch, n_reply[ch], 1] = op
            n_reply[ch] += 1
            return True
        q = 2 if op == W_MEM else 1
    else:
        if size[ch, 1] > 0 or size[ch, 2] > 0:
            return False
        q = 0
    k = size[ch, q]
    if k >= QUEUE_ENTRIES:
        return False
    queue[ch, q, k, 0] = op
    queue[ch, q, k, 1] = b
    queue[ch, q, k, 2] = r
    size[ch, q] = k + 1
    return True


def remove(queue, size, ch, q, index):
    """Take one entry out of a queue, keeping the order of the rest."""
    for k in range(index + 1, size[ch, q]):
        queue[ch, q, k - 1, 0] = queue[ch, q, k, 0]
        queue[ch, q, k - 1, 1] = queue[ch, q, k, 1]
        queue[ch, q, k - 1, 2] = queue[ch, q, k, 2]
    size[ch, q] -= 1


def needed(queue, open_row, ch, q, index, n_banks):
    """The DRAM command that the request needs next."""
    op = queue[ch, q, index, 0]
    if NEEDS_ALL_BANKS[op]:
        r = AF_ROW if op == AF else queue[ch, q, index, 2]
        closed = False
        for b in range(n_banks):
            if open_row[ch, b] >= 0 and open_row[ch, b] != r:
                return PREA
            if open_row[ch, b] < 0:
                closed = True
        return ACT16 if closed else FINAL_COMMAND[op]
    if NEEDS_ONE_BANK[op]:
        b = queue[ch, q, index, 1]
        if open_row[ch, b] < 0:
            return ACT
        if open_row[ch, b] != queue[ch, q, index, 2]:
            return PRE
    return FINAL_COMMAND[op]


def is_ready(last_channel, last_group, last_bank, channel_rule, group_rule, bank_rule, ch, command, b, cycle):
    """Whether every timing rule allows the command at this cycle."""
    for previous in range(N_COMMANDS):
        if (
            channel_rule[previous, command] >= 0
            and cycle < last_channel[ch, previous] + channel_rule[previous, command]
        ):
            return False
        if (
            group_rule[previous, command] >= 0
            and cycle < last_group[ch, b // 4, previous] + group_rule[previous, command]
        ):
            return False
        if bank_rule[previous, command] >= 0 and cycle < last_bank[ch, b, previous] + bank_rule[previous, command]:
            return False
    return True


def compiled():
    """The same functions through numba, for cases of millions of cycles."""
    import types

    from numba import njit

    source = {
        name: value
        for name, value in globals().items()
        if isinstance(value, np.ndarray | int) and not name.startswith("__")
    }
    module = types.ModuleType("compiled_twin")
    module.__dict__.update(source, np=np)
    for function in (accept, remove, needed, is_ready, run_device):
        clone = types.FunctionType(function.__code__, module.__dict__, function.__name__)
        module.__dict__[function.__name__] = njit(clone)
    return module.run_device
