"""A memory controller of one DRAM: what is asked of it, how it is set up, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ConfigError

if TYPE_CHECKING:
    from simulator.memory.dram.standard import DramSpec

Scheduler = Literal["FRFCFS", "FRFCFSRowHit"]
Refresh = Literal["NoRefresh", "AllBank", "PerBank", "HBM34PerBankRefresh"]
RowPolicy = Literal["open", "closed"]
Engine = Literal["event", "table"]

NO_OFFERS = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class ControllerConfig:
    """Queues, scheduling and refresh of every channel's controller, and the front end before them.

    `fe_ratio` requests are offered per memory clock (tick), in order: one that is refused holds up all behind it.
    `row_policy` closed precharges a row after `row_cap` columns. `wck_always_on` spares LPDDR5 its CAS commands.
    """

    n_channels: int = 1
    read_queue: int = 32
    write_queue: int = 32
    scheduler: Scheduler = "FRFCFS"
    refresh: Refresh = "AllBank"
    fe_ratio: int = 1
    row_policy: RowPolicy = "open"
    row_cap: int = 4
    write_low_frac: float = 0.2
    write_high_frac: float = 0.8
    wck_always_on: bool = False

    @property
    def write_on_at(self) -> int:
        """Least number of queued writes at which write mode starts, whatever the reads; in single precision, as
        published."""
        return int(np.floor(np.float32(self.write_high_frac) * np.float32(self.write_queue))) + 1

    @property
    def write_off_at(self) -> int:
        """Largest number of queued writes at which write mode ends while reads wait; -1 for never."""
        return int(np.ceil(np.float32(self.write_low_frac) * np.float32(self.write_queue))) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """Requests in the order in which the front end offers them.

    `address` int64[n] in bytes (what forwarding compares), `is_write` bool[n], and where an address map puts them:
    `channel` int32[n], `bank` int32[n] (flat within the channel), `row` int64[n]. `offer_cyc` int64[n] is the earliest
    tick before which each is offered (empty: as soon as the one before it was taken). With `window` > 0 at most so many
    reads are outstanding: the next request waits until an earlier read's data is there (1: a pointer chase).
    """

    address: NDArray[np.int64]
    is_write: NDArray[np.bool_]
    channel: NDArray[np.int32]
    bank: NDArray[np.int32]
    row: NDArray[np.int64]
    offer_cyc: NDArray[np.int64] = field(default_factory=lambda: NO_OFFERS)
    window: int = 0

    def __len__(self) -> int:
        return len(self.address)


@dataclass(frozen=True, slots=True)
class Tally:
    """Integer statistics up to some tick, over all channels.

    `read_latency_sum` is over the reads whose data has arrived, forwarded ones (1 tick each) included.
    """

    row_hits: int
    row_misses: int
    row_conflicts: int
    reads_served: int
    writes_served: int
    reads_forwarded: int
    writes_coalesced: int
    read_latency_sum: int
    refreshes_served: int


@dataclass(frozen=True, slots=True, eq=False)
class CommandLog:
    """Commands in order of issue, channel after channel: `cyc` int64[m], `command` int16[m] (index in the standard's
    commands), `bank` int32[m] (flat; of a wider command the first of its scope), `channel` int16[m], `request` int64[m]
    (-1: refresh)."""

    cyc: NDArray[np.int64]
    command: NDArray[np.int16]
    bank: NDArray[np.int32]
    channel: NDArray[np.int16]
    request: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class DramTiming:
    """What a controller did with its requests; all times are ticks of the memory.

    `cycles` ticks when the last request was taken (`at_stop` counts up to there), `drain_cycles` when the last column
    command was issued (`at_drain`). `commands` int64[n_commands] and `digest` (64 bits over every command's tick, kind
    and bank) go up to the drain. Per request: `latency_cyc` int64[n] from arrival to data (reads; forwarded 1; writes
    -1) and `issue_cyc` int64[n] of the column command (-1: forwarded or coalesced). `slow_because` says why the
    table-driven engine had to serve what the event-driven one was asked to.
    """

    cycles: int
    drain_cycles: int
    at_stop: Tally
    at_drain: Tally
    commands: NDArray[np.int64]
    digest: int
    latency_cyc: NDArray[np.int64]
    issue_cyc: NDArray[np.int64]
    log: CommandLog | None = None
    slow_because: str | None = None


def simulate(
    spec: DramSpec, config: ControllerConfig, requests: Requests, *, engine: Engine = "event", log: bool = False
) -> DramTiming:
    """Serve requests. `event` jumps from event to event, `table` walks every tick by the rule table alone; the results
    are equal. Raises ConfigError for a controller that this standard cannot have."""
    if engine == "table":
        from simulator.memory.dram.table_engine import simulate_table

        return simulate_table(spec, config, requests, log=log)
    if engine == "event":
        from simulator.memory.dram.event_engine import simulate_event

        return simulate_event(spec, config, requests, log=log)
    raise ConfigError(f"there is no engine {engine!r}", remedy="use event or table")
