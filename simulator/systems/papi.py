"""PAPI: GPUs beside stacks for fully-connected layers and stacks for attention, and a scheduler that moves the former.

Attention always runs on the attention stacks. Fully-connected layers run on the GPUs where the batch has parallelism
enough, else on the stacks that hold the weights (FC-PIM), which are the GPUs' own memory, so that nothing moves. The
machines it is compared to have the same numbers of stacks, of other kinds, and no choice.

Source: PAPI (ASPLOS 2025); for what it leaves open (links, threshold, pipeline) the configuration states an assumption.
Not modelled: writing keys and values, embedding and output head, power while nothing runs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from simulator.contracts.capacity import capacity_note, sequences_in_words
from simulator.contracts.results import Bound, StepResult, Table
from simulator.contracts.system import CapacityMode, KvRoom
from simulator.core.energy import EnergyLedger
from simulator.core.errors import ConfigError, MappingError
from simulator.core.quantities import PositiveInt
from simulator.core.rounding import ceil_div
from simulator.core.spelling import did_you_mean
from simulator.devices.attention_offload import (
    attention_alone,
    gpu_ledger,
    is_decode,
    named_commands,
    pim_heads,
    rounded,
    split,
)
from simulator.devices.fc_scheduler import FcScheduler, SchedulerConfig, estimated_intensity, parallelism
from simulator.devices.fc_units import (
    ElementwiseConfig,
    FcOnGpus,
    FcOnStacks,
    FcUnit,
    LinkConfig,
    Pieces,
    elementwise_on_dies,
    elementwise_on_gpus,
    gpu_piece,
)
from simulator.devices.layer_graph import AttentionChain, LayerWork, Piece, whole_step
from simulator.devices.pim_attention import PimHead
from simulator.devices.pim_pool import Detail, PimPool, PoolRun
from simulator.devices.pim_stack import PimStack
from simulator.devices.pim_weights import PimWeights
from simulator.devices.scheduling import check_durations, schedule
from simulator.devices.tile_gpu_config import TileGpuCatalogue
from simulator.devices.tile_gpu_layer import TileLayer
from simulator.workload.batch import Batch
from simulator.workload.model import ModelSpec

FcChoice = Literal["gpu", "pim", "dynamic"]
N_STEPS_KEPT = 512
_ATTENTION = ("score", "softmax", "context")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class PapiAccounting:
    """How energy is added up, by the name that AttAcc's has."""

    name: Literal["published", "corrected"]
    mean: str = "time"
    slot_policy: str = "independent"


class Papi:
    """A PAPI machine, or one of those it is compared to, for one model: `step` takes any batch."""

    workload_kinds = frozenset({"llm"})
    scopes: tuple[str, ...] = ("attention",)
    takes_batches: Literal[True] = True

    class Config(BaseModel):
        """The `system` section of a configuration such as `hw_configs/papi.yaml`.

        `designs` says which stacks a design has and where its fully-connected layers run; `stacks` describes them.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        class Design(_Section):
            """A machine of the comparison: which stacks hold weights and attend, whether there are GPUs, and where
            fully-connected layers run."""

            fc_unit: FcChoice
            has_gpus: bool
            fc_stack: str | None = None
            attention_stack: str

        design: str = "papi"
        gpu: str = "A100"
        n_gpus: PositiveInt = 6
        n_fc_stacks: PositiveInt = 30
        n_attention_stacks: PositiveInt = 60
        fc_unit: FcChoice | None = None
        scheduler: SchedulerConfig = SchedulerConfig()
        head_pipeline: bool = True
        accounting: Literal["published", "corrected"] = "corrected"
        capacity: CapacityMode = "enforce"
        detail: Detail = "fast"
        fc_link: LinkConfig
        attention_link: LinkConfig
        elementwise: ElementwiseConfig
        gpus: TileGpuCatalogue
        stacks: dict[str, PimStack.Config]
        designs: dict[str, Design]

    def __init__(
        self,
        config: Config,
        model: ModelSpec,
        context_step: int = 1,
        make_stack: Callable[[PimStack.Config], PimStack] = PimStack,
    ) -> None:
        """`make_stack` may hand out a stack that another machine has too, with what it has computed already."""
        self.config, self.model, self.context_step = config, model, context_step
        self._make_stack = make_stack
        self.accounting = PapiAccounting(config.accounting)
        self.design = _named(config.designs, config.design, "system.design")
        self.n_bytes = max(1, model.kv_bits // 8)
        self.fc_unit: FcChoice = config.fc_unit or self.design.fc_unit
        self._check_units()
        self.layer = TileLayer(
            config.gpus, config.gpu, model, config.n_gpus, n_bytes=self.n_bytes, published=False, attention="pim"
        )
        self.attention_stack = self._stack(self.design.attention_stack)
        self.pool = PimPool(
            self.attention_stack, config.n_attention_stacks, model.head_dim, self.n_bytes, config.detail
        )  # fmt: skip
        self.weights: PimWeights | None = None
        if self.design.fc_stack is not None:
            hub = 1e3 / (config.fc_link.n_ports * config.fc_link.bandwidth_gb_per_s)
            self.weights = PimWeights(self._stack(self.design.fc_stack), config.n_fc_stacks, self.n_bytes, hub)
        self.fc_units: dict[str, FcUnit] = {}
        if self.design.has_gpus:
            self.fc_units["gpu"] = FcOnGpus(self.layer)
        if self.weights is not None:
            self.fc_units["pim"] = FcOnStacks(self.weights, config.fc_link, model)
        self.scheduler = FcScheduler(config.scheduler, self.fc_units)
        self._step = lru_cache(maxsize=N_STEPS_KEPT)(self._computed)

    def _check_units(self) -> None:
        design, unit = self.design, self.fc_unit
        lacking = {
            "gpu": not design.has_gpus, "pim": design.fc_stack is None,
            "dynamic": not design.has_gpus or design.fc_stack is None,
        }[unit]  # fmt: skip
        if lacking:
            raise ConfigError(
                f"fully-connected layers cannot run on `{unit}` in the design `{self.config.design}`",
                where="system.fc_unit",
                remedy="it has " + (" and ".join(self._units()) or "nothing"),
            )

    def _units(self) -> list[str]:
        return [*(["gpu"] if self.design.has_gpus else []), *(["pim"] if self.design.fc_stack else [])]

    def _stack(self, name: str) -> PimStack:
        part = _named(self.config.stacks, name, "system.designs")
        return self._make_stack(part.model_copy(update={"accounting": self.config.accounting}))

    # --- the scheduler

    @property
    def alpha(self) -> float:
        """The scheduler's threshold on RLP x TLP."""
        return self.scheduler.alpha

    def placement(self, batch: Batch) -> str:
        """Where the fully-connected layers of a step run: `gpu` or `pim`."""
        if self.fc_unit == "dynamic":
            return self.scheduler.unit(batch)
        has_prompts = any(not is_decode(sequence) for sequence, _ in batch.runs)
        return "gpu" if has_prompts and self.design.has_gpus else self.fc_unit

    @property
    def switch_ps(self) -> int:
        """What a change of unit adds to an iteration."""
        return self.config.scheduler.switch_ps

    def tables(self) -> dict[str, Table]:
        """The sweep behind alpha: time of a layer's fully-connected work on both units."""
        return {"alpha_sweep": self.scheduler.table()} if self.fc_unit == "dynamic" else {}

    @property
    def remarks(self) -> tuple[str, ...]:
        """The threshold, and how it was had."""
        return (self.scheduler.threshold_in_words,) if self.fc_unit == "dynamic" else ()

    # --- what an engine asks

    @property
    def machine(self) -> str:
        """The machine in a few words."""
        gpus = [f"{self.config.n_gpus} x {self.config.gpu}"] if self.design.has_gpus else []
        weights = [f"{self.weights.n_stacks} {self.weights.stack.config.name}"] if self.weights else []
        stacks = [f"{self.pool.n_stacks} {self.attention_stack.config.name} stacks"]
        return " + ".join([*gpus, *weights, *stacks]) + f" ({self.config.design})"

    @property
    def idle_power_w(self) -> float:
        """No power of idle devices is modelled."""
        return 0.0

    @property
    def capacity(self) -> CapacityMode:
        """Whether room for keys and values is enforced."""
        return self.config.capacity

    @cached_property
    def kv_room(self) -> KvRoom:
        """Room for keys and values on the attention stacks. Raises MappingError where the weights do not fit theirs."""
        weights = int(self.layer.required_bytes(0, 1, 1))
        room = self.weights.capacity_bytes if self.weights else self.layer.config.capacity_bytes * self.config.n_gpus
        if weights > room:
            raise MappingError(
                f"the weights of {self.model.name} overfill {self.machine} by {weights - int(room):,} bytes",
                where="workload.model",
                remedy="use more stacks (system.n_fc_stacks, system.n_gpus) or a smaller model",
                missing_bytes=weights - int(room),
            )
        per_position = 2 * self.model.n_layers * self.model.kv_dim * self.n_bytes
        return KvRoom.of_bytes(self.pool.capacity_bytes, max(1, per_position))

    def batch_limit(self, context: int) -> int:
        """Sequences of `context` positions that fit the attention stacks; none where the weights do not fit theirs."""
        try:
            return self.kv_room.free_bytes // (context * self.kv_room.bytes_per_position)
        except MappingError:
            return 0

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
                f"{who} overfill the attention stacks of {self.machine} by {missing:,} bytes; "
                f"{self.batch_limit(kept):,} fit"
            ),
            "use a smaller batch, more stacks (system.n_attention_stacks), or set system.capacity=report",
        )

    def step_key(self, batch: Batch) -> Hashable:
        """Batches of the same sequences, in any order, cost the same; contexts are rounded up to `context_step`."""
        return rounded(batch, self.context_step)

    def step(self, batch: Batch) -> StepResult:
        """Time, energy and bounds of one step of any sequences."""
        return self._step(rounded(batch, self.context_step))

    # --- one step

    def _computed(self, batch: Batch) -> StepResult:
        unit = self.placement(batch)
        decodes, prompts = split(batch)
        fc, fc_energy = self.fc_units[unit].pieces(batch.new_tokens)
        pool = self.pool.attention(pim_heads(decodes, self.model)) if decodes is not None else None
        work, rest_energy = self._layer_work(batch, decodes, prompts, fc, pool)
        n_layers = self.model.n_layers
        check_durations([(piece.operator, piece.time_ps * n_layers) for piece in work.pieces], "system")
        n_parts = ceil_div(self.model.n_kv_heads, self.config.n_gpus)
        planned = schedule(whole_step(work, n_layers, n_parts, head_pipeline=self.config.head_pipeline))
        energy = (fc_energy + rest_energy + (pool.energy if pool else EnergyLedger())).scaled(n_layers)
        n = parallelism(batch)
        return StepResult(
            latency_ps=planned.makespan_ps,
            interval_ps=planned.makespan_ps,
            n_slots=1,
            schedule=planned,
            energy=energy,
            power_w=energy.total_pj / planned.makespan_ps,
            bounds={piece.operator: piece.bound for piece in work.pieces if piece.bound is not None},
            metrics={"rlp_x_tlp": n, "fc_intensity_flop_per_byte": estimated_intensity(n, self.model.hidden)},
            breakdown={"commands": named_commands(pool.commands, self.attention_stack.channel)} if pool else {},
            notes=self._notes(unit, n, prompts is not None),
        )

    def _notes(self, unit: str, n: int, has_prompts: bool) -> tuple[str, ...]:
        if self.fc_unit != "dynamic" or not n:
            return ()
        return (self.scheduler.in_words(unit, n, has_prompts=has_prompts),)

    def _layer_work(
        self, batch: Batch, decodes: Batch | None, prompts: Batch | None, fc: Pieces,
        pool: PoolRun | None,
    ) -> tuple[LayerWork, EnergyLedger]:  # fmt: skip
        """A layer's pieces, and the energy of what is neither fully connected nor attention on stacks."""
        side, energy = self._prompt_attention(prompts)
        if self.design.has_gpus:
            others, elementwise = elementwise_on_gpus(self.layer, batch.new_tokens)
        else:
            units = self.config.elementwise
            others, elementwise = elementwise_on_dies(units, self.model, self.n_bytes, batch.new_tokens)
        energy = energy + elementwise
        attention_sum, ffn_sum = fc.get("attention_all_reduce", ()), fc.get("ffn_all_reduce", ())
        rest = [*attention_sum, others["attention_norm"], *fc.get("ffn_gate", ()), *fc["ffn_up"], others["activation"],
                *fc["ffn_down"], *ffn_sum, others["ffn_norm"]]  # fmt: skip
        stages = tuple((piece,) for piece in rest)
        if pool is None or decodes is None:
            first = (*fc["qkv"], *side, *fc["projection"])
            return LayerWork(None, tuple((piece,) for piece in first), stages), energy
        link, width = self.config.attention_link, decodes.new_tokens * self.n_bytes
        sent = width * (self.model.q_dim + 2 * self.model.kv_dim)
        back = width * self.model.q_dim
        energy = energy + EnergyLedger({"attention_link": link.energy_pj(sent + back)})
        attention = Piece("attention", "pim", pool.time_ps, Bound(pool.bound, pool.peak_frac, 1.0, "of the columns"))
        middle = (
            link.piece("link_in", "attention link", sent), attention,
            link.piece("link_out", "attention link", back),
        )  # fmt: skip
        chain = AttentionChain(fc["qkv"], middle, fc["projection"])
        return LayerWork(chain, tuple((piece,) for piece in side), stages), energy

    def _prompt_attention(self, prompts: Batch | None) -> tuple[list[Piece], EnergyLedger]:
        """Attention of prompts: on the GPUs, or, without any, on the stacks at their units' peak."""
        if prompts is None:
            return [], EnergyLedger()
        if self.design.has_gpus:
            operators = [one for one in self.layer.operators(prompts, "gpu") if one.name in _ATTENTION]
            return [gpu_piece(one) for one in operators], gpu_ledger(operators).scaled(self.config.n_gpus)
        stack, head_dim = self.attention_stack, self.model.head_dim
        n_macs = sum(
            2.0 * self.model.n_heads * head_dim * sequence.new_tokens * sequence.context * n
            for sequence, n in prompts.runs
        )
        per_product = stack.macs_per_product(self.n_bytes) * self.pool.n_channels
        ticks = n_macs / per_product * max(1.0, float(stack.busy_ticks(1024)) / 1024)
        energy = EnergyLedger({"mac": n_macs * stack.config.energy.energy.mac_pj})
        return [Piece("prompt_attention", "pim", ticks * float(stack.tick_ps))], energy

    # --- attention alone

    def heads_per_stack(self, n_sequences: int) -> int:
        """Key-value heads of so many sequences on the fullest stack."""
        return ceil_div(n_sequences * self.model.n_kv_heads, self.pool.n_stacks)

    def attention(self, context: int, n_heads: int, head_dim: int, bytes_per_element: int) -> StepResult:
        """One layer's attention of `n_heads` key-value heads on one stack."""
        return attention_alone(
            self.attention_stack, PimHead(context), n_heads, head_dim, bytes_per_element, capacity=self.capacity
        )


def _named(table: dict[str, Any], name: str, where: str) -> Any:
    if name not in table:
        raise ConfigError(f"there is no `{name}`", where=where, remedy=did_you_mean(name, table))
    return table[name]
