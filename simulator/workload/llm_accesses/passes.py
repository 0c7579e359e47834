"""The passes of a run over its model, each as pieces of records: prompts that begin, the decode step, and so on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.core.seeds import child_rng
from simulator.workload.accesses import LINE_BYTES, LINES_PER_PAGE
from simulator.workload.llm_accesses.attention_hits import AttentionHits
from simulator.workload.llm_accesses.config import SECTION, LlmAccessConfig, LlmAccessError, check, model_of, parts_of
from simulator.workload.llm_accesses.kv_cache import BlockTables, KvShape
from simulator.workload.llm_accesses.layout import HEADS, TABLES, lay_out
from simulator.workload.llm_accesses.recorded import Recorded
from simulator.workload.llm_accesses.routing import Routing
from simulator.workload.llm_accesses.runs import Lines, Piece, scattered, sequential
from simulator.workload.llm_accesses.selection import Attended, HeavyHitters, Recent, Selection, Step, TopK
from simulator.workload.llm_accesses.sequences import RunStep, extremes, run_steps
from simulator.workload.model import ModelSpec

Ints = NDArray[np.int64]
_MOST_RANKS = 1 << 28
# Cache lines whose records are kept from layer to layer: it bounds memory and decides nothing.
_MOST_LINES_KEPT = 1 << 20
_NONE = np.empty(0, dtype=np.uint32)
_BEFORE_ATTENTION = ("norms", "q_proj", "k_proj", "v_proj")
_AFTER_ATTENTION = ("o_proj", "router", "ffn")


@dataclass(frozen=True, slots=True)
class ModelPass:
    """One pass over the model: the number of the step that it is of, whether it is the decode step or prompts that
    begin with it, and its records."""

    step: int
    is_decode: bool
    pieces: Iterator[Piece]


class LlmRun:
    """A run that is checked and laid out; `passes()` plays it from its beginning, the same each time."""

    def __init__(self, config: LlmAccessConfig, seed: int, selection: Selection | None = None) -> None:
        self.config, self.seed, self._given = config, seed, selection
        self.spec = model_of(config)
        check(config, self.spec)
        self.parts = parts_of(config, self.spec)
        self.n_layers = config.layers or self.spec.n_layers
        self.reach = extremes(config, self.spec)
        self.n_blocks = config.pool_blocks or self.reach.most_blocks
        self.hits = _hits(config) if "kv" in self.parts and selection is None else None
        by_head = self.hits is not None or (
            config.per_kv_head and (config.attention == "topk" or selection is not None)
        )
        self.kv = _kv_shape(config, self.spec, by_head) if "kv" in self.parts else None
        self.layout = lay_out(self.spec, self.n_layers, self.parts, self.kv, self.n_blocks)
        self.lines_per_record = _lines_per_record(config, self.kv)
        if self.kv is not None and config.attention == "topk" and selection is None:
            self._check_ranks()

    def passes(self) -> Iterator[ModelPass]:
        """All passes in order. Each one's pieces must be used up before the next is asked for."""
        play = _Play(self)
        for run_step in run_steps(self.config):
            play.admit(run_step)
            if self.config.prefill and run_step.began:
                yield ModelPass(run_step.step.number, False, play.prefill(run_step))
            play.extend(run_step.step)
            yield ModelPass(run_step.step.number, True, play.decode(run_step.step))

    def selection(self) -> Selection:
        """What attention reads, from its beginning."""
        config, spec = self.config, self.spec
        if self._given is not None:
            return self._given
        if config.attention == "dense":
            return Recent(spec.n_kv_heads, spec.sliding_window)
        if config.attention == "window":
            return Recent(spec.n_kv_heads, config.window, config.sinks)
        if self.hits is not None:
            return Recorded(self.hits, spec.n_kv_heads, config.recorded_top_k)
        rng = child_rng(self.seed, "llm_accesses", "selection")
        return HeavyHitters(self._draws(), self.n_layers, config.batch, self.reach.longest, rng)

    def routing(self) -> Routing | None:
        """The router, from its beginning; None where experts are not looked at."""
        config, spec = self.config, self.spec
        if "experts" not in self.parts:
            return None
        skew = config.skew if config.routing == "zipf" else 0.0
        rng = child_rng(self.seed, "llm_accesses", "routing")
        return Routing(self.n_layers, spec.n_experts, spec.n_experts_per_token, skew, config.stickiness, rng)

    def _draws(self) -> TopK:
        config = self.config
        return TopK(
            config.top_k, config.block_tokens if config.top_k_unit == "block" else 1,
            self.spec.n_kv_heads if config.per_kv_head else 1, self.spec.n_kv_heads, config.window, config.sinks,
            config.position_skew, config.drift,
        )  # fmt: skip

    def _check_ranks(self) -> None:
        draws = self._draws()
        n_ranks = self.n_layers * self.config.batch * draws.n_groups * -(-self.reach.longest // draws.unit_tokens)
        if n_ranks > _MOST_RANKS:
            raise LlmAccessError(
                f"heavy hitters of {n_ranks:,} positions (layers x sequences x heads x context) take "
                f"{4 * n_ranks / 2**30:.1f} GiB",
                field="attention",
                remedy="simulate fewer layers (`layers`), rank blocks (`top_k_unit: block`), or all heads together",
            )


class _Play:
    """The state of a run that is being played: block tables, router, attention and the tokens drawn."""

    def __init__(self, run: LlmRun) -> None:
        self.run, self.lines_per_record = run, run.lines_per_record
        self.selection, self.routing = run.selection(), run.routing()
        self.tables = BlockTables(run.config.batch, run.n_blocks, run.config.block_tokens, run.reach.longest)
        self.token_rng = child_rng(run.seed, "llm_accesses", "tokens")
        self.words = _zipf(run.spec.vocab) if TABLES["embedding"] in run.layout.extents else None
        self.written, self.read = (_CacheLines(run.kv, self.tables, run.lines_per_record) for _ in range(2))
        self.layers = [self._layer_pieces(number) for number in range(run.n_layers)]

    def admit(self, run_step: RunStep) -> None:
        """Blocks of the sequences that left are free, those that began have theirs."""
        for slot in run_step.left:
            self.tables.release(slot)
        for slot, prompt in run_step.began:
            self.tables.grow(slot, prompt)
        self.written.forget()

    def extend(self, step: Step) -> None:
        """Every sequence has room for its new token."""
        for slot, context in enumerate(step.context.tolist()):
            self.tables.grow(slot, context)
        self.written.forget()
        self.read.forget()

    def prefill(self, run_step: RunStep) -> Iterator[Piece]:
        """One pass for all prompts that begin together: weights once, keys and values written, none read back."""
        slots = np.array([slot for slot, _ in run_step.began])
        prompts = np.array([prompt for _, prompt in run_step.began])
        experts = self._prompt_experts(run_step.step.identity[slots], prompts)
        written = Attended(slots, None, np.zeros_like(prompts), prompts)
        yield from self._rows(np.concatenate([np.arange(prompt) for prompt in prompts]))
        for number, (before, after) in enumerate(self.layers):
            yield from before
            yield from self._write(number, written)
            yield from after
            yield from self._experts(number, experts)
        yield from self._head()

    def decode(self, step: Step) -> Iterator[Piece]:
        """One token of every sequence."""
        experts = self.routing.step(step.identity) if self.routing is not None else None
        last = Attended(np.arange(len(step.context)), None, step.context - 1, np.ones_like(step.context))
        yield from self._rows(step.context - 1)
        for number, (before, after) in enumerate(self.layers):
            yield from before
            yield from self._write(number, last)
            yield from self._read(number, step)
            yield from after
            yield from self._experts(number, experts)
        yield from self._head()

    def _layer_pieces(self, number: int) -> tuple[list[Piece], list[Piece]]:
        return (
            [piece for group in _BEFORE_ATTENTION for piece in self._whole(f"weights.layer{number}.{group}")],
            [piece for group in _AFTER_ATTENTION for piece in self._whole(f"weights.layer{number}.{group}")],
        )

    def _whole(self, name: str) -> Iterator[Piece]:
        extent = self.run.layout.extents.get(name)
        if extent is not None:
            yield sequential(extent.first_line, extent.n_records(self.lines_per_record), self.lines_per_record)

    def _rows(self, positions: Ints) -> Iterator[Piece]:
        """Rows of the embedding table for words drawn by Zipf's law, and of a table of positions."""
        if self.words is None:
            return
        words = np.searchsorted(self.words, self.token_rng.random(len(positions)), side="right")
        yield self._table_rows(TABLES["embedding"], words)
        if TABLES["position_embedding"] in self.run.layout.extents:
            yield self._table_rows(TABLES["position_embedding"], positions)

    def _table_rows(self, name: str, rows: Ints) -> Piece:
        extent, size = self.run.layout.extents[name], self.lines_per_record
        record_bytes, row_bits = size * LINE_BYTES, self.run.spec.hidden * self.run.spec.weight_bits
        first = rows * row_bits // (8 * record_bytes)
        end = -(-(rows + 1) * row_bits // (8 * record_bytes))
        counts = end - first

        def make() -> Iterator[Lines]:
            return scattered(extent.first_line + first * size, counts * size, size)

        return Piece(int(counts.sum()), False, make)

    def _write(self, layer: int, positions: Attended) -> Iterator[Piece]:
        kv = self.run.kv
        if kv is not None:
            n_lines = kv.lines(int(positions.n_positions.sum()) * kv.n_heads)
            yield Piece(n_lines // self.lines_per_record, True, lambda: self._cache(layer, self.written, positions))

    def _read(self, layer: int, step: Step) -> Iterator[Piece]:
        kv = self.run.kv
        if kv is not None:
            n_lines = kv.lines(self.selection.n_attended(step, layer))
            yield Piece(
                n_lines // self.lines_per_record, False,
                lambda: self._cache(layer, self.read, self.selection.attended(step, layer)),
            )  # fmt: skip

    def _cache(self, layer: int, lines: _CacheLines, positions: Attended) -> Iterator[Lines]:
        return lines.of(positions, self.run.layout.extents[f"kv.layer{layer}"].first_line)

    def _experts(self, layer: int, experts: list[Ints] | None) -> Iterator[Piece]:
        if experts is not None:
            yield from self._whole(f"experts.layer{layer}.shared")
            for expert in experts[layer].tolist():
                yield from self._whole(f"experts.layer{layer}.e{expert}")

    def _head(self) -> Iterator[Piece]:
        yield from self._whole(HEADS["final_norm"])
        yield from self._whole(TABLES["embedding"] if self.run.spec.tied_embeddings else HEADS["lm_head"])

    def _prompt_experts(self, identity: Ints, prompts: Ints) -> list[Ints] | None:
        if self.routing is None:
            return None
        used: list[set[int]] = [set() for _ in range(self.run.n_layers)]
        for number, tokens in zip(identity.tolist(), prompts.tolist(), strict=True):
            rng = child_rng(self.run.seed, "llm_accesses", "prompt", number)
            for layer, chosen in enumerate(self.routing.prompt(tokens, rng)):
                used[layer].update(chosen.tolist())
        return [np.array(sorted(experts), dtype=np.int64) for experts in used]


class _CacheLines:
    """Lines of positions of the cache: worked out once where several layers in turn are asked for the same ones."""

    def __init__(self, kv: KvShape | None, tables: BlockTables, lines_per_record: int) -> None:
        self._kv, self._tables, self._lines_per_record = kv, tables, lines_per_record
        self._positions: Attended | None = None
        self._runs: tuple[Ints, Ints] | None = None
        self._records: Lines | None = None

    def forget(self) -> None:
        """Block tables have changed."""
        self._positions = None

    def of(self, positions: Attended, base_line: int) -> Iterator[Lines]:
        """Records of the positions in a layer whose pool begins at `base_line`."""
        if self._positions is not positions:
            assert self._kv is not None
            self._positions, self._records = positions, None
            self._runs = self._kv.runs(0, self._tables.table, positions)
            if self._runs[1].sum() <= _MOST_LINES_KEPT:
                self._records = np.concatenate([*scattered(*self._runs, self._lines_per_record), _NONE])
        if self._records is not None:
            yield self._records + np.uint32(base_line)
        elif self._runs is not None:
            yield from scattered(self._runs[0] + base_line, self._runs[1], self._lines_per_record)


def _hits(config: LlmAccessConfig) -> AttentionHits | None:
    """The recorded attention that the run reads, if it reads any."""
    if config.attention != "recorded" or config.hits is None:
        return None
    hits = AttentionHits.read(config.hits, where=f"{SECTION}.hits")
    if (config.recorded_top_k or 0) > hits.k:
        raise LlmAccessError(
            f"top_k is {config.top_k:,}, and {config.hits} has {hits.k:,} positions of each step",
            field="top_k",
            remedy="give fewer, leave it out, or record more: sim trace record-model --top-k",
        )
    return hits


def _kv_shape(config: LlmAccessConfig, spec: ModelSpec, by_head: bool) -> KvShape:
    row_bits = spec.head_dim * spec.kv_bits
    together = config.kv_layout == "nhd" and not by_head
    unit_bits = row_bits * (spec.n_kv_heads if together else 1)
    if unit_bits % (8 * LINE_BYTES) or row_bits % 8:
        raise LlmAccessError(
            f"{'a token' if together else 'one head'} of {spec.name} has keys of {unit_bits / 8:g} B, "
            f"no whole number of {LINE_BYTES}-byte lines",
            field="kv_layout",
            remedy="use kv_layout: nhd with all heads together, or another overrides: {kv_bits: ...}",
        )
    return KvShape(config.block_tokens, spec.n_kv_heads, row_bits // 8, together, config.kv_layout)


def _lines_per_record(config: LlmAccessConfig, kv: KvShape | None) -> int:
    """The largest power of two that divides every run of the cache: one constant for the stream."""
    unit = LINES_PER_PAGE if kv is None else kv.unit_lines
    largest = min(LINES_PER_PAGE, unit & -unit)
    if config.lines_per_record is None:
        return largest
    if config.lines_per_record > largest:
        raise LlmAccessError(
            f"a record of {config.lines_per_record} lines does not divide the runs of this cache, of {unit} lines",
            field="lines_per_record",
            remedy=f"give {largest} or less, or leave it out",
        )
    return config.lines_per_record


def _zipf(n_words: int) -> NDArray[np.float64]:
    """The distribution of words by rank: a tokenizer's ids are about in the order of frequency."""
    share: NDArray[np.float64] = np.cumsum(1.0 / np.arange(1, n_words + 1))
    share /= share[-1]
    return share
