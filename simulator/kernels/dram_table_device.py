"""A DRAM device by its rule rows alone: when a command is legal, and what it does to the ready table and the banks."""

import numpy as np

from simulator.kernels.dram_table_state import (
    ACT,
    ACT2,
    ACTIVATING,
    CLOSED,
    FOLLOWING,
    LATENCY,
    PRE,
    PRE_ALL,
    RDA,
    SIBLING,
    WINDOW,
    WRA,
    jit,
)

FNV_PRIME = np.uint64(1099511628211)
FNV_START = np.uint64(14695981039346656037)


@jit
def first_of_scope(device, command, bank):
    """First bank of the node that a command for `bank` addresses."""
    size = device.banks_under[device.scope[command]]
    return bank // size * size


@jit
def is_legal(device, channel, command, bank, now):
    """Whether every node on the command's path, and every node below a wider command's scope, is ready for it."""
    scope = device.scope[command]
    for level in range(device.node_of.shape[0] - 1, -1, -1):
        first = last = device.node_of[level, bank]
        if level > scope:
            start = first_of_scope(device, command, bank)
            first = device.node_of[level, start]
            last = device.node_of[level, start + device.banks_under[scope] - 1]
        for node in range(first, last + 1):
            if device.ready[channel, node, command] > now:
                return False
    return True


@jit
def note_issue(device, channel, node, level, command, now):
    """Push an issue into the history of a node that the command addresses, and apply the node's own rules."""
    n_recent = device.n_recent[channel, node, command]
    size = device.recent.shape[3]
    device.recent[channel, node, command, n_recent % size] = now
    n_recent += 1
    device.n_recent[channel, node, command] = n_recent
    for k in range(device.rules_from[level, command], device.rules_to[level, command]):
        window = device.rules[k, WINDOW]
        if device.rules[k, SIBLING] == 0 and n_recent >= window:
            counted = device.recent[channel, node, command, (n_recent - window) % size]
            following = device.rules[k, FOLLOWING]
            earliest = counted + device.rules[k, LATENCY]
            if device.ready[channel, node, following] < earliest:
                device.ready[channel, node, following] = earliest


@jit
def hold_siblings(device, channel, bank, level, command, now):
    """Apply the sibling rules of a command to the other nodes of the same parent."""
    own = device.node_of[level, bank]
    size = device.banks_under[level - 1]
    start = bank // size * size
    first = device.node_of[level, start]
    last = device.node_of[level, start + size - 1]
    for k in range(device.rules_from[level, command], device.rules_to[level, command]):
        if device.rules[k, SIBLING] == 0:
            continue
        following = device.rules[k, FOLLOWING]
        earliest = now + device.rules[k, LATENCY]
        for node in range(first, last + 1):
            if node != own and device.ready[channel, node, following] < earliest:
                device.ready[channel, node, following] = earliest


@jit
def update_ready(device, channel, command, bank, now):
    """Everything that a command issued now says about later commands."""
    scope = device.scope[command]
    for level in range(device.node_of.shape[0]):
        if level <= scope:
            note_issue(device, channel, device.node_of[level, bank], level, command, now)
            if level > 0:
                hold_siblings(device, channel, bank, level, command, now)
        else:
            start = first_of_scope(device, command, bank)
            end = start + device.banks_under[scope] - 1
            for node in range(device.node_of[level, start], device.node_of[level, end] + 1):
                note_issue(device, channel, node, level, command, now)


@jit
def change_banks(device, control, channel, command, bank, row):
    """Open or close what a command opens or closes."""
    role = device.role
    if command == role[ACT]:
        device.open_row[channel, bank] = row if role[ACT2] < 0 else ACTIVATING
    elif command == role[ACT2]:
        device.open_row[channel, bank] = row
    elif command == role[PRE] or command == role[PRE_ALL] or command == role[RDA] or command == role[WRA]:
        start = first_of_scope(device, command, bank)
        for closed in range(start, start + device.banks_under[device.scope[command]]):
            device.open_row[channel, closed] = CLOSED
            control.columns[channel, closed] = 0
            control.closing[channel, closed] = 0


@jit
def any_open(device, channel, command, bank):
    """Whether a bank in the command's scope is not closed."""
    start = first_of_scope(device, command, bank)
    for other in range(start, start + device.banks_under[device.scope[command]]):
        if device.open_row[channel, other] != CLOSED:
            return True
    return False


@jit
def mix(digest, value):
    """One step of the command stream's 64-bit digest (FNV-1a over whole words)."""
    return (digest ^ np.uint64(value)) * FNV_PRIME
