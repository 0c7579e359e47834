"""One step of a transformer on GPUs, in plain Python: the formulas of the model, one launch after the other.

Everything is in seconds, bytes, operations and joules; the clock is found by trying ratios from the top down, and what
a causal tile computes by looking at every row. It knows nothing of the simulator but the numbers of a part and a model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

PS = 1e-12
B16 = 2  # bytes of an activation
MOST_DECODE_ROWS = 16
ROUTER = ("router_softmax", "expert_choice", "token_sort")
PREFILL_KERNEL = "fa2"  # whatever the decode kernel, unless the configuration names cuDNN's


@dataclass(frozen=True)
class Launch:
    """A kernel that runs `count` times: seconds at full clock, bytes of memory traffic, operations, joules."""

    name: str
    latency_s: float
    memory_s: float = 0.0
    compute_s: float = 0.0
    n_bytes: float = 0.0
    flops: float = 0.0
    compute_j: float = 0.0
    count: int = 1

    def seconds(self, ratio: float) -> float:
        """Latency, and the larger of two roofs, rounded off where they meet."""
        return self.latency_s + (self.memory_s**4 + (self.compute_s / ratio) ** 4) ** 0.25


@dataclass(frozen=True)
class Step:
    """What a step takes: seconds, watts of all GPUs, the clock ratio, joules, seconds by launch."""

    seconds: float
    watts: float
    ratio: float
    joules: float
    seconds_of: dict[str, float]
    launches: tuple[Launch, ...]


class Card:
    """The numbers of a part in plain units."""

    def __init__(self, part: Any) -> None:
        self.part = part
        self.bytes_per_s = float(part.bandwidth_gb_per_s) * 1e9
        self.l2_bytes_per_s = float(part.l2_gb_per_s) * 1e9
        self.l2_bytes = part.l2_bytes / part.l2_partitions
        self.base = "bf16" if "bf16" in part.formats else "fp16"
        self.peak = part.formats[self.base].peak_tflops * 1e12
        self.reached = self.peak * part.formats[self.base].matmul_frac
        self.j_per_byte = float(part.energies.dram_pj_per_byte) * 1e-12
        self.j_per_flop = float(part.energies.pj_per_flop) * 1e-12
        self.active_w = float(part.energies.active_mw) * 1e-3
        self.limit_w = float(part.board_limit_mw) * 1e-3

    # --- kernels

    def gemm(self, name: str, m: float, n: int, k: int, form_name: str, n_matrices: float = 1.0) -> Launch:
        """Weights, inputs and results once each; rows in whole tiles of each matrix; a format's own launch and share of
        the bandwidth where it has them."""
        form = self.part.formats[form_name]
        launch_ps = self.part.launches.gemm_ps if form.launch_ps is None else form.launch_ps
        share = self.part.bandwidths.gemm_frac if form.bandwidth_frac is None else form.bandwidth_frac
        weights = n_matrices * n * k * (form.weight_bits + form.scale_bits_each) / 8
        n_bytes = weights + m * k * form.act_bits / 8 + m * n * form.result_bits / 8
        tile = form.row_tile * n_matrices
        rows = m if form.row_tile == 1 else math.ceil(m / tile) * tile
        flops = 2 * rows * n * k
        return Launch(
            name,
            launch_ps * PS,
            n_bytes / (share * self.bytes_per_s),
            flops / (form.peak_tflops * 1e12 * form.matmul_frac),
            n_bytes,
            flops,
            flops * self.j_per_flop * form.energy_frac,
        )

    def elementwise(self, name: str, n_bytes: float, strided: float = 0.0) -> Launch:
        """Traffic without arithmetic: from cache where it fits there; halves of wider rows go element by element."""
        one = self._streamed(
            name, self.part.launches.elementwise_ps * PS, n_bytes, self.part.bandwidths.elementwise_frac
        )
        strided_s = strided / (self.part.elements.strided_gelem_per_s * 1e9 * self.part.n_sms)
        return replace(one, memory_s=max(one.memory_s, strided_s))

    def norm(self, name: str, rows: int, width: int) -> Launch:
        """As many bytes read as written; a block reduces a row, element by element."""
        latency_s = (self.part.launches.norm_ps + width * self.part.launches.norm_element_ps) * PS
        return self._streamed(name, latency_s, 2 * rows * width * B16, self.part.bandwidths.norm_frac)

    def _streamed(self, name: str, latency_s: float, n_bytes: float, share: float) -> Launch:
        if n_bytes <= self.l2_bytes:
            return Launch(name, latency_s, n_bytes / self.l2_bytes_per_s)
        return Launch(name, latency_s, n_bytes / (share * self.bytes_per_s), n_bytes=n_bytes)

    def decode_attention(
        self, heads: Heads, sequences: Sequence[tuple[int, int]], kernel: str, window: int | None
    ) -> Launch:
        """Few new tokens of each sequence against its cache."""
        attention, launches, shares = self.part.attention, self.part.launches, self.part.bandwidths
        seen = [len(keys_of_rows(new, context, window)) for new, context in sequences]
        n_bytes = sum(seen) * heads.kv_bytes
        pairs = sum(new * n_keys for (new, _), n_keys in zip(sequences, seen, strict=True))
        flops = 4 * heads.n * heads.dim * pairs
        memory_s = n_bytes / (shares.attention_frac * self.bytes_per_s)
        latency_s, compute_s = launches.attention_decode_ps * PS, flops / self.reached
        if kernel == "matmul":
            latency_s = launches.attention_bmm_ps * PS
            softmax_s = pairs * heads.n / (self.part.elements.softmax_gelem_per_s * 1e9 * self.part.n_sms)
            memory_s = n_bytes / (shares.bmm_frac * self.bytes_per_s) + softmax_s
        elif kernel == "fa2":
            # Every head of every sequence is a block of whole tiles of rows.
            blocks = [
                4 * heads.dim * attention.fa2_rows * n
                for (new, _), n in zip(sequences, seen, strict=True)
                for _ in range(heads.n * math.ceil(new / attention.fa2_rows))
            ]
            flops = sum(blocks)
            if len(blocks) < attention.unsplit_frac * self.part.n_sms:
                compute_s = flops / (attention.fa2_split_frac * self.peak)
            else:
                latency_s = launches.attention_unsplit_ps * PS
                waves = math.ceil(len(blocks) / self.part.n_sms)
                per_sm = max(waves * flops / len(blocks), max(blocks))
                compute_s = per_sm / (attention.fa2_frac * self.peak / self.part.n_sms)
        return Launch("attention", latency_s, memory_s, compute_s, n_bytes, flops, flops * self.j_per_flop)

    def prefill_attention(
        self, heads: Heads, sequences: Sequence[tuple[int, int]], kernel: str, window: int | None
    ) -> Launch:
        """Causal tiles of query rows over all multiprocessors, and a part of the longest one after them."""
        attention = self.part.attention
        rows, frac, tail = attention.prefill_rows, attention.prefill_frac, attention.prefill_tail
        if kernel == "fa2":
            rows, frac, tail = attention.fa2_rows, attention.fa2_frac, attention.fa2_tail
        n_bytes, flops, longest = 0.0, 0.0, 0.0
        for new, context in sequences:
            tiles = tiles_of(new, context, rows, attention.key_tile, window)
            flops += 4 * heads.dim * heads.n * sum(tiles)
            longest = max(longest, 4 * heads.dim * max(tiles))
            n_keys = len(keys_of_rows(new, context, window))
            n_bytes += n_keys * heads.kv_bytes + 2 * new * heads.n * heads.dim * B16
        per_sm = frac * self.peak / self.part.n_sms
        compute_s = (flops / self.part.n_sms + tail * longest) / per_sm
        memory_s = n_bytes / (self.part.bandwidths.attention_frac * self.bytes_per_s)
        latency_s = self.part.launches.attention_prefill_ps * PS
        return Launch("attention", latency_s, memory_s, compute_s, n_bytes, flops, flops * self.j_per_flop)

    # --- exchanges

    def exchange(self, kind: str, n_bytes: int, n_ranks: int) -> Launch:
        """A collective around a ring through a switch: as many messages of a shard as the ring has steps."""
        shard = math.ceil(n_bytes / n_ranks)
        n_steps = (2 if kind == "all_reduce" else 1) * (n_ranks - 1)
        for one in self.part.collectives.protocols.values():
            if one.max_sent_bytes is None or n_steps * shard <= one.max_sent_bytes:
                break
        sent = math.ceil(shard / one.payload_share)
        seconds = one.launch_ps * PS + n_steps * (one.step_ps * PS + self.message_s(sent))
        moved = self.part.collectives.memory_bytes_per_sent * n_steps * shard
        return Launch(kind, seconds, n_bytes=moved)

    def message_s(self, n_bytes: int) -> float:
        """From one GPU over a switch to another: two links' latencies, the switch's, and the bytes in packets."""
        fabric = self.part.fabric
        link = fabric.link
        chosen = link.generations[link.generation]
        lanes = link.n_lanes or chosen.n_lanes
        rate = float(chosen.lane_rate_gbit_per_s) * 1e9 / 8 * lanes * float(chosen.encoding) * float(link.efficiency)
        full, rest = divmod(n_bytes, link.packet_payload_bytes)
        wire = full * (link.packet_payload_bytes + chosen.packet_overhead_bytes)
        if rest:
            align = link.packet_align_bytes
            wire += math.ceil(rest / align) * align + chosen.packet_overhead_bytes
        one_link_s = (2 * link.port_latency_ps + link.wire_latency_ps) * PS
        return 2 * one_link_s + fabric.switch_latency_ps * PS + wire / rate


@dataclass(frozen=True)
class Heads:
    """Heads of one GPU, their width, and the bytes that one position of one layer keeps."""

    n: int
    n_kv: int
    dim: int
    kv_bytes: float


def keys_of_rows(new: int, context: int, window: int | None) -> range:
    """The positions that the last `new` tokens of a sequence attend to."""
    first_row = context - new
    return range(0 if window is None else max(0, first_row - window + 1), context)


def tiles_of(new: int, context: int, tile_rows: int, key_tile: int, window: int | None) -> list[int]:
    """(query, key) pairs that each tile of query rows computes: all its rows against each tile of keys that any of
    them sees."""
    tiles = []
    for begin in range(context - new, context, tile_rows):
        rows = range(begin, min(begin + tile_rows, context))
        touched = set()
        for row in rows:
            oldest = 0 if window is None else max(0, row - window + 1)
            touched |= set(range(oldest // key_tile, row // key_tile + 1))
        tiles.append(len(rows) * len(touched) * key_tile)
    return tiles


def launches_of(
    card: Card,
    model: Any,
    sequences: Sequence[tuple[int, int]],
    form: str,
    *,
    n_ranks: int = 1,
    attention: str = "split_kv",
    fused: bool = False,
) -> list[Launch]:
    """The launches of one GPU of a group, in order."""
    tokens = sum(new for new, _ in sequences)
    heads_kv = max(1, model.n_kv_heads // n_ranks)
    heads = Heads(model.n_heads // n_ranks, heads_kv, model.head_dim, 2 * heads_kv * model.head_dim * model.kv_bits / 8)

    def norm(name: str, rows: int, width: int) -> Launch:
        if fused:
            return card.elementwise(name, 4 * rows * width * B16)
        return card.norm(name, rows, width)

    def times(n: int, launches: list[Launch]) -> list[Launch]:
        return [replace(one, count=n) for one in launches]

    def residual(name: str) -> list[Launch]:
        return [] if fused else [card.elementwise(name, 3 * tokens * model.hidden * B16)]

    def all_reduce(name: str) -> list[Launch]:
        if n_ranks == 1:
            return []
        return [replace(card.exchange("all_reduce", tokens * model.hidden * B16, n_ranks), name=name)]

    layer: list[Launch] = []
    if model.norms_per_layer >= 1:
        layer.append(norm("attention_norm", tokens, model.hidden))
    layer.append(card.gemm("qkv_proj", tokens, (heads.n + 2 * heads.n_kv) * heads.dim, model.hidden, form))
    if model.qk_norm:
        layer.append(norm("qk_norm", tokens * (heads.n + heads.n_kv), heads.dim))
    decoding = [one for one in sequences if one[0] == 1 or (one[0] <= MOST_DECODE_ROWS and one[1] > one[0])]
    prompts = [one for one in sequences if one not in decoding]
    if prompts:
        layer.append(card.prefill_attention(heads, prompts, PREFILL_KERNEL, model.sliding_window))
    if decoding:
        layer.append(card.decode_attention(heads, decoding, attention, model.sliding_window))
    layer.append(card.gemm("o_proj", tokens, model.hidden, heads.n * heads.dim, form))
    if not model.parallel_block:
        layer += all_reduce("all_reduce_attention") + residual("attention_residual")
    if model.norms_per_layer >= 2:
        layer.append(norm("ffn_norm", tokens, model.hidden))
    layer += [norm("other_norm", tokens, model.hidden)] * (model.norms_per_layer - 2)
    layer += _feed_forward(card, model, tokens, form, n_ranks, fused)
    layer += all_reduce("all_reduce_ffn") + residual("ffn_residual")

    width = math.ceil(model.vocab / n_ranks)
    n = sum(new if 1 < new <= MOST_DECODE_ROWS and context > new else 1 for new, context in sequences)  # word scores
    after = [norm("final_norm", n, model.hidden), card.gemm("lm_head", n, width, model.hidden, card.base)]
    if n_ranks > 1:
        gathered = card.exchange("all_gather", n * width * n_ranks * B16, n_ranks)
        after.append(replace(gathered, name="all_gather_logits"))
    before = card.elementwise("embedding", 2 * tokens * model.hidden * B16)
    return [before, *times(model.n_layers, layer), *after]


def _feed_forward(card: Card, model: Any, tokens: int, form: str, n_ranks: int, fused: bool) -> list[Launch]:
    """A dense network, or the router, the experts that somebody chose, and those that are always on."""
    inner = 2 if model.gated else 1

    def activation(name: str, rows: int, width: int) -> list[Launch]:
        elements = rows * width
        if not model.gated:
            return [card.elementwise(name, 2 * elements * B16)]
        if fused:
            return [card.elementwise(name, 3 * elements * B16)]
        product = card.elementwise(f"{name}_product", 3 * elements * B16, elements)
        return [card.elementwise(name, 2 * elements * B16, elements), product]

    def dense(prefix: str, width: int) -> list[Launch]:
        mine = math.ceil(width / n_ranks)
        up = f"{prefix}gate_up_proj" if model.gated else f"{prefix}up_proj"
        return [
            card.gemm(up, tokens, inner * mine, model.hidden, form),
            *activation(f"{prefix}activation", tokens, mine),
            card.gemm(f"{prefix}down_proj", tokens, model.hidden, mine, form),
        ]

    if not model.n_experts:
        return dense("", model.ffn)
    mine = math.ceil(model.expert_ffn / n_ranks)
    idle = (1 - model.n_experts_per_token / model.n_experts) ** tokens
    active = model.n_experts * (1 - idle)
    routed = tokens * model.n_experts_per_token
    found = [
        card.gemm("router", tokens, model.n_experts, model.hidden, card.base),
        *(card.elementwise(name, 2 * tokens * model.n_experts * B16) for name in ROUTER),
        card.gemm(
            "expert_gate_up_proj" if model.gated else "expert_up_proj", routed, inner * mine, model.hidden, form, active
        ),
        *activation("expert_activation", routed, mine),
        card.gemm("expert_down_proj", routed, model.hidden, mine, form, active),
    ]
    if model.n_shared_experts:
        found += dense("shared_", model.n_shared_experts * model.expert_ffn)
    return found


def clock(card: Card, launches: Sequence[Launch]) -> float:
    """The largest ratio from 1 down to 0.05 at which the average power keeps to the limit: a scan in hundredths, then
    in ever smaller steps within the one where it came to fit."""
    if watts(card, launches, 1.0) <= card.limit_w:
        return 1.0
    above, step = 1.0, 0.01
    while step > 1e-11:
        ratio = above
        while ratio > 0.05 and watts(card, launches, ratio) > card.limit_w:
            above = ratio
            ratio -= step
        step /= 10
    return max(0.05, ratio)


def watts(card: Card, launches: Sequence[Launch], ratio: float) -> float:
    """Average power of one board at a clock ratio: dynamic energy of arithmetic falls with the ratio's square."""
    seconds = sum(one.count * one.seconds(ratio) for one in launches)
    joules = sum(one.count * (one.n_bytes * card.j_per_byte + ratio**2 * one.compute_j) for one in launches)
    return card.active_w + joules / seconds


def step(card: Card, model: Any, sequences: Sequence[tuple[int, int]], form: str, **how: Any) -> Step:
    """Time, power and clock of one step of sequences (new tokens, context)."""
    launches = launches_of(card, model, sequences, form, **how)
    ratio = clock(card, launches)
    seconds_of: dict[str, float] = {}
    for one in launches:
        seconds_of[one.name] = seconds_of.get(one.name, 0.0) + one.count * one.seconds(ratio)
    seconds = sum(seconds_of.values())
    power = watts(card, launches, ratio) * how.get("n_ranks", 1)
    return Step(seconds, power, ratio, power * seconds, seconds_of, tuple(launches))
