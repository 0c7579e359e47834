"""Collectives over a fabric: each algorithm as tasks of point-to-point messages, and as a closed form.

`n_bytes` is the full vector: what every rank has after an all-reduce, all-gather or broadcast, before a
reduce-scatter, and what each rank gives away in all (its own part included) in an all-to-all. A shard is its n-th part,
rounded up. The closed forms hold where every pair of neighbours is joined alike and no two messages of a step share a
link (one switch, or a link for each pair); elsewhere the tasks show what waits.

Source: Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in MPICH", 2005 (ring,
recursive halving and doubling, binomial trees). Not modelled: the arithmetic of a reduction (put it into `step_ps`),
NCCL's double trees, reduction within switches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from simulator.contracts.tasks import TaskGraph
from simulator.core.errors import ConfigError
from simulator.core.spelling import did_you_mean
from simulator.devices.link_fabric import Fabric
from simulator.devices.link_transfers import Transfer, lay_transfer

After = dict[str, tuple[int, ...]]
"""By rank the tasks that it waits for, or after which it is done."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How software moves a message: time before the first one, time of each step, and the share of what is sent that
    is data (half of it where every word carries a flag)."""

    name: str = "simple"
    launch_ps: int = 0
    step_ps: int = 0
    payload_share: Fraction = Fraction(1)

    def sent_bytes(self, n_bytes: int) -> int:
        """Bytes that a message of `n_bytes` hands to the link."""
        return -int(-n_bytes // self.payload_share)


PLAIN = Protocol()


@dataclass(frozen=True, slots=True)
class Collective:
    """What is done (`kind`), how (`algorithm`), on which vector, by which devices, in their order around the ring.

    `n_chunks` cuts the vector of a ring broadcast; the first rank is the root.
    """

    kind: str
    algorithm: str
    n_bytes: int
    ranks: tuple[str, ...]
    protocol: Protocol = PLAIN
    n_chunks: int = 1

    def __post_init__(self) -> None:
        algorithms = ALGORITHMS.get(self.kind)
        if algorithms is None:
            raise ConfigError(f"there is no collective {self.kind!r}", remedy=did_you_mean(self.kind, ALGORITHMS))
        if self.algorithm not in algorithms:
            raise ConfigError(
                f"there is no algorithm {self.algorithm!r} for {self.kind}",
                remedy=did_you_mean(self.algorithm, algorithms),
            )
        n = len(self.ranks)
        if n < 2 or len(set(self.ranks)) < n:
            raise ConfigError(f"a collective of {n} ranks ({', '.join(self.ranks)})", remedy="name two or more, once")
        if self.n_bytes < 0 or self.n_chunks < 1:
            raise ConfigError(f"a collective of {self.n_bytes} bytes in {self.n_chunks} chunks", remedy="correct them")
        if algorithms[self.algorithm].powers_of_two and n & (n - 1):
            raise ConfigError(
                f"{self.algorithm} {self.kind} needs a power of two of ranks, not {n}", remedy="use ring, or direct"
            )

    @property
    def shard_bytes(self) -> int:
        """A rank's part of the vector."""
        return -(-self.n_bytes // len(self.ranks))


@dataclass(frozen=True, slots=True)
class _Layer:
    """A collective while its messages are laid; `ready` is what each rank waits for next."""

    graph: TaskGraph
    fabric: Fabric
    collective: Collective
    ready: After = field(default_factory=dict)
    sent: After = field(default_factory=dict)

    def send(self, source: int, destinations: Sequence[int], n_bytes: int, after: tuple[int, ...]) -> dict[int, int]:
        """One message; returns by destination the task that ends at its arrival."""
        one, protocol = self.collective, self.collective.protocol
        if protocol.step_ps:
            after = (self.graph.add(one.kind, "", protocol.step_ps, after),)
        names = tuple(one.ranks[rank] for rank in destinations)
        transfer = Transfer(one.kind, one.ranks[source], names, protocol.sent_bytes(n_bytes))
        laid = lay_transfer(self.graph, self.fabric, transfer, after)
        self.sent[transfer.source] = self.sent.get(transfer.source, ()) + laid.sent
        return {rank: laid.delivered[name] for rank, name in zip(destinations, names, strict=True)}

    def waits(self, rank: int) -> tuple[int, ...]:
        """What a rank waits for."""
        return self.ready[self.collective.ranks[rank]]

    def step(self, messages: Iterable[tuple[int, int, int]]) -> None:
        """Messages (source, destination, bytes) of one step: each leaves when its source is ready, and whoever
        receives is ready once all have come."""
        arrivals: dict[int, tuple[int, ...]] = {}
        for source, destination, n_bytes in messages:
            done = self.send(source, (destination,), n_bytes, self.waits(source))
            arrivals[destination] = (*arrivals.get(destination, ()), done[destination])
        for rank, tasks in arrivals.items():
            self.ready[self.collective.ranks[rank]] = (*self.waits(rank), *tasks)


def lay_collective(
    graph: TaskGraph, fabric: Fabric, collective: Collective, after: Mapping[str, Iterable[int]] | Iterable[int] = ()
) -> After:
    """Append a collective's tasks; returns by rank the tasks after which that rank is done.

    `after` are tasks that all ranks wait for, or by rank what that rank waits for (what an earlier call returned).
    """
    named = after if isinstance(after, Mapping) else dict.fromkeys(collective.ranks, tuple(after))
    layer = _Layer(graph, fabric, collective)
    for rank in collective.ranks:
        waits = tuple(named.get(rank, ()))
        if collective.protocol.launch_ps:
            waits = (graph.add(collective.kind, "", collective.protocol.launch_ps, waits),)
        layer.ready[rank] = waits
    ALGORITHMS[collective.kind][collective.algorithm].lay(layer)
    return {rank: tasks + layer.sent.get(rank, ()) for rank, tasks in layer.ready.items()}


def collective_ps(fabric: Fabric, collective: Collective) -> int:
    """Time of a collective by its closed form, all ranks starting together.

    Raises ConfigError where neighbours are joined differently, which no closed form covers.
    """
    form = ALGORITHMS[collective.kind][collective.algorithm].closed_form
    return collective.protocol.launch_ps + form(_Times(fabric, collective))


def fastest(fabric: Fabric, choices: Iterable[Collective]) -> tuple[Collective, int]:
    """The choice (algorithms, protocols) of the least time by closed form, the first of equals, and its time."""
    times = [(collective_ps(fabric, one), index, one) for index, one in enumerate(choices)]
    if not times:
        raise ConfigError("there is no collective to choose from", remedy="give at least one")
    least = min(times, key=lambda entry: entry[:2])
    return least[2], least[0]


@dataclass(frozen=True, slots=True)
class _Times:
    """Latency and occupancy of messages between neighbours, which must be the same for all."""

    fabric: Fabric
    collective: Collective

    @property
    def n(self) -> int:
        return len(self.collective.ranks)

    @property
    def shard(self) -> int:
        return self.collective.shard_bytes

    @property
    def n_sends(self) -> int:
        """Messages that follow each other on a link where a rank sends one to each other rank: all, or one each."""
        first, *others = self.collective.ranks
        n_links = len({self.fabric.route(first, other)[0].resource for other in others})
        if n_links not in (1, len(others)):
            raise self.unequal()
        return len(others) // n_links

    def message(self, n_bytes: int) -> tuple[int, int]:
        """(everything but sending, sending) of one message, the time of a step's software included in the first."""
        one, fabric = self.collective, self.fabric
        sent = one.protocol.sent_bytes(n_bytes)
        around = one.algorithm == "ring"
        times = {
            (fabric.message_ps(*pair, sent), *(hop.link.occupancy_ps(sent) for hop in fabric.route(*pair)))
            for pair in fabric.unlike_pairs(one.ranks, around=around)
        }
        whole, busy, *others = times.pop()
        if times or any(other != busy for other in others):
            raise self.unequal()
        return one.protocol.step_ps + whole - busy, busy

    def unequal(self) -> ConfigError:
        """What a fabric is told that no closed form covers."""
        one = self.collective
        return ConfigError(
            f"the closed form of {one.algorithm} {one.kind} needs equal links between all ranks",
            remedy="lay its tasks (lay_collective) and schedule them",
        )

    def step(self, n_bytes: int) -> int:
        """One message from start to arrival."""
        return sum(self.message(n_bytes))


# --- ring: each rank to the next


def _ring_shards(layer: _Layer) -> None:
    n, shard = len(layer.collective.ranks), layer.collective.shard_bytes
    for _ in range(n - 1):
        layer.step([(rank, (rank + 1) % n, shard) for rank in range(n)])


def _ring_all_reduce(layer: _Layer) -> None:
    _ring_shards(layer)
    _ring_shards(layer)


def _ring_broadcast(layer: _Layer) -> None:
    one = layer.collective
    chunk = -(-one.n_bytes // one.n_chunks)
    arrived = {0: layer.waits(0)}
    for _ in range(one.n_chunks):
        for rank in range(len(one.ranks) - 1):
            done = layer.send(rank, (rank + 1,), chunk, arrived[0] if rank == 0 else arrived[rank])
            arrived[rank + 1] = (*layer.waits(rank + 1), done[rank + 1])
            layer.ready[one.ranks[rank + 1]] = arrived[rank + 1]


def _ring_broadcast_ps(times: _Times) -> int:
    one = times.collective
    beside, busy = times.message(-(-one.n_bytes // one.n_chunks))
    return (times.n - 1) * (beside + busy) + (one.n_chunks - 1) * busy


# --- trees and halves: powers of two apart


def _distances(n: int) -> list[int]:
    """1, 2, 4 ... below n."""
    return [1 << bit for bit in range((n - 1).bit_length())]


def _doubling(layer: _Layer) -> None:
    n, shard = len(layer.collective.ranks), layer.collective.shard_bytes
    for distance in _distances(n):
        layer.step([(rank, rank ^ distance, distance * shard) for rank in range(n)])


def _halving(layer: _Layer) -> None:
    n, shard = len(layer.collective.ranks), layer.collective.shard_bytes
    for distance in reversed(_distances(n)):
        layer.step([(rank, rank ^ distance, distance * shard) for rank in range(n)])


def _halving_doubling(layer: _Layer) -> None:
    _halving(layer)
    _doubling(layer)


def _doubling_ps(times: _Times) -> int:
    return sum(times.step(distance * times.shard) for distance in _distances(times.n))


def _tree_broadcast(layer: _Layer) -> None:
    n = len(layer.collective.ranks)
    for distance in _distances(n):
        senders = range(min(distance, n - distance))
        layer.step([(rank, rank + distance, layer.collective.n_bytes) for rank in senders])


def _tree_reduce(layer: _Layer) -> None:
    for distance in reversed(_distances(len(layer.collective.ranks))):
        layer.step([(rank + distance, rank, layer.collective.n_bytes) for rank in range(distance)])


def _tree_all_reduce(layer: _Layer) -> None:
    _tree_reduce(layer)
    _tree_broadcast(layer)


def _tree_broadcast_ps(times: _Times) -> int:
    """A rank's bits are the steps by which the vector came to it. On the way it waited for all sends up to its highest
    bit, where a rank's sends share a link, or for those that it came by alone."""
    beside, busy = times.message(times.collective.n_bytes)
    if times.n_sends == 1:
        return max(rank.bit_count() for rank in range(1, times.n)) * (beside + busy)
    return max(rank.bit_length() * busy + rank.bit_count() * beside for rank in range(1, times.n))


# --- direct: everyone to everyone, or one copy that switches fan out


def _direct(layer: _Layer, n_bytes: int) -> None:
    """Everyone sends `n_bytes` to all others, nearest first, without waiting for anything to come in."""
    n = len(layer.collective.ranks)
    layer.step([(rank, (rank + distance) % n, n_bytes) for distance in range(1, n) for rank in range(n)])


def _direct_shards(layer: _Layer) -> None:
    _direct(layer, layer.collective.shard_bytes)


def _one_shot(layer: _Layer) -> None:
    _direct(layer, layer.collective.n_bytes)


def _two_shot(layer: _Layer) -> None:
    _direct_shards(layer)
    _direct_shards(layer)


def _direct_ps(times: _Times, n_bytes: int) -> int:
    beside, busy = times.message(n_bytes)
    return beside + times.n_sends * busy


def _multicast_broadcast_ps(times: _Times) -> int:
    beside, busy = times.message(times.collective.n_bytes)
    return beside + (1 if times.fabric.multicast else times.n_sends) * busy


def _multicast_broadcast(layer: _Layer) -> None:
    others = range(1, len(layer.collective.ranks))
    for rank, task in layer.send(0, tuple(others), layer.collective.n_bytes, layer.waits(0)).items():
        layer.ready[layer.collective.ranks[rank]] = (*layer.waits(rank), task)


def _multicast_all_gather(layer: _Layer) -> None:
    n = len(layer.collective.ranks)
    done = {
        rank: layer.send(rank, [(rank + d) % n for d in range(1, n)], layer.collective.shard_bytes, layer.waits(rank))
        for rank in range(n)
    }
    for rank, name in enumerate(layer.collective.ranks):
        layer.ready[name] = (*layer.waits(rank), *(tasks[rank] for tasks in done.values() if rank in tasks))


@dataclass(frozen=True, slots=True)
class Algorithm:
    """How a collective is laid as tasks, what it takes, and whether its ranks must be a power of two."""

    lay: Callable[[_Layer], None]
    closed_form: Callable[[_Times], int]
    powers_of_two: bool = False


_RING_SHARDS = Algorithm(_ring_shards, lambda times: (times.n - 1) * times.step(times.shard))
_DIRECT_SHARDS = Algorithm(_direct_shards, lambda times: _direct_ps(times, times.shard))

ALGORITHMS: Mapping[str, Mapping[str, Algorithm]] = {
    "all_reduce": {
        "ring": Algorithm(_ring_all_reduce, lambda times: 2 * (times.n - 1) * times.step(times.shard)),
        "tree": Algorithm(_tree_all_reduce, lambda times: 2 * _tree_broadcast_ps(times), powers_of_two=True),
        "halving_doubling": Algorithm(_halving_doubling, lambda times: 2 * _doubling_ps(times), powers_of_two=True),
        "one_shot": Algorithm(_one_shot, lambda times: _direct_ps(times, times.collective.n_bytes)),
        "two_shot": Algorithm(_two_shot, lambda times: 2 * _direct_ps(times, times.shard)),
    },
    "all_gather": {
        "ring": _RING_SHARDS,
        "doubling": Algorithm(_doubling, _doubling_ps, powers_of_two=True),
        "direct": _DIRECT_SHARDS,
        "multicast": Algorithm(_multicast_all_gather, lambda times: _direct_ps(times, times.shard)),
    },
    "reduce_scatter": {
        "ring": _RING_SHARDS,
        "halving": Algorithm(_halving, _doubling_ps, powers_of_two=True),
        "direct": _DIRECT_SHARDS,
    },
    "broadcast": {
        "ring": Algorithm(_ring_broadcast, _ring_broadcast_ps),
        "tree": Algorithm(_tree_broadcast, _tree_broadcast_ps),
        "multicast": Algorithm(_multicast_broadcast, _multicast_broadcast_ps),
    },
    "all_to_all": {"direct": _DIRECT_SHARDS},
}
"""Every collective and its algorithms."""
