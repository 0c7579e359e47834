"""GPUs: one, or several that share a model by tensor and pipeline parallelism.

A tensor-parallel group does every layer together and exchanges its sums; a pipeline hands activations on from stage to
stage, several micro-batches following each other. Each kernel is a task of its stage; the step's power is averaged
over each stage's work, and the board's limit lowers the clock of all of it.

Source: `docs/gpu.md`. Not modelled: communication beside computation, several streams, the host beyond a floor on the
step's time.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cached_property, lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from simulator.contracts.capacity import capacity_note, sequences_in_words
from simulator.contracts.results import Bound, StepResult
from simulator.contracts.system import CapacityMode, KvRoom
from simulator.core.energy import BackgroundPower, EnergyLedger
from simulator.core.errors import ConfigError, MappingError
from simulator.core.quantities import Bytes, PositiveInt, Ps
from simulator.devices.gpu import Gpu as GpuDevice
from simulator.devices.gpu_collectives import GpuCollectives
from simulator.devices.gpu_config import GpuConfig
from simulator.devices.gpu_kernels import DecodeKernel, Kernel, PrefillKernel
from simulator.devices.gpu_levelling import Levelling
from simulator.devices.gpu_shard import Exchange, Fusion, GpuShard, Launches
from simulator.devices.gpu_stages import Entry, StageTasks, stage_sums
from simulator.devices.scheduling import check_durations, schedule
from simulator.workload.batch import Batch
from simulator.workload.model import ModelSpec

N_STEPS_KEPT = 256


class HostConfig(BaseModel):
    """The engine's processor: a step takes at least `floor + per_sequence x sequences` (a step with prompts
    `prefill_floor`), as its kernels are prepared one step ahead of the GPU."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    floor_ps: Ps = 0
    per_sequence_ps: Ps = 0
    prefill_floor_ps: Ps = 0


class Gpu:
    """A GPU system for one model: `step` takes any batch, prompts and single tokens together."""

    workload_kinds = frozenset({"llm"})
    scopes: tuple[str, ...] = ()
    takes_batches: Literal[True] = True

    class Config(BaseModel):
        """The `system` section of a configuration such as `hw_configs/gpu_h200.yaml`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        tensor_parallel: PositiveInt = 1
        pipeline_parallel: PositiveInt = 1
        n_microbatches: PositiveInt = 1
        attention_kernel: DecodeKernel = "split_kv"
        prefill_attention_kernel: PrefillKernel = "fa2"
        elementwise: Fusion = "separate"
        number_format: str | None = None
        launch: Literal["graph", "eager"] = "graph"
        capacity: CapacityMode = "enforce"
        reserved_bytes: Bytes = 0
        host: HostConfig = HostConfig()
        device: GpuConfig

    def __init__(self, config: Config, model: ModelSpec, context_step: int = 1) -> None:
        self.config = config
        self.model = model
        self.context_step = context_step
        self.device = GpuDevice(config.device)
        self.n_ranks, self.n_stages = config.tensor_parallel, config.pipeline_parallel
        if self.n_stages > model.n_layers:
            raise MappingError(
                f"{self.n_stages} pipeline stages for the {model.n_layers} layers of {model.name}",
                where="system.pipeline_parallel",
                remedy=f"use at most {model.n_layers}",
            )
        self.shard = GpuShard(
            config.device,
            model,
            self.n_ranks,
            number_format=config.number_format,
            attention_kernel=config.attention_kernel,
            prefill_kernel=config.prefill_attention_kernel,
            elementwise=config.elementwise,
        )
        self.collectives = self._collectives() if self.n_gpus > 1 else None
        self.layers_of_stage = [
            model.n_layers // self.n_stages + (stage < model.n_layers % self.n_stages) for stage in range(self.n_stages)
        ]
        self._levelling = Levelling(model, config.attention_kernel, context_step)
        self._stages = StageTasks(self.n_stages)
        self._step = lru_cache(maxsize=N_STEPS_KEPT)(self._computed)

    def _collectives(self) -> GpuCollectives:
        try:
            return self.device.collectives(max(2, self.n_ranks))
        except ConfigError as error:
            error.where = error.where or "system.device"
            raise

    # --- what an engine asks

    @property
    def n_gpus(self) -> int:
        """GPUs of the system."""
        return self.n_ranks * self.n_stages

    @property
    def capacity(self) -> CapacityMode:
        """Whether the room for keys and values is enforced."""
        return self.config.capacity

    @property
    def idle_power_w(self) -> float:
        """Power of all boards while nothing runs."""
        return self.config.device.energies.idle_mw * self.n_gpus / 1e3

    @cached_property
    def kv_room(self) -> KvRoom:
        """Room beside the weights on the fullest GPU. Raises MappingError where the weights alone do not fit."""
        model, config = self.model, self.config
        form, base = (config.device.formats[name] for name in (self.shard.number_format, config.device.base_format))
        # Word tables stay in 16 bits, as the product with them does; everything else is in the format's.
        n_tables = 1 if model.tied_embeddings else 2
        table = model.vocab * model.hidden * base.weight_bits / 8
        n_weights = model.n_params - n_tables * model.vocab * model.hidden
        per_layer = n_weights * (form.weight_bits + form.scale_bits_each) / 8 / model.n_layers
        tables = n_tables * table if self.n_stages == 1 else table
        weights = -(-(per_layer * self.layers_of_stage[0] + tables) // self.n_ranks)
        free = int(config.device.capacity_bytes - config.reserved_bytes - weights)
        if free < 0:
            raise MappingError(
                f"the weights of {model.name} on {self.machine} overfill a GPU by {-free:,} bytes",
                where="workload.model",
                remedy="use more GPUs (system.tensor_parallel, system.pipeline_parallel), fewer bits "
                "(workload.overrides.weight_bits), or a smaller model",
                missing_bytes=-free,
            )
        per_position = int(self.shard.heads.kv_bytes_per_position * self.layers_of_stage[0])
        return KvRoom.of_bytes(free, max(1, per_position))

    def check_capacity(self, n_sequences: int, context: int) -> str | None:
        """A note on missing bytes where capacity is only reported; MappingError where it is enforced."""
        kept = min(context, self.model.sliding_window or context)
        who = sequences_in_words(n_sequences, kept)
        return capacity_note(
            lambda: self.kv_room,
            self.capacity,
            n_sequences,
            kept,
            lambda missing: f"{who} overfill the memory of {self.machine} by {missing:,} bytes a GPU",
            "use a smaller batch or context, more GPUs, or set system.capacity=report",
        )

    def step_key(self, batch: Batch) -> Hashable:
        """Decodes cost what their number and the sum of their contexts say (with `fa2` the longest, too); their mean
        context is rounded up to a multiple of `context_step`, so that a step is never charged less than it costs."""
        return self._levelling.levelled(batch)

    def step(self, batch: Batch) -> StepResult:
        """Time, energy and bounds of one step of any sequences."""
        return self._step(self._levelling.levelled(batch))

    # --- one step

    def _computed(self, batch: Batch) -> StepResult:
        micro = self._microbatches(batch)
        distinct = [(one, micro.count(one), self.shard.launches(one)) for one in dict.fromkeys(micro)]
        stages = [[self._entries(*entry, stage) for entry in distinct] for stage in range(self.n_stages)]
        work = self.device.run(
            [[(entry.kernel, entry.busy_total) for entries in stage for entry in entries] for stage in stages]
        )
        exact_ps = work.time_ps.tolist()
        entries = (entry for stage in stages for micro in stage for entry in micro)
        check_durations([(one.name, one.total * ps) for one, ps in zip(entries, exact_ps, strict=True)], "system")
        times_ps = [round(time) for time in exact_ps]
        ratios = work.ratios.tolist()
        busy_ps, n_launches = stage_sums(stages, times_ps)
        floor_ps = self._host_floor_ps(batch, n_launches)
        order = [[one for one, _, _ in distinct].index(batch) for batch in micro]
        planned = schedule(self._stages.tasks(stages, order, times_ps, floor_ps))
        energy = self._energy(stages, ratios, busy_ps, planned.makespan_ps)
        bounds, roofs = self._bounds(stages, times_ps, ratios)
        if floor_ps:
            bounds["host"] = Bound("host", min(1.0, floor_ps / planned.makespan_ps), 1.0, "of the step")
        return StepResult(
            latency_ps=planned.makespan_ps,
            interval_ps=planned.makespan_ps,
            n_slots=1,
            schedule=planned,
            energy=energy,
            power_w=energy.total_pj / planned.makespan_ps,
            traffic_bytes=self._traffic(stages),
            bounds=bounds,
            metrics={"clock_frac": min(ratios), "n_kernels": n_launches},
            breakdown={"time_by_roof_ms": {name: ps / 1e9 for name, ps in sorted(roofs.items())}},
            notes=self._notes(min(ratios), roofs, floor_ps >= planned.makespan_ps > 0),
        )

    def _microbatches(self, batch: Batch) -> list[Batch]:
        n = min(self.config.n_microbatches, batch.n_sequences)
        if n == 1:
            return [batch]
        return [Batch(batch.sequences[first::n]) for first in range(n)]

    def _entries(self, batch: Batch, n_batches: int, launches: Launches, stage: int) -> list[Entry]:
        """Everything that one GPU of a stage does for `n_batches` equal micro-batches, exchanges as kernels that only
        wait."""
        before = launches.before if stage == 0 else ()
        after = launches.after
        if stage < self.n_stages - 1:
            n_bytes = batch.new_tokens * self.model.hidden * self.model.act_bits // 8
            after = (("send_activations", Exchange("send", n_bytes)),)
        n_layers = self.layers_of_stage[stage]
        return [
            *(self._entry(name, item, 1, "before", n_batches) for name, item in before),
            *(self._entry(name, item, n_layers, "layer", n_batches) for name, item in launches.layer),
            *(self._entry(name, item, 1, "after", n_batches) for name, item in after),
        ]

    def _entry(self, name: str, item: Kernel | Exchange, count: int, place: Any, n_batches: int) -> Entry:
        if isinstance(item, Kernel):
            return Entry(name, item, count, place, None, n_batches)
        assert self.collectives is not None
        if item.kind == "send":
            time_ps = self.collectives.send_ps(item.n_bytes)
        else:
            time_ps = self.collectives.time_ps(item.kind, item.n_bytes)
        moved = self.collectives.memory_bytes(item.kind, item.n_bytes)
        return Entry(name, Kernel(item.kind, time_ps, 0.0, 0.0, moved, 0.0, 0.0), count, place, item, n_batches)

    def _host_floor_ps(self, batch: Batch, n_launches: int) -> int:
        host, launches = self.config.host, self.config.device.launches
        floor_ps = host.floor_ps + host.per_sequence_ps * batch.n_sequences
        if batch.prompts:
            floor_ps = max(floor_ps, host.prefill_floor_ps)
        if self.config.launch == "eager":
            floor_ps = max(floor_ps, n_launches * launches.eager_ps + launches.synchronise_ps)
        check_durations([("host", floor_ps)], "system.host")
        return floor_ps

    def _energy(
        self, stages: list[list[list[Entry]]], ratios: list[float], busy_ps: list[int], makespan_ps: int
    ) -> EnergyLedger:
        """Of all boards: traffic and arithmetic by kernel, what flows while a stage works, and while it waits."""
        energies, n = self.config.device.energies, self.n_ranks
        dram = compute = 0.0
        background = []
        for micro, ratio, busy in zip(stages, ratios, busy_ps, strict=True):
            for entries in micro:
                for entry in entries:
                    dram_pj, compute_pj = self.device.dynamic_pj(entry.kernel, ratio)
                    dram += dram_pj * entry.total
                    compute += compute_pj * entry.total
            background.append(BackgroundPower("board", "active", energies.active_mw * n, busy))
            if makespan_ps > busy:
                background.append(BackgroundPower("board", "idle", energies.idle_mw * n, makespan_ps - busy))
        return EnergyLedger({"memory": dram * n, "compute": compute * n}, tuple(background))

    def _bounds(
        self, stages: list[list[list[Entry]]], times_ps: list[int], ratios: list[float]
    ) -> tuple[dict[str, Bound], dict[str, float]]:
        """What bound each kernel, and the time by what bound it."""
        bounds: dict[str, Bound] = {}
        roofs: dict[str, float] = {}
        rest = iter(times_ps)
        for micro, ratio in zip(stages, ratios, strict=True):
            for entry, time_ps in zip((entry for entries in micro for entry in entries), rest, strict=False):
                if entry.exchange is not None:
                    bound = self._link_bound(entry.exchange, max(1, time_ps))
                else:
                    bound = self.device.bound(entry.kernel, max(1, time_ps), ratio)
                bounds.setdefault(entry.name, bound)
                roofs[bound.constraint] = roofs.get(bound.constraint, 0.0) + time_ps * entry.total
        return bounds, roofs

    def _link_bound(self, exchange: Exchange, time_ps: int) -> Bound:
        """What bounds an exchange: the links that carry what a rank sends, or starts and steps that carry nothing."""
        assert self.collectives is not None
        achieved = self.collectives.sent_bytes(exchange.kind, exchange.n_bytes) / time_ps * 1e3
        peak = max(self._link_gb_per_s, achieved)
        return Bound("link" if 2 * achieved >= peak else "link latency", achieved, peak, "GB/s")

    @cached_property
    def _link_gb_per_s(self) -> float:
        return float(self.collectives.link.payload_bytes_per_s) / 1e9 if self.collectives is not None else 0.0

    def _traffic(self, stages: list[list[list[Entry]]]) -> dict[str, int]:
        """Bytes by memory and by the links between GPUs, over all ranks."""
        n_bytes = {"memory": 0.0, "nvlink": 0.0}
        for entry in (entry for micro in stages for entries in micro for entry in entries):
            if entry.exchange is None:
                n_bytes["memory"] += entry.kernel.dram_bytes * entry.total * self.n_ranks
            elif self.collectives is not None:
                sent = self.collectives.sent_bytes(entry.exchange.kind, entry.exchange.n_bytes)
                n_bytes["nvlink"] += sent * entry.total * self.n_ranks
        return {name: round(value) for name, value in n_bytes.items() if value}

    def _notes(self, ratio: float, roofs: Mapping[str, float], host_binds: bool) -> tuple[str, ...]:
        notes = []
        form, name = self.config.device.formats[self.shard.number_format], self.shard.number_format
        if form.matmul_frac < 0.5 and 2 * roofs.get("compute", 0) > sum(roofs.values()):
            notes.append(f"{name} reaches {form.matmul_frac:.1%} of its peak: the part says with whose kernel")
        if ratio < 1.0:
            notes.append(self.device.limit_note(ratio))
        if host_binds:
            notes.append("the host binds the step: the GPUs wait for it")
        return tuple(notes)

    @property
    def machine(self) -> str:
        """How many of which GPU."""
        name = self.config.device.name
        return name if self.n_gpus == 1 else f"{self.n_gpus} x {name}"
