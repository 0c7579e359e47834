"""Streams, platforms and scripted policies for tests of the machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.memory.tiers.machine import TieredMachine
from simulator.memory.tiers.platform import MigrationCosts, Platform
from simulator.memory.tiers.policy import NEVER_PS, HotReports, MachineView

DDR_CURVE = np.array([[0.0, 100e3], [0.02, 120e3], [0.03, 400e3]])
CXL_CURVE = np.array([[0.001, 250e3], [0.01, 300e3], [0.02, 900e3]])
FREE = MigrationCosts(0, 0, 0, np.inf, 1.0, 256)
Action = tuple[str, list[int]]


class Scripted:
    """Does what the script says after each quantum, by number; number -1 is before the first. Keeps the faults."""

    name = "scripted"

    def __init__(self, script: Mapping[int, Sequence[Action]], *, moves_in_fault: bool = False) -> None:
        self.script = script
        self.moves_in_fault = moves_in_fault
        self.n_calls = 0
        self.faults: list[tuple[int, int, int]] = []
        self.free: list[int] = []

    def start(self, machine: MachineView, seed: int) -> int:
        self._play(machine, -1)
        return 0

    def act(self, machine: MachineView) -> int:
        pages, times, protected = machine.take_faults()
        self.faults += zip(pages.tolist(), times.tolist(), protected.tolist(), strict=True)
        self._play(machine, self.n_calls)
        self.n_calls += 1
        return machine.now_ps

    def _play(self, machine: MachineView, number: int) -> None:
        for action, pages in self.script.get(number, ()):
            if action == "charge":
                machine.charge(pages[0])
            else:
                getattr(machine, action)(np.array(pages, np.int64))
        self.free.append(machine.n_free_ddr_pages)


class Seeing:
    """A tracker that keeps what it is shown, and reports every n-th read."""

    def __init__(self, every: int = 1 << 30) -> None:
        self.every = every
        self.seen: list[tuple[int, int]] = []
        self.periods: list[int] = []

    def observe(self, line: NDArray[np.uint32], time_ps: NDArray[np.int64], *, lines_per_record: int = 1) -> HotReports:
        first = len(self.seen)
        self.seen += zip(line.tolist(), time_ps.tolist(), strict=True)
        number = np.flatnonzero((first + np.arange(len(line))) % self.every == self.every - 1)
        return HotReports(line[number] // 64, np.ones(len(number), np.int64), first + number)

    def set_period(self, *, period_ps: int) -> None:
        self.periods.append(period_ps)


@dataclass(frozen=True)
class Case:
    """A stream with the work in each of its quanta, and what it runs on."""

    platform: Platform
    n_pages: int
    line: NDArray[np.uint32]
    is_write: NDArray[np.bool_]
    compute_ps: NDArray[np.float64]
    lines_per_record: int = 1
    request_starts: tuple[int, ...] = ()
    moves: bool = True

    def machine(self, policy: object, **trackers: object) -> TieredMachine:
        return TieredMachine(
            self.platform,
            self.n_pages,
            policy,  # type: ignore[arg-type]
            n_records=len(self.line),
            lines_per_record=self.lines_per_record,
            moves=self.moves,
            request_starts=np.array(self.request_starts, np.int64),
            **trackers,  # type: ignore[arg-type]
        )

    def run(self, policy: object, *, quanta_a_chunk: int = 1 << 30, **trackers: object) -> TieredMachine:
        """The stream through a machine, so many quanta at a time."""
        machine = self.machine(policy, **trackers)
        quantum = self.platform.quantum_records
        for number in range(0, len(self.compute_ps), quanta_a_chunk):
            records = slice(number * quantum, (number + quanta_a_chunk) * quantum)
            work = self.compute_ps[number : number + quanta_a_chunk]
            machine.feed(number * quantum, self.line[records], self.is_write[records], work)
        machine.finish()
        return machine

    def on(self, **changes: object) -> Case:
        """The same stream on a platform with changes."""
        return replace(self, platform=replace(self.platform, **changes))  # type: ignore[arg-type]

    def with_costs(self, **changes: object) -> Case:
        """The same stream with other costs of migration."""
        return self.on(migration=replace(self.platform.migration, **changes))  # type: ignore[arg-type]


def case(seed: int, *, n: int = 300, n_pages: int = 12, quantum: int = 16, n_ddr: int = 5, write: float = 0.3) -> Case:
    """A skewed random stream; request starts here and there, two of them at one record."""
    rng = np.random.default_rng(seed)
    pages = np.minimum(rng.geometric(0.3, n) - 1, n_pages - 1)
    line = (pages * 64 + rng.integers(0, 64, n)).astype(np.uint32)
    starts = np.sort(rng.integers(0, n, 5)).tolist()
    platform = Platform(DDR_CURVE, CXL_CURVE, 4.0, 700_000, n_ddr, quantum, FREE)
    compute = rng.integers(0, 2_000_000, -(-n // quantum)).astype(np.float64)
    return Case(platform, n_pages, line, rng.random(n) < write, compute, request_starts=(0, *starts, starts[-1]))


def script(seed: int, n_quanta: int, n_pages: int) -> dict[int, list[Action]]:
    """Random things to do after random quanta."""
    rng = np.random.default_rng(seed)
    kinds = ("promote", "promote", "promote", "demote", "protect", "protect")

    def pages() -> list[int]:
        return [int(page) for page in rng.integers(0, n_pages, rng.integers(0, 6))]

    def actions() -> list[Action]:
        chosen: list[Action] = [(str(rng.choice(kinds)), pages()) for _ in range(rng.integers(1, 4))]
        return [*chosen, ("charge", [int(rng.integers(0, 3_000_000))])] if rng.random() < 0.3 else chosen

    return {number: actions() for number in range(-1, n_quanta) if rng.random() < 0.7}


class Asking:
    """Calls `act` back whenever it is due, every `every_ps` from one call to the next."""

    name = "asking"

    def __init__(self, every_ps: int, act: Callable[[MachineView], None]) -> None:
        self.every_ps, self._act = every_ps, act
        self.called_ps: list[int] = []

    def start(self, machine: MachineView, seed: int) -> int:
        return self.every_ps

    def act(self, machine: MachineView) -> int:
        self.called_ps.append(machine.now_ps)
        self._act(machine)
        return machine.now_ps + self.every_ps


class Never:
    """No migration."""

    name = "never"

    def start(self, machine: MachineView, seed: int) -> int:
        return NEVER_PS

    def act(self, machine: MachineView) -> int:
        raise AssertionError("nobody asked for it")
