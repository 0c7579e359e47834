"""Small models and runs, and what is read off their streams."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.workload.accesses import LINE_BYTES, AccessStream
from simulator.workload.llm_accesses.config import LlmAccessConfig

DENSE = {
    "n_layers": 3, "hidden": 256, "n_heads": 8, "n_kv_heads": 2, "head_dim": 64, "ffn": 768, "vocab": 5000,
}  # fmt: skip
EXPERTS = {
    "n_layers": 3, "hidden": 256, "n_heads": 8, "n_kv_heads": 2, "head_dim": 64, "vocab": 5000, "n_experts": 16,
    "n_experts_per_token": 2, "expert_ffn": 128,
}  # fmt: skip


def config(**keys: Any) -> LlmAccessConfig:
    """A run of a few steps of a small dense model."""
    return LlmAccessConfig(**{"overrides": DENSE, "prompt_tokens": 90, "n_steps": 6, "batch": 3, **keys})


def moe(**keys: Any) -> LlmAccessConfig:
    """A run of a few steps of a small model with experts."""
    return config(**{"model": "qwen3-30b-a3b", "overrides": EXPERTS, **keys})


def records(stream: AccessStream, chunk: int = 1 << 20) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """All records' first lines and whether they write."""
    chunks = list(stream.chunks(chunk))
    line = np.concatenate([chunk.line for chunk in chunks]).astype(np.int64)
    return line, np.concatenate([chunk.is_write for chunk in chunks])


def step_bytes(stream: AccessStream, *, writes: bool = False, region: str = "") -> list[int]:
    """Bytes that each decode step reads, or writes, in the regions whose names begin so."""
    line, is_write = records(stream)
    inside = np.zeros(stream.n_pages, dtype=np.bool_)
    for each in stream.regions:
        inside[each.first : each.end] |= each.name.startswith(region)
    counted = (is_write == writes) & inside[line // 64]
    assert stream.request_starts is not None
    sums = np.add.reduceat(counted.astype(np.int64), stream.request_starts)
    return (sums * stream.lines_per_record * LINE_BYTES).tolist()


def regions_of(stream: AccessStream, line: NDArray[np.int64]) -> list[str]:
    """The region of every line."""
    firsts = np.array([region.first for region in stream.regions])
    return [stream.regions[place].name for place in np.searchsorted(firsts, line // 64, side="right") - 1]
