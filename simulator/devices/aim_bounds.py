"""Which constraint bound an operator on an AiM device, from its cycles and command counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.contracts.bounds import RankedBound
from simulator.contracts.results import Bound
from simulator.devices.aim_device import AimDevice
from simulator.memory.aim_program import REPEAT, TARGET_COUNT, AimProgram
from simulator.memory.aim_timing import AimTiming


def section_cycles(timing: AimTiming) -> NDArray[np.int64]:
    """Cycles of each section but the closing one; what follows the last operator's commands belongs to it. They sum
    to the total."""
    ends = timing.section_cyc[:-1].copy()
    ends[-1] = timing.cycles
    return np.diff(ends, prepend=0)


def operator_bounds(program: AimProgram, timing: AimTiming, device: AimDevice) -> dict[str, Bound]:
    """The constraint to which channel 0 gives most of each operator's cycles, that share of them, and the other
    constraints' shares."""
    rounds = np.maximum(program.runs[:, TARGET_COUNT], 1)
    lines_before = np.concatenate(([0], np.cumsum(program.runs[:, REPEAT] * rounds)))
    n_lines = np.diff(lines_before[list(program.section_ends)], prepend=0)
    counts = np.diff(timing.section_commands, axis=0, prepend=0)
    bounds: dict[str, Bound] = {}
    cycles = section_cycles(timing)
    for index, name in enumerate(program.sections[:-1]):
        busy = device.busy_cycles(counts[index], int(n_lines[index]))
        shares = {key: min(1.0, busy[key] / max(int(cycles[index]), 1)) for key in busy if busy[key]}
        constraint = max(busy, key=lambda key: busy[key])
        share = shares.pop(constraint, 0.0)
        others = dict(sorted(shares.items(), key=lambda entry: -entry[1]))
        bounds[name] = RankedBound(constraint, share, 1.0, "of the operator's cycles", others)
    return bounds
