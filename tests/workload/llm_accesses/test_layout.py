"""The address map: sizes, order, parts, limits."""

from __future__ import annotations

import pytest

from simulator.core.errors import WorkloadError
from simulator.workload.catalog import load_model
from simulator.workload.llm_accesses.kv_cache import KvShape
from simulator.workload.llm_accesses.layout import Layout, lay_out, layer_sizes
from simulator.workload.llm_accesses.stream import llm_stream
from tests.workload.llm_accesses.small_runs import config, moe

ALL = frozenset({"embedding", "weights", "experts", "kv"})


def all_of(name: str, layers: int | None = None) -> Layout:
    spec = load_model(name)
    return lay_out(spec, layers or spec.n_layers, ALL, None, 0)


@pytest.mark.parametrize(
    "name", ["llama3-8b", "qwen3-30b-a3b", "mixtral-8x7b", "opt-1.3b", "phi-2", "qwen2-7b", "llama2-70b"]
)
def test_the_regions_hold_every_weight_once(name: str) -> None:
    layout = all_of(name)
    assert sum(extent.n_bytes for extent in layout.extents.values()) == load_model(name).weight_bytes


@pytest.mark.parametrize("name", ["llama3-8b", "qwen3-30b-a3b", "opt-1.3b"])
def test_regions_follow_each_other_without_gaps(name: str) -> None:
    layout = all_of(name)
    page = 0
    for region in layout.regions:
        assert region.first == page < region.end
        page = region.end
    assert page == layout.n_pages


def test_the_names_of_a_layer() -> None:
    names = [name for name in all_of("llama3-8b", 2).extents if "layer1" in name]
    assert names == [f"weights.layer1.{part}" for part in ("norms", "q_proj", "k_proj", "v_proj", "o_proj", "ffn")]
    names = list(all_of("mixtral-8x7b", 1).extents)
    assert names[0] == "embedding.tokens"
    assert names[-3:] == ["experts.layer0.e7", "embedding.final_norm", "embedding.lm_head"]
    assert names.count("weights.layer0.ffn") == 0


def test_shared_experts_have_a_region_of_their_own() -> None:
    spec = load_model("mixtral-8x7b").replace(n_shared_experts=2)
    sizes = layer_sizes(spec)
    assert sizes.shared == 2 * sizes.expert
    assert "experts.layer0.shared" in lay_out(spec, 1, ALL, None, 0).extents


def test_parts_leave_the_rest_out() -> None:
    stream = llm_stream(moe(parts=("experts",)))
    assert {region.name.split(".")[0] for region in stream.regions} == {"experts"}
    assert len(stream.regions) == 3 * 16
    assert {region.name for region in llm_stream(config(parts=("kv",))).regions} == {f"kv.layer{n}" for n in range(3)}


def test_layers_cuts_the_model() -> None:
    assert {region.name for region in llm_stream(config(parts=("kv",), layers=2)).regions} == {
        "kv.layer0",
        "kv.layer1",
    }


def test_the_pool_has_room_for_what_is_held_at_once() -> None:
    # 3 sequences that end at 96 positions: six blocks of 16 each; a block of 2 x 16 x 2 heads x 128 B is 2 pages.
    stream = llm_stream(config(parts=("kv",)))
    assert [region.end - region.first for region in stream.regions] == [3 * 6 * 2] * 3


def test_beyond_the_reach_of_line_ids() -> None:
    spec = load_model("llama3-8b")
    kv = KvShape(16, 8, 256, True, "nhd")
    most = (1 << 38) // (32 * 65536)
    lay_out(spec, 32, frozenset({"kv"}), kv, most)
    with pytest.raises(WorkloadError, match=r"256\.0 GiB, and ids of 64-byte lines reach 256 GiB") as caught:
        lay_out(spec, 32, frozenset({"kv"}), kv, most + 1)
    assert caught.value.exit_code == 3
    assert "parts" in str(caught.value)
