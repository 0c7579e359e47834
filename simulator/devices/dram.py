"""A DRAM behind its controllers, one a channel: replays memory traces and synthetic traffic, to the tick."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt, PositiveFloat, model_validator

from simulator.contracts.results import RunRecord
from simulator.core.energy import EnergyLedger
from simulator.core.errors import ConfigError, WorkloadError
from simulator.devices.dram_counting import Accounting
from simulator.devices.dram_record import Outcome, run_record
from simulator.memory.dram.bounds import bound_by
from simulator.memory.dram.controller import NO_OFFERS, ControllerConfig, DramTiming, Engine, Requests, simulate
from simulator.memory.dram.energy import dram_energy, read_currents
from simulator.memory.dram.mapping import map_addresses
from simulator.memory.dram.refusal import PartRefusal
from simulator.memory.dram.spec import DramSpec
from simulator.memory.dram.standard import DramPart, resolve
from simulator.memory.dram.synthetic import Arrivals, Pattern, Traffic, offer_cycles
from simulator.memory.dram.traces.reading import AddressSpace, TraceFormat, coordinates, read_trace

SYNTHETIC = "synthetic"
MOST_REFRESHES = 1 << 25  # a command log of them still fits into memory


class Dram:
    """Channels of one DRAM standard, each with its controller, behind one front end that offers requests in order.

    Not modelled: values; errors and their correction; power-down; a memory's own cache of rows; more than one source
    of requests.
    Source: the standards' timing rules as Ramulator 2.1 has them, and its controllers.
    """

    replays_synthetic: ClassVar[bool] = True

    class Config(DramPart):
        """A part such as `hw_configs/parts/dram/ddr4.yaml`.

        How requests are offered: as fast as they are taken; or, in an open loop, `offered_gb_per_s` or one every
        `offer_interval_cyc` ticks, evenly or as a Poisson process (`arrivals`); or with at most `window` reads
        outstanding. `format` is that of a trace file, `vector_address` what a trace of coordinates has for addresses:
        each its own, or one for all as the reference's front end. `compare` runs the other accounting too.
        """

        kind: Literal["dram"] = "dram"
        trace: Pattern = "stream"
        window: NonNegativeInt = 0
        arrivals: Arrivals = "even"
        offered_gb_per_s: PositiveFloat | None = None
        offer_interval_cyc: PositiveFloat | None = None
        format: TraceFormat = "auto"
        vector_address: Literal["own", "shared"] = "own"
        engine: Engine = "event"
        compare: bool = True

        @model_validator(mode="after")
        def _asks_for_something(self) -> Dram.Config:
            try:
                self.traffic()
                if self.offered_gb_per_s is not None and self.offer_interval_cyc is not None:
                    raise PartRefusal(
                        ("offer_interval_cyc",), "offered_gb_per_s says the pace already", remedy="state one of the two"
                    )
            except PartRefusal as refusal:
                refusal.raise_at_place()
            return self

        def traffic(self) -> Traffic:
            """The synthetic traffic that the part's own keys describe."""
            return Traffic(self.trace, self.trace_param, self.lg_lines, self.read_frac, self.n_requests)

        def controller_config(self) -> ControllerConfig:
            """What every channel's controller is set up with."""
            return ControllerConfig(
                n_channels=self.n_channels,
                read_queue=self.queue,
                write_queue=self.queue,
                scheduler=self.scheduler,
                refresh=self.refresh,
                fe_ratio=self.fe_ratio,
                row_policy=self.row_policy,
                row_cap=self.row_cap,
                write_low_frac=self.write_low_frac,
                write_high_frac=self.write_high_frac,
                wck_always_on=self.wck_always_on,
            )

    def __init__(self, config: Config) -> None:
        self.config = config
        self.spec: DramSpec = resolve(config)
        self.controller = config.controller_config()

    @property
    def capacity_bytes(self) -> int:
        """Bytes of all channels."""
        return self.spec.capacity_bytes * self.config.n_channels

    @cached_property
    def address_space(self) -> AddressSpace:
        """What a trace may address."""
        spec = self.spec
        return AddressSpace(
            names=("channel", *spec.levels, "row", "column"),
            sizes=(self.config.n_channels, *spec.level_sizes, spec.n_rows, spec.n_columns),
            capacity_bytes=self.capacity_bytes,
            tick_ps=spec.tick_period_ps,
        )

    def synthetic_requests(self, seed: int) -> Requests:
        """The traffic that the part's keys describe, `seed` deciding what is random."""
        config, traffic = self.config, self.config.traffic()
        address = traffic.addresses(seed, self.spec.tx_bytes, self.capacity_bytes)
        window = config.window or (1 if config.trace == "pointer_chase" else 0)
        requests = self._placed(address, traffic.writes(seed))
        return replace(requests, offer_cyc=self._offers(len(address), seed), window=window)

    def trace_requests(self, path: str | Path, seed: int) -> Requests:
        """The requests of a trace file. Raises WorkloadError, at file, line and column."""
        config = self.config
        trace = read_trace(path, self.address_space, config.format)
        n = len(trace.address)
        if trace.place is None:
            requests = self._placed(trace.address, trace.is_write)
        else:
            address = trace.address if config.vector_address == "own" else np.zeros(n, np.int64)
            requests = Requests(address, trace.is_write, *coordinates(trace.place, self.address_space.sizes))
        paced = config.offered_gb_per_s is not None or config.offer_interval_cyc is not None
        if paced and len(trace.arrive_cyc):
            raise ConfigError(
                "the trace tells when its requests come, and the part how fast they are offered",
                where=str(path),
                remedy="take offered_gb_per_s and offer_interval_cyc away, or the trace's column of times",
            )
        offer = trace.arrive_cyc + 1 if len(trace.arrive_cyc) else self._offers(n, seed)
        return replace(requests, offer_cyc=offer, window=config.window)

    def time(self, requests: Requests, *, log: bool = False, spec: DramSpec | None = None) -> DramTiming:
        """Serve requests, on another memory than the part's own where `spec` says so."""
        # The event-driven engine looks for an equal address in the request's own bank only.
        engine = "table" if self.config.vector_address == "shared" else self.config.engine
        memory = spec or self.spec
        self._check_span(memory, requests)
        return simulate(memory, self.controller, requests, engine=engine, log=log)

    def replay(self, trace: str | Path, seed: int) -> RunRecord:
        """Replay a trace file, or `synthetic` traffic: ticks, bandwidth, row hits, latencies, and what bound them."""
        is_synthetic = str(trace) == SYNTHETIC
        requests = self.synthetic_requests(seed) if is_synthetic else self.trace_requests(trace, seed)
        timing = self.time(requests, log=True)
        config = self.config
        other = self._other(requests, timing) if config.compare else None
        bound = bound_by(self.spec, requests, timing, n_channels=config.n_channels, fe_ratio=config.fe_ratio)
        name = config.trace if is_synthetic else Path(trace).name
        return run_record(Outcome(self.spec, config, requests, timing, other, bound, self.energy(timing), name))

    def energy(self, timing: DramTiming) -> EnergyLedger | str:
        """What a run spent, or why that cannot be told. Raises ConfigError for currents that make no sense."""
        if self.config.currents is None:
            return "the part has no currents"
        currents = read_currents(self.config.currents)
        try:
            return dram_energy(self.spec, currents, timing, n_channels=self.config.n_channels)
        except ConfigError as error:
            return error.message

    def other_spec(self) -> DramSpec:
        """The memory as the other accounting has it."""
        other: Accounting = "corrected" if self.config.accounting == "published" else "published"
        return resolve(self.config.model_copy(update={"accounting": other}))

    def offers(self, n_requests: int, gb_per_s: float, arrivals: Arrivals, seed: int) -> NDArray[np.int64]:
        """Earliest ticks, int64[n], of requests that ask for so many GB/s in all."""
        interval = self.spec.tx_bytes * 1000 / (gb_per_s * float(self.spec.tick_period_ps))
        return offer_cycles(n_requests, interval, arrivals, seed)

    def _check_span(self, spec: DramSpec, requests: Requests) -> None:
        """Refuse requests so far apart that there is little but refresh between them."""
        interval = spec.timing.get("n_refi" if self.config.refresh == "AllBank" else "n_refipb", 0) * spec.ticks_per_ck
        if self.config.refresh == "NoRefresh" or not interval or not len(requests.offer_cyc):
            return
        scopes = prod(spec.level_sizes[: spec.refresh_level]) if self.config.refresh == "AllBank" else 1
        n_refreshes = int(requests.offer_cyc[-1]) // interval * scopes * self.config.n_channels
        if n_refreshes > MOST_REFRESHES + len(requests):
            raise WorkloadError(
                f"the last request comes {int(requests.offer_cyc[-1]):,} cycles after the first, "
                f"with {n_refreshes:,} refreshes between",
                where="refresh",
                remedy="replay a shorter part, offer requests faster, or set refresh to NoRefresh",
            )

    def _other(self, requests: Requests, timing: DramTiming) -> tuple[DramSpec, DramTiming] | str:
        """The run under the other accounting, or why there is none."""
        try:
            spec = self.other_spec()
            return spec, timing if _same_memory(spec, self.spec) else self.time(requests, spec=spec)
        except ConfigError as error:
            return error.message

    def _offers(self, n_requests: int, seed: int) -> NDArray[np.int64]:
        config = self.config
        if config.offered_gb_per_s is not None:
            return self.offers(n_requests, config.offered_gb_per_s, config.arrivals, seed)
        if config.offer_interval_cyc is not None:
            return offer_cycles(n_requests, config.offer_interval_cyc, config.arrivals, seed)
        return NO_OFFERS

    def _placed(self, address: NDArray[np.int64], is_write: NDArray[np.bool_]) -> Requests:
        channel, bank, row = map_addresses(self.spec, self.config.mapper, self.config.n_channels, address)
        return Requests(address, is_write, channel, bank, row)


def _same_memory(one: DramSpec, other: DramSpec) -> bool:
    """Whether two accountings of a standard differ in counting only, and not in rules or refresh."""
    return one.timing == other.timing and np.array_equal(one.rules, other.rules)
