"""Where a model lies in memory: one page-aligned region for each operator's weights, each expert and each layer's KV.

The order of addresses is that of loading: embedding table, layer by layer (norms, projections, router, feed-forward or
experts), the head, then the pools of the key-value cache layer by layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from simulator.workload.accesses import LINE_BYTES, LINES_PER_PAGE, PAGE_BYTES, Region
from simulator.workload.batch import Batch
from simulator.workload.llm_accesses.config import LlmAccessError
from simulator.workload.llm_accesses.kv_cache import KvShape
from simulator.workload.model import ModelSpec
from simulator.workload.operators import ExpertLinear, operators

MOST_PAGES = (1 << 32) // LINES_PER_PAGE
TABLES = {"embedding": "embedding.tokens", "position_embedding": "embedding.positions"}
HEADS = {"final_norm": "embedding.final_norm", "lm_head": "embedding.lm_head"}

_REGION_OF = {
    "attention_norm": "norms", "ffn_norm": "norms", "qk_norm": "norms", "other_norms": "norms",
    "q_proj": "q_proj", "k_proj": "k_proj", "v_proj": "v_proj", "o_proj": "o_proj", "router": "router",
    "gate_proj": "ffn", "up_proj": "ffn", "down_proj": "ffn",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Extent:
    """`n_bytes` that begin at a page."""

    name: str
    first_page: int
    n_bytes: int

    @property
    def first_line(self) -> int:
        """Id of the first line."""
        return self.first_page * LINES_PER_PAGE

    @property
    def end_page(self) -> int:
        """The page after the last one."""
        return self.first_page + -(-self.n_bytes // PAGE_BYTES)

    def n_records(self, lines_per_record: int) -> int:
        """Records that read all of it, the last one rounded up."""
        return -(-self.n_bytes // (lines_per_record * LINE_BYTES))


@dataclass(frozen=True, slots=True)
class LayerSizes:
    """Bytes of one layer: of each merged group of weights, of one expert, and of the experts that are always on."""

    weights: Mapping[str, int]
    n_experts: int
    expert: int
    shared: int


@dataclass(frozen=True, slots=True)
class Layout:
    """All extents by name, in the order of addresses, and the pages that they take."""

    extents: Mapping[str, Extent]
    n_pages: int

    @property
    def regions(self) -> tuple[Region, ...]:
        """The extents as ranges of page ids."""
        return tuple(Region(extent.name, extent.first_page, extent.end_page) for extent in self.extents.values())


def layer_sizes(spec: ModelSpec) -> LayerSizes:
    """Bytes of one layer, as `operators` tells them."""
    weights: dict[str, int] = {}
    expert = shared = 0
    for use in operators(spec, Batch.decode(1)):
        operator = use.operator
        if isinstance(operator, ExpertLinear):
            expert += operator.expert_bytes
        elif use.name.startswith("shared_"):
            shared += operator.weight_bytes
        elif use.name in _REGION_OF and operator.weight_bytes:
            group = _REGION_OF[use.name]
            weights[group] = weights.get(group, 0) + operator.weight_bytes
    return LayerSizes(weights, spec.n_experts, expert, shared)


def lay_out(spec: ModelSpec, n_layers: int, parts: frozenset[str], kv: KvShape | None, n_blocks: int) -> Layout:
    """The address map of the first `n_layers` layers, of the parts that lie in this memory.

    Raises LlmAccessError beyond the 256 GiB that ids of 32 bits reach.
    """
    extents: dict[str, Extent] = {}
    page = 0
    for name, n_bytes in _sizes(spec, n_layers, parts, kv, n_blocks):
        extents[name] = Extent(name, page, n_bytes)
        page = extents[name].end_page
    if page > MOST_PAGES:
        raise LlmAccessError(
            f"the run takes {page * PAGE_BYTES / 2**30:,.1f} GiB, and ids of 64-byte lines reach 256 GiB",
            field="layers",
            remedy="simulate fewer layers (`layers`), fewer parts (`parts: [kv]`), or a smaller batch",
        )
    return Layout(extents, page)


def _sizes(
    spec: ModelSpec, n_layers: int, parts: frozenset[str], kv: KvShape | None, n_blocks: int
) -> Iterator[tuple[str, int]]:
    once = {use.name: use.operator.weight_bytes for use in operators(spec, Batch.decode(1))}
    if "embedding" in parts:
        yield from ((region, once[name]) for name, region in TABLES.items() if name in once)
    layer = layer_sizes(spec)
    for number in range(n_layers):
        if "weights" in parts:
            yield from ((f"weights.layer{number}.{group}", n_bytes) for group, n_bytes in layer.weights.items())
        if "experts" in parts:
            if layer.shared:
                yield f"experts.layer{number}.shared", layer.shared
            yield from ((f"experts.layer{number}.e{expert}", layer.expert) for expert in range(layer.n_experts))
    if "embedding" in parts:
        yield HEADS["final_norm"], once["final_norm"]
        if not spec.tied_embeddings:
            yield HEADS["lm_head"], once["lm_head"]
    if kv is not None:
        yield from ((f"kv.layer{number}", n_blocks * kv.block_lines * LINE_BYTES) for number in range(n_layers))
