"""BitMoD: an array that multiplies weights of few bits, its buffers and DDR4 memory; and the arrays it is compared to.

A matrix product is as slow as the slower of array and memory, and the next one waits for both. `accounting: published`
adds up as the authors' simulator does, in its revision of 2024 (behind the paper's figures) or of 2025; `corrected`
mends what `docs/bitmod.md` lists.

Source: BitMoD (HPCA 2025) and its repository. Not modelled: softmax, norms and rotations, of which neither has a unit;
biases; operands that stay on the chip from one product to the next; experts.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import ceil
from typing import Annotated, Any, Literal

from annotated_types import MinLen
from pydantic import BaseModel, ConfigDict, Field

from simulator.contracts.accuracy import AccuracyResult, AccuracySubject
from simulator.contracts.capacity import capacity_note, sequences_in_words
from simulator.contracts.results import Bound, Scalar, StepResult, Table
from simulator.contracts.system import CapacityMode, KvRoom
from simulator.contracts.tasks import TaskGraph
from simulator.core.energy import BackgroundPower, EnergyLedger
from simulator.core.errors import ConfigError, MappingError
from simulator.core.quantities import Frac, Hertz, PositiveFloat, PositiveInt
from simulator.core.spelling import did_you_mean
from simulator.devices.attention_offload import rounded
from simulator.devices.dram import Dram
from simulator.devices.dram_stream import StreamedDram, streamed
from simulator.devices.gemm_array import GemmArray
from simulator.devices.gemm_buffers import GemmBuffers
from simulator.devices.gemm_cost import CorrectedSums, GemmCost, Ports, PublishedMemory, PublishedSums
from simulator.devices.gemm_lists import Bits, corrected_gemms, published_gemms
from simulator.devices.gemm_work import Phase
from simulator.devices.scheduling import check_durations, schedule
from simulator.numerics.format_names import model_formats
from simulator.workload.batch import Batch
from simulator.workload.model import ModelSpec

N_STEPS_KEPT = 256
_PHASES: tuple[Phase, ...] = ("prefill", "decode")
_TABLE_BITS = 16  # of weights that are in no product: word tables and norms


@dataclass(frozen=True, slots=True)
class BitmodAccounting:
    """How time and energy are added up, and whether memory is enforced."""

    name: Literal["published", "corrected"]
    capacity: CapacityMode
    mean: str = "time"
    slot_policy: str = "independent"


ACCOUNTINGS = {
    "published": BitmodAccounting("published", "report"),
    "corrected": BitmodAccounting("corrected", "enforce"),
}


class Bitmod:
    """One chip with an array of a datapath, for one model: `step` takes any batch."""

    workload_kinds = frozenset({"llm", "accuracy"})
    scopes: tuple[str, ...] = ()
    takes_batches: Literal[True] = True

    class Config(BaseModel):
        """The `system` section of a configuration such as `hw_configs/bitmod.yaml`.

        `weight_bits` holds a weight's share of its group's scale, of `group` weights and `scale_bits`; `kv_bits` is of
        keys and values. `memory` and `idle_frac` are of the corrected accounting, `published_memory` and `revision` of
        the published one.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        datapath: str = "bitmod"
        weight_bits: Annotated[float, Field(ge=1, le=16)]
        kv_bits: Annotated[int, Field(ge=1, le=16)]
        group: PositiveInt = 128
        scale_bits: PositiveInt = 8
        accounting: Literal["published", "corrected"] = "published"
        revision: Literal[2024, 2025] = 2025
        capacity: CapacityMode | None = None
        clock_hz: Hertz
        layout_factor: PositiveFloat
        idle_frac: Frac
        datapaths: Annotated[dict[str, GemmArray.Config], MinLen(1)]
        buffers: GemmBuffers.Config
        published_memory: PublishedMemory
        memory: Dram.Config

    def __init__(self, config: Config, model: ModelSpec, context_step: int = 1) -> None:
        self.config, self.model, self.context_step = config, model, context_step
        self.accounting = ACCOUNTINGS[config.accounting]
        self.capacity: CapacityMode = config.capacity or self.accounting.capacity
        if model.n_experts:
            raise MappingError(
                f"{model.name} has experts, and neither BitMoD's sums nor ours say how the array takes them",
                where="workload.model",
                remedy="use a dense model",
            )
        if config.datapath not in config.datapaths:
            raise ConfigError(
                f"there is no datapath `{config.datapath}`",
                where="system.datapath",
                remedy=did_you_mean(config.datapath, config.datapaths),
            )
        self.array = GemmArray(config.datapaths[config.datapath])
        # Decimals as they are written: 4.1 bits of a row of 80 are 41 bytes, and not 42.
        weight, kv = Fraction(str(config.weight_bits)), Fraction(config.kv_bits)
        self.array.check_bits("weights", weight, "system.weight_bits")
        self.array.check_bits("keys and values", kv, "system.kv_bits")
        self.bits = Bits(weight, kv, Fraction(self.array.config.activation_bits))
        self.period_ps = 1e12 / config.clock_hz
        self.buffers = GemmBuffers(config.buffers)
        padded = config.accounting == "published"
        self.ports = {phase: Ports.of(self.array, self.buffers, phase, weight, padded=padded) for phase in _PHASES}
        self._step = lru_cache(maxsize=N_STEPS_KEPT)(self._computed)

    # --- the same machine, otherwise

    def changed(self, **system: Any) -> Bitmod:
        """The same machine with other keys of `system`: `changed(datapath="fp16", weight_bits=16, kv_bits=16)`.

        Values are checked as they would be in a file. Raises pydantic's ValidationError, ConfigError, MappingError.
        """
        kept = {name: getattr(self.config, name) for name in type(self.config).model_fields}
        return Bitmod(Bitmod.Config.model_validate({**kept, **system}), self.model, self.context_step)

    def for_model(self, model: ModelSpec) -> Bitmod:
        """The same machine for another model."""
        return Bitmod(self.config, model, self.context_step)

    def other_accounting(self) -> Bitmod:
        """The same machine under the other accounting, its memory as it is here."""
        other = "corrected" if self.config.accounting == "published" else "published"
        return self.changed(accounting=other, capacity="report")

    def charged_context(self, prompt_tokens: int, context: int) -> int:
        """The context at which a query's decode is charged: published, the prompt's however far it is."""
        return prompt_tokens if self.config.accounting == "published" else context

    # --- what its formats do to a model

    @property
    def number_formats(self) -> str:
        """Formats of weights and of keys and values that the datapath and its widths stand for."""
        kv = "" if self.config.kv_bits >= _TABLE_BITS else f"+kv{self.config.kv_bits}"
        return self.array.number_format(self.bits.weight, "system.weight_bits") + kv

    def evaluate(self, subject: AccuracySubject) -> AccuracyResult:
        """A model's predictions in the subject's formats, or in those of the machine."""
        if subject.format is not None:
            return AccuracyResult(subject.accuracy(subject.format))
        formats = self.number_formats
        model_formats(formats, where="system")
        own = f"{self.array.config.name} at {self.config.weight_bits:g} bits a weight stands for {formats}"
        return AccuracyResult(subject.accuracy(formats), notes=(own,))

    # --- what an engine asks

    @property
    def machine(self) -> str:
        """The machine in a few words."""
        return f"an array of {self.array.n_elements:,} {self.array.config.name} elements"

    @property
    def idle_power_w(self) -> float:
        """Power while nothing runs; the published sums know none."""
        if self.config.accounting == "published":
            return 0.0
        return (self._array_idle_mw + self._buffer_leakage_mw + self.stream.standby_mw) / 1e3

    @cached_property
    def kv_room(self) -> KvRoom:
        """Room for keys and values beside the weights. Raises MappingError where the weights do not fit."""
        model, capacity_bytes = self.model, Dram(self.config.memory).capacity_bytes
        n_in_products = model.n_layers * (
            2 * model.hidden * (model.q_dim + model.kv_dim) + (3 if model.gated else 2) * model.hidden * model.ffn
        )
        n_in_products += model.hidden * model.vocab
        n_others = max(0, model.n_params - n_in_products) + model.tied_embeddings * model.hidden * model.vocab
        weights = -(-(n_in_products * self.bits.weight + n_others * _TABLE_BITS) // 8)
        free = capacity_bytes - weights
        if free < 0:
            raise MappingError(
                f"the weights of {model.name} overfill the memory of {capacity_bytes:,} bytes by {-free:,} bytes",
                where="workload.model",
                remedy="use fewer bits (system.weight_bits), more channels or ranks (system.memory), or another model",
                missing_bytes=-free,
            )
        return KvRoom.of_bytes(free, max(1, 2 * model.n_layers * model.kv_dim * self.config.kv_bits // 8))

    def check_capacity(self, n_sequences: int, context: int) -> str | None:
        """A note on missing bytes where capacity is only reported; MappingError where it is enforced."""
        kept = min(context, self.model.sliding_window or context)
        who = sequences_in_words(n_sequences, kept)
        return capacity_note(
            lambda: self.kv_room,
            self.capacity,
            n_sequences,
            kept,
            lambda missing: f"{who} overfill the memory by {missing:,} bytes",
            "use a smaller batch or context, more channels or ranks (system.memory), or set system.capacity=report",
        )

    def step_key(self, batch: Batch) -> Hashable:
        """Batches of the same sequences, in any order, cost the same; contexts are rounded up to `context_step`."""
        return rounded(batch, self.context_step)

    def step(self, batch: Batch) -> StepResult:
        """Time, energy and bounds of one step of any sequences."""
        return self._step(rounded(batch, self.context_step))

    def tables(self) -> dict[str, Table]:
        """Area by block."""
        area = self._area_mm2("decode")
        return {"area": Table(("block", "area_mm2"), [[name, value] for name, value in area.items()])}

    # --- one step

    @cached_property
    def stream(self) -> StreamedDram:
        """What the memory of the corrected accounting streams."""
        return streamed(self.config.memory)

    @property
    def _element_pj(self) -> float:
        return self.array.config.pe_energy_pj * self.config.layout_factor

    @property
    def _array_idle_mw(self) -> float:
        """pJ per ps is W."""
        return self._element_pj * self.config.idle_frac * self.array.n_elements / self.period_ps * 1e3

    @property
    def _buffer_leakage_mw(self) -> float:
        return 2 * self.config.buffers.leakage_mw

    @cached_property
    def sums(self) -> PublishedSums | CorrectedSums:
        """The sums of the accounting in force."""
        config = self.config
        machine = (self.array, config.buffers.capacity_bytes, self.ports)
        if config.accounting == "published":
            return PublishedSums(*machine, config.published_memory, self._element_pj)
        return CorrectedSums(
            *machine, self.stream, self._element_pj, config.idle_frac, self.period_ps, config.group, config.scale_bits
        )

    def costs(self, batch: Batch) -> list[GemmCost]:
        """What each product of a step costs, in the order of the computation."""
        if self.config.accounting == "published":
            gemms = published_gemms(self.model, batch, self.bits, self.config.revision)
        else:
            gemms = corrected_gemms(self.model, batch, self.bits)
        return [self.sums.cost(gemm) for gemm in gemms]

    def _computed(self, batch: Batch) -> StepResult:
        costs = self.costs(batch)
        longest = [(cost.gemm.name, float(cost.cycles) * self.period_ps * cost.gemm.repeat) for cost in costs]
        check_durations(longest, "system")
        planned = schedule(self._graph(costs))
        energy = self._ledger(costs, planned.makespan_ps)
        phase = costs[0].gemm.phase
        return StepResult(
            latency_ps=planned.makespan_ps,
            interval_ps=planned.makespan_ps,
            n_slots=1,
            operators_overlap=True,
            schedule=planned,
            energy=energy,
            power_w=energy.total_pj / planned.makespan_ps,
            traffic_bytes={"dram": sum(cost.n_bytes * cost.gemm.repeat for cost in costs)},
            bounds=self._bounds(costs),
            metrics=self._metrics(costs, energy, planned.makespan_ps),
            breakdown={"area_mm2": dict(self._area_mm2(phase))},
            notes=self._notes(phase),
        )

    def _graph(self, costs: list[GemmCost]) -> TaskGraph:
        """Array and memory at once for each product, and the next one after both; layers one after the other."""
        graph = TaskGraph()
        after: tuple[int, ...] = ()
        layers = [cost for cost in costs if cost.gemm.repeat > 1]
        once = [cost for cost in costs if cost.gemm.repeat == 1]
        if layers:
            layer = TaskGraph()
            last = self._chained(layer, layers, ())
            after = graph.add_repeated(layer, layers[0].gemm.repeat, entries=(0, 1), exits=last)
        self._chained(graph, once, after)
        return graph

    def _chained(self, graph: TaskGraph, costs: list[GemmCost], after: tuple[int, ...]) -> tuple[int, ...]:
        for cost in costs:
            array = graph.add(cost.gemm.name, "array", round(cost.compute_cycles * self.period_ps), after)
            memory = graph.add(cost.gemm.name, "dram", round(float(cost.memory_cycles) * self.period_ps), after)
            after = (array, memory)
        return after

    def _ledger(self, costs: list[GemmCost], makespan_ps: int) -> EnergyLedger:
        parts = {"pe": 0.0, "sram read": 0.0, "sram write": 0.0, "dram": 0.0}
        for cost in costs:
            n = cost.gemm.repeat
            parts["pe"] += n * cost.pe_pj
            parts["sram read"] += n * cost.sram_read_pj
            parts["sram write"] += n * cost.sram_write_pj
            parts["dram"] += n * cost.dram_pj
        if self.config.accounting == "published":
            return EnergyLedger(parts)
        moving_ps = sum(float(cost.memory_cycles) * cost.gemm.repeat for cost in costs) * self.period_ps
        background = (
            BackgroundPower("pe", "gated or waiting", self._array_idle_mw, makespan_ps),
            BackgroundPower("sram leakage", "always", self._buffer_leakage_mw, makespan_ps),
            BackgroundPower("dram", "standby and refresh", self.stream.standby_mw, makespan_ps),
            BackgroundPower("dram", "rows open", self.stream.read.open_mw, moving_ps),
        )
        return EnergyLedger(parts, background)

    def _bounds(self, costs: list[GemmCost]) -> dict[str, Bound]:
        """What bound each product, array or memory; of several of a name the longest tells."""
        found: dict[str, tuple[Fraction, Bound]] = {}
        for cost in costs:
            cycles = cost.cycles
            if cost.memory_cycles > cost.compute_cycles:
                achieved = cost.n_bytes / (float(cycles) * self.period_ps) * 1e3
                bound = Bound("dram", achieved, max(achieved, self._peak_gb_per_s), "GB/s")
            else:
                config = self.array.config
                shape = self.array.shape(cost.gemm.phase)
                peak = shape.rows * shape.columns * config.lanes / self.array.terms(cost.gemm.term_bits)
                bound = Bound("compute", cost.gemm.macs / float(cycles), peak, "MAC/cycle")
            if cost.gemm.name not in found or cycles > found[cost.gemm.name][0]:
                found[cost.gemm.name] = (cycles, bound)
        return {name: bound for name, (_, bound) in found.items()}

    @property
    def _peak_gb_per_s(self) -> float:
        if self.config.accounting == "corrected":
            return self.stream.peak_gb_per_s
        return self.config.published_memory.bytes_per_cycle / self.period_ps * 1e3

    def _metrics(self, costs: list[GemmCost], energy: EnergyLedger, makespan_ps: int) -> dict[str, int | float]:
        """Cycles of the array's clock and energies by where they are spent."""
        by = {name: value / 1e6 for name, value in energy.by_component().items()}
        sram = by["sram read"] + by["sram write"] + by.get("sram leakage", 0.0)
        compute = sum(cost.compute_cycles * cost.gemm.repeat for cost in costs)
        macs = sum(cost.gemm.macs * cost.gemm.repeat for cost in costs)
        if self.config.accounting == "published":
            cycles = int(sum(cost.cycles * cost.gemm.repeat for cost in costs))
        else:
            cycles = ceil(makespan_ps / self.period_ps)
        return {
            "cycles": cycles,
            "compute_cycles": compute,
            "memory_cycles": round(float(sum(cost.memory_cycles * cost.gemm.repeat for cost in costs))),
            "energy_uj": energy.total_pj / 1e6,
            "pe_uj": by["pe"],
            "sram_uj": sram,
            "sram_read_uj": by["sram read"],
            "sram_write_uj": by["sram write"],
            "dram_uj": by["dram"],
            "onchip_uj": by["pe"] + sram,
            "macs_per_cycle": macs / max(1, cycles),
        }

    def _area_mm2(self, phase: Phase) -> Mapping[str, Scalar]:
        """Area of the elements and of the buffers with the ports of an arrangement."""
        ports = self.ports[phase]
        return {
            "elements": self.array.area_mm2,
            "weight buffer": ports.weight.area_mm2,
            "activation buffer": ports.activation.area_mm2,
        }

    def _notes(self, phase: Phase) -> tuple[str, ...]:
        """Where a number is no row of a table, and where scales hold up the array."""
        config, notes = self.config, list(self.ports[phase].notes)
        stall = self.array.stall_cycles(self.model.hidden, self.bits.weight, config.group, config.scale_bits)
        if stall:
            counted = "counted" if config.accounting == "corrected" else "which the published sums leave out"
            notes.append(
                f"groups of {config.group} are shorter than their scales of {config.scale_bits} bits take: "
                f"{stall:,} cycles of a fold of {self.model.hidden:,} inputs, {counted}"
            )
        return tuple(notes)
