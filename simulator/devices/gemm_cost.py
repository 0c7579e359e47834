"""What one matrix product costs on an array with its buffers and memory: BitMoD's sums, and corrected ones."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from pydantic import BaseModel, ConfigDict

from simulator.core.quantities import PicojoulesPerByte, PositiveInt
from simulator.core.rounding import ceil_div
from simulator.devices.dram_stream import StreamedDram
from simulator.devices.gemm_array import GemmArray
from simulator.devices.gemm_buffers import GemmBuffers, Port
from simulator.devices.gemm_work import WORD_BITS, Fetches, Gemm, Phase, fetches


@dataclass(frozen=True, slots=True)
class GemmCost:
    """One product, once: the array's cycles, the memory's (whole where it works in cycles), bytes, energies without
    what flows in the background."""

    gemm: Gemm
    compute_cycles: int
    memory_cycles: Fraction
    read_bytes: int
    write_bytes: int
    pe_pj: float
    sram_read_pj: float
    sram_write_pj: float
    dram_pj: float

    @property
    def cycles(self) -> Fraction:
        """The slower of array and memory."""
        return max(Fraction(self.compute_cycles), self.memory_cycles)

    @property
    def n_bytes(self) -> int:
        """Bytes to and from memory."""
        return self.read_bytes + self.write_bytes


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the two buffers."""

    weight: Port
    activation: Port

    @classmethod
    def of(cls, array: GemmArray, buffers: GemmBuffers, phase: Phase, weight_bits: Fraction, *, padded: bool) -> Ports:
        """The ports that an arrangement of an array asks for. Raises ConfigError for widths beyond the table."""
        weight, activation = array.port_widths(phase, weight_bits, padded=padded)
        return cls(buffers.port(weight), buffers.port(activation))

    @property
    def notes(self) -> tuple[str, ...]:
        """What of their energies is no row of the table."""
        return tuple(port.note for port in (self.weight, self.activation) if port.note)


class PublishedMemory(BaseModel):
    """A memory as a figure per cycle and per byte, reads and writes alike."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes_per_cycle: PositiveInt
    energy_pj_per_byte: PicojoulesPerByte


@dataclass(frozen=True, slots=True)
class PublishedSums:
    """BitMoD's cost model to the letter: no fill, no latency, the whole array charged, buffers read once a step
    whatever its terms."""

    array: GemmArray
    buffer_bytes: int
    ports: dict[Phase, Ports]
    memory: PublishedMemory
    element_pj: float

    def cost(self, gemm: Gemm) -> GemmCost:
        """One product. Source: BitMoD's repository, revisions of November 2024 and July 2025."""
        passes, ports = self.array.passes(gemm), self.ports[gemm.phase]
        times = fetches(gemm.weight.n_bytes, gemm.activation.n_bytes, self.buffer_bytes)
        read = gemm.weight.n_bytes * times.weight + gemm.activation.n_bytes * times.activation
        n_bytes = read + gemm.output.n_bytes
        n_elements = passes.shape.rows * passes.shape.columns
        reads = passes.folds * passes.steps
        return GemmCost(
            gemm=gemm,
            compute_cycles=passes.cycles,
            memory_cycles=Fraction(n_bytes // self.memory.bytes_per_cycle),
            read_bytes=read,
            write_bytes=gemm.output.n_bytes,
            pe_pj=self.element_pj * n_elements * passes.cycles,
            sram_read_pj=reads * (ports.weight.read_pj + ports.activation.read_pj),
            sram_write_pj=_filled_pj(gemm, times, ports),
            dram_pj=n_bytes * self.memory.energy_pj_per_byte,
        )


def _filled_pj(gemm: Gemm, times: Fetches, ports: Ports) -> float:
    """Writes of words into the buffers, at the share of a port's width that a word is."""
    weights = gemm.weight.words * times.weight
    activations = gemm.activation.words * times.activation + gemm.output.words
    return WORD_BITS * (
        weights * ports.weight.write_pj / ports.weight.width
        + activations * ports.activation.write_pj / ports.activation.width
    )


@dataclass(frozen=True, slots=True)
class CorrectedSums:
    """The same machine as it would behave: folds fill and drain, elements and buffer lines without an operand are
    gated, a step's operands are read with all their bits, memory streams as simulated.

    `element_pj` is that of a working element, `idle_frac` of it flows through a gated or waiting one, and is charged as
    background. `period_ps` is a cycle.
    """

    array: GemmArray
    buffer_bytes: int
    ports: dict[Phase, Ports]
    memory: StreamedDram
    element_pj: float
    idle_frac: float
    period_ps: float
    group: int
    scale_bits: int

    def cost(self, gemm: Gemm) -> GemmCost:
        """One product, background left out."""
        array, ports = self.array, self.ports[gemm.phase]
        passes = array.passes(gemm)
        stall = array.stall_cycles(gemm.inputs, gemm.term_bits, self.group, self.scale_bits) if gemm.scaled else 0
        per_fold = passes.steps * passes.terms + stall + array.skew_cycles(passes.shape)
        one = gemm.n_products
        times = fetches(ceil_div(gemm.weight.n_bytes, one), ceil_div(gemm.activation.n_bytes, one), self.buffer_bytes)
        read = gemm.weight.n_bytes * times.weight + gemm.activation.n_bytes * times.activation
        written = gemm.output.n_bytes
        return GemmCost(
            gemm=gemm,
            compute_cycles=passes.folds * per_fold,
            memory_cycles=Fraction(self.memory.time_ps(read, written) / self.period_ps),
            read_bytes=read,
            write_bytes=written,
            pe_pj=self.element_pj * (1 - self.idle_frac) * array.active_cycles(gemm),
            sram_read_pj=_fed_pj(
                gemm, ports, ceil_div(gemm.tokens, passes.shape.columns), gemm.outputs, passes.shape.rows
            ),
            sram_write_pj=_packed_pj(gemm, times, ports),
            dram_pj=sum(self.memory.dynamic_pj(read, written).values()),
        )


def _fed_pj(gemm: Gemm, ports: Ports, column_folds: int, outputs: int, rows: int) -> float:
    """Reads of all bits that the folds need: weights for every fold of columns, activations for every fold of rows."""
    weight_bits = gemm.weight.packed_bits * column_folds
    activation_bits = gemm.activation.packed_bits * ceil_div(outputs, rows)
    return _share(weight_bits, ports.weight, ports.weight.read_pj) + _share(
        activation_bits, ports.activation, ports.activation.read_pj
    )


def _packed_pj(gemm: Gemm, times: Fetches, ports: Ports) -> float:
    """Writes of all bits that come from memory or go there."""
    weight_bits = gemm.weight.packed_bits * times.weight
    activation_bits = gemm.activation.packed_bits * times.activation + gemm.output.packed_bits
    return _share(weight_bits, ports.weight, ports.weight.write_pj) + _share(
        activation_bits, ports.activation, ports.activation.write_pj
    )


def _share(bits: float, port: Port, access_pj: float) -> float:
    """Energy of moving bits through a port of which only as much as is needed is driven."""
    return bits * access_pj / port.width
