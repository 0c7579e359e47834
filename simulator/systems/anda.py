"""Anda: an array that takes activations as bit planes of a chosen mantissa, and the arrays that it is compared to.

Products with INT4 weights run on the array while weights arrive and a compressor turns activations into planes; what
takes longest bounds them. Attention, norms and the output head are there too unless `attention: excluded`, which
is all that the paper counts.

Source: Anda (HPCA 2025); `docs/anda.md` says what its paper leaves open, what is fitted and what is assumed. Not
modelled: pages and refresh of the memory, residual additions, power while nothing runs.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict

from simulator.contracts.accuracy import AccuracyResult, AccuracySubject
from simulator.contracts.capacity import capacity_note, sequences_in_words
from simulator.contracts.results import Bound, Scalar, StepResult, Table
from simulator.contracts.system import CapacityMode, KvRoom
from simulator.contracts.tasks import TaskGraph
from simulator.core.energy import EnergyLedger
from simulator.core.errors import ConfigError, MappingError
from simulator.core.quantities import Bits, Hertz, PositiveInt
from simulator.core.spelling import did_you_mean
from simulator.devices.anda_config import ChipConfig, Mantissa, MemoryConfig, WeightConfig
from simulator.devices.anda_tiling import BufferTiling, StripTiling, Tiling
from simulator.devices.anda_work import AndaWork, OperandFormat, StepWork
from simulator.devices.bit_plane_array import EXPONENT_GROUP, FLOAT_BITS, BitPlaneArray
from simulator.devices.scheduling import check_durations, schedule
from simulator.numerics.bit_operations import MODULES, bit_operations_saving, mac_weights
from simulator.numerics.format_names import format_named
from simulator.numerics.precision_search import format_name, search_precision
from simulator.workload.batch import Batch
from simulator.workload.model import ModelSpec

N_STEPS_KEPT = 512
PAPER_SCOPE = "products with INT4 weights only, which is all that Anda's paper counts (system.attention=excluded)"
WIDER_SCOPE = (
    "Anda's paper stops at the products of prompts with INT4 weights; decodes, attention, norms and the output head "
    "are computed by assumptions of this project (docs/anda.md; system.attention=excluded leaves the latter out)"
)


@dataclass(frozen=True, slots=True)
class AndaAccounting:
    """How energy and traffic are added up."""

    name: Literal["published", "corrected"]
    mean: str = "time"
    slot_policy: str = "independent"


@dataclass(frozen=True, slots=True)
class Charge:
    """Time and energy of one operator: cycles by resource, pJ by component."""

    work: StepWork
    cycles: dict[str, float]
    array_pj: float
    compressor_pj: float
    vector_pj: float
    sram_pj: float
    dram_pj: float


class Anda:
    """An Anda chip, or one with another array, for one model: `step` takes any batch."""

    workload_kinds = frozenset({"llm", "accuracy"})
    scopes: tuple[str, ...] = ()
    takes_batches: Literal[True] = True

    class Config(BaseModel):
        """The `system` section of `hw_configs/anda.yaml`.

        `mantissas` are those of qkv, o, u and d; arrays without bit planes have their own. `strip_heights` says for how
        many heights of the array the published accounting fetches weights once. `tolerance` belongs to accuracy runs,
        which search mantissas.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        design: str = "anda"
        mantissas: tuple[Mantissa, Mantissa, Mantissa, Mantissa] = (8, 8, 8, 8)
        tolerance: Annotated[float, Ge(0), Le(1)] = 0.001
        accounting: Literal["published", "corrected"] = "published"
        attention: Literal["included", "excluded"] = "included"
        attention_mantissa: Mantissa = 11
        head_bits: Bits = 16
        strip_heights: PositiveInt = 2
        capacity: CapacityMode = "report"
        clock_hz: Hertz
        weight: WeightConfig = WeightConfig()
        memory: MemoryConfig
        chip: ChipConfig
        designs: dict[str, BitPlaneArray.Config]

    def __init__(self, config: Config, model: ModelSpec, context_step: int = 1) -> None:
        if config.design not in config.designs:
            raise ConfigError(
                f"there is no design {config.design!r}",
                where="system.design",
                remedy=did_you_mean(config.design, config.designs, noun="the designs"),
            )
        self.config, self.model, self.context_step = config, model, context_step
        self.accounting = AndaAccounting(config.accounting)
        self.capacity: CapacityMode = config.capacity
        self.array = BitPlaneArray(config.designs[config.design])
        self.mantissas = dict(zip(MODULES, map(self.array.mantissa, config.mantissas), strict=True))
        weight = OperandFormat(config.weight.bits, config.weight.group, config.weight.group_bits)
        self.work = AndaWork(
            self.array, self._tiling, weight, self.mantissas, config.attention_mantissa, config.head_bits
        )  # fmt: skip
        self._step = lru_cache(maxsize=N_STEPS_KEPT)(self._computed)

    def other_accounting(self) -> Anda:
        """The same chip under the other accounting."""
        other = "corrected" if self.config.accounting == "published" else "published"
        changed = {"accounting": other, "capacity": "report"}
        return Anda(self.config.model_copy(update=changed), self.model, self.context_step)

    @property
    def _tiling(self) -> Tiling:
        chip, array = self.config.chip, self.array.config
        if self.config.accounting == "published":
            return StripTiling(self.config.strip_heights * array.rows)
        return BufferTiling(
            array.rows, array.columns, chip.activation_buffer.capacity_bytes * 8, chip.weight_buffer.capacity_bytes * 8
        )

    # --- what its formats do to a model

    def evaluate(self, subject: AccuracySubject) -> AccuracyResult:
        """A model's predictions with mantissas searched within `tolerance`, or as the array fixes them, or in the
        subject's formats."""
        if subject.format is not None:
            return AccuracyResult(subject.accuracy(subject.format))
        weights = f"int{self.config.weight.bits}_asym_g{self.config.weight.group}"
        format_named(weights, where="system.weight")
        if not self.array.takes_planes:
            mantissa = self.array.mantissa(FLOAT_BITS)
            inputs = "act_fp16" if mantissa >= FLOAT_BITS else f"anda_m{mantissa}"
            return AccuracyResult(subject.accuracy(f"{weights}+{inputs}"))
        return searched(subject, weights, self.config.tolerance)

    # --- what an engine asks

    @property
    def machine(self) -> str:
        """The array in a few words."""
        array = self.array.config
        return f"{array.name} ({array.rows} x {array.columns} units of {array.width})"

    @property
    def idle_power_w(self) -> float:
        """No power of an idle chip is modelled."""
        return 0.0

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights: matrices of the layers as integers with their groups' metadata, the rest in
        `head_bits`."""
        model, weight = self.model, self.work.weight
        n_experts = model.n_experts + model.n_shared_experts if model.n_experts else 1
        width = model.expert_ffn if model.n_experts else model.ffn
        n_inner = 2 if model.gated else 1
        matrices = (
            (model.hidden, model.q_dim + 2 * model.kv_dim, 1),
            (model.q_dim, model.hidden, 1),
            (model.hidden, n_inner * width, n_experts),
            (width, model.hidden, n_experts),
        )
        bits = sum(depth * outputs * n * weight.stored_bits(depth) for depth, outputs, n in matrices)
        n_inside = sum(depth * outputs * n for depth, outputs, n in matrices)
        rest = model.n_params - model.n_layers * n_inside
        return int(-(-(model.n_layers * bits + rest * self.config.head_bits) // 8))

    @cached_property
    def kv_room(self) -> KvRoom:
        """Room for keys and values beside the weights. Raises MappingError where the weights do not fit."""
        free = self.config.memory.capacity_bytes - self.weight_bytes
        if free < 0:
            raise MappingError(
                f"the weights of {self.model.name} overfill the memory by {-free:,} bytes",
                where="workload.model",
                remedy="give more memory (system.memory.capacity), or take a smaller model",
                missing_bytes=-free,
            )
        return KvRoom.of_bytes(free, max(1, self.model.kv_bytes_per_token))

    def check_capacity(self, n_sequences: int, context: int) -> str | None:
        """A note on missing bytes where capacity is only reported; MappingError where it is enforced."""
        kept = min(context, self.model.sliding_window or context)
        who = sequences_in_words(n_sequences, kept)
        return capacity_note(
            lambda: self.kv_room, self.capacity, n_sequences, kept,
            lambda missing: f"{who} overfill the memory by {missing:,} bytes",
            "use a smaller batch or context, more memory (system.memory.capacity), or set system.capacity=report",
        )  # fmt: skip

    def step_key(self, batch: Batch) -> Hashable:
        """Batches of the same sequences, in any order, cost the same; decodes stand at their mean context."""
        return batch.levelled(self.context_step)

    def step(self, batch: Batch) -> StepResult:
        """Time, energy and bounds of one step of any sequences."""
        return self._step(batch.levelled(self.context_step))

    def tables(self) -> dict[str, Table]:
        """Area and power of the chip by component."""
        rows = [(name, area, power) for name, (area, power) in self.components.items()]
        return {"components": Table(("component", "area_mm2", "power_mw"), rows)}

    @property
    def components(self) -> dict[str, tuple[float, float]]:
        """Area in mm2 and power at work in mW of each component."""
        chip, array = self.config.chip, self.array.config
        found = {"array": (array.area_mm2, array.power_mw)}
        for name in ("compressor", "vector", "activation_buffer", "weight_buffer", "controller"):
            if name != "compressor" or self.array.takes_planes:
                part = getattr(chip, name)
                found[name] = (part.area_mm2, part.power_mw)
        return found

    @property
    def area_mm2(self) -> float:
        """Area of the chip."""
        return sum(area for area, _ in self.components.values())

    # --- one step

    def _computed(self, batch: Batch) -> StepResult:
        n_layers = self.model.n_layers
        parts: tuple[list[StepWork], ...]
        if self.config.attention == "excluded":
            parts = ([], self.work.products(self.model, batch), [])
        else:
            before, after = self.work.once(self.model, batch)
            parts = (before, self.work.layer(self.model, batch), after)
        charges = [[self._charge(work) for work in part] for part in parts]
        counted = [(one, n) for part, n in zip(charges, (1, n_layers, 1), strict=True) for one in part]
        check_durations([(one.work.name, n * self._ps(max(one.cycles.values()))) for one, n in counted], "system")
        planned = schedule(self._graph(*charges))
        energy = EnergyLedger({
            "compute": sum(n * (one.array_pj + one.compressor_pj + one.vector_pj) for one, n in counted),
            "sram": sum(n * one.sram_pj for one, n in counted),
            "dram": sum(n * one.dram_pj for one, n in counted),
        })  # fmt: skip
        latency_ps = max(1, planned.makespan_ps)
        cycles = round(latency_ps * self.config.clock_hz / 1e12)
        saving = bit_operations_saving(tuple(self.mantissas.values()), mac_weights(self.model))
        return StepResult(
            latency_ps=latency_ps,
            interval_ps=latency_ps,
            n_slots=1,
            operators_overlap=True,
            schedule=planned,
            energy=energy,
            power_w=energy.total_pj / latency_ps,
            traffic_bytes={"hbm": round(sum(n * one.work.all_dram_bits for one, n in counted) / 8)},
            bounds={one.work.name: self._bound(one) for one, _ in counted},
            metrics={
                "cycles": cycles,
                "energy_uj": energy.total_pj / 1e6,
                **{f"{name}_uj": pj / 1e6 for name, pj in energy.dynamic_pj.items()},
                "bops_saving": saving,
            },
            breakdown=self._breakdown(counted),
            notes=(WIDER_SCOPE if self.config.attention == "included" else PAPER_SCOPE,),
        )

    def _charge(self, work: StepWork) -> Charge:
        config, chip = self.config, self.config.chip
        cycles: dict[str, float] = {"array": 0.0}
        array_pj = sram_bits = 0.0
        if work.array is not None:
            cycles["array"] = work.array.cycles
            steps = work.array.steps if config.accounting == "published" else work.array.busy_steps
            array_pj = self._pj(self.array.config.power_mw, steps * work.array.step_cycles)
            sram_bits = work.array.activation_bits + work.array.operand_bits
        dram_bits = work.all_dram_bits
        cycles["hbm"] = dram_bits / 8 / config.memory.bandwidth_gb_per_s * config.clock_hz / 1e9
        cycles["compressor"] = work.converted / (chip.compressor.n_lanes * EXPONENT_GROUP) * (1 + work.mantissa)
        cycles["vector"] = work.vector_ops / chip.vector.n_lanes
        sram = chip.sram
        each = sram.published_pj_per_bit if config.accounting == "published" else sram.corrected_pj_per_bit
        return Charge(
            work,
            cycles,
            array_pj,
            self._pj(chip.compressor.power_mw, cycles["compressor"]),
            self._pj(chip.vector.power_mw, cycles["vector"]),
            # What comes from the memory is written into a buffer, and what goes there is read from one.
            (sram_bits + dram_bits) * each,
            dram_bits * config.memory.pj_per_bit,
        )

    def _pj(self, power_mw: float, cycles: float) -> float:
        return power_mw * cycles / self.config.clock_hz * 1e9

    def _ps(self, cycles: float) -> int:
        return round(cycles * 1e12 / self.config.clock_hz)

    def _graph(self, before: list[Charge], layer: list[Charge], after: list[Charge]) -> TaskGraph:
        """Operators one after the other; what one needs of array, memory, compressor and vector unit overlaps."""
        graph = TaskGraph()
        done = self._chain(graph, before)[1]
        template = TaskGraph()
        entries, exits = self._chain(template, layer)
        done = graph.add_repeated(template, self.model.n_layers, entries=entries, exits=exits, after=done)
        self._chain(graph, after, tuple(done))
        return graph

    def _chain(
        self, graph: TaskGraph, charges: list[Charge], after: tuple[int, ...] = ()
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Lay operators end to end; the tasks of the first one, and those of the last."""
        entries: tuple[int, ...] = ()
        for one in charges:
            used = {name: self._ps(cycles) for name, cycles in one.cycles.items() if cycles} or {"array": 0}
            after = tuple(graph.add(one.work.name, name, ps, after) for name, ps in used.items())
            entries = entries or after
        return entries, after

    def _bound(self, charge: Charge) -> Bound:
        """What takes longest: the array, the memory, the vector unit or the compressor."""
        name = max(charge.cycles, key=lambda one: charge.cycles[one])
        cycles = charge.cycles[name]
        if name == "array" and cycles:
            return Bound("compute", charge.work.macs / cycles, charge.work.peak_macs_per_cycle, "MAC/cycle")
        if name == "hbm":
            peak = self.config.memory.bandwidth_gb_per_s
            return Bound("memory bandwidth", peak, peak, "GB/s")
        return Bound("vector unit" if name != "compressor" else name, 1.0, 1.0, "of its lanes")

    def _breakdown(self, counted: list[tuple[Charge, int]]) -> dict[str, dict[str, Scalar]]:
        """Where compute energy and traffic go, the mantissas, and the chip."""
        streams: dict[str, float] = {}
        for one, n in counted:
            for name, bits in (one.work.dram_bits or {}).items():
                streams[name] = streams.get(name, 0.0) + n * bits
        compute = {
            name: sum(n * getattr(one, f"{name}_pj") for one, n in counted) / 1e6
            for name in ("array", "compressor", "vector")
        }
        return {
            "compute_uj": dict(compute),
            "dram_mb": {name: bits / 8e6 for name, bits in streams.items()},
            "mantissas": dict(self.mantissas),
            "area_mm2": {name: area for name, (area, _) in self.components.items()},
            "power_mw": {name: power for name, (_, power) in self.components.items()},
        }


def searched(subject: AccuracySubject, weights: str, tolerance: float) -> AccuracyResult:
    """Mantissas by the adaptive precision search on the subject's calibration texts, tried on the texts to score.

    The reference is the model with the same weights and FP16 activations. Where no tuple is within the tolerance, it
    is that model which is scored.
    """
    reference = f"{weights}+act_fp16"
    found = search_precision(
        lambda tried: subject.calibration_perplexity(f"{weights}+{format_name(tried)}"),
        subject.calibration_perplexity(reference),
        mac_weights(subject.shape),
        tolerance=tolerance,
    )
    accuracy = subject.accuracy(reference if found.best is None else f"{weights}+{format_name(found.best)}")
    before = subject.perplexity(reference)
    increase = accuracy.perplexity / before - 1
    metrics: dict[str, int | float] = {
        "bops_saving": found.saving,
        "n_iterations": found.n_iterations,
        "reference_perplexity": before,
        "perplexity_increase_frac": increase,
        "calibration_reference_perplexity": found.reference,
    }
    notes = [f"calibrated on other windows than those scored: {found.in_words}"]
    if (visit := found.best_visit) is not None:
        metrics["calibration_perplexity"] = visit.perplexity
        metrics["calibration_increase_frac"] = visit.perplexity / found.reference - 1
        if increase > tolerance:
            notes.append(f"on the windows scored the perplexity rises by {increase:.2%}, beyond the tolerance")
    rows = [
        (*one.mantissas, one.perplexity, one.perplexity / found.reference - 1, "yes" if one.accepted else "no")
        for one in found.visits
    ]
    return AccuracyResult(
        accuracy,
        metrics,
        {"mantissas": {} if found.best is None else dict(zip(MODULES, found.best, strict=True))},
        {"search": Table((*MODULES, "perplexity", "increase_frac", "accepted"), rows)},
        notes=notes,
    )
