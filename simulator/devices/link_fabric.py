"""Devices and switches joined by links: routes, multicast trees, and how long a message takes when it is alone.

A message is cut through: each link of a route forwards it while it still arrives. Switches keep what a busy output
cannot take, without bound.

Not modelled: several routes between two nodes (the shortest one is taken, ties to the link declared first),
back-pressure from a full switch, reduction within a switch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from typing import Literal

from simulator.core.errors import ConfigError
from simulator.core.spelling import did_you_mean
from simulator.devices.link import Link

Forwarding = Literal["cut_through", "packet", "message"]
"""What a switch waits for before it forwards: nothing but its latency, the first packet or flit, or all of it."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One direction of a link on a route: its resource, and the delay up to where the next hop (or the device) takes
    over: the link's latency, and the latency of the switch at its end."""

    resource: str
    link: Link
    delay_ps: int
    forwarding: Forwarding

    def head_ps(self, n_bytes: int) -> int:
        """What the next hop waits for, from the start of this one, the delay aside."""
        if self.forwarding == "cut_through":
            return 0
        return self.link.head_ps(n_bytes) if self.forwarding == "packet" else self.link.occupancy_ps(n_bytes)


@dataclass(frozen=True, slots=True)
class Branch:
    """A hop of a multicast tree and what follows it: further branches, and the device that it delivers to ("")."""

    hop: Hop
    delivers: str
    onward: tuple[Branch, ...]


class Fabric:
    """A graph of devices and switches. Devices send and receive, switches forward; resources are named
    `a->b`, with `name` and a blank before it where there is one."""

    def __init__(
        self,
        devices: Sequence[str],
        switches: Mapping[str, int],
        links: Iterable[tuple[str, str, Link]],
        *,
        forwarding: Forwarding = "cut_through",
        multicast: bool = True,
        name: str = "",
    ) -> None:
        """`switches` gives each switch's latency in ps; each of `links` joins two nodes, in both directions.

        Raises ConfigError for doubled names, ends that do not exist, a node joined to itself, and two links between
        the same nodes.
        """
        self.devices = tuple(devices)
        self.switches = dict(switches)
        self.forwarding: Forwarding = forwarding
        self.multicast = multicast
        self._prefix = f"{name} " if name else ""
        self._near: dict[str, dict[str, Link]] = {node: {} for node in (*self.devices, *self.switches)}
        if len(self._near) < len(self.devices) + len(self.switches):
            raise ConfigError("two nodes of a fabric have one name", remedy="name each device and switch differently")
        for one, other, link in links:
            self._join(one, other, link)
        self._routes: dict[tuple[str, str], tuple[Hop, ...]] = {}
        self._unlike: dict[tuple[tuple[str, ...], bool], tuple[tuple[str, str], ...]] = {}

    def resources(self) -> dict[str, Link]:
        """Every direction of every link: the resource's name and its link."""
        return {self._resource(one, other): link for one, near in self._near.items() for other, link in near.items()}

    def route(self, source: str, destination: str) -> tuple[Hop, ...]:
        """The hops from one device to another, through switches only. Raises ConfigError where there is none."""
        key = (source, destination)
        if key not in self._routes:
            self._routes[key] = self._hops(self._nodes_between(source, destination))
        return self._routes[key]

    def tree(self, source: str, destinations: Sequence[str]) -> tuple[Branch, ...]:
        """The routes to several devices with what they share laid once: a switch copies where they part."""
        routes = {destination: self.route(source, destination) for destination in destinations}
        return _grown([(destination, route, 0) for destination, route in routes.items()])

    def latency_ps(self, source: str, destination: str) -> int:
        """Time of a message without bytes."""
        return sum(hop.delay_ps for hop in self.route(source, destination))

    def message_ps(self, source: str, destination: str, n_bytes: int) -> int:
        """Time of a message that is alone on its route: all latencies, and for the slowest link its occupancy, for the
        others what the next one waits for."""
        route = self.route(source, destination)
        heads = [hop.head_ps(n_bytes) for hop in route]
        times = [hop.link.occupancy_ps(n_bytes) for hop in route]
        slowest = max((time - head for time, head in zip(times, heads, strict=True)), default=0)
        return sum(hop.delay_ps for hop in route) + sum(heads) + slowest

    def unlike_pairs(self, ranks: tuple[str, ...], *, around: bool) -> tuple[tuple[str, str], ...]:
        """One pair of devices for each kind of route (links, switches) among neighbours `around` a ring, or all."""
        key = (ranks, around)
        if key not in self._unlike:
            pairs = zip(ranks, ranks[1:] + ranks[:1], strict=True) if around else permutations(ranks, 2)
            kinds = {tuple((id(hop.link), hop.delay_ps) for hop in self.route(*pair)): pair for pair in pairs}
            self._unlike[key] = tuple(kinds.values())
        return self._unlike[key]

    def bottleneck(self, source: str, destination: str) -> Link:
        """The link of a route with the least data rate, the first of equals."""
        return min((hop.link for hop in self.route(source, destination)), key=lambda link: link.payload_bytes_per_s)

    def _join(self, one: str, other: str, link: Link) -> None:
        for end in (one, other):
            if end not in self._near:
                raise ConfigError(f"a link ends at `{end}`, which is no node", remedy=did_you_mean(end, self._near))
        if one == other or other in self._near[one]:
            what = f"`{one}` to itself" if one == other else f"`{one}` and `{other}` a second time"
            raise ConfigError(f"a link joins {what}", remedy="give one link more lanes")
        self._near[one][other] = link
        self._near[other][one] = link

    def _nodes_between(self, source: str, destination: str) -> list[str]:
        for end in (source, destination):
            if end not in self.devices:
                what = "a switch, which sends nothing of its own" if end in self.switches else "no device"
                raise ConfigError(f"`{end}` is {what}", remedy=did_you_mean(end, self.devices))
        if source == destination:
            raise ConfigError(f"`{source}` sends to itself", remedy="a transfer is between two devices")
        came_from = {source: source}
        wave = [source]
        while wave and destination not in came_from:
            reached: list[str] = []
            for node in wave:
                for near in self._near[node]:
                    if near not in came_from and (near == destination or near in self.switches):
                        came_from[near] = node
                        reached.append(near)
            wave = reached
        if destination not in came_from:
            raise ConfigError(
                f"there is no route from `{source}` to `{destination}` through switches",
                remedy="join them, or send in two transfers over the device between them",
            )
        nodes = [destination]
        while nodes[-1] != source:
            nodes.append(came_from[nodes[-1]])
        return nodes[::-1]

    def _hops(self, nodes: list[str]) -> tuple[Hop, ...]:
        hops = []
        for one, other in pairwise(nodes):
            link = self._near[one][other]
            delay_ps = link.latency_ps + self.switches.get(other, 0)
            hops.append(Hop(self._resource(one, other), link, delay_ps, self.forwarding))
        return tuple(hops)

    def _resource(self, one: str, other: str) -> str:
        return f"{self._prefix}{one}->{other}"


def _grown(routes: list[tuple[str, tuple[Hop, ...], int]]) -> tuple[Branch, ...]:
    """Branches of routes (destination, hops, how many of them are laid), in the order in which they first occur."""
    by_next: dict[str, list[tuple[str, tuple[Hop, ...], int]]] = {}
    for destination, route, n_laid in routes:
        by_next.setdefault(route[n_laid].resource, []).append((destination, route, n_laid + 1))
    branches = []
    for group in by_next.values():
        done = [destination for destination, route, n_laid in group if n_laid == len(route)]
        onward = [one for one in group if one[2] < len(one[1])]
        hop = group[0][1][group[0][2] - 1]
        branches.append(Branch(hop, done[0] if done else "", _grown(onward)))
    return tuple(branches)
