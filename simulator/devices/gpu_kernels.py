"""Kernels of a GPU by first principles: what a launch moves and computes, and the roofs that this meets.

A kernel takes its latency, and then about the larger of memory and compute time at full clock; `kernels.gpu_power` says
how the two meet, and what the board's power limit makes of them. Bytes count each operand once; operations count the
rows that the kernel computes, padding included.

Source: the roofline with a launch term of `docs/gpu.md`, checked there against measured kernels. Not modelled: which
of its kernels a library picks (5 to 10 % between neighbouring shapes), wave quantisation (but for unsplit decode
attention), toggling that depends on the data, clock ramps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from simulator.devices.gpu_config import GpuConfig

DecodeKernel = Literal["split_kv", "fa2", "matmul"]
PrefillKernel = Literal["cudnn", "fa2"]
BF16_BYTES = 2


@dataclass(frozen=True, slots=True)
class Kernel:
    """One launch at full clock: three times, what it reads and writes in memory, and what its arithmetic costs.

    `memory_ps` is the time of all traffic, and of work on elements that goes no faster than it: softmax, strided reads.
    `dram_bytes` of the traffic leave the chip's cache; `flops` are the operations carried out, padded rows included;
    `peak` names the number format whose peak bounds them.
    """

    kind: str
    latency_ps: float
    memory_ps: float
    compute_ps: float
    dram_bytes: float
    flops: float
    compute_pj: float
    peak: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """Query rows of `count` equal sequences: `new` of them each, the last of which attends to `context` positions.

    `window` bounds how far back a row sees.
    """

    count: int
    new: int
    context: int
    window: int | None = None

    @property
    def positions(self) -> int:
        """Key-value positions that one sequence reads."""
        if self.window is None:
            return self.context
        return min(self.context, self.window + self.new - 1)


@dataclass(frozen=True, slots=True)
class Heads:
    """Heads of one GPU: queries, keys and values, their width, and the bits of a cached element."""

    n: int
    n_kv: int
    dim: int
    kv_bits: int = 16

    @property
    def kv_bytes_per_position(self) -> float:
        """Keys and values of one position."""
        return 2 * self.n_kv * self.dim * self.kv_bits / 8


class GpuKernels:
    """The kernels of one GPU."""

    def __init__(self, config: GpuConfig) -> None:
        self.config = config
        base = config.formats[config.base_format]
        self._attention_flops_per_ps = base.peak_tflops * base.matmul_frac
        self._peak_flops_per_ps = base.peak_tflops  # 1 TFLOP/s is 1 operation per ps
        self._bytes_per_ps = config.bandwidth_gb_per_s * 1e-3
        self._resident_bytes = config.l2_bytes / config.l2_partitions
        self._l2_bytes_per_ps = config.l2_gb_per_s * 1e-3
        self._pj_per_flop = config.energies.pj_per_flop

    # --- matrix products

    def gemm(self, m: float, n: int, k: int, number_format: str | None = None) -> Kernel:
        """`m` tokens x `n` outputs x `k` inputs."""
        return self.grouped_gemm(m, n, k, 1.0, number_format)

    def grouped_gemm(self, m: float, n: int, k: int, n_matrices: float, number_format: str | None = None) -> Kernel:
        """`m` rows in all, spread evenly over `n_matrices` weight matrices of `n` x `k`, in one launch."""
        config = self.config
        name = number_format or config.base_format
        form = config.formats[name]
        weights = n_matrices * n * k * (form.weight_bits + form.scale_bits_each) / 8
        n_bytes = weights + m * k * form.act_bits / 8 + m * n * form.result_bits / 8
        tile = form.row_tile
        rows = m if tile == 1 else n_matrices * tile * -(-m // (n_matrices * tile))
        flops = 2.0 * rows * n * k
        return Kernel(
            "gemm",
            config.launches.gemm_ps if form.launch_ps is None else form.launch_ps,
            n_bytes / ((form.bandwidth_frac or config.bandwidths.gemm_frac) * self._bytes_per_ps),
            flops / (form.matmul_frac * form.peak_tflops),
            n_bytes,
            flops,
            flops * self._pj_per_flop * form.energy_frac,
            name,
        )

    # --- attention

    def attention_decode(self, heads: Heads, rows: Sequence[Rows], kernel: DecodeKernel = "split_kv") -> Kernel:
        """Few new tokens of each sequence against its cache.

        `split_kv` cuts the keys into as many parts as fill the chip. `fa2` computes whole query tiles that hold few
        real rows; it cuts the keys only while sequences x heads leave multiprocessors idle, and else each of them is a
        block of its own, in waves over the multiprocessors. `matmul` is a product, a softmax and a product.
        """
        config = self.config
        n_bytes = sum(one.count * one.positions for one in rows) * heads.kv_bytes_per_position
        pairs = sum(one.count * one.new * one.positions for one in rows)
        flops = 4.0 * heads.n * heads.dim * pairs
        memory_ps = n_bytes / (config.bandwidths.attention_frac * self._bytes_per_ps)
        latency_ps: float = config.launches.attention_decode_ps
        compute_ps = flops / self._attention_flops_per_ps
        if kernel == "fa2":
            latency_ps, compute_ps, flops = self._padded_tiles(heads, rows)
        elif kernel == "matmul":
            memory_ps = n_bytes / (config.bandwidths.bmm_frac * self._bytes_per_ps)
            # The scores' traffic is within what the softmax takes.
            latency_ps = config.launches.attention_bmm_ps
            memory_ps += heads.n * pairs / self._elements_per_ps(config.elements.softmax_gelem_per_s)
        return self._attention("attention_decode", latency_ps, memory_ps, compute_ps, n_bytes, flops)

    def _padded_tiles(self, heads: Heads, rows: Sequence[Rows]) -> tuple[float, float, float]:
        """(latency, time, operations) of query tiles that hold few real rows."""
        config, attention = self.config, self.config.attention
        tile = attention.fa2_rows
        tiles = [(one.count * heads.n * -(-one.new // tile), one.positions) for one in rows]
        n_blocks, n_sms = sum(count for count, _ in tiles), config.n_sms
        per_position = 4.0 * tile * heads.dim
        flops = per_position * sum(count * positions for count, positions in tiles)
        if n_blocks < attention.unsplit_frac * n_sms:
            return (
                config.launches.attention_decode_ps,
                flops / (attention.fa2_split_frac * self._peak_flops_per_ps),
                flops,
            )
        waves = -(-n_blocks // n_sms)
        longest = max(positions for _, positions in tiles)
        # Blocks of unequal length even out, but for the longest one.
        per_sm = max(flops * waves / n_blocks, per_position * longest)
        compute_ps = per_sm * n_sms / (attention.fa2_frac * self._peak_flops_per_ps)
        return config.launches.attention_unsplit_ps, compute_ps, flops

    def attention_prefill(self, heads: Heads, rows: Sequence[Rows], kernel: PrefillKernel = "cudnn") -> Kernel:
        """Prompts, or chunks of them: causal tiles of query rows, shared out over the multiprocessors, and the part of
        the longest tile that nothing overlaps."""
        config, attention = self.config, self.config.attention
        is_fa2 = kernel == "fa2"
        tile_rows = attention.fa2_rows if is_fa2 else attention.prefill_rows
        frac = attention.fa2_frac if is_fa2 else attention.prefill_frac
        tail = attention.fa2_tail if is_fa2 else attention.prefill_tail
        total, longest, n_bytes = 0.0, 0.0, 0.0
        for one in rows:
            pairs, tile_pairs = _causal_tiles(one, tile_rows, attention.key_tile)
            total += one.count * pairs
            longest = max(longest, tile_pairs)
            elements = one.positions * 2 * heads.n_kv * heads.kv_bits / 8 + 2 * one.new * heads.n * BF16_BYTES
            n_bytes += one.count * elements * heads.dim
        per_pair = 4.0 * heads.dim
        flops = per_pair * heads.n * total
        rate = frac * self._peak_flops_per_ps
        compute_ps = (flops + tail * per_pair * longest * config.n_sms) / rate
        memory_ps = n_bytes / (config.bandwidths.attention_frac * self._bytes_per_ps)
        latency_ps = config.launches.attention_prefill_ps
        return self._attention("attention_prefill", latency_ps, memory_ps, compute_ps, n_bytes, flops)

    def _attention(
        self, kind: str, latency_ps: float, memory_ps: float, compute_ps: float, n_bytes: float, flops: float
    ) -> Kernel:
        name, pj = self.config.base_format, flops * self._pj_per_flop
        return Kernel(kind, latency_ps, memory_ps, compute_ps, n_bytes, flops, pj, name)

    # --- everything else

    def elementwise(self, n_bytes: float, *, strided_elements: float = 0.0) -> Kernel:
        """One launch that reads and writes `n_bytes`, from memory, or from cache where they fit there.

        It takes at least the time of `strided_elements` that are read from rows of a wider matrix.
        """
        kernel = self._streamed(
            "elementwise", self.config.launches.elementwise_ps, n_bytes, self.config.bandwidths.elementwise_frac
        )
        strided_ps = strided_elements / self._elements_per_ps(self.config.elements.strided_gelem_per_s)
        return replace(kernel, memory_ps=strided_ps) if strided_ps > kernel.memory_ps else kernel

    def norm(self, rows: int, width: int) -> Kernel:
        """A normalisation that reads and writes `rows` of `width` elements of two bytes, one block a row."""
        launches = self.config.launches
        latency_ps = launches.norm_ps + launches.norm_element_ps * width
        return self._streamed("norm", latency_ps, 2.0 * BF16_BYTES * rows * width, self.config.bandwidths.norm_frac)

    def stream(self, n_bytes: float, *, writes: bool) -> Kernel:
        """Memory read once, or (with `writes`) copied: half of the bytes read, half written."""
        bandwidths, latency_ps = self.config.bandwidths, self.config.launches.elementwise_ps
        frac = bandwidths.copy_frac if writes else bandwidths.attention_frac
        memory_ps = n_bytes / (frac * self._bytes_per_ps)
        return Kernel("copy" if writes else "read", latency_ps, memory_ps, 0.0, n_bytes, 0.0, 0.0)

    def _elements_per_ps(self, gelem_per_s: float) -> float:
        """Elements per ps of all multiprocessors: 1e9 a second are 1e-3 a ps."""
        return gelem_per_s * self.config.n_sms * 1e-3

    def _streamed(self, kind: str, latency_ps: float, n_bytes: float, frac: float) -> Kernel:
        in_cache = n_bytes <= self._resident_bytes
        memory_ps = n_bytes / (self._l2_bytes_per_ps if in_cache else frac * self._bytes_per_ps)
        return Kernel(kind, latency_ps, memory_ps, 0.0, 0.0 if in_cache else n_bytes, 0.0, 0.0)


def _causal_tiles(rows: Rows, tile_rows: int, key_tile: int) -> tuple[float, float]:
    """(query, key) pairs that the tiles of one head of one sequence compute, and those of its longest tile.

    Tile i ends at row (i + 1) x `tile_rows`, the last at `new`; it computes all its rows against every key up to its
    last row, in whole tiles of keys.
    """
    first = rows.context - rows.new
    n_whole, left = divmod(rows.new, tile_rows)
    pairs = longest = 0.0
    if rows.window is None and first % key_tile == 0 and tile_rows % key_tile == 0:
        # Whole tiles reach first + tile_rows, first + 2 tile_rows, ... keys.
        pairs = tile_rows * (n_whole * first + tile_rows * n_whole * (n_whole + 1) / 2)
        longest = float(tile_rows * (first + n_whole * tile_rows)) if n_whole else 0.0
        ends = [rows.new] if left else []
    else:
        ends = [(tile + 1) * tile_rows for tile in range(n_whole)] + ([rows.new] if left else [])
    for end in ends:
        height = min(tile_rows, end) if end % tile_rows == 0 else left
        keys = -(-(first + end) // key_tile) * key_tile
        if rows.window is not None:
            keys = min(keys, -(-(rows.window + height) // key_tile) * key_tile)
        pairs += height * keys
        longest = max(longest, float(height * keys))
    return pairs, longest
