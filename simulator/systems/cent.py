"""CENT: a language model spread over CXL devices whose GDDR6 channels multiply beside every bank, without a GPU.

One transformer block lives on some channels of one device (pipeline parallel) or on all channels of a group of devices (tensor
parallel). A token runs through all blocks; each block is a command program of the AiM device, near-memory work and CXL transfers,
declared as tasks that wait for each other.

Source: CENT, ASPLOS'25, and its public repository. Not modelled: batching within a stage, experts in parallel, the numbers.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.contracts.results import Bound, StepResult
from simulator.contracts.tasks import Schedule, TaskGraph
from simulator.core.energy import EnergyLedger
from simulator.core.errors import ConfigError, MappingError, WorkloadError
from simulator.core.quantities import PositiveInt, Ps
from simulator.devices.aim_block import BLOCK_PARTS, AimBlock
from simulator.devices.aim_device import Detail, lost_cycles, named_counts
from simulator.devices.aim_mapping import ChannelGroup, ceil_div
from simulator.devices.cent_device import ACCOUNTINGS, CentDevice
from simulator.devices.cxl_link import CxlConfig, CxlLink
from simulator.devices.pnm import NO_WORK, PnmWork
from simulator.devices.scheduling import schedule
from simulator.memory.aim_program import REPEAT, TARGET_COUNT, AimProgram
from simulator.memory.aim_timing import AimTiming
from simulator.workload.batch import Batch
from simulator.workload.model import ModelSpec

# Parts that can be run alone; a whole block and a whole token are scopes too.
SCOPES = ("token", "block", *BLOCK_PARTS, "embedding", "block_fc_only")


class HostConfig(BaseModel):
    """Work of the CPU: choosing the next token."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    top_k_ps: Ps


@dataclass(frozen=True, slots=True)
class Plan:
    """Where blocks live. `n_stages` tokens are in flight; a stage holds `blocks_per_stage` blocks (a mean, where they do not divide).

    `n_devices_used` devices hold a block; a device works on `copies` blocks at a time, each on `n_channels` channels;
    `tensor_width` devices share one block.
    """

    n_stages: int
    tensor_width: int
    n_channels: int
    copies: int
    blocks_per_device: int
    n_devices_used: int
    is_pipeline: bool


@dataclass(frozen=True, slots=True)
class ProgramRun:
    """A program with its timing, and near-memory work of one token and block."""

    program: AimProgram
    timing: AimTiming


class Cent:
    """A CENT system for one model: `step` gives one token's time, energy and bounds; `part` runs a piece of a block alone."""

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
        self.plan = self._plan()
        group = ChannelGroup(self.device.dram.geometry, self.plan.n_channels, self.plan.copies)
        check_mappable(model, group)
        self.block = AimBlock(model, group, self.plan.tensor_width, config.reserved_tokens, config.gemv_order)
        self.link = CxlLink(config.cxl, config.n_devices)
        self._steps: dict[int, StepResult] = {}
        self._check_weights()

    # --- the System protocol

    def step_key(self, batch: Batch) -> Hashable:
        """Contexts are rounded up to a multiple of `context_step`: the error is below one step's worth of keys and values."""
        return tuple((sequence.new_tokens, self._rounded(sequence.context)) for sequence in batch.sequences)

    def step(self, batch: Batch) -> StepResult:
        """Time and energy of a batch: each sequence's new tokens go through the pipeline one after another.

        Sequences follow each other stage by stage, so they overlap; tokens of one sequence do not.
        """
        if len(batch.sequences) == 1 and batch.sequences[0].new_tokens == 1:
            return self._token(self._rounded(batch.sequences[0].context))
        return self._many_tokens(batch)

    def part(self, scope: str, context: int) -> StepResult:
        """A piece of the model alone: `token`, `block` (with the token's figures), or one part of a block."""
        if scope not in SCOPES:
            raise WorkloadError(f"CENT has no scope {scope!r}", remedy="choose one of: " + ", ".join(SCOPES))
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
            bounds=self._bounds(run),
            metrics={"block_cycles": run.timing.cycles, "device_cycles": run.timing.cycles},
            breakdown={"channel0_commands": named_counts(run.timing.commands[0])},
        )

    def program(self, scope: str, context: int) -> AimProgram:
        """The command program of a scope: `block`, a part of it, `block_fc_only` or `embedding`."""
        if scope == "block":
            return self.block.program(context)
        if scope == "block_fc_only":
            return self.block.fc_program()
        if scope == "embedding":
            return self.block.embedding_program()
        return self.block.program(context, (scope,))

    @property
    def n_slots(self) -> int:
        """Queries in flight."""
        return self.plan.n_stages

    @property
    def idle_power_w(self) -> float:
        """Power of all devices while nothing runs."""
        return sum(self.device.background_mw(self.accounting).values()) * self.config.n_devices * 1e-3

    @property
    def kv_capacity_tokens(self) -> int:
        """Key-value positions, over all queries in flight, for which the fullest device has room beside its weights."""
        return max(0, self._free_bytes // self._kv_bytes_per_position)

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of keys and values that one position takes in the fullest device."""
        return self._kv_bytes_per_position

    def missing_bytes(self, n_queries: int, context: int) -> int:
        """Bytes by which `n_queries` contexts overfill the fullest device (0: they fit)."""
        return max(0, n_queries * context * self._kv_bytes_per_position - self._free_bytes)

    # --- where blocks live

    def _plan(self) -> Plan:
        config, model = self.config, self.model
        n_stages, tensor_width = self._parallelism()
        n_channels = self.device.n_channels
        if n_stages == model.n_layers and tensor_width == 1:
            blocks = ceil_div(model.n_layers, config.n_devices)
            if blocks > n_channels:
                raise MappingError(
                    f"{model.name} puts {blocks} blocks on a device of {n_channels} channels",
                    remedy=f"use at least {ceil_div(model.n_layers, n_channels)} devices (system.n_devices)",
                    missing_bytes=(blocks - n_channels) * self.device.dram.channel_bytes,
                )
            per_block = n_channels // blocks
            used = ceil_div(model.n_layers, blocks)
            return Plan(n_stages, 1, per_block, n_channels // per_block, blocks, used, is_pipeline=True)
        if n_stages * tensor_width != config.n_devices:
            raise ConfigError(
                f"system.parallelism {config.parallelism} needs {n_stages * tensor_width} devices, system.n_devices is {config.n_devices}",
                remedy=f"choose PP x TP = {config.n_devices}, or {model.n_layers}x1 (pp) for {model.name}",
            )
        if n_stages > model.n_layers:
            raise ConfigError(f"{n_stages} pipeline stages for {model.n_layers} layers", remedy="use fewer stages")
        return Plan(n_stages, tensor_width, n_channels, 1, 1, config.n_devices, is_pipeline=False)

    def _parallelism(self) -> tuple[int, int]:
        text = self.config.parallelism
        if text == "pp":
            return self.model.n_layers, 1
        if text == "tp":
            return 1, self.config.n_devices
        match = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text)
        if match is None:
            raise ConfigError(f"system.parallelism is {text!r}", remedy="write pp, tp, or PPxTP such as 8x4")
        return int(match[1]), int(match[2])

    @cached_property
    def _blocks_resident(self) -> int:
        """Blocks whose weights share one channel group."""
        return 1 if self.plan.is_pipeline else ceil_div(self.model.n_layers, self.plan.n_stages)

    @cached_property
    def _free_bytes(self) -> int:
        """Bytes of the fullest device's channel group that weights and vectors leave, by rows."""
        device, block = self.device.dram, self.block
        row_bytes = device.config.organisation.row_bytes * block.group.n_banks
        return (device.config.organisation.n_rows - self._blocks_resident * block.rows.n_static) * row_bytes

    @cached_property
    def _kv_bytes_per_position(self) -> int:
        """Values stay on the master device of a tensor-parallel group; keys are spread over the group."""
        one = self.model.kv_dim * self.model.kv_bits // 8
        return max(1, (one + ceil_div(one, self.plan.tensor_width)) * self._blocks_resident)

    def _check_weights(self) -> None:
        if self._free_bytes < 0:
            raise MappingError(
                f"the weights of {self.model.name} overfill a device by {-self._free_bytes:,} bytes",
                remedy="use more devices (system.n_devices) or a smaller model",
                missing_bytes=-self._free_bytes,
            )

    def check_capacity(self, n_queries: int, context: int) -> str | None:
        """A note on missing bytes where capacity is only reported; MappingError where it is enforced."""
        missing = self.missing_bytes(n_queries, context)
        if not missing:
            return None
        text = f"{n_queries} queries of {context} positions overfill a device's memory for keys and values by {missing:,} bytes"
        if self.capacity == "enforce":
            raise MappingError(
                text, remedy="shorten the context, use more devices, or set system.capacity=report", missing_bytes=missing
            )
        return text + "; the run goes on as if they fitted (system.capacity: report)"

    # --- one token

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

    def _transfers(self) -> Iterator[tuple[str, int]]:
        """CXL transfers of one block: the operator that each belongs to, and its bytes on the wire."""
        link, plan, model = self.link, self.plan, self.model
        vector, inner = 2 * model.hidden, 2 * max(self.block.ffn_widths())
        if plan.is_pipeline:
            yield "norm_attention", link.send_bytes(vector)
            return
        width = plan.tensor_width
        for operator in ("qkv_projection", "attention_score", "output_projection", "ffn_up", "ffn_down"):
            yield operator, link.send_bytes(vector)
            yield operator, link.gather_bytes(vector, width)
        yield "activation", link.gather_bytes(inner, width)
        yield "ffn_down", link.send_bytes(inner)

    def _token(self, context: int) -> StepResult:
        if context not in self._steps:
            self._steps[context] = self._computed_token(context)
        return self._steps[context]

    def _computed_token(self, context: int) -> StepResult:
        run, work, transfers = self._timed(self.block.program(context)), self._pnm_work(context), list(self._transfers())
        block = TaskGraph()
        exits = self._add_block(block, run, work, transfers)
        graph = TaskGraph()
        last = self._add_sections(graph, self._embedding, 0, names=("input_embedding",))
        after = graph.add_repeated(block, self.model.n_layers, entries=(0,), exits=exits, after=last)
        last = self._add_sections(graph, self._embedding, 1, after=after)
        graph.add("top_k", "host", self.config.host.top_k_ps, last)
        token, one_block = schedule(graph), schedule(block)
        blocks_per_stage = ceil_div(self.model.n_layers, self.plan.n_stages)
        interval_ps = token.makespan_ps / self.plan.n_stages
        if self.accounting.background == "interval":
            interval_ps = max(interval_ps, float(blocks_per_stage * one_block.makespan_ps))
        energy = self._token_energy(run, sum(work.values(), NO_WORK), interval_ps)
        pim_ps = self.device.dram.to_ps(run.timing.cycles)
        busy_ps = pim_ps if self.plan.is_pipeline else pim_ps * self.model.n_layers / self.plan.n_stages
        power_w = energy.total_pj / (busy_ps if self.accounting.background == "pim" else interval_ps)
        wire = sum(n_bytes for _, n_bytes in transfers) * self.model.n_layers
        cycles = run.timing.cycles
        return StepResult(
            latency_ps=token.makespan_ps,
            interval_ps=interval_ps,
            n_slots=self.plan.n_stages,
            schedule=token,
            energy=energy,
            power_w=power_w,
            traffic_bytes={"cxl": wire},
            bounds=self._bounds(run) | self._other_bounds(token, wire),
            metrics={"block_cycles": cycles, "device_cycles": cycles, "block_latency_us": one_block.makespan_ps / 1e6},
            breakdown={"channel0_commands": named_counts(run.timing.commands[0])},
        )

    def _add_sections(
        self, graph: TaskGraph, run: ProgramRun, first: int, *, names: tuple[str, ...] = (), after: tuple[int, ...] = ()
    ) -> tuple[int, ...]:
        """A program's sections as one chain of in-memory tasks, from section `first` on; restricted to `names` where given."""
        previous = after
        for index, name, duration in self._sections(run):
            if index >= first and (not names or name in names):
                previous = (graph.add(name, "pim", duration, previous),)
        return previous

    def _sections(self, run: ProgramRun) -> Iterator[tuple[int, str, int]]:
        """(index, operator, duration in ps) of each section; what follows the last operator's commands belongs to it."""
        ends = [int(end) for end in run.timing.section_cyc]
        ends[-2] = ends[-1] = run.timing.cycles
        edges = [0, *(self.device.dram.to_ps(end) for end in ends)]
        for index, name in enumerate(run.program.sections[:-1]):
            yield index, name, edges[index + 1] - edges[index]

    def _add_block(
        self, graph: TaskGraph, run: ProgramRun, work: dict[str, PnmWork], transfers: list[tuple[str, int]]
    ) -> tuple[int, ...]:
        """One block: in-memory operators in order, each with the transfers before it and the near-memory work after it.

        Near-memory work and transfers follow their operator one by one, or, where they overlap, start with it and end before the
        next one starts: the same tasks, other edges.
        """
        config, pnm = self.config, self.device.pnm
        previous: tuple[int, ...] = (graph.add("enter", "", 0),)
        pending, pending_transfers = dict(work), list(transfers)
        whole_ps = WholePicoseconds()
        for _, name, duration in self._sections(run):
            start = previous
            joins: tuple[int, ...] = ()
            for transfer in [entry for entry in pending_transfers if entry[0] == name]:
                pending_transfers.remove(transfer)
                task = graph.add(f"cxl_{name}", "cxl", whole_ps(self.link.transfer_ps(transfer[1])), start if config.cxl_overlap else previous)
                if config.cxl_overlap:
                    joins += (task,)
                else:
                    previous = (task,)
            previous = (graph.add(name, "pim", duration, previous),)
            if name in pending:
                # The unit is shared by the blocks of a device, which the published sums charge in full.
                time_ps = whole_ps(pnm.duration_ps(pending.pop(name).scaled(self.plan.blocks_per_device)))
                task = graph.add(f"pnm_{name}", "pnm", time_ps, start if config.pnm_overlap else previous)
                previous = (*previous, task) if config.pnm_overlap else (task,)
            previous += joins
        return previous

    def _many_tokens(self, batch: Batch) -> StepResult:
        """Several tokens: a sequence's tokens one after another, sequences pipelined stage by stage."""
        graph = TaskGraph()
        n_stages = self.plan.n_stages
        energy = EnergyLedger()
        notes: tuple[str, ...] = ()
        for sequence in batch.sequences:
            after: tuple[int, ...] = ()
            for context in range(sequence.context - sequence.new_tokens + 1, sequence.context + 1):
                token = self._token(self._rounded(context))
                energy = energy + token.energy
                if len(batch.sequences) == 1:
                    after = (graph.add("token", "pipeline", token.latency_ps, after),)
                    continue
                edges = [token.latency_ps * stage // n_stages for stage in range(n_stages + 1)]
                for stage in range(n_stages):
                    after = (graph.add("token", f"stage {stage}", edges[stage + 1] - edges[stage], after),)
        planned = schedule(graph)
        return StepResult(
            planned.makespan_ps, planned.makespan_ps, n_stages, planned, energy, energy.total_pj / planned.makespan_ps, notes=notes
        )

    # --- energy and bounds

    def _token_energy(self, run: ProgramRun, work: PnmWork, interval_ps: float) -> EnergyLedger:
        """Energy of one token over all devices, as the accounting in force adds it up."""
        device, plan, accounting, model = self.device, self.plan, self.accounting, self.model
        if plan.is_pipeline:
            elements: float = model.hidden
            copies_charged = float(plan.n_devices_used) if accounting.whole_devices else model.n_layers / plan.copies
            charged = [(run, copies_charged)]
        else:
            elements = 10 * model.hidden + 2 * max(self.block.ffn_widths())
            charged = [(run, float(model.n_layers)), (self._fc_only, float((plan.tensor_width - 1) * model.n_layers))]
        # A device runs `copies` blocks at once; the published sums count its near-memory work and its transfer once.
        per_device = 1 if accounting.whole_devices else plan.copies
        total = EnergyLedger()
        for one, factor in charged:
            energy = device.work_energy_pj(one.program, one.timing, work.scaled(per_device), accounting)
            energy["pcie"] = device.pcie_pj(elements * per_device, accounting)
            total = total + EnergyLedger(energy).scaled(factor)
            if accounting.background == "pim":
                # The reference's state counters run from clock 0, one clock before the first command.
                background_ps = device.dram.to_ps(one.timing.cycles + 1)
                total = total + device.background(accounting, background_ps).scaled(factor)
        if accounting.background == "interval":
            embedding = device.work_energy_pj(self._embedding.program, self._embedding.timing, NO_WORK, accounting)
            total = total + EnergyLedger(embedding).scaled(plan.tensor_width / plan.copies)
            total = total + device.background(accounting, interval_ps).scaled(self.config.n_devices)
        return total

    def _bounds(self, run: ProgramRun) -> dict[str, Bound]:
        """What limited each in-memory operator: the constraint to which channel 0 gives most of the operator's cycles."""
        bounds = {}
        before, start = 0 * run.timing.section_commands[0], 0
        lines = run.program.runs[:, REPEAT] * run.program.runs[:, TARGET_COUNT].clip(min=1)
        ends = [0, *run.program.section_ends]
        for index, name in enumerate(run.program.sections[:-1]):
            cycles = int(run.timing.section_cyc[index]) - start
            n_lines = int(lines[ends[index] : ends[index + 1]].sum())
            counts = run.timing.section_commands[index] - before
            lost = lost_cycles(counts, n_lines, self.device.dram)
            constraint = max(lost, key=lambda key: lost[key])
            bounds[name] = Bound(constraint, lost[constraint] / max(cycles, 1), 1.0, "of the operator's cycles")
            before, start = run.timing.section_commands[index], int(run.timing.section_cyc[index])
        return bounds

    def _other_bounds(self, token: Schedule, wire_bytes: int) -> dict[str, Bound]:
        """Bounds of near-memory work, transfers and the host."""
        bounds: dict[str, Bound] = {}
        busy = token.resource_busy_ps()
        for operator in token.operator_ps():
            if operator.startswith("pnm_"):
                bounds[operator] = Bound("compute", 1.0, 1.0, "of the unit")
            elif operator.startswith("cxl_"):
                achieved = wire_bytes / max(busy["cxl"], 1) * 1e3
                bounds[operator] = Bound("link", achieved, self.link.bytes_per_s / 1e9, "GB/s")
        bounds["top_k"] = Bound("host", 1.0, 1.0, "of the CPU")
        return bounds


class WholePicoseconds:
    """Rounds exact durations to picoseconds and carries what is left over, so that roundings do not add up over a block."""

    def __init__(self) -> None:
        self._left = Fraction(0)

    def __call__(self, exact_ps: Fraction) -> int:
        """The duration in whole picoseconds."""
        wanted = exact_ps + self._left
        rounded = round(wanted)
        self._left = wanted - rounded
        return rounded


def check_mappable(model: ModelSpec, group: ChannelGroup) -> None:
    """Refuse shapes that the AiM mapping has no place for."""
    geometry = group.geometry
    if model.head_dim > geometry.row_elements:
        raise MappingError(
            f"a head of {model.head_dim} elements does not fit a DRAM row of {geometry.row_elements}",
            remedy="use a part with longer rows",
        )
