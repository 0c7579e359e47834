"""A DRAM channel that computes in its banks while a host uses it as memory: what each costs the other."""

from __future__ import annotations

from functools import cached_property
from math import ceil
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from simulator.contracts.results import RunRecord
from simulator.core.errors import ConfigError
from simulator.devices.dram import SYNTHETIC, Dram
from simulator.devices.dram_pim_record import MixedOutcome, mixed_record
from simulator.memory.dram.controller import DramTiming, Requests, simulate
from simulator.memory.dram.mixed import MixedTiming, Policy, Preempt, Sharing, simulate_mixed
from simulator.memory.dram.pim_program import PimProgram, check_pim, gemv_program, no_program, traced_program
from simulator.memory.dram.refusal import PartRefusal
from simulator.memory.dram.spec import DramSpec

MAX_OPERATIONS = 20_000_000
LATEST_CYC = 2**61


class PimWork(BaseModel):
    """What PIM does: launches of a matrix-vector product, or of what an AiM instruction trace asks of channel 0.

    A product has `rows` rows of `columns` bursts in every bank, from `first_row` on (by default from the middle of the
    banks), in groups of `accumulators` (0: only the rows, no transfers); 0 rows are no PIM at all. `launches` of them
    come all at once; one every `interval_cyc` ticks; or so far apart that PIM alone is busy for `share` of the time. 0
    launches are as many as come while the host's requests are offered.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: NonNegativeInt = 256
    columns: PositiveInt = 64
    accumulators: NonNegativeInt = 32
    first_row: NonNegativeInt | None = None
    launches: NonNegativeInt = 1
    interval_cyc: PositiveFloat | None = None
    share: PositiveFloat | None = None
    trace: str | None = None

    @model_validator(mode="after")
    def _one_pace(self) -> PimWork:
        if self.interval_cyc is not None and self.share is not None:
            raise ValueError("share says the pace already: state one of interval_cyc and share")
        if self.share is not None and self.share > 1:
            raise ValueError(f"a share of {self.share} is more than all of the time")
        if self.launches == 0 and self.interval_cyc is None and self.share is None:
            raise ValueError("launches without end need a pace: state share or interval_cyc")
        return self


class DramPim:
    """One channel of a standard with PIM commands, shared by host requests and a PIM program.

    Not modelled: values; energy; PIM commands beside the host's within a turn; several channels (each would have a
    program of its own); the link over which the host sends either; who computes the addresses of PIM's rows.
    Source: the rules of the part, the controller of `Dram`, and the order of commands of the AiM simulator.
    """

    replays_synthetic: ClassVar[bool] = True

    class Config(Dram.Config):
        """A part such as `hw_configs/parts/dram/gddr6_aim_host.yaml`: a DRAM part, how the channel is shared
        (`simulator.memory.dram.mixed.Sharing`), and the PIM work."""

        kind: Literal["dram_pim"] = "dram_pim"  # type: ignore[assignment]
        compare: bool = False
        policy: Policy = "alternate"
        preempt: Preempt = "operation"
        host_quantum: PositiveInt = 32
        pim_quantum: PositiveInt = 1
        max_wait_cyc: NonNegativeInt = 0
        pim: PimWork = PimWork()

        @model_validator(mode="after")
        def _can_be_shared(self) -> DramPim.Config:
            try:
                if self.n_channels != 1:
                    raise PartRefusal(("n_channels",), "each channel has PIM work of its own", remedy="set it to 1")
                if self.compare:
                    raise PartRefusal(
                        ("compare",), "shared channels are run under one accounting", remedy="run twice, and set each"
                    )
            except PartRefusal as refusal:
                refusal.raise_at_place()
            return self

        def sharing(self) -> Sharing:
            """How the channel is shared."""
            return Sharing(self.policy, self.preempt, self.host_quantum, self.pim_quantum, self.max_wait_cyc)

    def __init__(self, config: Config) -> None:
        self.config = config
        self.memory = Dram(config)
        check_pim(self.memory.spec)

    @property
    def spec(self) -> DramSpec:
        """The channel."""
        return self.memory.spec

    @cached_property
    def launch(self) -> PimProgram:
        """One launch of the PIM work, from the first tick on. Raises ConfigError or WorkloadError."""
        work, spec = self.config.pim, self.spec
        if work.trace is not None:
            return traced_program(spec, work.trace)
        if not work.rows:
            return no_program()
        bursts = spec.n_columns // spec.prefetch
        if work.columns > bursts:
            raise ConfigError(
                f"{work.columns} columns of a row of {bursts} bursts", where="pim.columns", remedy="use more rows"
            )
        first_row = spec.n_rows // 2 if work.first_row is None else work.first_row
        if first_row + work.rows > spec.n_rows:
            raise ConfigError(
                f"rows {first_row} to {first_row + work.rows - 1} of {spec.n_rows}",
                where="pim.rows",
                remedy="use fewer rows, or let them begin earlier (pim.first_row)",
            )
        return gemv_program(
            spec, n_rows=work.rows, n_columns=work.columns, n_accumulators=work.accumulators, first_row=first_row
        )

    def program(self, requests: Requests) -> PimProgram:
        """The launches, each at its time. Raises ConfigError where their number cannot be told, or is enormous."""
        work = self.config.pim
        if not len(self.launch):
            return self.launch
        interval = work.interval_cyc or 0.0
        if work.share is not None:
            interval = self.alone(self.launch).pim.end_cyc / work.share
        n_launches = work.launches
        if not n_launches:
            if not len(requests.offer_cyc):
                raise ConfigError(
                    "launches for as long as the host's requests are offered, which come at no times of their own",
                    where="pim.launches",
                    remedy="set offered_gb_per_s or offer_interval_cyc, or a number of launches",
                )
            n_launches = max(1, ceil(int(requests.offer_cyc.max()) / interval))
        if n_launches * len(self.launch) > MAX_OPERATIONS:
            raise ConfigError(
                f"{n_launches:,} launches of {len(self.launch):,} operations each",
                where="pim.launches",
                remedy="launch larger products less often",
            )
        if n_launches * interval > LATEST_CYC:
            raise ConfigError(
                f"{n_launches:,} launches that are {interval:g} cycles apart end beyond all time",
                where="pim",
                remedy="launch more often, or fewer times",
            )
        return self.launch.launched(n_launches, interval)

    def alone(self, program: PimProgram) -> MixedTiming:
        """PIM without a host."""
        nothing = np.empty(0, np.int64)
        none = Requests(nothing, nothing.astype(bool), nothing.astype(np.int32), nothing.astype(np.int32), nothing)
        return simulate_mixed(self.spec, self.memory.controller, self.config.sharing(), none, program)

    def host_alone(self, requests: Requests) -> DramTiming:
        """The host without PIM."""
        return simulate(self.spec, self.memory.controller, requests, engine=self.config.engine)

    def together(self, requests: Requests, program: PimProgram, *, log: bool = False) -> MixedTiming:
        """Both in one channel."""
        return simulate_mixed(self.spec, self.memory.controller, self.config.sharing(), requests, program, log=log)

    def outcome(self, trace: str | Path, seed: int, *, log: bool = False) -> MixedOutcome:
        """A trace file, or `synthetic` traffic, beside the PIM work, and each of them alone."""
        is_synthetic = str(trace) == SYNTHETIC
        memory, config = self.memory, self.config
        requests = memory.synthetic_requests(seed) if is_synthetic else memory.trace_requests(trace, seed)
        program = self.program(requests)
        return MixedOutcome(
            spec=self.spec,
            sharing=config.sharing(),
            requests=requests,
            program=program,
            timing=self.together(requests, program, log=log),
            host_alone=self.host_alone(requests),
            pim_alone=self.alone(program),
            name=config.trace if is_synthetic else Path(trace).name,
        )

    def replay(self, trace: str | Path, seed: int) -> RunRecord:
        """Replay a trace file, or `synthetic` traffic, while PIM works."""
        return mixed_record(self.outcome(trace, seed, log=True))
