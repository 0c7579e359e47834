"""Collectives between GPUs as their communication library runs them: algorithms and protocols over the links.

A library moves short messages with a protocol whose words carry flags (low latency, part of the bandwidth) and long
ones with plain copies behind a handshake. Which one runs is the library's rule, by the bytes that a rank sends, and not
whatever would be fastest.

Source: NCCL's protocols (LL, LL128, Simple) as its documentation names them. Not modelled: channels, double trees,
reduction in switches, skew between ranks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

from annotated_types import MinLen
from pydantic import BaseModel, ConfigDict, model_validator

from simulator.core.errors import ConfigError
from simulator.core.quantities import NonNegativeFloat, PositiveBytes, Ps
from simulator.core.spelling import did_you_mean
from simulator.devices.link import Link, Share
from simulator.devices.link_collectives import ALGORITHMS, Collective, Protocol, collective_ps
from simulator.devices.link_topology import LinkTopology


class CollectiveProtocol(BaseModel):
    """One protocol: time before the first message, time of each step, the share of what is sent that is data, and up to
    how many bytes sent by a rank it is used (None: any)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    launch_ps: Ps
    step_ps: Ps = 0
    payload_share: Share
    max_sent_bytes: PositiveBytes | None = None


class CollectiveSoftware(BaseModel):
    """A part of kind `collectives`: the algorithm of each collective, and protocols in the order in which they take
    over. A byte that a rank sends costs its board the energy of `memory_bytes_per_sent` bytes of memory traffic: it is
    read, received, added and written, and the links and the kernel that waits take their share.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["collectives"] = "collectives"
    algorithms: dict[str, str]
    memory_bytes_per_sent: NonNegativeFloat = 0.0
    protocols: Annotated[dict[str, CollectiveProtocol], MinLen(1)]

    @model_validator(mode="after")
    def _known(self) -> CollectiveSoftware:
        for kind, algorithm in self.algorithms.items():
            if kind not in ALGORITHMS:
                raise ValueError(f"there is no collective {kind!r}: {did_you_mean(kind, ALGORITHMS)}")
            if algorithm not in ALGORITHMS[kind]:
                raise ValueError(
                    f"there is no algorithm {algorithm!r} for {kind}: {did_you_mean(algorithm, ALGORITHMS[kind])}"
                )
        limits = [protocol.max_sent_bytes for protocol in self.protocols.values()]
        if limits[-1] is not None or None in limits[:-1]:
            raise ValueError("the last protocol, and no other, has no `max_sent_bytes`")
        return self


class GpuCollectives:
    """Collectives of `n_ranks` GPUs around the links of `fabric`."""

    def __init__(self, software: CollectiveSoftware, fabric: LinkTopology.Config, n_ranks: int) -> None:
        self.software = software
        self.n_ranks = n_ranks
        self._fabric = LinkTopology(fabric.model_copy(update={"n_devices": n_ranks}))
        # A serving run asks for the same few sizes again and again.
        self._time_ps = lru_cache(maxsize=4096)(self._computed_ps)

    @property
    def link(self) -> Link:
        """The link of one GPU."""
        return self._fabric.link

    def time_ps(self, kind: str, n_bytes: int) -> int:
        """Time of a collective on a vector of `n_bytes`, as `link_collectives` counts them, all ranks starting at once.

        Raises ConfigError for a kind without an algorithm.
        """
        return self._time_ps(kind, n_bytes)

    def sent_bytes(self, kind: str, n_bytes: int) -> int:
        """Bytes that a rank of a ring sends: the measure by which protocols take over."""
        if kind == "send":
            return n_bytes
        shards = 2 * (self.n_ranks - 1) if kind == "all_reduce" else self.n_ranks - 1
        return shards * -(-n_bytes // self.n_ranks)

    def memory_bytes(self, kind: str, n_bytes: int) -> float:
        """Memory traffic on each rank whose energy a collective takes."""
        return self.software.memory_bytes_per_sent * self.sent_bytes(kind, n_bytes)

    def protocol(self, kind: str, n_bytes: int) -> str:
        """The protocol that the library takes."""
        sent = self.sent_bytes(kind, n_bytes)
        protocols = self.software.protocols
        return next(name for name, one in protocols.items() if one.max_sent_bytes is None or sent <= one.max_sent_bytes)

    def send_ps(self, n_bytes: int) -> int:
        """Time of a message from one GPU to another, as pipeline parallelism sends its activations."""
        name = self.protocol("send", n_bytes)
        one = self.software.protocols[name]
        sent = self._protocol(name).sent_bytes(n_bytes)
        first, second = self._fabric.devices[:2]
        return one.launch_ps + one.step_ps + self._fabric.fabric.message_ps(first, second, sent)

    def _protocol(self, name: str) -> Protocol:
        one = self.software.protocols[name]
        return Protocol(name, one.launch_ps, one.step_ps, one.payload_share)

    def _computed_ps(self, kind: str, n_bytes: int) -> int:
        algorithm = self.software.algorithms.get(kind)
        if algorithm is None:
            raise ConfigError(
                f"the collectives' part names no algorithm for {kind}",
                where="system.device.collectives.algorithms",
                remedy=f"add `{kind}: ring` below `algorithms`, say",
            )
        protocol = self._protocol(self.protocol(kind, n_bytes))
        return collective_ps(self._fabric.fabric, Collective(kind, algorithm, n_bytes, self._fabric.devices, protocol))
