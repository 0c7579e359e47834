"""AttAcc's analytic GPU: time, bytes and energy of an operator from a search for tiles, two roofs and whole waves.

A product takes the longer of its operations at a capped peak and its DRAM bytes at a capped bandwidth, both divided by
the share of cores that its thread blocks keep busy. Element-wise kernels and all-reduces follow published fits.

Not modelled: launch times of products, bandwidth of caches and registers, overlap of operators, static and idle energy.
Source: AttAcc (ASPLOS 2024), its public simulator's GPU model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from simulator.devices.tile_gpu_config import StartAndRate, TileEnergies, TileProcessor, TileRules
from simulator.devices.tile_gpu_search import CacheSizes, Size, busy_share, tiling

OperatorKind = Literal["fc", "matmul", "softmax", "activation", "norm", "all_reduce", "link"]
Bound = Literal["compute", "memory", "link"]

Product = tuple[int, Size, Size, int]
"""Rows, columns, depth, and how many products of these sizes there are."""


_N_PRODUCTS_KEPT = 1 << 16
"""Products whose bytes are kept: it bounds memory, and decides nothing."""


@dataclass(frozen=True, slots=True)
class TileEnergy:
    """Energy in pJ by what it moves through: DRAM with its way to the chip, L2, L1, registers, multipliers, links."""

    dram_pj: float = 0.0
    l2_pj: float = 0.0
    l1_pj: float = 0.0
    reg_pj: float = 0.0
    alu_pj: float = 0.0
    nvlink_pj: float = 0.0

    @property
    def total_pj(self) -> float:
        """All of it."""
        return self.dram_pj + self.on_chip_pj + self.nvlink_pj

    @property
    def on_chip_pj(self) -> float:
        """What is spent on the chip: caches, registers, multipliers."""
        return self.l2_pj + self.l1_pj + self.reg_pj + self.alu_pj

    def __add__(self, other: TileEnergy) -> TileEnergy:
        return TileEnergy(
            self.dram_pj + other.dram_pj,
            self.l2_pj + other.l2_pj,
            self.l1_pj + other.l1_pj,
            self.reg_pj + other.reg_pj,
            self.alu_pj + other.alu_pj,
            self.nvlink_pj + other.nvlink_pj,
        )


@dataclass(frozen=True, slots=True)
class TileOperator:
    """One operator on one processor: `time_ps` and what bounds it, operations, bytes by level, and energy.

    `compute_ps` and `memory_ps` are the two roofs (0 where there is none); `link_bytes` is what crosses a link.
    `start_ps` is the part of `memory_ps` that goes before the first byte, of kernels that were timed.
    `register_bytes` counts operand accesses in the published accounting, whatever their bytes.
    """

    name: str
    kind: OperatorKind
    time_ps: float
    bound: Bound
    compute_ps: float
    memory_ps: float
    flops: float
    offchip_bytes: float
    l2_bytes: float
    l1_bytes: float
    register_bytes: float
    link_bytes: float
    energy: TileEnergy
    start_ps: float = 0.0


def summed_energy(operators: Iterable[TileOperator]) -> TileEnergy:
    """The energy of all the operators together."""
    total = TileEnergy()
    for operator in operators:
        total = total + operator.energy
    return total


def summed_ps(operators: Iterable[TileOperator]) -> float:
    """The time of the operators one after the other."""
    return sum(operator.time_ps for operator in operators)


class TileGpu:
    """A processor of the analytic model, for operands of `n_bytes` each.

    With `energies` None nothing costs energy, and with `in_waves` False work spreads evenly over the cores: a host CPU.
    `published` keeps three oddities of the public tool: an element-wise kernel computes on one multiprocessor;
    registers are read once for all products of a batch (their mean where sizes differ), and counted in elements instead
    of bytes; a lone GPU still pays for the bytes of an all-reduce.
    """

    def __init__(
        self,
        processor: TileProcessor,
        rules: TileRules,
        energies: TileEnergies | None,
        *,
        n_bytes: float = 2,
        published: bool = True,
        in_waves: bool = True,
    ) -> None:
        self.processor, self.rules, self.energies = processor, rules, energies
        self.n_bytes, self.published, self.in_waves = n_bytes, published, in_waves
        # A peak is quoted for operands of two bytes; 1 TFLOPS is one operation a ps, 1 GB/s a thousandth of a byte.
        self._flops_per_ps = processor.peak_tflops * rules.compute_frac * (2 / n_bytes)
        self._bytes_per_ps = processor.bandwidth_gb_per_s * 1e-3 * rules.bandwidth_frac
        self._caches = CacheSizes(
            processor.n_cores,
            processor.l1_bytes,
            processor.l2_bytes,
            rules.tile_sides,
            rules.l1_k_slice,
            rules.l2_k_slices,
            rules.register_side,
        )
        self._one_product = lru_cache(maxsize=_N_PRODUCTS_KEPT)(self._tiled_product)
        # Energy of a byte by level (DRAM, L2, L1, registers), and of a multiplication with its addition.
        self._level_pj = (0.0, 0.0, 0.0, 0.0)
        self._mac_pj = self._sent_pj = 0.0
        if energies is not None:
            per_bit = (energies.offchip_pj_per_bit, energies.l2_pj_per_bit, energies.l1_pj_per_bit)
            self._level_pj = (8 * per_bit[0], 8 * per_bit[1], 8 * per_bit[2], 8 * energies.reg_pj_per_bit)
            self._mac_pj, self._sent_pj = energies.mac_pj, 8 * energies.nvlink_pj_per_bit

    def fc(self, name: str, m: int, n: Size, k: Size) -> TileOperator:
        """A product with weights: `m` tokens, `n` outputs, `k` inputs, a thread block for each L1 tile."""
        tiles = tiling(m, n, k, self.n_bytes, True, self._caches)
        registers = 3 * m * n * k * (1 if self.published else self.n_bytes)
        traffic = (tiles.offchip_bytes, tiles.l2_bytes, tiles.l1_bytes, registers)
        return self._roofs(name, "fc", 2 * m * n * k, traffic, tiles.blocks)

    def matmul(self, name: str, products: Iterable[Product]) -> TileOperator:
        """Batched products of attention, a thread block for each; work and blocks add up over sizes."""
        all_macs = offchip = l2 = l1 = 0.0
        blocks = 0
        for m, n, k, count in products:
            macs, one_offchip, one_l2, one_l1 = self._one_product(m, n, k)
            all_macs += macs * count
            offchip += one_offchip * count
            l2 += one_l2 * count
            l1 += one_l1 * count
            blocks += count
        accesses = 3 * all_macs
        registers = accesses / blocks if self.published else accesses * self.n_bytes
        return self._roofs(name, "matmul", 2 * all_macs, (offchip, l2, l1, registers), blocks)

    def _tiled_product(self, m: int, n: Size, k: Size) -> tuple[float, float, float, float]:
        """Multiplications of one product, and its bytes from DRAM, L2 and L1."""
        tiles = tiling(m, n, k, self.n_bytes, False, self._caches)
        return m * n * k, tiles.offchip_bytes, tiles.l2_bytes, tiles.l1_bytes

    def softmax(self, name: str, products: Iterable[Product]) -> TileOperator:
        """Softmax of the scores of `products` (their depth does not matter), a thread block for each product."""
        elements, blocks = 0.0, 0
        for m, n, _, count in products:
            elements += m * n * count
            blocks += count
        moved = 2 * elements * self.n_bytes
        return self._roofs(name, "softmax", self.rules.softmax_flops * elements, (moved,) * 4, blocks)

    def activation(self, name: str, m: int, n: Size, function: str, *, gated: bool) -> TileOperator:
        """The non-linear function of `m` x `n` elements, with the gate's product where `gated`."""
        flops = self.rules.activation_flops[function] + (self.rules.gate_flops if gated else 0)
        moved = (3 if gated else 2) * m * n * self.n_bytes
        return self._fitted(name, "activation", flops * m * n, moved, self.rules.activation_fit)

    def norm(self, name: str, m: int, n: Size) -> TileOperator:
        """Residual addition and normalisation of `m` rows of `n` elements: two inputs and one result."""
        moved = 3 * m * n * self.n_bytes
        return self._fitted(name, "norm", self.rules.norm_flops * m * n, moved, self.rules.norm_fit)

    def all_reduce(self, name: str, m: int, n: Size, n_gpus: int) -> TileOperator:
        """Sum of `m` x `n` elements over `n_gpus`: one step less than there are GPUs, each with its part of the bytes.

        Linear in the number of GPUs, as published: no tree, no second half of a ring.
        """
        sent = m * n * self.n_bytes
        part = sent / n_gpus
        fit, link = self.rules.all_reduce_fit, self.processor.link_gb_per_s
        fitted = fit.start_ps + fit.ps_per_byte * part * (self.rules.fit_link_gb_per_s / link)
        if n_gpus == 1 and not self.published:
            sent = 0.0
        return self._sent(name, "all_reduce", (n_gpus - 1) * max(fitted, self._one_way_ps(part, link)), sent)

    def link(self, name: str, n_moved: float, link_gb_per_s: float) -> TileOperator:
        """`n_moved` bytes over one direction of a link of `link_gb_per_s` both ways."""
        return self._sent(name, "link", self._one_way_ps(n_moved, link_gb_per_s), n_moved)

    @staticmethod
    def _one_way_ps(n_moved: float, link_gb_per_s: float) -> float:
        return n_moved / (link_gb_per_s * 1e-3 / 2)

    def _roofs(
        self, name: str, kind: OperatorKind, flops: float, traffic: tuple[float, float, float, float], blocks: int
    ) -> TileOperator:
        share = busy_share(blocks, self.processor.n_cores) if self.in_waves else 1.0
        compute_ps = flops / (self._flops_per_ps * share)
        memory_ps = traffic[0] / (self._bytes_per_ps * share)
        return self._bounded(name, kind, flops, traffic, compute_ps, memory_ps)

    def _fitted(self, name: str, kind: OperatorKind, flops: float, moved: float, fit: StartAndRate) -> TileOperator:
        share = 1 / self.processor.n_cores if self.published else 1.0
        compute_ps = flops / (self._flops_per_ps * share)
        slower = self.rules.fit_bandwidth_gb_per_s / self.processor.bandwidth_gb_per_s
        memory_ps = fit.start_ps + fit.ps_per_byte * slower * moved
        return self._bounded(name, kind, flops, (moved,) * 4, compute_ps, memory_ps, fit.start_ps)

    def _bounded(
        self,
        name: str,
        kind: OperatorKind,
        flops: float,
        traffic: tuple[float, float, float, float],
        compute_ps: float,
        memory_ps: float,
        start_ps: float = 0.0,
    ) -> TileOperator:
        dram_pj, l2_pj, l1_pj, reg_pj = (moved * pj for moved, pj in zip(traffic, self._level_pj, strict=True))
        energy = TileEnergy(dram_pj, l2_pj, l1_pj, reg_pj, flops / 2 * self._mac_pj)
        is_compute = compute_ps > memory_ps
        return TileOperator(
            name,
            kind,
            compute_ps if is_compute else memory_ps,
            "compute" if is_compute else "memory",
            compute_ps,
            memory_ps,
            flops,
            *traffic,
            0.0,
            energy,
            start_ps,
        )

    def _sent(self, name: str, kind: OperatorKind, time_ps: float, sent: float) -> TileOperator:
        energy = TileEnergy(nvlink_pj=self._sent_pj * sent)
        return TileOperator(name, kind, time_ps, "link", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, sent, energy)
