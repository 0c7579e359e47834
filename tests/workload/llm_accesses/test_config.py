"""The `llm` section: what is refused, in which words, and the examples that come with the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.core.binding import bind
from simulator.core.config import load_part, tree_of
from simulator.core.errors import ConfigError, WorkloadError
from simulator.workload.llm_accesses.config import LlmAccessConfig, LlmAccessError
from simulator.workload.llm_accesses.stream import llm_stream
from tests.roofline_page import fenced
from tests.workload.llm_accesses.small_runs import DENSE, config, moe

EXAMPLES = ("accesses_kv_dense", "accesses_kv_topk", "accesses_moe_experts")


@pytest.mark.parametrize(
    ("keys", "field", "words"),
    [
        ({"layers": 4}, "layers", "has 3 layers, not 4"),
        ({"routing": "zipf"}, "routing", "has no experts to route to"),
        ({"stickiness": 0.1}, "stickiness", "has no experts"),
        ({"parts": ("experts",)}, "parts", "has no experts"),
        ({"output_tokens": 1}, "output_tokens", "no decode step"),
        ({"prompt_tokens": ()}, "prompt_tokens", "empty"),
        ({"attention": "topk", "top_k": 24}, "top_k", "a context of 91 has 23 beside 4 sinks and a window of 64"),
        ({"attention": "topk", "top_k": 1, "window": 80, "top_k_unit": "block"}, "top_k", "1 blocks"),
        ({"attention": "topk", "top_k": 8, "window": 95}, "top_k", "has 0 beside"),
        ({"attention": "topk", "overrides": {**DENSE, "sliding_window": 40}}, "attention", "last 40 positions"),
        ({"pool_blocks": 17}, "pool_blocks", "holds 18 blocks at once, and the pool has 17"),
        ({"overrides": {**DENSE, "kv_bits": 1}, "kv_layout": "hnd"}, "kv_layout", "one head"),
        ({"lines_per_record": 8}, "lines_per_record", "does not divide"),
        ({"model": "opt-1.3b", "overrides": {}, "prompt_tokens": 2045}, "n_steps", "reach 2,051, beyond the 2,050"),
        ({"batch": 65536, "prompt_tokens": 100000}, "layers", "reach 256 GiB"),
    ],
)
def test_what_cannot_be(keys: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(LlmAccessError, match=words) as caught:
        llm_stream(config(**keys))
    assert caught.value.field == field
    assert caught.value.exit_code == 3
    assert caught.value.remedy
    assert str(caught.value).startswith(f"workload.llm.{field}: ")


def test_too_many_ranks() -> None:
    run = LlmAccessConfig(attention="topk", prompt_tokens=1 << 19, batch=12, per_kv_head=True, layers=8, parts=("kv",))
    with pytest.raises(LlmAccessError, match=r"heavy hitters of .* positions .* GiB"):
        llm_stream(run)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"window": 0}, "window"),
        ({"n_steps": 0}, "n_steps"),
        ({"top_k": 0}, "top_k"),
        ({"skew": -1}, "skew"),
        ({"stickiness": 1.5}, "stickiness"),
        ({"attention": "sparse"}, "attention"),
        ({"parts": []}, "parts"),
        ({"parts": ["kvs"]}, "parts"),
        ({"topk": 5}, "did you mean `top_k`"),
    ],
)
def test_what_is_no_configuration(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        bind(tree_of(keys, where="here"), LlmAccessConfig)


def test_units_and_lists_are_read() -> None:
    keys = {"compute_per_step": "30 us", "prompt_tokens": [100, 200], "parts": ["kv"], "output_tokens": 7}
    read = bind(tree_of(keys, where="here"), LlmAccessConfig)
    assert (read.compute_per_step_ps, read.prompts, read.parts, read.outputs) == (30_000_000, (100, 200), ("kv",), (7,))


def test_models_by_name() -> None:
    with pytest.raises(WorkloadError, match="did you mean `llama3-8b`") as caught:
        llm_stream(LlmAccessConfig(model="llama3-8bb"))
    assert str(caught.value).startswith("workload.llm.model: ")
    with pytest.raises(WorkloadError, match=r"workload\.llm\.overrides\.n_kv_heads"):
        llm_stream(LlmAccessConfig(overrides={"n_kv_heads": 3}))


def test_notes_say_what_was_left_out() -> None:
    notes = " ".join(llm_stream(config(top_k=5, layers=2, prompt_tokens=9000, parts=("kv",))).notes)
    for words in ("first 2 of 3 layers", "not looked at in this run: top_k", "trained for contexts of 8,192", "256 B"):
        assert words in notes
    assert "30 us a step" in " ".join(llm_stream(moe(compute_per_step_ps=30_000_000)).notes)


def test_the_page_of_the_docs(repo_root: Path) -> None:
    page = (repo_root / "docs" / "llm_accesses.md").read_text(encoding="utf-8")
    exec(fenced(page, "python"), {})
    keys = {key for row in page.splitlines() if row.startswith("| `") for key in row.split("|")[1].split("`")[1::2]}
    fields = {name.removesuffix("_ps") for name in LlmAccessConfig.model_fields}
    # Window, sinks and top_k are told in the row of `attention`.
    assert fields - {"window", "sinks", "top_k"} <= keys


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name: str, repo_root: Path) -> None:
    tree = load_part(repo_root / "workloads" / f"{name}.yaml")
    assert tree.get("kind") == "accesses"
    stream = llm_stream(bind(tree.at("llm"), LlmAccessConfig))
    assert 10**6 < stream.n_records < 2 * 10**7
    assert next(iter(stream.chunks(1000))).line.size == 1000
    assert "not looked at" not in " ".join(stream.notes)
