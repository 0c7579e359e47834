"""CENT: a language model spread over CXL devices whose GDDR6 channels multiply beside every bank, without a GPU.

One transformer block lives on some channels of one device (pipeline parallel) or on all channels of a group of devices
(tensor parallel). A token runs through all blocks; each block is a command program of the AiM device, near-memory work
and CXL transfers, declared as tasks that wait for each other.

Source: CENT, ASPLOS'25, and its public repository. Not modelled: batching within a stage, experts in parallel, room for
the embeddings, refresh energy, the numbers themselves.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.contracts.results import Bound, StepResult
from simulator.contracts.tasks import Schedule, TaskGraph
from simulator.core.energy import EnergyLedger
from simulator.core.errors import MappingError, WorkloadError
from simulator.core.quantities import PositiveInt, Ps
from simulator.core.rounding import WholePicoseconds, ceil_div
from simulator.devices.aim_block import BLOCK_PARTS, AimBlock
from simulator.devices.aim_bounds import operator_bounds, section_cycles
from simulator.devices.aim_device import Detail, named_counts
from simulator.devices.aim_mapping import ChannelGroup
from simulator.devices.cent_device import ACCOUNTINGS, CentDevice
from simulator.devices.cent_placement import block_transfers, kv_room, place
from simulator.devices.cxl_link import CxlConfig, CxlLink
from simulator.devices.pnm import NO_WORK, PnmWork
from simulator.devices.scheduling import schedule
from simulator.memory.aim_program import AimProgram
from simulator.memory.aim_timing import AimTiming
from simulator.workload.batch import Batch
from simulator.workload.model import ModelSpec

# What can be run alone: a token, a block, a part of a block, or what surrounds the blocks.
SCOPES = ("token", "block", *BLOCK_PARTS, "embedding", "block_fc_only")


class HostConfig(BaseModel):
    """Work of the CPU: choosing the next token."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    top_k_ps: Ps


@dataclass(frozen=True, slots=True)
class ProgramRun:
    """A command program with its timing."""

    program: AimProgram
    timing: AimTiming


class Cent:
    """A CENT system for one model: `step` gives one token's time, energy and bounds, `part` a piece of a block
    alone."""

    workload_kinds = frozenset({"llm"})
    scopes = SCOPES

    class Config(BaseModel):
        """The `system` section of a configuration such as `hw_configs/cent.yaml`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        n_devices: PositiveInt
        parallelism: str = "pp"
        accounting: Literal["published", "corrected"] = "published"
        capacity: Literal["enforce", "report"] | None = None
        detail: Detail = "fast"
        gemv_order: Literal["reuse-GB", "no-reuse"] = "reuse-GB"
        reserved_tokens: PositiveInt = 4096
        pnm_overlap: bool = False
        cxl_overlap: bool = False
        device: CentDevice.Config
        cxl: CxlConfig
        host: HostConfig

    def __init__(self, config: Config, model: ModelSpec, context_step: int = 1) -> None:
        self.config = config
        self.model = model
        self.context_step = context_step
        self.accounting = ACCOUNTINGS[config.accounting]
        self.capacity = config.capacity or self.accounting.capacity
        self.device = CentDevice(config.device)
        self.placement = place(model, config.parallelism, config.n_devices, self.device.dram)
        group = ChannelGroup(self.device.dram.geometry, self.placement.n_channels, self.placement.copies)
        self.block = AimBlock(model, group, self.placement.tensor_width, config.reserved_tokens, config.gemv_order)
        self.kv_room = kv_room(self.block, self.placement, self.device.dram)
        self.link = CxlLink(config.cxl, config.n_devices)
        self._tokens: dict[int, StepResult] = {}
        self._runs: dict[int, ProgramRun] = {}
        self._block_ps: dict[int, int] = {}

    def other_accounting(self) -> Cent:
        """The same system under the other accounting; command programs that were timed already are not timed again."""
        other = "corrected" if self.config.accounting == "published" else "published"
        system = Cent(self.config.model_copy(update={"accounting": other}), self.model, self.context_step)
        system._runs = self._runs
        return system

    def adopt(self, other: Cent) -> None:
        """Take over the command programs that `other` timed, where this system's would be the same: its power, links
        and near-memory unit may differ."""
        same = self.block == other.block and self.config.detail == other.config.detail
        if same and self.config.device.dram == other.config.device.dram:
            self._runs = other._runs
            vars(self).update({name: vars(other)[name] for name in ("_embedding", "_fc_only") if name in vars(other)})

    @property
    def n_slots(self) -> int:
        """Queries in flight."""
        return self.placement.n_stages

    @property
    def idle_power_w(self) -> float:
        """Power of all devices while nothing runs."""
        return sum(self.device.background_mw(self.accounting).values()) * self.config.n_devices * 1e-3

    def check_capacity(self, n_sequences: int, context: int) -> str | None:
        """A note on missing bytes where capacity is only reported; MappingError where it is enforced."""
        kept = min(context, self.model.sliding_window or context)
        missing = self.kv_room.missing_bytes(n_sequences, kept)
        if not missing:
            return None
        queries = f"{n_sequences:,} {'query' if n_sequences == 1 else 'queries'}"
        text = f"{queries} of {kept:,} positions overfill the fullest device's key-value memory by {missing:,} bytes"
        if self.capacity == "enforce":
            remedy = "shorten the context, use more devices, or set system.capacity=report"
            raise MappingError(text, remedy=remedy, missing_bytes=missing)
        return text + "; the run goes on as if they fitted (system.capacity: report)"

    def step_key(self, batch: Batch) -> Hashable:
        """Contexts are rounded up to a multiple of `context_step`: a token is never charged less than it costs, and at
        most what `context_step` - 1 more positions cost."""
        return tuple((sequence.new_tokens, self._rounded(sequence.context)) for sequence in batch.sequences)

    def step(self, batch: Batch) -> StepResult:
        """Time and energy of a batch: one token as it fares in a full pipeline, more of them as in `alone`."""
        if len(batch.sequences) == 1 and batch.sequences[0].new_tokens == 1:
            return self._token(self._rounded(batch.sequences[0].context))
        return self.alone(batch)

    def part(self, scope: str, context: int) -> StepResult:
        """A piece of the model alone: `token` or `block` (a token's figures with its block's), or one part of a block.

        Raises WorkloadError for an unknown scope.
        """
        if scope in ("token", "block"):
            return self._token(context)
        run = self._timed(self.program(scope, context))
        graph = TaskGraph()
        self._add_sections(graph, run, 0)
        planned = schedule(graph)
        energy = EnergyLedger(self.device.work_energy_pj(run.program, run.timing, NO_WORK, self.accounting))
        energy = energy + self.device.background(self.accounting, planned.makespan_ps)
        return StepResult(
            latency_ps=planned.makespan_ps,
            interval_ps=planned.makespan_ps,
            n_slots=1,
            schedule=planned,
            energy=energy,
            power_w=energy.total_pj / planned.makespan_ps,
            bounds=operator_bounds(run.program, run.timing, self.device.dram),
            metrics={"block_cycles": run.timing.cycles, "device_cycles": run.timing.cycles},
            breakdown={"channel0_commands": named_counts(run.timing.commands[0])},
        )

    def program(self, scope: str, context: int) -> AimProgram:
        """The command program of a scope. Raises WorkloadError for one that has none."""
        if scope == "block":
            return self.block.program(context)
        if scope == "block_fc_only":
            return self.block.fc_program()
        if scope == "embedding":
            return self.block.embedding_program()
        if scope in BLOCK_PARTS:
            return self.block.program(context, (scope,))
        raise WorkloadError(
            f"no command program has the scope {scope!r}", remedy="choose one of: " + ", ".join(SCOPES[1:])
        )

    def _rounded(self, context: int) -> int:
        return ceil_div(context, self.context_step) * self.context_step

    def _timed(self, program: AimProgram) -> ProgramRun:
        return ProgramRun(program, self.device.dram.time(program, self.config.detail))

    @cached_property
    def _embedding(self) -> ProgramRun:
        return self._timed(self.block.embedding_program())

    @cached_property
    def _fc_only(self) -> ProgramRun:
        return self._timed(self.block.fc_program())

    def _token(self, context: int) -> StepResult:
        if context not in self._tokens:
            self._tokens[context] = self._computed_token(context)
        return self._tokens[context]

    def _computed_token(self, context: int) -> StepResult:
        placement, accounting = self.placement, self.accounting
        if context not in self._runs:
            self._runs[context] = self._timed(self.block.program(context))
        run = self._runs[context]
        work = self._pnm_work(context)
        block = TaskGraph()
        exits, block_bytes = self._add_block(block, run, work)
        wire_bytes = block_bytes * self.model.n_layers
        token, one_block = schedule(self._token_graph(block, exits)), schedule(block)
        self._block_ps[context] = one_block.makespan_ps
        interval_ps = token.makespan_ps / placement.n_stages
        if accounting.background == "interval":
            interval_ps = max(interval_ps, float(placement.blocks_per_stage * one_block.makespan_ps))
        energy = self._token_energy(run, sum(work.values(), NO_WORK), interval_ps)
        cycles = run.timing.cycles
        return StepResult(
            latency_ps=token.makespan_ps,
            interval_ps=interval_ps,
            n_slots=placement.n_stages,
            schedule=token,
            energy=energy,
            power_w=energy.total_pj / (self._pim_ps(cycles) if accounting.background == "pim" else interval_ps),
            traffic_bytes={"cxl": wire_bytes},
            bounds=operator_bounds(run.program, run.timing, self.device.dram) | self._other_bounds(token, wire_bytes),
            metrics={
                "block_cycles": cycles,
                "device_cycles": cycles,
                "block_latency_us": one_block.makespan_ps / 1e6,
            },
            breakdown={"channel0_commands": named_counts(run.timing.commands[0])},
        )

    def _token_graph(self, block: TaskGraph, exits: tuple[int, ...]) -> TaskGraph:
        """Input embedding, all blocks one after another, output embedding, and the host's choice of the token."""
        graph = TaskGraph()
        after = self._add_sections(graph, self._embedding, 0, last=1)
        after = graph.add_repeated(block, self.model.n_layers, entries=(0,), exits=exits, after=after)
        after = self._add_sections(graph, self._embedding, 1, after=after)
        graph.add("top_k", "host", self.config.host.top_k_ps, after)
        return graph

    def _add_sections(
        self, graph: TaskGraph, run: ProgramRun, first: int, *, last: int | None = None, after: tuple[int, ...] = ()
    ) -> tuple[int, ...]:
        """The sections `first` up to `last` of a program as one chain of in-memory tasks."""
        previous = after
        for name, duration_ps in list(self._sections(run))[first:last]:
            previous = (graph.add(name, "pim", duration_ps, previous),)
        return previous

    def _sections(self, run: ProgramRun) -> Iterator[tuple[str, int]]:
        """(operator, duration in ps) of each section of a program."""
        whole_ps = WholePicoseconds()
        for name, cycles in zip(run.program.sections, section_cycles(run.timing).tolist(), strict=False):
            yield name, whole_ps(cycles * self.device.clock_ps)

    def _add_block(self, graph: TaskGraph, run: ProgramRun, work: dict[str, PnmWork]) -> tuple[tuple[int, ...], int]:
        """One block, from a task of no length to the tasks that end it: in-memory operators in order, before each its
        transfers and after it its near-memory work. Returns the last tasks, and the bytes on the wire.

        Transfers and near-memory work stand in the chain, or, where they overlap, beside the in-memory operator: they
        start with it, and what comes next waits for both. The tasks are the same, the edges are not.
        """
        config, whole_ps = self.config, WholePicoseconds()
        inner = max(self.block.ffn_widths())
        transfers = block_transfers(self.link, self.placement, self.model.hidden, inner)
        sent_bytes = 0
        previous: tuple[int, ...] = (graph.add("enter", "", 0),)
        for name, duration_ps in self._sections(run):
            start = previous
            beside: tuple[int, ...] = ()
            for wire_bytes in [n_bytes for operator, n_bytes in transfers if operator == name]:
                sent_bytes += wire_bytes
                transfer_ps = whole_ps(self.link.transfer_ps(wire_bytes, self.placement.copies))
                if config.cxl_overlap:
                    beside += (graph.add(f"cxl_{name}", "cxl", transfer_ps, start),)
                else:
                    previous = (graph.add(f"cxl_{name}", "cxl", transfer_ps, previous),)
            previous = (graph.add(name, "pim", duration_ps, previous),)
            if name in work:
                # The unit is shared by the blocks of a device, which the published sums charge in full.
                shared = work[name].scaled(self.placement.blocks_per_device)
                pnm_ps = whole_ps(self.device.pnm.duration_ps(shared))
                if config.pnm_overlap:
                    beside += (graph.add(f"pnm_{name}", "pnm", pnm_ps, start),)
                else:
                    previous = (graph.add(f"pnm_{name}", "pnm", pnm_ps, previous),)
            previous += beside
        return previous, sent_bytes

    def _pnm_work(self, context: int) -> dict[str, PnmWork]:
        """Near-memory work of one block, by the in-memory operator that it belongs to."""
        model, pnm = self.model, self.device.pnm
        attended = min(context, model.sliding_window or context)
        work = {"norm_attention": pnm.norm(model.hidden), "softmax": pnm.softmax(attended, model.n_heads)}
        if not model.parallel_block:
            work["norm_ffn"] = pnm.norm(model.hidden)
        if model.position == "rope":
            work["rope"] = pnm.rope(model.q_dim + model.kv_dim)
        if model.qk_norm:
            work["qkv_projection"] = pnm.norm(model.q_dim) + pnm.norm(model.kv_dim)
        return work

    def alone(self, batch: Batch) -> StepResult:
        """Time and energy of a batch that has the machine to itself: its sequences follow each other stage by stage,
        the tokens of one sequence wait for each other, and background power flows for as long as that takes."""
        n_stages, n_layers = self.n_slots, self.model.n_layers
        graph = TaskGraph()
        tokens: dict[int, float] = {}
        for sequence in batch.sequences:
            after: tuple[int, ...] = ()
            for context in range(sequence.context - sequence.new_tokens + 1, sequence.context + 1):
                context = self._rounded(context)
                tokens[context] = tokens.get(context, 0.0) + 1.0
                token_ps = self._token(context).latency_ps
                if len(batch.sequences) == 1:
                    after = (graph.add("token", "pipeline", token_ps, after),)
                    continue
                # Embeddings and host serve any number of tokens at a time: they add to latency only.
                outer_ps = token_ps - n_layers * self._block_ps[context]
                after = (graph.add("token", "", outer_ps, after),)
                for stage in range(n_stages):
                    # Where layers do not divide, the first stages hold one more.
                    n_blocks = n_layers // n_stages + (stage < n_layers % n_stages)
                    after = (graph.add("token", f"stage {stage}", n_blocks * self._block_ps[context], after),)
        planned = schedule(graph)
        made_of = tuple((self._token(context), n) for context, n in tokens.items())
        energy = sum((token.energy.scaled(n) for token, n in made_of), EnergyLedger())
        if self.accounting.background == "interval":
            background = self.device.background(self.accounting, planned.makespan_ps).scaled(self.config.n_devices)
            energy = EnergyLedger(energy.dynamic_pj) + background
        makespan_ps, power_w = planned.makespan_ps, energy.total_pj / planned.makespan_ps
        return StepResult(makespan_ps, makespan_ps, n_stages, planned, energy, power_w, made_of=made_of)

    # --- energy and bounds

    def _pim_ps(self, cycles: int) -> float:
        """In-memory time of one token, over the tokens in flight."""
        blocks = 1 if self.placement.is_pipeline else self.model.n_layers / self.placement.n_stages
        return float(cycles * self.device.clock_ps) * blocks

    def _token_energy(self, run: ProgramRun, work: PnmWork, interval_ps: float) -> EnergyLedger:
        """Energy of one token over all devices, as the accounting in force adds it up."""
        device, placement, accounting, model = self.device, self.placement, self.accounting, self.model
        if placement.is_pipeline:
            n_elements: float = model.hidden
            used = placement.n_devices_used if accounting.whole_devices else model.n_layers / placement.copies
            charged = [(run, float(used))]
        else:
            n_elements = 10 * model.hidden + 2 * max(self.block.ffn_widths())
            workers = (placement.tensor_width - 1) * model.n_layers
            charged = [(run, float(model.n_layers)), (self._fc_only, float(workers))]
        # A device runs `copies` blocks at once; the published sums count its near-memory work and its transfer once.
        per_device = 1 if accounting.whole_devices else placement.copies
        total = EnergyLedger()
        for one, factor in charged:
            energy = device.work_energy_pj(one.program, one.timing, work.scaled(per_device), accounting)
            energy["pcie"] = device.pcie_pj(n_elements * per_device, accounting)
            total = total + EnergyLedger(energy).scaled(factor)
            if accounting.background == "pim":
                # The reference's state counters run from clock 0, one clock before the first command.
                background_ps = float((one.timing.cycles + 1) * device.clock_ps)
                total = total + device.background(accounting, background_ps).scaled(factor)
        if accounting.background == "interval":
            embedding = device.work_energy_pj(self._embedding.program, self._embedding.timing, NO_WORK, accounting)
            total = total + EnergyLedger(embedding).scaled(placement.tensor_width / placement.copies)
            total = total + device.background(accounting, interval_ps).scaled(self.config.n_devices)
        return total

    def _other_bounds(self, token: Schedule, wire_bytes: int) -> dict[str, Bound]:
        """Bounds of near-memory work, transfers and the host."""
        bounds = {"top_k": Bound("host", 1.0, 1.0, "of the CPU")}
        cxl_ps = token.resource_busy_ps().get("cxl", 0)
        for operator in token.operator_ps():
            if operator.startswith("pnm_"):
                bounds[operator] = Bound("near-memory unit", 1.0, 1.0, "of the unit")
            elif operator.startswith("cxl_"):
                bounds[operator] = Bound("link", wire_bytes / cxl_ps * 1e3, self.link.bytes_per_s / 1e9, "GB/s")
        return bounds | operator_bounds(self._embedding.program, self._embedding.timing, self.device.dram)
