"""GPUs of AttAcc's analytic model as data: peaks and cache sizes by card, and the rules and energies common to all.

The catalogue `hw_configs/parts/tile_gpus.yaml` says of each number where it comes from.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from annotated_types import Gt, Le, MinLen
from pydantic import BaseModel, ConfigDict

from simulator.core.errors import ConfigError
from simulator.core.quantities import (
    GigabytesPerSecond,
    NonNegativeFloat,
    Picojoules,
    PicojoulesPerByte,
    PositiveBytes,
    PositiveFloat,
    PositiveInt,
    Ps,
)
from simulator.core.spelling import did_you_mean

PicojoulesPerBit = PicojoulesPerByte
"""Energy of a bit: as that of a byte, any number that is not negative."""

Share = Annotated[float, Gt(0), Le(1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StartAndRate(_Section):
    """A time that grows with bytes: `start_ps`, and `ps_per_byte` at the bandwidth that the fit was made with."""

    start_ps: Ps
    ps_per_byte: NonNegativeFloat


class TileRules(_Section):
    """What all processors of the model share.

    `compute_frac` and `bandwidth_frac` cap the peaks. An L1 tile has two of `tile_sides` and slices of `l1_k_slice`
    along the depth, an L2 tile `l2_k_slices` slices in all, a register tile `register_side` on each side. `*_flops` are
    operations of an element; a gated activation adds `gate_flops`. `activation_fit` and `norm_fit` hold at
    `fit_bandwidth`, `all_reduce_fit` at `fit_link` (both directions). `pim_link` joins a GPU with its attention stacks.
    `published_gated_ffn` is the feed-forward width over the hidden size that the public tool gives a gated model.
    """

    compute_frac: Share
    bandwidth_frac: Share
    tile_sides: Annotated[tuple[PositiveInt, ...], MinLen(1)]
    l1_k_slice: PositiveInt
    l2_k_slices: PositiveInt
    register_side: PositiveInt
    softmax_flops: NonNegativeFloat
    norm_flops: NonNegativeFloat
    gate_flops: NonNegativeFloat
    activation_flops: dict[str, NonNegativeFloat]
    fit_bandwidth_gb_per_s: GigabytesPerSecond
    activation_fit: StartAndRate
    norm_fit: StartAndRate
    fit_link_gb_per_s: GigabytesPerSecond
    all_reduce_fit: StartAndRate
    pim_link_gb_per_s: GigabytesPerSecond
    published_gated_ffn: Annotated[Fraction, Gt(0)]


class TileEnergies(_Section):
    """Energies of a bit moved, and of a multiplication with its addition (`mac_pj`).

    An off-chip bit passes the cell (`activate`, `column`), the two multiplexers of the die (`bank_group`, `global_io`),
    the through-silicon vias and the interposer. Not modelled: leakage, idle, refresh and host energy.
    """

    activate_pj_per_bit: PicojoulesPerBit
    column_pj_per_bit: PicojoulesPerBit
    bank_group_pj_per_bit: PicojoulesPerBit
    global_io_pj_per_bit: PicojoulesPerBit
    tsv_pj_per_bit: PicojoulesPerBit
    interposer_pj_per_bit: PicojoulesPerBit
    l2_pj_per_bit: PicojoulesPerBit
    l1_pj_per_bit: PicojoulesPerBit
    reg_pj_per_bit: PicojoulesPerBit
    nvlink_pj_per_bit: PicojoulesPerBit
    mac_pj: Picojoules

    @property
    def offchip_pj_per_bit(self) -> float:
        """Energy of a bit between a DRAM cell and the processor."""
        die = self.activate_pj_per_bit + self.column_pj_per_bit + self.bank_group_pj_per_bit + self.global_io_pj_per_bit
        return die + self.tsv_pj_per_bit + self.interposer_pj_per_bit


class TileProcessor(_Section):
    """A processor with `n_cores` (multiprocessors of a GPU, cores of a CPU), each with an L1 of its own.

    `peak_tflops` counts 16-bit operations and grows as operands get shorter; `link` counts both directions.
    """

    n_cores: PositiveInt
    peak_tflops: PositiveFloat
    bandwidth_gb_per_s: GigabytesPerSecond
    capacity_bytes: PositiveBytes
    l1_bytes: PositiveBytes
    l2_bytes: PositiveBytes
    link_gb_per_s: GigabytesPerSecond


class TileHost(TileProcessor):
    """The CPUs that can take attention over: numbers of one of `n_sockets`.

    `fixed_gpus` is how many GPUs stand beside them in the published accounting, which ignores the number asked for.
    """

    n_sockets: PositiveInt
    fixed_gpus: PositiveInt


class TileGpuConfig(TileProcessor):
    """A GPU and the host that it comes with."""

    host: TileHost


class TileGpuCatalogue(_Section):
    """A part of kind `tile_gpus`: cards by name, and what they share."""

    kind: Literal["tile_gpus"] = "tile_gpus"
    rules: TileRules
    energies: TileEnergies
    gpus: Annotated[dict[str, TileGpuConfig], MinLen(1)]

    def gpu(self, name: str) -> TileGpuConfig:
        """The card of this name; ConfigError with the nearest one where there is none."""
        found = self.gpus.get(name)
        if found is None:
            remedy = did_you_mean(name, self.gpus)
            raise ConfigError(f"the catalogue has no GPU `{name}`", where="system.gpu", remedy=remedy)
        return found
