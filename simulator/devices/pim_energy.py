"""Energy of an HBM stack with processing units, from the commands that it issues and the work that its units do.

Source: AttAcc simulator (ASPLOS'24), with constants per bit of Fine-Grained DRAM (MICRO'17). There are two accountings:

`published` is what that simulator prints. Transfers between units and buffer die are charged a number per bit for each
byte, all of the way whatever the placement of the units; of attention's two products only the first has arithmetic.
`corrected` charges each bit, the part of the way that it goes, both products, and rows as they are opened. Reading
cells and carrying what is read to the unit was right, and is the same in both. Units on the buffer die are the one case
where `corrected` may be less: nothing moves between them and their own die's buffers.

Not modelled: standby and refresh, the controller and its queues, instruction and input buffers of the units, results
that leave the stack over the interposer, data-dependent toggling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.core.energy import EnergyLedger
from simulator.core.errors import ModelFault
from simulator.core.quantities import (
    Hertz,
    Milliwatts,
    NonNegativeFloat,
    Picojoules,
    PicojoulesPerByte,
    PositiveBytes,
    PositiveFloat,
    PositiveInt,
    PositivePs,
)

Placement = Literal["bank", "bg", "buffer"]
Accounting = Literal["published", "corrected"]
PLACEMENTS: tuple[Placement, ...] = ("bank", "bg", "buffer")
PATHS = ("decoder_mux", "gio", "tsv", "io")
MEMORY = ("cell", *PATHS, "softmax_sram")
"""Components that a printed energy of attention's memory sums; the rest is arithmetic."""

# Segments between the cells and a unit; those that remain lie between the unit and the buffer die.
_SEGMENTS = ("decoder_mux", "gio", "tsv")
_TO_UNIT: dict[Placement, tuple[str, ...]] = {"bank": (), "bg": _SEGMENTS[:1], "buffer": _SEGMENTS}
_BITS = 8


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EnergyConfig(_Section):
    """Energy of moving a bit over each segment, of a multiply-accumulate, and of a byte in the softmax buffer."""

    activate_pj_per_bit: NonNegativeFloat
    column_pj_per_bit: NonNegativeFloat
    decoder_to_bg_mux_pj_per_bit: NonNegativeFloat
    bg_mux_to_gio_mux_pj_per_bit: NonNegativeFloat
    tsv_pj_per_bit: NonNegativeFloat
    interposer_io_pj_per_bit: NonNegativeFloat
    mac_pj: Picojoules
    softmax_sram_pj_per_byte: PicojoulesPerByte
    link_pj_per_bit: NonNegativeFloat

    @property
    def segments_pj_per_bit(self) -> dict[str, float]:
        """Energy of a bit on each segment of the way from the column decoder out of the stack."""
        return {
            "decoder_mux": self.decoder_to_bg_mux_pj_per_bit,
            "gio": self.bg_mux_to_gio_mux_pj_per_bit,
            "tsv": self.tsv_pj_per_bit,
            "io": self.interposer_io_pj_per_bit,
        }

    @property
    def cell_pj_per_bit(self) -> float:
        """Energy of a bit of a column whose row is read from end to end."""
        return self.activate_pj_per_bit + self.column_pj_per_bit


class BanksPerMac(_Section):
    """Banks that one MAC command reads a column of, by where the units stand."""

    bank: PositiveInt
    bg: PositiveInt
    buffer: PositiveInt

    def of(self, placement: Placement) -> int:
        """Banks of a placement."""
        return {"bank": self.bank, "bg": self.bg, "buffer": self.buffer}[placement]


class OrganisationConfig(_Section):
    """What commands move, and multiply-accumulates that the softmax of one element is counted as."""

    burst_bytes: PositiveBytes
    row_bytes: PositiveBytes
    banks_per_mac: BanksPerMac
    softmax_operations: NonNegativeFloat


class PowerConfig(_Section):
    """The budget of a stack, and the rates of its columns and units (`simulator.devices.pim_power`)."""

    budget_mw: Milliwatts
    column_period_ps: PositivePs
    limited_column_period_ps: PositivePs
    unit_clock_hz: Hertz
    lanes: PositiveInt


class AreaConfig(_Section):
    """The areas of a die and what stands on it (`simulator.devices.pim_area`); a full die is one without units."""

    unit_mm2: PositiveFloat
    bank_mm2: PositiveFloat
    die_mm2: PositiveFloat
    bank_group_banks: PositiveInt
    full_die_banks: PositiveInt
    n_dies: PositiveInt
    full_capacity_bytes: PositiveBytes


class PimEnergy:
    """Energy, power budget and area rule of stacks with processing units: the constants of one part."""

    class Config(_Section):
        """A part such as `hw_configs/parts/pim_energy.yaml`."""

        kind: Literal["pim_energy"] = "pim_energy"
        energy: EnergyConfig
        organisation: OrganisationConfig
        power: PowerConfig
        area: AreaConfig

    def __init__(self, config: Config) -> None:
        self.config = config

    def stack(
        self,
        commands: StackCommands,
        work: UnitWork,
        placement: Placement = "bank",
        accounting: Accounting = "corrected",
    ) -> EnergyLedger:
        """Energy of one stack: `data_energy` and `unit_energy` together. Scale it to as many stacks as do the same."""
        return self.data_energy(commands, placement, accounting) + self.unit_energy(work)

    def data_energy(
        self, commands: StackCommands, placement: Placement = "bank", accounting: Accounting = "corrected"
    ) -> EnergyLedger:
        """Energy of reading cells, of carrying columns to units, and of transfers between units and buffer die.

        Components: `cell`, and by segment of the way `decoder_mux`, `gio`, `tsv`, `io` (PATHS).
        """
        read_bits, moved_bits, written_bits = self._bits(commands, placement)
        # The published numbers are per bit, and multiply bytes.
        charged = 1.0 if accounting == "corrected" else 1.0 / _BITS
        energies = self.config.energy
        ledger = {"cell": self._cell_pj(commands, read_bits, accounting)}
        for segment, pj_per_bit in energies.segments_pj_per_bit.items():
            reads = read_bits if segment in _TO_UNIT[placement] else 0.0
            if segment == "io":
                moves = written_bits
            else:
                beyond_unit = segment not in _TO_UNIT[placement] or accounting == "published"
                moves = moved_bits if beyond_unit else 0.0
            ledger[segment] = pj_per_bit * (reads + moves * charged)
        return EnergyLedger(ledger)

    def unit_energy(self, work: UnitWork) -> EnergyLedger:
        """Energy of arithmetic (`mac`, `softmax_alu`) and of the softmax buffer (`softmax_sram`), read and written."""
        energies, organisation = self.config.energy, self.config.organisation
        return EnergyLedger(
            {
                "mac": work.n_macs * energies.mac_pj,
                "softmax_alu": work.n_softmax * organisation.softmax_operations * energies.mac_pj,
                "softmax_sram": 2 * work.n_softmax * work.bytes_per_element * energies.softmax_sram_pj_per_byte,
            }
        )

    def link_energy(self, n_bytes: float) -> EnergyLedger:
        """Energy of bytes on the link between GPUs and stacks, `gpu_pim_link`."""
        return EnergyLedger({"gpu_pim_link": n_bytes * _BITS * self.config.energy.link_pj_per_bit})

    def _bits(self, commands: StackCommands, placement: Placement) -> tuple[float, float, float]:
        """Bits that columns give, that move between units and buffer die, and that came over the interposer."""
        organisation = self.config.organisation
        burst_bits = organisation.burst_bytes * _BITS
        return (
            commands.n_mac * organisation.banks_per_mac.of(placement) * burst_bits,
            commands.n_transfers * burst_bits,
            commands.n_wrgb * burst_bits,
        )

    def _cell_pj(self, commands: StackCommands, read_bits: float, accounting: Accounting) -> float:
        energies = self.config.energy
        if accounting == "published" or commands.n_rows is None:
            return read_bits * energies.cell_pj_per_bit
        opened_bits = commands.n_rows * self.config.organisation.row_bytes * _BITS
        return opened_bits * energies.activate_pj_per_bit + read_bits * energies.column_pj_per_bit


@dataclass(frozen=True, slots=True)
class StackCommands:
    """Commands of one stack: MACs that read a column, and transfers of a burst.

    `n_wrgb` bring inputs from outside the stack to the units, `n_mvsb` results to the softmax buffer on the buffer die,
    `n_mvgb` its values back; `n_sfm` start a softmax and move nothing. A MAC on a column that its units still hold does
    not count. `n_rows` are rows opened, summed over banks; None takes every row as read from end to end.
    """

    n_mac: float = 0
    n_wrgb: float = 0
    n_mvsb: float = 0
    n_mvgb: float = 0
    n_sfm: float = 0
    n_rows: float | None = None

    def __post_init__(self) -> None:
        counts = (self.n_mac, self.n_wrgb, self.n_mvsb, self.n_mvgb, self.n_sfm, self.n_rows or 0)
        if not all(count >= 0 for count in counts):  # NaN is no count, either
            raise ModelFault(f"a stack cannot have issued a negative number of commands: {self}")

    @property
    def n_transfers(self) -> float:
        """Bursts between the units and the buffer die, either way."""
        return self.n_wrgb + self.n_mvsb + self.n_mvgb


@dataclass(frozen=True, slots=True)
class UnitWork:
    """Arithmetic of one stack: multiply-accumulates, and elements of `bytes_per_element` through the softmax."""

    n_macs: float = 0.0
    n_softmax: float = 0.0
    bytes_per_element: float = 2

    def __post_init__(self) -> None:
        if not all(amount >= 0 for amount in (self.n_macs, self.n_softmax, self.bytes_per_element)):
            raise ModelFault(f"a stack cannot do negative work: {self}")


def attention_work(
    n_heads: float,
    context: float,
    head_dim: int,
    bytes_per_element: float = 2,
    *,
    n_queries: int = 1,
    accounting: Accounting = "corrected",
) -> UnitWork:
    """Arithmetic of `n_heads` query heads, each of `n_queries` tokens, that attend `context` positions.

    Heads may be a share of a head: a stack's mean of heads that do not divide. `published` has the arithmetic of scores
    (K x q) only, as AttAcc's simulator lets the second product cost nothing; `corrected` has that of both.
    """
    n_products = 1 if accounting == "published" else 2
    n_positions = n_heads * n_queries * context
    return UnitWork(n_products * n_positions * head_dim, n_positions, bytes_per_element)


def attention_link_bytes(
    n_tokens: float, n_heads: int, n_kv_heads: int, head_dim: int, bytes_per_element: float
) -> float:
    """Bytes between GPU and stacks for one attention layer: q, k, v of each new token there, its output back."""
    return n_tokens * (2 * n_heads + 2 * n_kv_heads) * head_dim * bytes_per_element
