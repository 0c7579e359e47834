"""AttAcc: GPUs whose attention of decodes runs on HBM stacks with processing units, and the machines it is compared to.

`dgx-attacc` keeps keys and values in the stacks; weights, and the attention of prompts, stay with the GPUs. With
`head_pipeline` projections and attention overlap head by head, with `ff_coprocessing` the stacks take their share of
the feed-forward layers. `dgx` has GPUs alone, `dgx-large` those with twice the memory; on `dgx-cpu` the hosts attend.

Source: AttAcc (ASPLOS 2024) and its simulator, whose sums `accounting: published` follows. Not modelled: writing keys
and values, embedding and output head, power while nothing runs, the reading of co-processed weights in two layouts.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.contracts.capacity import capacity_note, sequences_in_words
from simulator.contracts.results import Bound, StepResult
from simulator.contracts.system import CapacityMode, KvRoom
from simulator.core.errors import MappingError
from simulator.core.quantities import PositiveFloat, PositiveInt
from simulator.core.rounding import ceil_div
from simulator.devices.attention_offload import (
    attention_alone,
    gpu_ledger,
    named_commands,
    operator_bound,
    pim_heads,
    rounded,
    split,
)
from simulator.devices.layer_graph import AttentionChain, LayerWork, Piece, Stage, whole_step
from simulator.devices.pim_attention import PimHead
from simulator.devices.pim_pool import Detail, PimPool, PoolRun
from simulator.devices.pim_stack import PimStack
from simulator.devices.scheduling import check_durations, schedule
from simulator.devices.tile_gpu import TileOperator
from simulator.devices.tile_gpu_config import TileGpuCatalogue
from simulator.devices.tile_gpu_layer import AttentionPlace, TileLayer
from simulator.memory.hbm_pim.channel import Placement
from simulator.workload.batch import Batch
from simulator.workload.model import ModelSpec

Variant = Literal["dgx-attacc", "dgx", "dgx-large", "dgx-cpu"]
PLACES: dict[Variant, AttentionPlace] = {"dgx-attacc": "pim", "dgx": "gpu", "dgx-large": "gpu", "dgx-cpu": "host"}
N_STEPS_KEPT = 256
_ATTENTION = ("score", "softmax", "context")
_KIND_RESOURCES = {"all_reduce": "nvlink", "link": "pim link"}


@dataclass(frozen=True, slots=True)
class AttaccAccounting:
    """How time and energy are added up, and whether memory is enforced."""

    name: Literal["published", "corrected"]
    capacity: CapacityMode
    mean: str = "time"
    slot_policy: str = "independent"


ACCOUNTINGS = {
    "published": AttaccAccounting("published", "report"),
    "corrected": AttaccAccounting("corrected", "enforce"),
}


class BandwidthRatio(BaseModel):
    """Bandwidth of five stacks over that of their GPU, with products spaced by the power limit and without."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limited: PositiveFloat
    unlimited: PositiveFloat


class Attacc:
    """An AttAcc machine, or one of those it is compared to, for one model: `step` takes any batch."""

    workload_kinds = frozenset({"llm"})
    scopes: tuple[str, ...] = ("attention",)
    takes_batches: Literal[True] = True

    class Config(BaseModel):
        """The `system` section of a configuration such as `hw_configs/attacc.yaml`.

        `placement` and `power_limit` are the stack's own unless given here. `detail` says how channels with unequal
        heads are timed.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        variant: Variant = "dgx-attacc"
        gpu: str = "A100a"
        n_gpus: PositiveInt = 8
        stacks_per_gpu: PositiveInt = 5
        placement: Placement | None = None
        power_limit: bool | None = None
        head_pipeline: bool = True
        ff_coprocessing: bool = True
        accounting: Literal["published", "corrected"] = "published"
        capacity: CapacityMode | None = None
        detail: Detail = "fast"
        published_bandwidth_ratios: dict[Placement, BandwidthRatio]
        gpus: TileGpuCatalogue
        stack: PimStack.Config

    def __init__(self, config: Config, model: ModelSpec, context_step: int = 1) -> None:
        self.config, self.model, self.context_step = config, model, context_step
        self.accounting = ACCOUNTINGS[config.accounting]
        self.capacity: CapacityMode = config.capacity or self.accounting.capacity
        published = config.accounting == "published"
        n_bytes = max(1, model.kv_bits // 8)
        place = PLACES[config.variant]
        self.layer = TileLayer(
            config.gpus, config.gpu, model, config.n_gpus, n_bytes=n_bytes, published=published, attention=place
        )
        self.n_gpus = self.layer.n_gpus
        changed = {name: getattr(config, name) for name in ("placement", "power_limit")}
        stack = config.stack.model_copy(
            update={
                **{name: value for name, value in changed.items() if value is not None},
                "accounting": config.accounting,
            }
        )
        self.stack = PimStack(stack)
        self.pool = PimPool(self.stack, self.n_gpus * config.stacks_per_gpu, model.head_dim, n_bytes, config.detail)
        self.has_stacks = config.variant == "dgx-attacc"
        self._step = lru_cache(maxsize=N_STEPS_KEPT)(self._computed)

    def other_accounting(self) -> Attacc:
        """The same machine under the other accounting, its memory as it is here."""
        other = "corrected" if self.config.accounting == "published" else "published"
        changed = {"accounting": other, "capacity": "report"}
        return Attacc(self.config.model_copy(update=changed), self.model, self.context_step)

    # --- what an engine asks

    @property
    def machine(self) -> str:
        """The machine in a few words."""
        stacks = f" + {self.pool.n_stacks} {self.stack.config.name} stacks" if self.has_stacks else ""
        return f"{self.n_gpus} x {self.config.gpu}{stacks} ({self.config.variant})"

    @property
    def idle_power_w(self) -> float:
        """No power of idle devices is modelled."""
        return 0.0

    @property
    def memory_bytes(self) -> int:
        """Bytes of all memories that hold weights, keys and values."""
        gpu = self.layer.config.capacity_bytes * self.n_gpus * (2 if self.config.variant == "dgx-large" else 1)
        return int(gpu) + (self.pool.capacity_bytes if self.has_stacks else 0)

    @cached_property
    def kv_room(self) -> KvRoom:
        """Room for keys and values: published, all that weights leave of all memories; else what the stacks have, where
        there are stacks. Raises MappingError where the weights do not fit."""
        weights = int(self.layer.required_bytes(0, 1, 1))
        per_position = 2 * self.model.n_layers * self.model.kv_dim * self.model.kv_bits // 8
        stacks = self.pool.capacity_bytes if self.has_stacks else 0
        free = self.memory_bytes - weights
        if self.config.accounting == "corrected" and stacks:
            free = min(free, stacks) if weights <= self.memory_bytes - stacks else self.memory_bytes - stacks - weights
        if free < 0:
            raise MappingError(
                f"the weights of {self.model.name} overfill {self.machine} by {-free:,} bytes",
                where="workload.model",
                remedy="use more GPUs (system.n_gpus), fewer bytes (workload.bytes_per_element), or a smaller model",
                missing_bytes=-free,
            )
        return KvRoom.of_bytes(free, max(1, per_position))

    def batch_limit(self, context: int) -> int:
        """Sequences of `context` positions that fit; published to the nearest, as AttAcc's own limits overfill the
        memory by up to 1.2 %. None where the weights do not."""
        try:
            room, each = self.kv_room, context * self.kv_room.bytes_per_position
        except MappingError:
            return 0
        if self.config.accounting == "published":
            return round(room.free_bytes / each)
        return room.free_bytes // each

    def check_capacity(self, n_sequences: int, context: int) -> str | None:
        """A note on missing bytes where capacity is only reported; MappingError where it is enforced."""
        kept = min(context, self.model.sliding_window or context)
        who = sequences_in_words(n_sequences, kept)
        return capacity_note(
            lambda: self.kv_room,
            self.capacity,
            n_sequences,
            kept,
            lambda missing: (
                f"{who} overfill the memory of {self.machine} by {missing:,} bytes; {self.batch_limit(kept):,} fit"
            ),
            "use a smaller batch or context, more GPUs or stacks, or set system.capacity=report",
        )

    def step_key(self, batch: Batch) -> Hashable:
        """Batches of the same sequences, in any order, cost the same; contexts are rounded up to `context_step`."""
        return rounded(batch, self.context_step)

    def step(self, batch: Batch) -> StepResult:
        """Time, energy and bounds of one step of any sequences."""
        return self._step(rounded(batch, self.context_step))

    # --- one step

    def _computed(self, batch: Batch) -> StepResult:
        if self.config.accounting == "published":
            _check_shares(self.model, self.n_gpus)
        decodes, prompts = split(batch)
        pool = self._pool_run(decodes) if decodes is not None and self.has_stacks else None
        work, operators = self._layer_work(batch, decodes, prompts, pool)
        n_layers = self.model.n_layers
        check_durations([(piece.operator, piece.time_ps * n_layers) for piece in work.pieces], "system")
        n_parts = max(1, self.layer.shard.n_kv_heads)
        graph = whole_step(work, n_layers, n_parts, head_pipeline=self.config.head_pipeline and self.has_stacks)
        planned = schedule(graph)
        energy = gpu_ledger(operators).scaled(self.n_gpus)
        if pool is not None:
            energy = energy + pool.energy
        energy = energy.scaled(n_layers)
        return StepResult(
            latency_ps=planned.makespan_ps,
            interval_ps=planned.makespan_ps,
            n_slots=1,
            schedule=planned,
            energy=energy,
            power_w=energy.total_pj / planned.makespan_ps,
            traffic_bytes=self._traffic(operators),
            bounds={piece.operator: piece.bound for piece in work.pieces if piece.bound is not None},
            metrics={"pim_cycles": pool.ticks} if pool else {},
            breakdown={"commands": named_commands(pool.commands, self.stack.channel)} if pool else {},
            notes=self._notes,
        )

    @cached_property
    def _notes(self) -> tuple[str, ...]:
        """Where the published sums know less of the model than there is."""
        model, shard = self.model, self.layer.shard
        if self.config.accounting == "corrected" or (model.n_kv_heads, model.head_dim) == (
            model.n_heads,
            shard.head_dim,
        ):
            return ()
        return (
            f"on the GPUs the published sums count {model.n_heads} key-value heads of {shard.head_dim}, where "
            f"{model.name} has {model.n_kv_heads} of {model.head_dim} (system.accounting=corrected counts these)",
        )

    def _pool_run(self, decodes: Batch) -> PoolRun:
        return self.pool.attention(pim_heads(decodes, self.model))

    def _layer_work(
        self, batch: Batch, decodes: Batch | None, prompts: Batch | None, pool: PoolRun | None
    ) -> tuple[LayerWork, list[TileOperator]]:
        """A layer's pieces, and the GPUs' operators among them."""
        if pool is None or decodes is None:
            place: AttentionPlace = "gpu" if prompts is not None and decodes is None else self.layer.attention
            operators = list(self.layer.operators(batch, place if not self.has_stacks else "gpu"))
            return LayerWork(None, tuple((self._piece(one, place),) for one in operators), ()), operators
        of_tokens = list(self.layer.operators(batch, "pim"))
        if prompts is not None:  # only what decodes bring crosses the links
            links = {one.name: one for one in self.layer.operators(decodes, "pim") if one.kind == "link"}
            of_tokens = [links.get(one.name, one) for one in of_tokens]
        by_name = {one.name: one for one in of_tokens}
        side = (
            [] if prompts is None else [one for one in self.layer.operators(prompts, "gpu") if one.name in _ATTENTION]
        )
        attention = Piece("attention", "pim", pool.time_ps, Bound(pool.bound, pool.peak_frac, 1.0, "of the columns"))
        chain = AttentionChain(
            (self._piece(by_name["qkv"]),),
            (self._piece(by_name["link_in"]), attention, self._piece(by_name["link_out"])),
            (self._piece(by_name["projection"]),),
        )
        rest = [one for one in of_tokens if one.name not in ("qkv", "link_in", "link_out", "projection")]
        stages = tuple(self._shared(one, batch.new_tokens) for one in rest)
        return LayerWork(chain, tuple((self._piece(one),) for one in side), stages), [*of_tokens, *side]

    def _piece(self, operator: TileOperator, place: AttentionPlace = "pim", share: float = 1.0) -> Piece:
        resource = _KIND_RESOURCES.get(operator.kind, "gpu")
        if place == "host" and operator.name in _ATTENTION:
            resource = "host"
        return Piece(operator.name, resource, operator.time_ps * share, operator_bound(operator, share))

    def _shared(self, operator: TileOperator, n_tokens: int) -> Stage:
        """A feed-forward product on GPUs and stacks at once, or an operator on the GPUs alone."""
        if not (self.config.ff_coprocessing and operator.kind == "fc" and operator.name.startswith("ffn_")):
            return (self._piece(operator),)
        share = self._gpu_share(operator, n_tokens)
        at_peak = Bound("products", 1.0, 1.0, "of the columns")
        beside = Piece(f"{operator.name}_pim", "pim", operator.time_ps * share, at_peak)
        return (self._piece(operator, share=share), beside)

    def _gpu_share(self, operator: TileOperator, n_tokens: int) -> float:
        """The part of a feed-forward product that the GPUs keep: by the rates at which they and the stacks read
        weights, or multiply."""
        gpu = self.layer.config
        stacks = self._stacks_gb_per_s
        if operator.bound == "compute":
            flops = gpu.peak_tflops * 1e12 * 2 / self.layer.n_bytes
            return flops / (flops + 2 * stacks * 1e9 / self.layer.n_bytes)
        memory = gpu.bandwidth_gb_per_s
        return memory / (memory + stacks / n_tokens)

    @property
    def _stacks_gb_per_s(self) -> float:
        """What the stacks of a GPU read at most."""
        if self.config.accounting == "corrected":
            return self.stack_bandwidth_gb_per_s * self.config.stacks_per_gpu
        stack = self.stack.config
        ratio = self.config.published_bandwidth_ratios[stack.placement]
        times = ratio.limited if stack.power_limit else ratio.unlimited
        return float(times * self.layer.config.bandwidth_gb_per_s * self.config.stacks_per_gpu / 5)

    @cached_property
    def stack_bandwidth_gb_per_s(self) -> float:
        """What a stack's units read at most, by its clock: rows and refresh left out."""
        channel = self.stack.channel
        columns = channel.n_units * channel.n_spread * self.stack.spec.tx_bytes * self.stack.config.n_channels
        return float(columns * 1000 / (channel.mac_ticks * self.stack.tick_ps))

    def _traffic(self, operators: list[TileOperator]) -> dict[str, int]:
        scale = self.n_gpus * self.model.n_layers
        found = {
            "gpu memory": sum(one.offchip_bytes for one in operators) * scale,
            "nvlink": sum(one.link_bytes for one in operators if one.kind == "all_reduce") * scale,
            "pim link": sum(one.link_bytes for one in operators if one.kind == "link") * scale,
        }
        return {name: round(n) for name, n in found.items() if n}

    # --- attention alone

    def heads_per_stack(self, n_sequences: int) -> int:
        """Key-value heads of so many sequences on the fullest stack."""
        return ceil_div(n_sequences * self.model.n_kv_heads, self.pool.n_stacks)

    def attention(self, context: int, n_heads: int, head_dim: int, bytes_per_element: int) -> StepResult:
        """One layer's attention of `n_heads` key-value heads on one stack."""
        return attention_alone(
            self.stack, PimHead(context), n_heads, head_dim, bytes_per_element, self.config.detail,
            capacity=self.capacity,
        )  # fmt: skip


def _check_shares(model: ModelSpec, n_gpus: int) -> None:
    """Refuse heads that GPUs cannot share: the published sums would drop the rest of them without a word."""
    n_left = model.n_heads % n_gpus
    if not n_left:
        return
    fitting = [n for n in range(1, model.n_heads + 1) if model.n_heads % n == 0]
    near = sorted(fitting, key=lambda n: (abs(n - n_gpus), n))[:2]
    raise MappingError(
        f"{model.name}: {model.n_heads} heads are not divisible by {n_gpus} GPUs, and the published accounting would "
        f"leave {n_left} of them out",
        where="system.n_gpus",
        remedy=f"use {' or '.join(map(str, sorted(near)))} GPUs, or system.accounting=corrected, which counts the GPU "
        "with most heads",
    )
