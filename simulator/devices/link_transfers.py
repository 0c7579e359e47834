"""Transfers as tasks on links: who shares a link waits for it, and a transfer that is alone takes its closed form.

Each direction of each link is a resource, which serves transfers in the order in which they reach it (FIFO), whole
messages at a time; with `chunk_bytes` a message goes in chunks, the next offered when the last one is through, so that
transfers that meet at a link take turns. On a route each link starts when the head of the message reaches it and is
held for its own time; a link faster than those before it may end early, and then the message arrives when the slowest
has passed its last byte on.

Not modelled: back-pressure (switches buffer without bound), priorities.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simulator.contracts.tasks import Schedule, TaskGraph
from simulator.core.errors import ConfigError, WorkloadError
from simulator.devices.link import PS_PER_S
from simulator.devices.link_fabric import Branch, Fabric, Hop
from simulator.devices.scheduling import schedule

_MAX_CHUNKS = 1_000_000  # a task each, and more on the way
_LONGEST_PS = 1 << 56  # a transfer has several tasks of its length, whose sum the scheduler bounds by 2^62


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes that one device sends to one or several others, not before `start_ps`. `name` shows in spans."""

    name: str
    source: str
    destinations: tuple[str, ...]
    n_bytes: int
    start_ps: int = 0

    def __post_init__(self) -> None:
        if self.n_bytes < 0 or self.start_ps < 0:
            raise ConfigError(
                f"transfer `{self.name}` has {self.n_bytes} bytes and starts at {self.start_ps} ps",
                remedy="give numbers of zero or more",
            )
        if not self.destinations or len(set(self.destinations)) < len(self.destinations):
            raise ConfigError(
                f"transfer `{self.name}` goes to {', '.join(self.destinations) or 'nobody'}",
                remedy="name each destination once",
            )


@dataclass(frozen=True, slots=True)
class Laid:
    """Tasks of a transfer that others may wait for: at each destination the one that ends when all bytes are there, and
    those that end when the source has sent them (its buffer is free, its link serves the next)."""

    delivered: dict[str, int]
    sent: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a transfer fared: when all destinations had it, and how long that takes when it is alone."""

    transfer: Transfer
    end_ps: int
    alone_ps: int

    @property
    def waited_ps(self) -> int:
        """Time lost to other transfers."""
        return self.end_ps - self.transfer.start_ps - self.alone_ps


@dataclass(frozen=True, slots=True, eq=False)
class TransferPlan:
    """Transfers that were run together: deliveries in the order in which they were given, and the schedule."""

    deliveries: tuple[Delivery, ...]
    schedule: Schedule


def run_transfers(fabric: Fabric, transfers: Sequence[Transfer], *, chunk_bytes: int | None = None) -> TransferPlan:
    """When each transfer arrives if all share the fabric.

    Transfers that reach a link at one time are served in the order (start, source, destinations, bytes, name), not
    in that of `transfers`: permuting them changes nothing.
    """
    _check_length(fabric, transfers)
    graph = TaskGraph()
    laid: dict[int, Laid] = {}
    for index in sorted(range(len(transfers)), key=lambda i: _order(transfers[i])):
        one = transfers[index]
        after = (graph.add(one.name, "", one.start_ps),) if one.start_ps else ()
        laid[index] = lay_transfer(graph, fabric, one, after, chunk_bytes=chunk_bytes)
    planned = schedule(graph)
    deliveries = []
    for index, one in enumerate(transfers):
        end_ps = max(int(planned.end_ps[task]) for task in laid[index].delivered.values())
        deliveries.append(Delivery(one, end_ps, alone_ps(fabric, one)))
    return TransferPlan(tuple(deliveries), planned)


def lay_transfer(
    graph: TaskGraph,
    fabric: Fabric,
    transfer: Transfer,
    after: Iterable[int] = (),
    *,
    chunk_bytes: int | None = None,
) -> Laid:
    """Append the tasks of a transfer that waits for the tasks `after` (its `start_ps` is not looked at).

    To several destinations one copy goes up and switches fan it out, or, where the fabric has no multicast, one copy
    each. Raises ConfigError for a route that does not exist, and for a chunk smaller than the first link's packet or
    flit.
    """
    ready = tuple(after)
    one_copy = fabric.multicast or len(transfer.destinations) == 1
    groups = [transfer.destinations] if one_copy else [(one,) for one in transfer.destinations]
    delivered: dict[str, int] = {}
    sent: list[int] = []
    for group in groups:
        for branch in fabric.tree(transfer.source, group):
            sizes = _chunks(transfer.n_bytes, chunk_bytes, branch.hop)
            last: tuple[int, ...] = ()
            for begin, end in sizes:
                layer = _Layer(graph, transfer.name, begin, end, delivered)
                last = (layer.lay(branch, ready + last, None),)
            sent += last
    return Laid(delivered, tuple(sent))


def alone_ps(fabric: Fabric, transfer: Transfer) -> int:
    """Time of a transfer that has the fabric to itself."""
    times = [fabric.message_ps(transfer.source, one, transfer.n_bytes) for one in transfer.destinations]
    if fabric.multicast or len(times) == 1:
        return max(times)
    graph = TaskGraph()  # copies wait for each other on what they share
    lay_transfer(graph, fabric, transfer)
    return schedule(graph).makespan_ps


def _check_length(fabric: Fabric, transfers: Sequence[Transfer]) -> None:
    """Refuse what 64 bits of picoseconds might not hold."""
    total_ps = sum(fabric.message_ps(one.source, end, one.n_bytes) for one in transfers for end in one.destinations)
    if total_ps > _LONGEST_PS:
        raise WorkloadError(
            f"the transfers take {total_ps / PS_PER_S:.3g} s together, "
            f"more than the {_LONGEST_PS // PS_PER_S:,} s that are simulated at most",
            remedy="send fewer bytes, or over faster links",
        )


def _order(transfer: Transfer) -> tuple[int, str, tuple[str, ...], int, str]:
    return transfer.start_ps, transfer.source, transfer.destinations, transfer.n_bytes, transfer.name


def _chunks(n_bytes: int, chunk_bytes: int | None, first: Hop) -> list[tuple[int, int]]:
    """Where each chunk of a message begins and ends."""
    if chunk_bytes is None or n_bytes <= chunk_bytes:
        return [(0, n_bytes)]
    unit = first.link.framing.unit_bytes
    if chunk_bytes < unit:
        raise ConfigError(
            f"a chunk of {chunk_bytes} bytes is smaller than a packet or flit of {first.resource}, {unit} bytes",
            remedy=f"give at least {unit} bytes",
        )
    if n_bytes > chunk_bytes * _MAX_CHUNKS:
        raise ConfigError(
            f"a transfer of {n_bytes:,} bytes has more than {_MAX_CHUNKS:,} chunks of {chunk_bytes:,} bytes",
            remedy="give larger chunks",
        )
    return [(begin, min(begin + chunk_bytes, n_bytes)) for begin in range(0, n_bytes, chunk_bytes)]


@dataclass(frozen=True, slots=True)
class _Layer:
    """Lays the bytes `begin` to `end` of one message along a tree; times are differences of what the message takes up
    to there, so that roundings and shared flits add up to the whole message's."""

    graph: TaskGraph
    name: str
    begin: int
    end: int
    delivered: dict[str, int]

    def lay(self, branch: Branch, ready: tuple[int, ...], before: _Passed | None) -> int:
        """Lay a hop and all that follow it; returns the task that holds the hop's link to its end."""
        hop, graph, name = branch.hop, self.graph, self.name
        time_ps = hop.link.occupancy_ps(self.end) - hop.link.occupancy_ps(self.begin)
        head_ps = min(hop.head_ps(self.end - self.begin), time_ps)
        if branch.onward and head_ps < time_ps:
            # Both are ready at one time and declared one after the other, so nothing gets between them.
            head = graph.add(name, hop.resource, head_ps, ready)
            held = graph.add(name, hop.resource, time_ps - head_ps, ready)
        else:
            head = held = graph.add(name, hop.resource, time_ps, ready)
        passed = _Passed(hop, time_ps, head_ps, (held,))
        if before is not None and before.outlasts(passed):
            slower = graph.add(name, "", before.hop.delay_ps + head_ps, before.ends)
            passed = _Passed(hop, time_ps, head_ps, (held, slower))
        if branch.delivers:
            self.delivered[branch.delivers] = graph.add(name, "", hop.delay_ps, passed.ends)
        if branch.onward:
            arrived = (graph.add(name, "", hop.delay_ps, (head,)),)
            for onward in branch.onward:
                self.lay(onward, arrived, passed)
        return held


@dataclass(frozen=True, slots=True)
class _Passed:
    """A hop that was laid: its time, what its next hop waited for, and the tasks after which it has passed all on."""

    hop: Hop
    time_ps: int
    head_ps: int
    ends: tuple[int, ...]

    def outlasts(self, after: _Passed) -> bool:
        """Whether the hop after this one, started with the head, might end before this one has passed all on."""
        return len(self.ends) > 1 or self.head_ps + after.time_ps < self.time_ps + after.head_ps
