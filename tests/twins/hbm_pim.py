"""A channel of an HBM stack with processing units tick by tick, written from the rules in words.

The slow twin that the timing kernel must equal. It knows a program's runs and the rows of the standard's table, which
it looks up for every command that it would issue, visits every tick, and keeps a log of all that it issues.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from simulator.memory.dram.standard import DramSpec
from simulator.memory.hbm_pim.program import PimProgram

MOVES = ("WRGB", "MVSB", "MVGB", "SFM")
KINDS = ("MAC", "WRGB", "MVSB", "MVGB", "SFM", "BARRIER")
COMMANDS = {
    "bank": ("ACTAB", "MACAB", "PREA"),
    "bg": ("ACTSB", "MACSB", "PRESB"),
    "buffer": ("ACTPB", "MACPB", "PREPB"),
}
# Levels of an address: channel, pseudo channel, rank, bank group, bank.
Address = tuple[int, int, int, int, int]


class Issued(NamedTuple):
    """A command of the log; `request` is its place in the program, or -1."""

    tick: int
    command: str
    address: Address
    row: int
    request: int


class Request(NamedTuple):
    """A product, a move or a barrier of a program."""

    place: int
    kind: str
    address: Address
    row: int
    busy: int


@dataclass
class TickTwin:
    """One channel, closed and idle."""

    spec: DramSpec
    placement: str
    queue_entries: int = 32
    log: list[Issued] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.act, self.mac, self.pre = COMMANDS[self.placement]
        self.n_pseudo, self.n_ranks, self.n_groups, self.n_banks = self.spec.level_sizes
        self.columns_per_row = self.spec.n_columns // self.spec.prefetch
        names = self.spec.commands
        self.rules: dict[str, list[tuple[str, int, int]]] = {}
        for level, before, after, latency, window, sibling in self.spec.rules.tolist():
            if (window, sibling) == (1, 0):
                self.rules.setdefault(names[after], []).append((names[before], level, latency))
        self.last: dict[tuple[str, Address], int] = {}
        self.open: dict[Address, int] = {}
        self.next_product = 0
        self.n_closed = 0  # rows closed for another row, not for a refresh

    # --- the program

    def requests(self, program: PimProgram) -> list[Request]:
        """The program's commands, one by one."""
        found: list[Request] = []
        for kind, count, base, column, pattern, repeat, first in program.runs.tolist():
            for i in range(count):
                name = KINDS[kind]
                if name == "MAC":
                    address, row = self.place(column + i)
                    found.append(Request(len(found), name, address, base + row, repeat))
                elif name == "BARRIER":
                    found.append(Request(len(found), name, (0,) * 5, -1, 0))
                else:
                    group = program.patterns[pattern][(first + i) // repeat % len(program.patterns[pattern])]
                    rank, group = divmod(int(group), self.n_groups)
                    found.append(Request(len(found), name, (0, 0, rank, group, 0), -1, 0))
        return found

    def place(self, column: int) -> tuple[Address, int]:
        """The bank that stands for all that a column's product reads, and the row from its region's first."""
        if self.placement == "bank":
            return (0, 0, 0, 0, 0), column // self.columns_per_row
        if self.placement == "bg":
            turn, _ = divmod(column, self.columns_per_row)
            row, bank = divmod(turn, self.n_banks)
            return (0, 0, 0, 0, bank), row
        rest, group = divmod(column, self.n_ranks * self.n_groups)
        rest, bank = divmod(rest, self.n_banks)
        return (0, 0, group // self.n_groups, group % self.n_groups, bank), rest // self.columns_per_row

    # --- the rules

    def allowed(self, command: str, address: Address, tick: int) -> bool:
        """Whether every row of the table lets the command out now."""
        for node in self.nodes(command, address):
            for before, level, latency in self.rules.get(command, ()):
                issued = self.last.get((before, node[: level + 1]))
                if issued is not None and tick < issued + latency:
                    return False
        return True

    def nodes(self, command: str, address: Address) -> list[Address]:
        """Where a command is: products and rows are in all pseudo channels, moves and refreshes in one. The published
        reference looks up an activation in the first only."""
        if command in MOVES or command == "REFab" or (command == self.act and self.spec.accounting == "published"):
            return [address]
        return [(0, pseudo, *address[2:]) for pseudo in range(self.n_pseudo)]

    def issue(self, command: str, address: Address, row: int, request: int, tick: int) -> None:
        self.log.append(Issued(tick, command, address, row, request))
        is_everywhere = command in (self.act, self.mac, self.pre, "PREA")
        for pseudo in range(self.n_pseudo) if is_everywhere else (address[1],):
            for level in range(5):
                self.last[command, (0, pseudo, *address[2:])[: level + 1]] = tick

    def wanted(self, queue: list[Request], request: Request) -> str:
        """The command that a product needs next: its own, or one for its bank's row."""
        row = self.open.get(request.address)
        return self.act if row is None else self.mac if row == request.row else self.pre

    def serve(self, queue: list[Request], may_row: bool, may_column: bool, tick: int) -> str:
        """Issue the oldest request's command that is ready: "row", "column" or "" for none."""
        behind = False
        for place, request in enumerate(queue):
            if request.kind == "BARRIER":
                behind = True
                continue
            command = self.wanted(queue, request) if request.kind == "MAC" else request.kind
            is_row = command in (self.act, self.pre)
            if not (may_row if is_row else may_column and not behind):
                continue
            if not self.allowed(command, request.address, tick):
                continue
            if command == self.mac and tick < self.next_product:
                continue
            if command == self.pre and place > 0 and self.is_read(queue, request.address):
                continue
            self.issue(command, request.address, request.row, -1 if is_row else request.place, tick)
            if command == self.act:
                self.open[request.address] = request.row
            elif command == self.pre:
                del self.open[request.address]
                self.n_closed += 1
            else:
                queue.pop(place)
                if command == self.mac:
                    self.next_product = tick + request.busy
            return "row" if is_row else "column"
        return ""

    def is_read(self, queue: list[Request], address: Address) -> bool:
        """Whether a product in the queue reads the bank's open row."""
        row = self.open[address]
        return any((one.kind, one.address, one.row) == ("MAC", address, row) for one in queue)

    # --- time

    def refresh(self, n_waiting: int, tick: int) -> int:
        """Close all banks, then refresh one pseudo channel after the other: how many refreshes wait after this tick."""
        if self.open:
            if self.allowed("PREA", (0,) * 5, tick):
                self.issue("PREA", (0,) * 5, -1, -1, tick)
                self.open.clear()
            return n_waiting
        address = (0, -n_waiting % self.n_pseudo, 0, 0, 0)
        if self.allowed("REFab", address, tick):
            self.issue("REFab", address, -1, -1, tick)
            return n_waiting - 1
        return n_waiting

    def run(self, program: PimProgram, most_ticks: int = 10**6) -> int:
        """Ticks until the program is through, its queue empty, and no refresh waits."""
        to_come = self.requests(program)[::-1]
        queue: list[Request] = []
        n_waiting, interval = 0, self.spec.timing["n_refi"]
        for tick in range(1, most_ticks):
            while to_come and len(queue) < self.queue_entries:
                queue.append(to_come.pop())
            if not queue and not n_waiting:
                return tick
            if tick % interval == 0:
                n_waiting += self.n_pseudo
            may = {"row": n_waiting == 0, "column": True}
            if n_waiting:
                n_waiting = self.refresh(n_waiting, tick)
            for _ in range(2):
                # A barrier that has come to the front has nothing left to wait for; one leaves for each command slot.
                if queue and queue[0].kind == "BARRIER":
                    self.log.append(Issued(tick, "BARRIER", (0,) * 5, -1, queue.pop(0).place))
                    if queue and queue[0].kind == "BARRIER":
                        break
                kind = self.serve(queue, may["row"], may["column"], tick)
                if not kind:
                    break
                may[kind] = False
        raise RuntimeError(f"not through after {most_ticks} ticks")

    def counts(self) -> dict[str, int]:
        """Commands of the log by name; closings of all banks before a refresh are not those of a row."""
        names = (self.mac, "WRGB", "MVSB", "MVGB", "SFM", "BARRIER", self.act, "REFab")
        counts = {name: sum(one.command == name for one in self.log) for name in names}
        return {**counts, self.pre: self.n_closed}

    def row_log(self) -> list[Issued]:
        """Commands of the row bus."""
        return [one for one in self.log if one.command in (self.act, self.pre, "PREA", "REFab")]


def rule_violations(spec: DramSpec, placement: str, log: list[Issued]) -> list[str]:
    """Pairs of a log that are closer than a row of the table says, by a look at all pairs."""
    act, mac, pre = COMMANDS[placement]
    found = []
    by_pair: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for level, before, after, latency, window, sibling in spec.rules.tolist():
        if not sibling and window == 1:
            by_pair.setdefault((spec.commands[before], spec.commands[after]), []).append((level, latency))
    longest = int(spec.rules[:, 3].max())

    def is_in_all(one: Issued, to: Issued) -> bool:
        """Whether the command is in all pseudo channels; the published reference has activations wait for one."""
        if spec.accounting == "published" and one.command == "REFab":
            return False
        return one.command in (act, mac, pre, "PREA") and (spec.accounting != "published" or to.command != "REFab")

    for i, later in enumerate(log):
        for earlier in log[i - 1 :: -1] if i else []:
            if later.tick - earlier.tick > longest:
                break
            for level, latency in by_pair.get((earlier.command, later.command), ()):
                one, other = list(earlier.address[: level + 1]), list(later.address[: level + 1])
                if level and (is_in_all(earlier, later) or is_in_all(later, earlier)):
                    one[1] = other[1] = 0
                if one == other and later.tick - earlier.tick < latency:
                    found.append(f"{earlier} then {later}: {latency} ticks")
    return found


def state_violations(placement: str, log: list[Issued]) -> list[str]:
    """What a log does against the two buses, or the rows that are open."""
    act, mac, pre = COMMANDS[placement]
    found = []
    open_rows: dict[Address, int] = {}
    buses: set[tuple[int, bool]] = set()
    for one in log:
        if one.command == "BARRIER":
            continue
        bus = (one.tick, one.command in (act, pre, "PREA", "REFab"))
        if bus in buses:
            found.append(f"{one}: bus taken")
        buses.add(bus)
        if one.command == act:
            if one.address in open_rows:
                found.append(f"{one}: bank open")
            open_rows[one.address] = one.row
        elif one.command == "PREA":
            open_rows.clear()
        elif one.command == pre:
            del open_rows[one.address]
        elif one.command == "REFab" and open_rows:
            found.append(f"{one}: rows open")
        elif one.command == mac and open_rows.get(one.address) != one.row:
            found.append(f"{one}: another row open")
    return found
