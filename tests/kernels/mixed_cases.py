"""Random set-ups of a DRAM channel that a host and PIM share, and what must hold of any run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import get_args

import numpy as np

from simulator.devices.dram_pim import DramPim
from simulator.experiments.replay import load_device
from simulator.memory.dram.bounds import legal_times
from simulator.memory.dram.controller import CommandLog, ControllerConfig, Requests
from simulator.memory.dram.mixed import MixedTiming, Policy, Preempt, Sharing, simulate_mixed
from simulator.memory.dram.pim_program import PimProgram, program_of
from simulator.memory.dram.spec import DramSpec
from tests.kernels.dram_cases import part_file, requests_for, trace_lines, trace_writes
from tests.twins.dram_mixed_tick import Operation, Request, TickMixed
from tests.twins.dram_rules import Log, RuleChecker, Violation

PART = "gddr6_aim_host"
POLICIES, PREEMPTS = get_args(Policy), get_args(Preempt)


@cache
def device(**sets: str | int) -> DramPim:
    """The shipped part with some keys set."""
    found = load_device(part_file(PART), [f"{key}={value}" for key, value in sets.items()])[1]
    assert isinstance(found, DramPim)
    return found


@cache
def checker(spec_of: DramPim) -> RuleChecker:
    """The independent checker of a device's rules."""
    spec = spec_of.spec
    sizes = dict(zip(spec.levels, spec.level_sizes, strict=True))
    return RuleChecker(part_file(PART), spec.timing, sizes, spec.accounting)


@dataclass(frozen=True, eq=False)
class MixedCase:
    """One set-up; `text` tells it."""

    spec: DramSpec
    config: ControllerConfig
    sharing: Sharing
    requests: Requests
    program: PimProgram
    text: str
    device: DramPim = field(repr=False)

    def run(self, *, log: bool = True, every_tick: bool = False, **changed: object) -> MixedTiming:
        """Serve it, with some of its fields changed."""
        case = replace(self, **changed)  # type: ignore[arg-type]
        return simulate_mixed(
            case.spec, case.config, case.sharing, case.requests, case.program, log=log, every_tick=every_tick
        )


def requests_of(spec: DramSpec, rng: np.random.Generator, n: int, *, paced: bool) -> Requests:
    """Random traffic, paced or as fast as it is taken, partly on the rows that PIM uses."""
    trace = rng.choice(["stream", "random", "burst", "mix"])
    lines = trace_lines(str(trace), n, int(rng.integers(4, 20)), int(rng.choice([2, 4, 8])), int(rng.integers(1000)))
    writes = trace_writes(n, float(rng.choice([1.0, 0.67, 0.2])), int(rng.integers(1000)))
    requests = requests_for(spec, str(rng.choice(["RoBaRaCoCh", "MOP4CLXOR"])), 1, lines, writes)
    if not paced:
        return requests
    gaps = rng.exponential(float(rng.choice([3, 20, 100, 400])), n)
    return replace(requests, offer_cyc=1 + np.floor(np.cumsum(gaps)).astype(np.int64))


def no_requests() -> Requests:
    """A host that asks for nothing."""
    nothing = np.empty(0, np.int64)
    return Requests(nothing, nothing.astype(bool), nothing.astype(np.int32), nothing.astype(np.int32), nothing)


def random_program(spec: DramSpec, rng: np.random.Generator, n: int) -> PimProgram:
    """Rows and register transfers in any order, rows repeated, some released later."""
    operations = []
    for _ in range(n):
        command = str(rng.choice(["MACab", "MACab", "MACab", "WRGB", "WRMAC", "RDMAC"]))
        row = int(rng.integers(0, 4)) if command == "MACab" else -1
        operations.append((command, row, int(rng.choice([1, 2, 7, 32]))))
    program = program_of(spec, operations)
    late = np.where(rng.random(n) < 0.3, rng.integers(1, 2000, n), 0)
    return replace(program, release_cyc=1 + np.cumsum(late) * int(rng.random() < 0.5))


def random_case(seed: int, *, n_requests: int = 120, n_operations: int = 12) -> MixedCase:
    """One set-up, the same for a seed."""
    rng = np.random.default_rng([seed, 11])
    refresh = str(rng.choice(["AllBank", "NoRefresh"]))
    part = device(**{"overrides.n_refi": 1900} if rng.random() < 0.5 else {})
    sharing = Sharing(
        policy=str(rng.choice(POLICIES)),  # type: ignore[arg-type]
        preempt=str(rng.choice(PREEMPTS)),  # type: ignore[arg-type]
        host_quantum=int(rng.choice([1, 4, 32])),
        pim_quantum=int(rng.choice([1, 2, 5])),
        max_wait_cyc=int(rng.choice([0, 0, 50, 400, 3000])),
    )
    queue = int(rng.choice([1, 4, 32]))
    config = ControllerConfig(read_queue=queue, write_queue=queue, refresh=refresh)  # type: ignore[arg-type]
    requests = requests_of(part.spec, rng, n_requests, paced=bool(rng.random() < 0.6))
    program = random_program(part.spec, rng, n_operations)
    return MixedCase(part.spec, config, sharing, requests, program, f"seed {seed}: {config} {sharing}", part)


def twin_log(case: MixedCase) -> list[tuple[int, str, int, int]]:
    """What the plain twin issues."""
    asked, program = case.requests, case.program
    offers = asked.offer_cyc if len(asked.offer_cyc) else np.zeros(len(asked), np.int64)
    columns = (asked.address, asked.is_write, asked.bank, asked.row, offers)
    requests = [
        Request(number, *row) for number, row in enumerate(zip(*(one.tolist() for one in columns), strict=True))
    ]
    names = [case.spec.commands[command] for command in program.command.tolist()]
    operations = [
        Operation(*row)
        for row in zip(names, program.row.tolist(), program.count.tolist(), program.release_cyc.tolist(), strict=True)
    ]
    config = case.config
    refi = case.spec.timing["n_refi"] if config.refresh == "AllBank" else 0
    twin = TickMixed(
        checker(case.device),
        case.sharing,
        requests,
        operations,
        queue=config.read_queue,
        write_on_at=config.write_on_at,
        write_off_at=config.write_off_at,
        refi=refi,
    )
    return twin.run()


def plain_log(spec: DramSpec, log: CommandLog) -> list[tuple[int, str, int, int]]:
    """A run's log as the twin's, PIM's requests all -2."""
    names = [spec.commands[command] for command in log.command.tolist()]
    who = np.maximum(log.request, -2).tolist()
    return list(zip(log.cyc.tolist(), names, log.bank.tolist(), who, strict=True))


def broken_rules(case: MixedCase, timing: MixedTiming) -> list[Violation]:
    """Violations of the standard's rules and of bank states, by the independent checker; `legal_times` finds none."""
    log = timing.host.log
    assert log is not None
    assert np.all(legal_times(case.spec, log).earliest_cyc <= log.cyc)
    host_row = case.requests.row[np.clip(log.request, 0, None)] if len(case.requests) else np.full(len(log.cyc), -1)
    place = -2 - log.request
    by_pim = (place >= 0) & (place < len(case.program))
    pim_row = np.full(len(log.cyc), -1)
    pim_row[by_pim] = case.program.row[place[by_pim]]
    row = np.where(log.request >= 0, host_row, pim_row)
    names = np.array(case.spec.commands)[log.command]
    return checker(case.device).violations(Log(0, log.cyc, names, log.bank.astype(np.int64), row))
