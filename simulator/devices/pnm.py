"""Processing-near-memory unit of a CENT device: accumulators, reduction trees, exponent units and small cores, by
formula.

Source: CENT (ASPLOS'25) repository; power of the units as in its energy model. Not modelled: contention inside the
unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from pydantic import BaseModel, ConfigDict

from simulator.core.quantities import Milliwatts, NonNegativeFloat, Period, PositiveInt


class PnmConfig(BaseModel):
    """Unit counts, cycles per operation and power; every `*_cyc` in the unit's own clock."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clock_period_ps: Period
    n_units: PositiveInt
    burst_elements: PositiveInt
    accumulate_cyc: NonNegativeFloat
    exponent_cyc: NonNegativeFloat
    reduce_cyc: NonNegativeFloat
    norm_core_cyc: NonNegativeFloat
    softmax_reduce_cyc_per_head: NonNegativeFloat
    softmax_core_cyc_per_head: NonNegativeFloat
    softmax_core_busy_cyc_per_head: NonNegativeFloat
    rope_core_cyc_per_element: NonNegativeFloat
    shared_buffer_read_mw: Milliwatts
    shared_buffer_write_mw: Milliwatts
    shared_buffer_static_mw: Milliwatts
    instruction_buffer_read_mw: Milliwatts
    instruction_buffer_static_mw: Milliwatts
    core_mw: Milliwatts
    reduction_mw: Milliwatts
    exponent_mw: Milliwatts
    vector_add_mw: Milliwatts
    unit_leakage_mw: Milliwatts
    control_mw: Milliwatts


@dataclass(frozen=True, slots=True)
class PnmWork:
    """What one operation asks of the unit: cycles, and the events that energy is counted by."""

    cycles: float
    buffer_reads: float
    buffer_writes: float
    instructions: float
    core_cycles: float
    reductions: float
    exponents: float
    vector_adds: float

    def __add__(self, other: PnmWork) -> PnmWork:
        return PnmWork(*(getattr(self, name) + getattr(other, name) for name in PnmWork.__slots__))

    def scaled(self, factor: float) -> PnmWork:
        """The same work, `factor` times."""
        return PnmWork(*(getattr(self, name) * factor for name in PnmWork.__slots__))


NO_WORK = PnmWork(0, 0, 0, 0, 0, 0, 0, 0)


class Pnm:
    """Time and energy of norms, softmax and rotary embeddings next to memory."""

    def __init__(self, config: PnmConfig) -> None:
        self.config = config

    def norm(self, hidden: int) -> PnmWork:
        """Sum of squares of a vector of `hidden` elements: partial sums reduced, one square root on a core."""
        config = self.config
        words = hidden / config.burst_elements**2
        return PnmWork(
            cycles=words / config.n_units * config.accumulate_cyc + config.reduce_cyc + config.norm_core_cyc,
            buffer_reads=2 * (words + 2),
            buffer_writes=words + 2,
            instructions=words + 2,
            core_cycles=config.norm_core_cyc,
            reductions=1,
            exponents=0,
            vector_adds=words,
        )

    def softmax(self, context: int, n_heads: int) -> PnmWork:
        """Exponents and their sums over `context` scores of each head, one reciprocal per head on a core."""
        config = self.config
        words = context * n_heads / config.burst_elements
        per_head = config.softmax_reduce_cyc_per_head + config.softmax_core_cyc_per_head
        return PnmWork(
            cycles=words / config.n_units * (config.exponent_cyc + config.accumulate_cyc) + n_heads * per_head,
            buffer_reads=3 * words + 2 * n_heads,
            buffer_writes=2 * words + 2 * n_heads,
            instructions=2 * words + 2 * n_heads,
            core_cycles=config.softmax_core_busy_cyc_per_head * n_heads,
            reductions=n_heads,
            exponents=words,
            vector_adds=words,
        )

    def rope(self, n_elements: int) -> PnmWork:
        """Rearrange `n_elements` of queries and keys for the rotary embedding, on the cores."""
        config = self.config
        words = n_elements / config.burst_elements
        cycles = config.rope_core_cyc_per_element * n_elements
        return PnmWork(
            cycles=cycles,
            buffer_reads=words,
            buffer_writes=2 * words,
            instructions=n_elements,
            core_cycles=cycles,
            reductions=0,
            exponents=0,
            vector_adds=0,
        )

    def duration_ps(self, work: PnmWork) -> Fraction:
        """Time of the work on an otherwise idle unit, exact."""
        return Fraction(work.cycles) * self.config.clock_period_ps

    def energy_pj(self, work: PnmWork, n_device_instructions: int) -> dict[str, float]:
        """Dynamic energy; `n_device_instructions` are AiM instructions read from the instruction buffer beside the
        unit's own."""
        config = self.config
        # 1 mW for one ps is 1e-3 pJ.
        pj_per_mw = float(config.clock_period_ps) * 1e-3
        milliwatt_events = {
            "shared_buffer": config.shared_buffer_read_mw * work.buffer_reads
            + config.shared_buffer_write_mw * work.buffer_writes,
            "instruction_buffer": config.instruction_buffer_read_mw * (n_device_instructions + work.instructions),
            "pnm": config.core_mw * work.core_cycles
            + config.reduction_mw * work.reductions
            + config.exponent_mw * work.exponents
            + config.vector_add_mw * work.vector_adds,
        }
        return {name: value * pj_per_mw for name, value in milliwatt_events.items()}

    @property
    def static_mw(self) -> dict[str, float]:
        """Power that flows whatever the unit does, by component."""
        config = self.config
        return {
            "shared_buffer": config.shared_buffer_static_mw,
            "instruction_buffer": config.instruction_buffer_static_mw,
            "pnm": config.unit_leakage_mw * config.n_units + config.control_mw,
        }
