"""A plain twin of a DRAM channel that a host and a PIM program share: every tick, lists and dictionaries, no arrays.

Rules are read from the part's YAML by the rule checker's own reader. Open rows, FR-FCFS, all-bank refresh or none.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from tests.twins.dram_rules import RuleChecker

REGISTER = ("WRGB", "WRMAC", "RDMAC")
WIDE = ("ACTab", "MACab", "PREab", "REFab")
HOST, PIM = "host", "pim"


@dataclass
class Request:
    """A host request; `offer` is its earliest tick."""

    number: int
    address: int
    is_write: bool
    bank: int
    row: int
    offer: int = 0
    arrive: int = 0


@dataclass
class Operation:
    """A run of PIM column commands; row -1: none."""

    command: str
    row: int
    count: int
    release: int = 1
    done: int = 0


@dataclass
class Channel:
    """Ready times by (level, node, command), issues by (level, node, command), open rows by bank."""

    rules: RuleChecker
    ready: dict[tuple[int, int, str], int] = field(default_factory=lambda: defaultdict(int))
    issues: dict[tuple[int, int, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    open_row: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_preceding = defaultdict(list)
        for rule in self.rules.rules:
            self.by_preceding[self.rules.levels.index(rule.level), rule.preceding].append(rule)

    def nodes(self, command: str, bank: int) -> list[tuple[int, int]]:
        """Nodes on the path of a command, and below it, of a wide one all."""
        sizes = self.rules.sizes
        found = []
        n_nodes = 1
        for level, size in enumerate(sizes):
            n_nodes *= size
            per_node = self.rules.n_banks // n_nodes
            banks = range(self.rules.n_banks) if command in WIDE else [bank]
            found += [(level, node) for node in sorted({one // per_node for one in banks})]
        return found

    def is_legal(self, command: str, bank: int, tick: int) -> bool:
        """Whether all rules allow it."""
        return all(self.ready[level, node, command] <= tick for level, node in self.nodes(command, bank))

    def issue(self, command: str, bank: int, row: int, tick: int) -> None:
        """What it does to later commands, and to rows."""
        for level, node in self.nodes(command, bank):
            past = self.issues[level, node, command]
            past.append(tick)
            for rule in self.by_preceding[level, command]:
                if len(past) >= rule.window:
                    key = level, node, rule.following
                    self.ready[key] = max(self.ready[key], past[-rule.window] + rule.latency)
        if command == "ACT":
            self.open_row[bank] = row
        elif command == "ACTab":
            self.open_row = dict.fromkeys(range(self.rules.n_banks), row)
        elif command == "PREpb":
            del self.open_row[bank]
        elif command == "PREab":
            self.open_row.clear()


class TickMixed:
    """The shared channel. `sharing`: policy, preempt, host_quantum, pim_quantum, max_wait_cyc."""

    def __init__(self, rules, sharing, requests, operations, *, queue=32, write_on_at=26, write_off_at=6, refi=0):
        self.channel, self.sharing, self.queue, self.refi = Channel(rules), sharing, queue, refi
        self.write_on_at, self.write_off_at = write_on_at, write_off_at
        self.to_come, self.program = list(requests), list(operations)
        self.reads, self.writes, self.active, self.log = [], [], [], []
        self.n_due = 0
        self.write_mode = self.register_mode = self.pim_rows_open = self.forced = False
        self.turn, self.used, self.at_end, self.waiting_since = HOST, 0, True, None

    def run(self) -> list[tuple[int, str, int, int]]:
        """All commands: tick, name, bank, request (-1 refresh, -2 PIM)."""
        tick = 0
        while self.to_come or self.reads or self.writes or self.active or self.program:
            tick += 1
            self.offer(tick)
            if self.refi and tick % self.refi == 0:
                self.n_due += 1
            self.step(tick)
        return self.log

    def offer(self, tick: int) -> None:
        """At most one request is taken."""
        if not self.to_come or self.to_come[0].offer > tick:
            return
        request = self.to_come[0]
        request.arrive = tick - 1
        if not any(one.address == request.address for one in self.writes):
            queue = self.writes if request.is_write else self.reads
            if len(queue) == self.queue:
                return
            queue.append(request)
        self.to_come.pop(0)

    def issue(self, tick, command, bank, row, request) -> None:
        self.channel.issue(command, bank, row, tick)
        self.log.append((tick, command, bank, request))

    def needs(self, request: Request) -> str:
        """The command that a request needs next."""
        row = self.channel.open_row.get(request.bank)
        if row is None:
            return "ACT"
        return ("WR" if request.is_write else "RD") if row == request.row else "PREpb"

    def step(self, tick: int) -> None:
        """At most one command."""
        for request in sorted(self.active, key=lambda one: one.arrive):
            command = self.needs(request)
            if self.channel.is_legal(command, request.bank, tick):
                self.issue(tick, command, request.bank, request.row, request.number)
                self.active.remove(request)
                self.used += self.turn == HOST
                return
        if self.n_due:
            self.refresh(tick)
            return
        self.choose_turn(tick)
        if self.turn == HOST:
            self.serve_host(tick)
        elif not self.active:
            self.serve_pim(tick)

    def attempt(self, tick: int, command: str, row: int, request: int) -> bool:
        """Issue a command for the channel as a whole if it is legal."""
        if not self.channel.is_legal(command, 0, tick):
            return False
        self.issue(tick, command, 0, row, request)
        if command == "TMOD":
            self.register_mode = not self.register_mode
        elif command in ("ACTab", "PREab"):
            self.pim_rows_open = command == "ACTab"
        return True

    def refresh(self, tick: int) -> None:
        if self.register_mode:
            self.attempt(tick, "TMOD", -1, -1)
        elif self.channel.open_row:
            if not any(one.bank in self.channel.open_row for one in self.active):
                self.attempt(tick, "PREab", -1, -1)
        elif self.attempt(tick, "REFab", -1, -1):
            self.n_due -= 1

    def serve_host(self, tick: int) -> None:
        if self.register_mode or self.pim_rows_open:
            if self.reads or self.writes:
                self.attempt(tick, "TMOD" if self.register_mode else "PREab", -1, -2)
            return
        if self.write_mode and len(self.writes) <= self.write_off_at and self.reads:
            self.write_mode = False
        elif not self.write_mode and (len(self.writes) >= self.write_on_at or not self.reads):
            self.write_mode = True
        queue = self.writes if self.write_mode else self.reads
        busy = {one.bank for one in self.active}
        for request in queue:
            command = self.needs(request)
            if (command == "PREpb" and request.bank in busy) or not self.channel.is_legal(command, request.bank, tick):
                continue
            self.issue(tick, command, request.bank, request.row, request.number)
            if command != "PREpb":
                queue.remove(request)
            if command == "ACT":
                self.active.append(request)
            self.used += command in ("RD", "WR")
            return

    def serve_pim(self, tick: int) -> None:
        operation = self.program[0]
        rows = self.channel.open_row
        command = operation.command
        if (command in REGISTER) != self.register_mode:
            command = "TMOD"
        elif operation.row >= 0 and not rows:
            command = "ACTab"
        elif operation.row >= 0 and [*rows.values()] != [operation.row] * self.channel.rules.n_banks:
            command = "PREab"
        if not self.attempt(tick, command, operation.row, -2):
            return
        self.at_end = False
        if command == operation.command:
            operation.done += 1
        if operation.done == operation.count:
            self.program.pop(0)
            self.used += 1
            self.at_end = True

    def choose_turn(self, tick: int) -> None:
        pim_waits = bool(self.program) and self.program[0].release <= tick
        host_waits = bool(self.reads or self.writes)
        if not pim_waits or not host_waits:
            self.give(PIM if pim_waits else HOST, forced=False)
            return
        if self.waiting_since is None:
            self.waiting_since = tick
        turn, forced = self.preferred(tick)
        if self.turn == HOST or turn == PIM or self.at_end or self.sharing.preempt == "command":
            self.give(turn, forced)

    def preferred(self, tick: int) -> tuple[str, bool]:
        sharing, other = self.sharing, HOST if self.turn == PIM else PIM
        is_used_up = self.used >= (sharing.host_quantum if self.turn == HOST else sharing.pim_quantum)
        if self.forced and not is_used_up:
            return self.turn, True
        if sharing.max_wait_cyc and tick - self.waiting_since >= sharing.max_wait_cyc:
            return other, True
        if sharing.policy == "alternate":
            return (other if is_used_up else self.turn), False
        return (PIM if sharing.policy == "pim_first" else HOST), False

    def give(self, turn: str, forced: bool) -> None:
        if turn != self.turn:
            self.turn, self.forced, self.used, self.waiting_since = turn, forced, 0, None
            self.at_end = self.at_end or turn == PIM
