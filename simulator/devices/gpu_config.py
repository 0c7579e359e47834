"""A GPU as data: data-sheet numbers, and the few efficiencies, latencies and energies that a roofline needs.

A part such as `hw_configs/parts/gpu_h200.yaml` says of each where it comes from.
"""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, model_validator

from simulator.core.quantities import (
    Bytes,
    GigabytesPerSecond,
    Milliwatts,
    NonNegativeFloat,
    PicojoulesPerByte,
    PositiveBytes,
    PositiveFloat,
    PositiveInt,
    Ps,
)
from simulator.devices.gpu_collectives import CollectiveSoftware
from simulator.devices.gpu_host_link import HostLink
from simulator.devices.link_topology import LinkTopology

Share = Annotated[float, Gt(0), Le(1.5)]
"""Share of a data-sheet number; boost clocks can lie above the data sheet's."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NumberFormat(_Section):
    """Matrix products in one format: bits of weights, activations and results, the data sheet's dense peak, and the
    share of it that kernels reach while no power limit binds.

    `bandwidth_frac` is the share of the memory's bandwidth where it is not `bandwidths.gemm_frac`, `launch_ps` the
    launch where it is not `launches.gemm`: another library's kernels. `energy_frac` is the
    energy of an operation against one of two 16-bit operands. Kernels work on whole tiles of `row_tile` rows of tokens.
    `scale_bits_each` is what the scales of groups of weights add to each weight.
    """

    weight_bits: PositiveInt
    scale_bits_each: NonNegativeFloat = 0.0
    act_bits: PositiveInt = 16
    result_bits: PositiveInt = 16
    peak_tflops: PositiveFloat
    matmul_frac: Share
    bandwidth_frac: Share | None = None
    launch_ps: Ps | None = None
    energy_frac: PositiveFloat = 1.0
    row_tile: PositiveInt = 1


class Bandwidths(_Section):
    """Shares of the memory's peak bandwidth that kinds of kernels reach; `bmm_frac` is that of batched products, of
    which attention by `matmul` is made."""

    gemm_frac: Share
    attention_frac: Share
    bmm_frac: Share
    elementwise_frac: Share
    norm_frac: Share
    copy_frac: Share


class ElementRates(_Section):
    """Elements per second and multiprocessor, in billions, of kernels that memory does not bound: softmax rows, and
    element-wise kernels whose input is half of a wider matrix (gate and up projection as one product)."""

    softmax_gelem_per_s: PositiveFloat
    strided_gelem_per_s: PositiveFloat


class AttentionRates(_Section):
    """Attention kernels.

    `prefill_frac` is the share of the 16-bit peak that tiles of `prefill_rows` query rows reach, and `prefill_tail` how
    much of the longest tile nothing overlaps; `fa2_frac`, `fa2_rows` and `fa2_tail` say the same of FlashAttention-2.
    That leaves the keys of a sequence unsplit once sequences x heads exceed `unsplit_frac` of the multiprocessors;
    below that it reaches `fa2_split_frac`.
    """

    prefill_frac: Share
    prefill_rows: PositiveInt = 256
    prefill_tail: NonNegativeFloat
    key_tile: PositiveInt = 128
    fa2_frac: Share
    fa2_split_frac: Share
    fa2_rows: PositiveInt = 128
    fa2_tail: NonNegativeFloat
    unsplit_frac: PositiveFloat = 1.6


class Launches(_Section):
    """Time of a kernel besides its roofs: launch, fill and drain, inside a CUDA graph; and of an eager launch.

    A norm takes `norm_ps`, and `norm_element_ps` for each element of a row: one block reduces a row.
    """

    gemm_ps: Ps
    attention_decode_ps: Ps
    attention_prefill_ps: Ps
    attention_unsplit_ps: Ps
    attention_bmm_ps: Ps
    norm_ps: Ps
    norm_element_ps: Ps
    elementwise_ps: Ps
    eager_ps: Ps = 0
    synchronise_ps: Ps = 0


class Energies(_Section):
    """Power and energy of the whole board.

    `active_mw` flows while kernels run, `idle_mw` while none does; `dram_pj_per_byte` is what a byte of memory traffic
    costs the board (not the memory device alone), `pj_per_flop` an operation on 16-bit operands at full clock.
    """

    idle_mw: Milliwatts
    active_mw: Milliwatts
    dram_pj_per_byte: PicojoulesPerByte
    pj_per_flop: NonNegativeFloat


class ReplayChoices(_Section):
    """What a file of kernels ran where its `backend` column does not say."""

    decode_kernel: Literal["split_kv", "fa2", "matmul"] = "split_kv"
    prefill_kernel: Literal["cudnn", "fa2"] = "cudnn"


class GpuConfig(_Section):
    """A part of kind `gpu`.

    A launch finds its tensors in cache where they fit one of `l2_partitions` of `l2_bytes`, and moves them at
    `l2_gb_per_s`. `streams_overlap_frac` is what two kernels in two streams save of the time of both.
    """

    kind: Literal["gpu"] = "gpu"
    name: str
    n_sms: PositiveInt
    capacity_bytes: PositiveBytes
    bandwidth_gb_per_s: GigabytesPerSecond
    l2_bytes: Bytes
    l2_gb_per_s: GigabytesPerSecond
    l2_partitions: PositiveInt = 1
    board_limit_mw: Milliwatts
    formats: dict[str, NumberFormat]
    bandwidths: Bandwidths
    elements: ElementRates
    attention: AttentionRates
    launches: Launches
    energies: Energies
    streams_overlap_frac: Annotated[float, Ge(0), Le(0.5)] = 0.0
    fabric: LinkTopology.Config | None = None
    collectives: CollectiveSoftware | None = None
    host_link: HostLink.Config | None = None
    replay: ReplayChoices = ReplayChoices()

    @model_validator(mode="after")
    def _consistent(self) -> GpuConfig:
        if "bf16" not in self.formats and "fp16" not in self.formats:
            raise ValueError("the GPU has neither a format `bf16` nor `fp16`: attention runs in one of them")
        if self.energies.active_mw >= self.board_limit_mw:
            active_w, limit_w = self.energies.active_mw / 1e3, self.board_limit_mw / 1e3
            raise ValueError(
                f"`energies.active`, {active_w:g} W, leaves nothing of `board_limit`, {limit_w:g} W: lower the one, or "
                "raise the other"
            )
        return self

    @property
    def base_format(self) -> str:
        """The 16-bit format that attention and everything unquantised runs in."""
        return "bf16" if "bf16" in self.formats else "fp16"
